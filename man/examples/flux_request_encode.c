/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_msg_t *msg = flux_request_encode("attr.get", "{\"name\":\"rank\"}");
    flux_future_t *f;
    const char *s;

    if (!h || !msg)
        err(1, "set-up");
    f = flux_rpc_message(h, msg, FLUX_NODEID_ANY, 0);
    if (!f || flux_rpc_get_unpack(f, "{s:s}", "value", &s) < 0)
        err(1, "attr.get");
    printf("rank %s\n", s);
    flux_future_destroy(f);
    flux_msg_destroy(msg);
    flux_close(h);
    return 0;
}
/* Output:
 * rank 0
 */
