/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_error_t error;
    uint32_t rank;

    if (!h)
        err(1, "flux_open");
    if (flux_get_rank(h, &rank) < 0)
        err(1, "flux_get_rank");
    printf("rank %u\n", rank);
    flux_close(h);

    if (!flux_open_ex("local:///no/such/socket", 0, &error))
        printf("%s\n", error.text);
    return 0;
}
/* Output:
 * rank 0
 * /no/such/socket does not exist: ...
 */
