/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Every allocation of an operation fails once, in turn: the operation must fail with ENOMEM (or
 * succeed), and what is left must still work. libev ends the process when it lacks memory, so the
 * reactor is warmed up first and its own allocations are let through. */
#include <dlfcn.h>

#include "rpc/test-router.h"

#if defined(__has_feature) /* clang's way to say it */
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HAVE_INJECTION 0
#else
#define HAVE_INJECTION 1
#endif

static long countdown = -1; /* this many allocations succeed; -1: all */
static bool failed;

#if HAVE_INJECTION
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

static bool should_fail(void)
{
    if (countdown < 0)
        return false;
    if (countdown-- > 0)
        return false;
    countdown = -1; /* one failure */
    failed = true;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return should_fail() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return should_fail() ? NULL : __libc_calloc(n, size);
}

/* libev grows its arrays with realloc and cannot fail. */
static bool from_libev(void *caller)
{
    Dl_info info;

    return dladdr(caller, &info) && info.dli_fname && strstr(info.dli_fname, "libev");
}

void *realloc(void *p, size_t size)
{
    if (countdown >= 0 && from_libev(__builtin_return_address(0)))
        return __libc_realloc(p, size);
    return should_fail() ? NULL : __libc_realloc(p, size);
}
#endif

/* Answer what has arrived, with injection suspended. */
static void answer_all(struct router *rt)
{
    long saved = countdown;
    flux_msg_t *msg;

    countdown = -1;
    while ((msg = router_recv(rt))) {
        router_answer(rt, msg, 0, "{\"k\":\"v\"}");
        flux_msg_destroy(msg);
    }
    countdown = saved;
}

typedef int (*op_f)(struct router *rt);

static int op_sync(struct router *rt)
{
    flux_future_t *f =
        flux_rpc_pack(rt->h, "a.b", FLUX_NODEID_ANY, 0, "{s:s s:i}", "key", "value", "n", 42);
    const char *s;
    int rc;

    if (!f)
        return -1;
    answer_all(rt);
    rc = flux_rpc_get_unpack(f, "{s:s}", "k", &s);
    flux_future_destroy(f);
    return rc;
}

static void on_then(flux_future_t *f, void *arg)
{
    *(int *)arg = flux_rpc_get(f, NULL);
    flux_future_destroy(f);
}

static int op_then(struct router *rt)
{
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
    assert_int_not_equal(result, -2);
    return result;
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

static int op_chain(struct router *rt)
{
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
    assert_int_not_equal(result, -2);
    return result;
}

static int op_composite(struct router *rt)
{
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
    assert_int_not_equal(result, -2);
    return 0;
}

static void on_msg(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
}

static int op_handlers(struct router *rt)
{
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

static int op_open(struct router *rt)
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

/* A message that could not be received for lack of memory costs the connection: going on would mean
 * to lose messages silently. Begin anew. */
static void replace_connection(struct router *rt)
{
    int sv[2];

    flux_close(rt->h);
    channel_free(rt->ch);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
    assert_int_equal(channel_new(sv[1], NULL, &rt->ch), 0);
    rt->h = handle_open_fd(sv[0], 0);
    assert_non_null(rt->h);
    rt->r = flux_get_reactor(rt->h);
}

/* Requests that are left over from a failed attempt are of no interest. */
static void settle(struct router *rt)
{
    countdown = -1;
    if (rt->h->conn->state == CONN_DEAD)
        replace_connection(rt);
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

static void fail_each_allocation_of(struct router *rt, op_f op)
{
    int n;

    if (!HAVE_INJECTION)
        skip();
    settle(rt);
    assert_int_equal(op(rt), 0);
    settle(rt);
    for (n = 0; n < 500; n++) {
        int rc, errnum;

        failed = false;
        countdown = n;
        rc = op(rt);
        errnum = errno;
        countdown = -1;
        if (!failed)
            break;
        if (rc < 0 && errnum != ENOMEM && errnum != EPROTO && errnum != ECONNRESET)
            fail_msg("allocation %d: %s", n, strerror(errnum));
        settle(rt);
    }
    assert_in_range(n, 1, 499);
}

#define OP_TEST(name)                              \
    static void every_failure_in_##name(void **st) \
    {                                              \
        fail_each_allocation_of(*st, op_##name);   \
    }
OP_TEST(sync)
OP_TEST(then)
OP_TEST(chain)
OP_TEST(composite)
OP_TEST(handlers)
OP_TEST(open)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTER_TEST(every_failure_in_sync),     ROUTER_TEST(every_failure_in_then),
        ROUTER_TEST(every_failure_in_chain),    ROUTER_TEST(every_failure_in_composite),
        ROUTER_TEST(every_failure_in_handlers), ROUTER_TEST(every_failure_in_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
