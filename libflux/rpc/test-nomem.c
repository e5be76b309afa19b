/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Every allocation of an operation on a handle fails once, in turn: the operation must fail with
 * ENOMEM (or succeed), and what is left must still work. */
#include "base/nomem.h"
#include "rpc/test-router.h"

/* Answer what has arrived, with injection suspended. */
static void answer_all(struct router *rt)
{
    long saved = nomem_suspend();
    flux_msg_t *msg;

    while ((msg = router_recv(rt))) {
        router_answer(rt, msg, 0, "{\"k\":\"v\"}");
        flux_msg_destroy(msg);
    }
    nomem_resume(saved);
}

/* A message that could not be received for lack of memory costs the connection: going on would mean
 * to lose messages silently. To its callers that is ECONNRESET. */
static int outcome(struct router *rt, int rc)
{
    if (rc < 0 && errno == ECONNRESET && rt->h->conn->state == CONN_DEAD)
        errno = ENOMEM;
    return rc;
}

static int op_sync(void *arg)
{
    struct router *rt = arg;
    flux_future_t *f =
        flux_rpc_pack(rt->h, "a.b", FLUX_NODEID_ANY, 0, "{s:s s:i}", "key", "value", "n", 42);
    const char *s;
    int rc;

    if (!f)
        return -1;
    answer_all(rt);
    rc = outcome(rt, flux_rpc_get_unpack(f, "{s:s}", "k", &s));
    flux_future_destroy(f);
    return rc;
}

/* Result of a continuation: -2: it was not called yet; else 0 or an error number. */
static void on_then(flux_future_t *f, void *arg)
{
    *(int *)arg = flux_rpc_get(f, NULL) < 0 ? errno : 0;
    flux_future_destroy(f);
}

static int then_outcome(struct router *rt, int result)
{
    assert_int_not_equal(result, -2);
    errno = result;
    return outcome(rt, result ? -1 : 0);
}

static int op_then(void *arg)
{
    struct router *rt = arg;
    flux_future_t *f = flux_rpc(rt->h, "a.b", NULL, FLUX_NODEID_ANY, 0);
    int result = -2;

    if (!f)
        return -1;
    if (flux_future_then(f, 10., on_then, &result) < 0) {
        flux_future_destroy(f);
        return -1;
    }
    answer_all(rt);
    /* Without memory to receive there is nothing to do but to try again. */
    for (int i = 0; i < 10 && result == -2; i++) {
        if (flux_reactor_run(rt->r, FLUX_REACTOR_NOWAIT) < 0)
            break;
    }
    return then_outcome(rt, result);
}

static void on_and(flux_future_t *f, void *arg)
{
    struct router *rt = arg;
    flux_future_t *g = flux_rpc(rt->h, "c.d", NULL, FLUX_NODEID_ANY, 0);

    if (!g || flux_future_continue(f, g) < 0)
        flux_future_continue_error(f, errno, "out of luck");
    connection_flush(rt->h->conn);
    answer_all(rt);
}

static int op_chain(void *arg)
{
    struct router *rt = arg;
    flux_future_t *f = flux_rpc(rt->h, "a.b", NULL, FLUX_NODEID_ANY, 0);
    flux_future_t *next = f ? flux_future_and_then(f, on_and, rt) : NULL;
    int result = -2;

    if (!next) {
        flux_future_destroy(f);
        return -1;
    }
    if (flux_future_then(next, -1., on_then, &result) < 0) {
        flux_future_destroy(next);
        return -1;
    }
    answer_all(rt);
    for (int i = 0; i < 20 && result == -2; i++)
        (void)flux_reactor_run(rt->r, FLUX_REACTOR_NOWAIT);
    return then_outcome(rt, result);
}

