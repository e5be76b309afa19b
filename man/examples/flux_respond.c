/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static void on_count(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    int to;

    if (flux_request_unpack(msg, NULL, "{s:i}", "to", &to) < 0 || !flux_msg_is_streaming(msg)) {
        flux_respond_error(h, msg, EPROTO, "this is a stream, up to a number");
        return;
    }
    for (int i = 1; i <= to; i++)
        flux_respond_pack(h, msg, "{s:i}", "n", i);
    flux_respond_error(h, msg, ENODATA, NULL);
}

static const struct flux_msg_handler_spec tab[] = {
    { FLUX_MSGTYPE_REQUEST, "counter.count", on_count, 0 },
    FLUX_MSGHANDLER_TABLE_END,
};

static void on_answer(flux_future_t *f, void *arg)
{
    int n;

    if (flux_rpc_get_unpack(f, "{s:i}", "n", &n) == 0) {
        printf("%d\n", n);
        flux_future_reset(f);
        return;
    }
    printf("%s\n", errno == ENODATA ? "end" : flux_future_error_string(f));
    flux_future_destroy(f);
    if (errno == ENODATA)
        flux_reactor_stop(arg);
}

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_reactor_t *r = flux_get_reactor(h);
    flux_msg_handler_t **handlers;
    flux_future_t *f;

    if (!h || flux_msg_handler_addvec(h, tab, NULL, &handlers) < 0)
        err(1, "set-up");
    f = flux_service_register(h, "counter");
    if (!f || flux_future_get(f, NULL) < 0)
        err(1, "flux_service_register");
    flux_future_destroy(f);
    for (int flags = 0; flags <= FLUX_RPC_STREAMING; flags += FLUX_RPC_STREAMING) {
        f = flux_rpc_pack(h, "counter.count", FLUX_NODEID_ANY, flags, "{s:i}", "to", 2);
        if (!f || flux_future_then(f, -1., on_answer, r) < 0)
            err(1, "flux_rpc_pack");
    }
    flux_reactor_run(r, 0);
    flux_msg_handler_delvec(handlers);
    flux_close(h);
    return 0;
}
/* Output:
 * this is a stream, up to a number
 * 1
 * 2
 * end
 */
