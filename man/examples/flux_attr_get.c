/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    const char *s;

    if (!h || !(s = flux_attr_get(h, "size")))
        err(1, "flux_attr_get");
    printf("size %s\n", s);
    if (flux_attr_set(h, "demo.color", "blue") < 0)
        err(1, "flux_attr_set");
    if (!(s = flux_attr_get(h, "demo.color")))
        err(1, "flux_attr_get");
    printf("color %s\n", s);
    if (flux_attr_set(h, "demo.color", NULL) < 0)
        err(1, "flux_attr_set");
    if (!flux_attr_get(h, "demo.color"))
        printf("color: %s\n", strerror(errno));
    if (flux_attr_set(h, "rank", "7") < 0)
        printf("rank: %s\n", strerror(errno));
    flux_close(h);
    return 0;
}
/* Output:
 * size 1
 * color blue
 * color: No such file or directory
 * rank: Operation not permitted
 */
