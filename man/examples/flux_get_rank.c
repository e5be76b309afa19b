/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    uint32_t rank, size;

    if (!h)
        err(1, "flux_open");
    if (flux_get_rank(h, &rank) < 0 || flux_get_size(h, &size) < 0)
        err(1, "rank and size");
    printf("%" PRIu32 " of %" PRIu32 "\n", rank, size);
    flux_close(h);
    return 0;
}
/* Output:
 * 0 of 1
 */
