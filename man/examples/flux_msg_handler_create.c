/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static void on_hello(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    const char *name;

    if (flux_request_unpack(msg, NULL, "{s:s}", "name", &name) < 0) {
        flux_respond_error(h, msg, errno, "who are you?");
        return;
    }
    printf("request of %s\n", name);
    flux_respond_pack(h, msg, "{s:s}", "greeting", "hello");
}

static void on_answer(flux_future_t *f, void *arg)
{
    const char *s;

    if (flux_rpc_get_unpack(f, "{s:s}", "greeting", &s) < 0)
        err(1, "demo.hello");
    printf("answer %s\n", s);
    flux_msg_handler_stop(arg); /* nothing is left to do */
    flux_future_destroy(f);
}

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    struct flux_match match = FLUX_MATCH_REQUEST;
    flux_msg_handler_t *mh;
    flux_future_t *f;

    if (!h)
        err(1, "flux_open");
    f = flux_service_register(h, "demo");
    if (!f || flux_future_get(f, NULL) < 0)
        err(1, "flux_service_register");
    flux_future_destroy(f);

    match.topic_glob = "demo.hello";
    if (!(mh = flux_msg_handler_create(h, match, on_hello, NULL)))
        err(1, "flux_msg_handler_create");
    flux_msg_handler_start(mh);
    f = flux_rpc_pack(h, "demo.hello", FLUX_NODEID_ANY, 0, "{s:s}", "name", "me");
    if (!f || flux_future_then(f, -1., on_answer, mh) < 0)
        err(1, "flux_rpc_pack");
    flux_reactor_run(flux_get_reactor(h), 0);
    flux_msg_handler_destroy(mh);
    flux_close(h);
    return 0;
}
/* Output:
 * request of me
 * answer hello
 */