static int op_composite(void *arg)
{
    struct router *rt = arg;
    flux_future_t *all = flux_future_wait_all_create();
    int result = -2;

    if (!all)
        return -1;
    for (int i = 0; i < 3; i++) {
        char name[8];
        flux_future_t *f = flux_rpc(rt->h, "a.b", NULL, FLUX_NODEID_ANY, 0);

        (void)snprintf(name, sizeof(name), "%d", i);
        if (!f || flux_future_push(all, name, f) < 0) {
            flux_future_destroy(f);
            flux_future_destroy(all);
            return -1;
        }
    }
    if (flux_future_then(all, -1., on_then, &result) < 0) {
        flux_future_destroy(all);
        return -1;
    }
    answer_all(rt);
    for (int i = 0; i < 20 && result == -2; i++)
        (void)flux_reactor_run(rt->r, FLUX_REACTOR_NOWAIT);
    assert_int_not_equal(result, -2); /* its children have the errors */
    return 0;
}

static void on_msg(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
}

static int op_handlers(void *arg)
{
    struct router *rt = arg;
    static const struct flux_msg_handler_spec tab[] = {
        { FLUX_MSGTYPE_REQUEST, "a.b", on_msg, 0 },
        { FLUX_MSGTYPE_REQUEST, "a.*", on_msg, 0 },
        { FLUX_MSGTYPE_EVENT, NULL, on_msg, 0 },
        FLUX_MSGHANDLER_TABLE_END,
    };
    flux_msg_handler_t **handlers;

    if (flux_msg_handler_addvec(rt->h, tab, NULL, &handlers) < 0)
        return -1;
    flux_msg_handler_delvec(handlers);
    return 0;
}

static int op_open(void *arg)
{
    flux_t *h = flux_open("loop://", 0);
    flux_t *clone = h ? flux_clone(h) : NULL;
    flux_msg_t *msg = clone ? flux_event_encode("e", "x") : NULL;
    int rc = msg && flux_send(h, msg, 0) == 0 && flux_requeue(clone, msg, FLUX_RQ_HEAD) == 0 &&
                     flux_aux_set(h, "x", h, NULL) == 0
                 ? 0
                 : -1;

    flux_msg_destroy(msg);
    flux_close(clone);
    flux_close(h);
    return rc;
}

static int op_stream(void *arg)
{
    struct router *rt = arg;
    flux_future_t *f = flux_rpc(rt->h, "a.b", NULL, FLUX_NODEID_ANY, FLUX_RPC_STREAMING);
    flux_msg_t *request;
    long saved;
    int rc;

    if (!f)
        return -1;
    saved = nomem_suspend();
    request = router_expect(rt, "a.b");
    for (int i = 0; i < 3; i++)
        router_answer(rt, request, 0, "{\"k\":1}");
    router_answer(rt, request, ENODATA, NULL);
    flux_msg_destroy(request);
    nomem_resume(saved);
    while ((rc = flux_rpc_get_unpack(f, "{}")) == 0)
        flux_future_reset(f);
    rc = outcome(rt, errno == ENODATA ? 0 : rc);
    flux_future_destroy(f);
    return rc;
}

static void forget_what_was_sent(struct router *rt)
{
    const long saved = nomem_suspend();
    flux_msg_t *msg;

    while ((msg = router_recv(rt)))
        flux_msg_destroy(msg);
    nomem_resume(saved);
}

static void on_request(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    int *result = arg;

    *result = flux_respond_pack(h, msg, "{s:s}", "k", "v") < 0 ? errno : 0;
    if (*result)
        (void)flux_respond_error(h, msg, *result, "out of luck");
}

static int op_service(void *arg)
{
    struct router *rt = arg;
    int result = -2;
    flux_msg_handler_t *mh =
        flux_msg_handler_create(rt->h, FLUX_MATCH_REQUEST, on_request, &result);
    long saved;

    if (!mh)
        return -1;
    flux_msg_handler_start(mh);
    saved = nomem_suspend();
    router_request(rt, "x.y", 5, FLUX_ROLE_OWNER);
    nomem_resume(saved);
    for (int i = 0; i < 10 && result == -2; i++)
        (void)flux_reactor_run(rt->r, FLUX_REACTOR_NOWAIT);
    flux_msg_handler_destroy(mh);
    forget_what_was_sent(rt);
    if (result == -2 && rt->h->conn->state == CONN_DEAD)
        result = ENOMEM;
    return then_outcome(rt, result);
}

