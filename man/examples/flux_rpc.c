/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static void on_rank(flux_future_t *f, void *arg)
{
    const char *s;

    if (flux_rpc_get_unpack(f, "{s:s}", "value", &s) < 0)
        err(1, "attr.get");
    printf("rank %s\n", s);
    flux_future_destroy(f);
}

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_future_t *f;
    const char *s;

    if (!h)
        err(1, "flux_open");
    f = flux_rpc_pack(h, "attr.get", FLUX_NODEID_ANY, 0, "{s:s}", "name", "size");
    if (!f || flux_rpc_get_unpack(f, "{s:s}", "value", &s) < 0)
        err(1, "attr.get");
    printf("size %s\n", s);
    flux_future_destroy(f);

    f = flux_rpc(h, "attr.get", "{\"name\":\"rank\"}", FLUX_NODEID_ANY, 0);
    if (!f || flux_future_then(f, -1., on_rank, NULL) < 0)
        err(1, "attr.get");
    if (flux_reactor_run(flux_get_reactor(h), 0) < 0)
        err(1, "flux_reactor_run");

    f = flux_rpc(h, "nosuch.method", NULL, FLUX_NODEID_ANY, 0);
    if (f && flux_rpc_get(f, NULL) < 0)
        printf("nosuch.method: %s\n", strerror(errno));
    flux_future_destroy(f);
    flux_close(h);
    return 0;
}
/* Output:
 * size 1
 * rank 0
 * nosuch.method: Function not implemented
 */
