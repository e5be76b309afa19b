/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_msgcounters_t n;
    flux_future_t *f;

    if (!h)
        err(1, "flux_open");
    flux_clr_msgcounters(h);
    for (int i = 0; i < 3; i++) {
        if (!(f = flux_rpc(h, "broker.ping", "{}", FLUX_NODEID_ANY, 0)) ||
            flux_rpc_get(f, NULL) < 0)
            err(1, "broker.ping");
        flux_future_destroy(f);
    }
    flux_get_msgcounters(h, &n);
    printf("%d requests, %d responses\n", n.request_tx, n.response_rx);
    flux_close(h);
    return 0;
}
/* Output:
 * 3 requests, 3 responses
 */
