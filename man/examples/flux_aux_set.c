/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static void destroy(void *arg)
{
    printf("free %s\n", (char *)arg);
}

int main(void)
{
    flux_t *h = flux_open("loop://", 0);

    if (!h)
        err(1, "flux_open");
    if (flux_aux_set(h, "demo", "one", destroy) < 0 || flux_aux_set(h, "demo", "two", destroy) < 0)
        err(1, "flux_aux_set");
    printf("demo is %s\n", (char *)flux_aux_get(h, "demo"));
    if (!flux_aux_get(h, "other"))
        printf("other: %s\n", strerror(errno));
    flux_close(h);
    return 0;
}
/* Output:
 * free one
 * demo is two
 * other: No such file or directory
 * free two
 */