static int op_event(void *arg)
{
    struct router *rt = arg;
    flux_future_t *f = flux_event_subscribe_ex(rt->h, "e", 0);
    flux_future_t *g = f ? flux_event_publish_pack(rt->h, "e", 0, "{s:i}", "n", 3) : NULL;
    flux_msg_t *msg;
    long saved;
    int rc, n;

    flux_future_destroy(f);
    flux_future_destroy(g);
    if (!g)
        return -1;
    answer_all(rt);
    saved = nomem_suspend();
    router_send(rt, flux_event_pack("e", "{s:i}", "n", 3));
    nomem_resume(saved);
    if (!(msg = flux_recv(rt->h, FLUX_MATCH_EVENT, 0)))
        return outcome(rt, -1);
    rc = flux_event_unpack(msg, NULL, "{s:i}", "n", &n);
    flux_msg_destroy(msg);
    return rc;
}

static void no_init(flux_future_t *f, void *arg)
{
}

/* A future whose fulfilment fails for lack of memory has that as its error. */
static int op_future(void *arg)
{
    flux_future_t *f = flux_future_create(no_init, NULL);
    flux_future_t *g = f ? flux_future_create(no_init, NULL) : NULL;
    const long saved = nomem_suspend();
    char *value = strdup("value");
    const void *result;
    int rc = -1;

    nomem_resume(saved);
    if (g && flux_future_aux_set(g, "x", g, NULL) == 0) {
        flux_future_fulfill(f, TAKE(value), free);
        flux_future_fulfill(f, NULL, NULL);
        if (flux_future_get(f, &result) == 0 && flux_future_fulfill_with(g, f) == 0)
            rc = flux_future_get(g, &result);
        if (rc == 0)
            assert_string_equal(result, "value");
    }
    free(value);
    flux_future_destroy(g);
    flux_future_destroy(f);
    return rc;
}

/* Requests that are left over from a failed attempt are of no interest. */
static void settle(void *arg)
{
    struct router *rt = arg;

    if (rt->h->conn->state == CONN_DEAD)
        router_reconnect(rt); /* see outcome() */
    answer_all(rt);
    for (int i = 0; i < 3; i++) {
        flux_future_t *f = flux_rpc(rt->h, "a.b", NULL, FLUX_NODEID_ANY, 0);
        int result = -2;

        assert_non_null(f);
        assert_int_equal(flux_future_then(f, -1., on_then, &result), 0);
        answer_all(rt);
        while (result == -2)
            assert_true(flux_reactor_run(rt->r, FLUX_REACTOR_NOWAIT) >= 0);
        assert_int_equal(result, 0);
    }
    assert_int_equal(rt->h->conn->tags.used, 0);
    assert_int_equal(rt->h->conn->queue.count, 0);
}

#define OP_TEST(name)                              \
    static void every_failure_in_##name(void **st) \
    {                                              \
        settle(*st);                               \
        nomem_each(op_##name, *st, settle);        \
    }
OP_TEST(sync)
OP_TEST(then)
OP_TEST(chain)
OP_TEST(composite)
OP_TEST(handlers)
OP_TEST(open)
OP_TEST(stream)
OP_TEST(service)
OP_TEST(event)
OP_TEST(future)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTER_TEST(every_failure_in_sync),     ROUTER_TEST(every_failure_in_then),
        ROUTER_TEST(every_failure_in_chain),    ROUTER_TEST(every_failure_in_composite),
        ROUTER_TEST(every_failure_in_handlers), ROUTER_TEST(every_failure_in_open),
        ROUTER_TEST(every_failure_in_stream),   ROUTER_TEST(every_failure_in_service),
        ROUTER_TEST(every_failure_in_event),    ROUTER_TEST(every_failure_in_future),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
