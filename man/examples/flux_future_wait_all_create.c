/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    static const char *const names[] = { "rank", "size" };
    flux_t *h = flux_open(NULL, 0);
    flux_future_t *all = flux_future_wait_all_create();
    const char *s;

    if (!h || !all)
        err(1, "set-up");
    for (size_t i = 0; i < 2; i++) {
        flux_future_t *f =
            flux_rpc_pack(h, "attr.get", FLUX_NODEID_ANY, 0, "{s:s}", "name", names[i]);

        if (!f || flux_future_push(all, names[i], f) < 0)
            err(1, "flux_future_push");
    }
    if (flux_future_get(all, NULL) < 0)
        err(1, "flux_future_get");
    for (size_t i = 0; i < 2; i++) {
        if (flux_rpc_get_unpack(flux_future_get_child(all, names[i]), "{s:s}", "value", &s) < 0)
            err(1, "%s", names[i]);
        printf("%s %s\n", names[i], s);
    }
    flux_future_destroy(all); /* and its children */
    flux_close(h);
    return 0;
}
/* Output:
 * rank 0
 * size 1
 */
