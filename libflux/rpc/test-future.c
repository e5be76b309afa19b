/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Futures by themselves: fulfilment, continuations, both contexts, composites and chains. */
#include "rpc/test-router.h"

static int freed;

static void on_free(void *arg)
{
    freed++;
}

static int setup(void **state)
{
    freed = 0;
    return router_setup(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, router_teardown)

static flux_future_t *rpc(struct router *rt)
{
    flux_future_t *f = flux_rpc(rt->h, "a.b", NULL, FLUX_NODEID_ANY, 0);

    assert_non_null(f);
    return f;
}

static void fulfilled_value_is_kept_until_destruction(void **state)
{
    flux_future_t *f = flux_future_create(NULL, NULL);
    const void *value;

    assert_false(flux_future_is_ready(f));
    assert_null(flux_future_error_string(f));
    flux_future_fulfill(f, "v", on_free);
    assert_true(flux_future_is_ready(f));
    assert_false(flux_future_has_error(f));
    assert_int_equal(flux_future_get(f, &value), 0);
    assert_string_equal(value, "v");
    assert_int_equal(flux_future_wait_for(f, 0.), 0);
    assert_null(flux_future_error_string(f));
    assert_int_equal(freed, 0);
    flux_future_destroy(f);
    assert_int_equal(freed, 1);
}

static void error_is_kept_with_its_sentence(void **state)
{
    flux_future_t *f = flux_future_create(NULL, NULL);

    flux_future_fulfill_error(f, ENOENT, "no beer");
    assert_true(flux_future_has_error(f));
    assert_string_equal(flux_future_error_string(f), "no beer");
    assert_int_equal(flux_future_get(f, NULL), -1);
    assert_int_equal(errno, ENOENT);
    flux_future_reset(f);
    flux_future_fulfill_error(f, EPERM, NULL);
    assert_string_equal(flux_future_error_string(f), strerror(EPERM));
    flux_future_destroy(f);
    assert_null(flux_future_error_string(NULL));
}

static void results_queue_in_order_and_reset_frees_each(void **state)
{
    flux_future_t *f = flux_future_create(NULL, NULL);
    const char *values[] = { "1", "2", "3" };
    const void *v;

    for (int i = 0; i < 3; i++)
        flux_future_fulfill(f, (void *)values[i], on_free);
    flux_future_fulfill_error(f, ENODATA, NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(flux_future_get(f, &v), 0);
        assert_string_equal(v, values[i]);
        flux_future_reset(f);
        assert_int_equal(freed, i + 1);
    }
    assert_int_equal(flux_future_get(f, NULL), -1);
    assert_int_equal(errno, ENODATA);
    flux_future_reset(f);
    assert_false(flux_future_is_ready(f));
    flux_future_fulfill(f, "x", on_free);
    flux_future_fulfill(f, "y", on_free);
    flux_future_destroy(f);
    assert_int_equal(freed, 5);
}

static void fatal_error_takes_precedence_and_comes_once(void **state)
{
    flux_future_t *f = flux_future_create(NULL, NULL);

    flux_future_fulfill(f, "v", on_free);
    flux_future_fatal_error(f, EIO, "worst");
    flux_future_fatal_error(f, EPERM, "later");
    flux_future_fulfill(f, "w", on_free);
    assert_int_equal(freed, 1); /* refused */
    assert_int_equal(flux_future_get(f, NULL), -1);
    assert_int_equal(errno, EIO);
    assert_string_equal(flux_future_error_string(f), "worst");
    flux_future_reset(f);
    assert_int_equal(flux_future_get(f, NULL), -1);
    assert_int_equal(errno, EIO);
    flux_future_destroy(f);
    assert_int_equal(freed, 2);
}

static void bad_arguments_are_EINVAL(void **state)
{
    flux_future_t *f = flux_future_create(NULL, NULL);

#define FAILS(expr)                         \
    do {                                    \
        errno = 0;                          \
        assert_int_equal((long)(expr), -1); \
        assert_int_equal(errno, EINVAL);    \
    } while (0)
    FAILS(flux_future_get(NULL, NULL));
    FAILS(flux_future_wait_for(NULL, 1.));
    FAILS(flux_future_then(NULL, 1., NULL, NULL));
    FAILS(flux_future_then(f, -1., NULL, NULL));
    FAILS(flux_future_fulfill_with(f, f));
    FAILS(flux_future_fulfill_with(f, NULL));
    FAILS(flux_future_aux_set(NULL, "x", f, NULL));
    FAILS(flux_future_push(f, "x", NULL));
    FAILS(flux_future_continue(f, NULL));
    FAILS(flux_future_fulfill_next(f, NULL, NULL));
    assert_null(flux_future_get_flux(f));
    assert_null(flux_future_get_reactor(f));
    assert_null(flux_future_and_then(NULL, NULL, NULL));
    flux_future_destroy(f);
    flux_future_destroy(NULL);
    flux_future_reset(NULL);
}

static void waiting_for_what_nobody_can_fulfill_fails(void **state)
{
    flux_future_t *f = flux_future_create(NULL, NULL);

    assert_int_equal(flux_future_wait_for(f, 0.), -1);
    assert_int_equal(errno, ETIMEDOUT);
    assert_int_equal(flux_future_wait_for(f, 0.001), -1);
    assert_int_equal(errno, ETIMEDOUT);
    assert_int_equal(flux_future_get(f, NULL), -1);
    assert_int_equal(errno, EDEADLK);
    flux_future_destroy(f);
}

/* --- init callbacks in both contexts */

static void on_timer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    flux_future_fulfill(arg, "timer", on_free);
}

static void watcher_destroy(void *arg)
{
    flux_watcher_destroy(arg);
}

static int inits;
static double wait_seconds; /* until it is fulfilled for who waits in its own reactor */

static void on_init(flux_future_t *f, void *arg)
{
    flux_reactor_t *r = flux_future_get_reactor(f);
    const double seconds = r == (flux_reactor_t *)arg ? 0.001 : wait_seconds;
    flux_watcher_t *w = flux_timer_watcher_create(r, seconds, 0., on_timer, f);

    assert_non_null(w);
    assert_int_equal(flux_future_aux_set(f, NULL, w, watcher_destroy), 0);
    flux_watcher_start(w);
    if (arg) {
        bool is_then = r == (flux_reactor_t *)arg;

        inits += is_then ? 1 : 100;
    }
}

static flux_future_t *timer_future(flux_reactor_t *r, double seconds)
{
    flux_future_t *f = flux_future_create(on_init, r);

    flux_future_set_reactor(f, r);
    inits = 0;
    wait_seconds = seconds;
    return f;
}

static void wait_for_runs_only_the_futures_own_reactor(void **state)
{
    struct router *rt = *state;
    flux_future_t *other = timer_future(rt->r, 0.02);
    flux_future_t *f = timer_future(rt->r, 0.02);
    const void *v;

    flux_watcher_t *w = flux_timer_watcher_create(rt->r, 0., 0., on_timer, other);
    flux_watcher_start(w);
    assert_int_equal(flux_future_get(f, &v), 0);
    assert_string_equal(v, "timer");
    assert_int_equal(inits, 100);
    assert_false(flux_future_is_ready(other));
    flux_watcher_destroy(w);
    flux_future_destroy(f);
    flux_future_destroy(other);
}

static void on_then(flux_future_t *f, void *arg)
{
    (*(int *)arg)++;
}

static void init_is_called_once_for_each_context(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = timer_future(rt->r, 1000.);
    int calls = 0;

    assert_int_equal(flux_future_wait_for(f, 0.0001), -1);
    assert_int_equal(flux_future_wait_for(f, 0.0001), -1);
    assert_int_equal(inits, 100);
    assert_int_equal(flux_future_then(f, -1., on_then, &calls), 0);
    assert_int_equal(inits, 101);
    assert_true(flux_reactor_run(rt->r, 0) >= 0);
    assert_int_equal(calls, 1);
    assert_int_equal(inits, 101);
    flux_future_destroy(f);
}

static void on_fulfill(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    flux_future_fulfill(arg, NULL, NULL);
}

static void destroy_watcher(void *arg)
{
    flux_watcher_destroy(arg);
}

static void init_with_reactor(flux_future_t *f, flux_reactor_t *r, void *arg)
{
    flux_watcher_t *w = flux_timer_watcher_create(r, 0., 0., on_fulfill, f);

    assert_ptr_equal(r, flux_future_get_reactor(f));
    (*(int *)arg)++;
    assert_int_equal(flux_future_aux_set(f, NULL, w, destroy_watcher), 0);
    flux_watcher_start(w);
}

static void an_init_callback_may_take_the_reactor(void **state)
{
    struct router *rt = *state;
    int calls = 0;
    int continued = 0;
    flux_future_t *f = flux_future_create(init_with_reactor, &calls);

    assert_int_equal(flux_future_get(f, NULL), 0);
    assert_int_equal(calls, 1);
    flux_future_destroy(f);

    f = flux_future_create(init_with_reactor, &calls);
    flux_future_set_reactor(f, rt->r);
    assert_int_equal(flux_future_then(f, -1., on_then, &continued), 0);
    assert_true(flux_reactor_run(rt->r, 0) >= 0);
    assert_int_equal(calls, 2);
    assert_int_equal(continued, 1);
    flux_future_destroy(f);
}

static void continuation_is_called_from_the_reactor_only(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_future_create(NULL, NULL);
    int calls = 0;

    flux_future_set_reactor(f, rt->r);
    assert_int_equal(flux_future_then(f, -1., on_then, &calls), 0);
    flux_future_fulfill(f, NULL, NULL);
    flux_future_fulfill(f, NULL, NULL);
    assert_int_equal(calls, 0);
    router_run(rt);
    assert_int_equal(calls, 1);
    router_run(rt);
    assert_int_equal(calls, 1); /* until reset */
    flux_future_reset(f);
    assert_int_equal(calls, 1);
    router_run(rt);
    assert_int_equal(calls, 2);
    flux_future_destroy(f);
}

static void then_on_a_fulfilled_future_calls_back(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_future_create(NULL, NULL);
    int calls = 0;

    flux_future_set_flux(f, rt->h); /* by the dispatcher this time */
    flux_future_fulfill(f, NULL, NULL);
    assert_int_equal(flux_future_then(f, -1., on_then, &calls), 0);
    assert_int_equal(flux_reactor_run(rt->r, 0), 0);
    assert_int_equal(calls, 1);
    flux_future_destroy(f);
}

static void reset_before_the_reactor_ran_calls_nobody(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_future_create(NULL, NULL);
    int calls = 0;

    flux_future_set_flux(f, rt->h);
    assert_int_equal(flux_future_then(f, -1., on_then, &calls), 0);
    flux_future_fulfill(f, NULL, NULL);
    flux_future_reset(f);
    assert_int_equal(flux_reactor_run(rt->r, 0), 0);
    assert_int_equal(calls, 0);
    flux_future_fulfill(f, NULL, NULL);
    flux_future_destroy(f);
    assert_int_equal(flux_reactor_run(rt->r, 0), 0);
    assert_int_equal(calls, 0);
}

static void on_timeout_then_reset(flux_future_t *f, void *arg)
{
    int *calls = arg;

    assert_int_equal(flux_future_get(f, NULL), -1);
    assert_int_equal(errno, ETIMEDOUT);
    if (++*calls < 3)
        flux_future_reset(f);
}

static void reset_restarts_the_timeout(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_future_create(NULL, NULL);
    int calls = 0;

    flux_future_set_reactor(f, rt->r);
    assert_int_equal(flux_future_then(f, 0.001, on_timeout_then_reset, &calls), 0);
    assert_int_equal(flux_reactor_run(rt->r, 0), 0);
    assert_int_equal(calls, 3);
    flux_future_destroy(f);
}

static void fulfill_with_shares_result_and_aux(void **state)
{
    flux_future_t *f = flux_future_create(NULL, NULL);
    flux_future_t *p = flux_future_create(NULL, NULL);
    flux_future_t *q = flux_future_create(NULL, NULL);
    const void *v;

    assert_int_equal(flux_future_fulfill_with(f, p), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(flux_future_aux_set(p, "x", "aux of p", NULL), 0);
    flux_future_fulfill(p, "1", on_free);
    flux_future_fulfill(q, "q", NULL);
    assert_int_equal(flux_future_fulfill_with(f, p), 0);
    assert_int_equal(flux_future_fulfill_with(f, q), -1);
    assert_int_equal(errno, EEXIST);
    flux_future_reset(p);
    flux_future_fulfill(p, "2", on_free);
    assert_int_equal(flux_future_fulfill_with(f, p), 0);
    flux_future_destroy(p);
    assert_int_equal(flux_future_get(f, &v), 0);
    assert_string_equal(v, "1");
    assert_string_equal(flux_future_aux_get(f, "x"), "aux of p");
    assert_int_equal(freed, 0);
    flux_future_reset(f);
    assert_int_equal(freed, 1);
    assert_int_equal(flux_future_get(f, &v), 0);
    assert_string_equal(v, "2");
    flux_future_destroy(q);
    flux_future_destroy(f);
    assert_int_equal(freed, 2);
}

/* --- composites */

static void wait_all_waits_for_all(void **state)
{
    struct router *rt = *state;
    flux_future_t *all = flux_future_wait_all_create();
    const char *name;
    int n = 0;

    assert_int_equal(flux_future_push(all, "a", rpc(rt)), 0);
    assert_int_equal(flux_future_push(all, "b", rpc(rt)), 0);
    assert_int_equal(flux_future_push(all, "a", flux_future_get_child(all, "b")), -1);
    assert_int_equal(errno, EEXIST);
    router_answer_next(rt, "a.b", 0, "A");
    assert_int_equal(flux_future_wait_for(all, 0.002), -1);
    assert_int_equal(errno, ETIMEDOUT);
    assert_true(flux_future_is_ready(flux_future_get_child(all, "a")));
    router_answer_next(rt, "a.b", EPERM, "B");
    assert_int_equal(flux_future_get(all, NULL), 0);
    for (name = flux_future_first_child(all); name; name = flux_future_next_child(all))
        n++;
    assert_int_equal(n, 2);
    assert_int_equal(flux_rpc_get(flux_future_get_child(all, "b"), NULL), -1);
    assert_int_equal(errno, EPERM);
    assert_null(flux_future_get_child(all, "c"));
    assert_int_equal(errno, ENOENT);
    flux_future_destroy(all);
}

static void wait_any_waits_for_one(void **state)
{
    struct router *rt = *state;
    flux_future_t *any = flux_future_wait_any_create();
    flux_msg_t *msg;

    assert_int_equal(flux_future_push(any, "a", rpc(rt)), 0);
    assert_int_equal(flux_future_push(any, "b", rpc(rt)), 0);
    msg = router_expect(rt, "a.b");
    router_answer_next(rt, "a.b", 0, "B");
    assert_int_equal(flux_future_get(any, NULL), 0);
    assert_false(flux_future_is_ready(flux_future_get_child(any, "a")));
    assert_true(flux_future_is_ready(flux_future_get_child(any, "b")));
    flux_future_destroy(any);
    flux_msg_destroy(msg);
}

static void composite_can_be_waited_for_and_then_continued(void **state)
{
    struct router *rt = *state;
    flux_future_t *all = flux_future_wait_all_create();
    int calls = 0;

    assert_int_equal(flux_future_push(all, "a", rpc(rt)), 0);
    assert_int_equal(flux_future_wait_for(all, 0.001), -1);
    assert_int_equal(flux_future_then(all, -1., on_then, &calls), 0);
    assert_int_equal(flux_future_push(all, "b", rpc(rt)), 0); /* late */
    router_answer_next(rt, "a.b", 0, NULL);
    router_answer_next(rt, "a.b", 0, NULL);
    assert_int_equal(flux_reactor_run(rt->r, 0), 0);
    assert_int_equal(calls, 1);
    flux_future_destroy(all);
}

static void waiting_for_a_composite_leaves_other_messages_alone(void **state)
{
    struct router *rt = *state;
    flux_future_t *all = flux_future_wait_all_create();
    flux_future_t *other = rpc(rt);
    int calls = 0;

    assert_int_equal(flux_future_then(other, -1., on_then, &calls), 0);
    router_answer_next(rt, "a.b", 0, NULL);
    router_event(rt, "e");
    assert_int_equal(flux_future_push(all, "a", rpc(rt)), 0);
    router_answer_next(rt, "a.b", 0, NULL);
    assert_int_equal(flux_future_get(all, NULL), 0);
    assert_int_equal(calls, 0);
    assert_int_equal(rt->h->conn->queue.count, 2);
    assert_int_equal(flux_reactor_run(rt->r, 0), 0);
    assert_int_equal(calls, 1);
    flux_future_destroy(other);
    flux_future_destroy(all);
}

static void nested_composites_work_in_both_contexts(void **state)
{
    struct router *rt = *state;

    for (int i = 0; i < 2; i++) {
        flux_future_t *all = flux_future_wait_all_create();
        flux_future_t *any = flux_future_wait_any_create();
        int calls = 0;

        assert_int_equal(flux_future_push(any, "x", rpc(rt)), 0);
        assert_int_equal(flux_future_push(all, "any", any), 0);
        assert_int_equal(flux_future_push(all, "y", rpc(rt)), 0);
        router_answer_next(rt, "a.b", 0, NULL);
        router_answer_next(rt, "a.b", 0, NULL);
        if (i == 0) {
            assert_int_equal(flux_future_get(all, NULL), 0);
        } else {
            assert_int_equal(flux_future_then(all, -1., on_then, &calls), 0);
            assert_int_equal(flux_reactor_run(rt->r, 0), 0);
            assert_int_equal(calls, 1);
        }
        flux_future_destroy(all);
    }
}

/* --- chains */

static void on_and(flux_future_t *f, void *arg)
{
    struct router *rt = arg;
    flux_future_t *g = flux_rpc(rt->h, "c.d", NULL, FLUX_NODEID_ANY, 0);

    assert_int_equal(flux_rpc_get(f, NULL), 0);
    assert_int_equal(flux_future_continue(f, g), 0);
    flux_future_destroy(f);
    connection_flush(rt->h->conn);
    router_answer_next(rt, "c.d", 0, "second");
}

static void and_then_continues_with_another_future(void **state)
{
    struct router *rt = *state;

    for (int i = 0; i < 2; i++) {
        flux_future_t *f = flux_future_and_then(rpc(rt), on_and, rt);
        int calls = 0;
        const char *s;

        assert_non_null(f);
        router_answer_next(rt, "a.b", 0, "first");
        if (i == 1) {
            assert_int_equal(flux_future_then(f, -1., on_then, &calls), 0);
            assert_int_equal(flux_reactor_run(rt->r, 0), 0);
            assert_int_equal(calls, 1);
        }
        assert_int_equal(flux_rpc_get(f, &s), 0);
        assert_string_equal(s, "second");
        flux_future_destroy(f);
    }
    assert_int_equal(rt->h->conn->tags.used, 0);
}

static void on_never(flux_future_t *f, void *arg)
{
    fail();
}

static void errors_pass_and_then_and_are_caught_by_or_then(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = rpc(rt);
    flux_future_t *next = flux_future_and_then(f, on_never, NULL);

    router_answer_next(rt, "a.b", ENOENT, "nope");
    assert_int_equal(flux_rpc_get(next, NULL), -1);
    assert_int_equal(errno, ENOENT);
    assert_string_equal(flux_future_error_string(next), "nope");
    flux_future_destroy(next);
}

static void on_or(flux_future_t *f, void *arg)
{
    assert_int_equal(flux_future_get(f, NULL), -1);
    assert_int_equal(flux_future_fulfill_next(f, "saved", on_free), 0);
    flux_future_destroy(f);
}

static void or_then_can_turn_an_error_into_success(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = rpc(rt);
    flux_future_t *next = flux_future_and_then(f, on_never, NULL);
    const void *v;

    assert_ptr_equal(flux_future_or_then(f, on_or, NULL), next);
    router_answer_next(rt, "a.b", ENOENT, NULL);
    assert_int_equal(flux_future_get(next, &v), 0);
    assert_string_equal(v, "saved");
    flux_future_destroy(next);
    assert_int_equal(freed, 1);
}

static void on_continue_error(flux_future_t *f, void *arg)
{
    flux_future_continue_error(f, EPERM, "changed my mind");
}

static void continue_error_fails_the_next(void **state)
{
    struct router *rt = *state;
    flux_future_t *next = flux_future_and_then(rpc(rt), on_continue_error, NULL);

    router_answer_next(rt, "a.b", 0, NULL);
    assert_int_equal(flux_future_get(next, NULL), -1);
    assert_int_equal(errno, EPERM);
    assert_string_equal(flux_future_error_string(next), "changed my mind");
    flux_future_destroy(next);
}

static void on_plain(flux_future_t *f, void *arg)
{
    (*(int *)arg)++;
    flux_future_destroy(f);
}

static void without_continue_the_result_passes_on(void **state)
{
    struct router *rt = *state;
    int calls = 0;
    flux_future_t *f = rpc(rt);
    const char *s;

    for (int i = 0; i < 5; i++)
        f = flux_future_and_then(f, on_plain, &calls);
    router_answer_next(rt, "a.b", 0, "result");
    assert_int_equal(flux_future_wait_for(f, 5.), 0);
    assert_int_equal(calls, 5);
    assert_int_equal(flux_rpc_get(f, &s), 0);
    assert_string_equal(s, "result");
    flux_future_destroy(f);
}

static void on_continue_null(flux_future_t *f, void *arg)
{
    assert_int_equal(flux_future_continue(f, NULL), 0);
    (*(int *)arg)++;
}

static void continue_with_NULL_fulfills_nothing(void **state)
{
    struct router *rt = *state;
    int calls = 0;
    flux_future_t *next = flux_future_and_then(rpc(rt), on_continue_null, &calls);
    int thens = 0;

    assert_int_equal(flux_future_then(next, -1., on_then, &thens), 0);
    router_answer_next(rt, "a.b", 0, NULL);
    router_run(rt);
    assert_int_equal(calls, 1);
    assert_int_equal(thens, 0);
    assert_false(flux_future_is_ready(next));
    flux_future_destroy(next);
}

static void destroying_the_last_of_an_unfinished_chain_destroys_it_all(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_future_and_then(rpc(rt), on_never, NULL);

    f = flux_future_and_then(f, on_never, NULL);
    assert_int_equal(flux_future_then(f, -1., on_never, NULL), 0);
    flux_future_destroy(f);
    router_answer_next(rt, "a.b", 0, NULL);
    f = rpc(rt);
    router_answer_next(rt, "a.b", 0, NULL);
    assert_int_equal(flux_future_get(f, NULL), 0);
    flux_future_destroy(f);
}

static void a_chain_of_a_stream_goes_on_with_reset(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_rpc(rt->h, "a.b", NULL, FLUX_NODEID_ANY, FLUX_RPC_STREAMING);
    flux_msg_t *msg = router_expect(rt, "a.b");
    flux_future_t *next;
    int calls = 0;
    const char *s;

    next = flux_future_and_then(f, on_then, &calls);
    for (int i = 0; i < 3; i++) {
        char text[8];

        (void)snprintf(text, sizeof(text), "%d", i);
        router_answer(rt, msg, 0, text);
        assert_int_equal(flux_rpc_get(next, &s), 0);
        assert_string_equal(s, text);
        flux_future_reset(next);
    }
    router_answer(rt, msg, ENODATA, NULL);
    assert_int_equal(flux_rpc_get(next, NULL), -1);
    assert_int_equal(errno, ENODATA);
    assert_int_equal(calls, 3);
    flux_future_destroy(next);
    flux_msg_destroy(msg);
}

static void on_continue_twice(flux_future_t *f, void *arg)
{
    flux_future_t *g = flux_future_create(NULL, NULL);
    flux_future_t *k = flux_future_create(NULL, NULL);

    flux_future_fulfill(g, "g", on_free);
    flux_future_fulfill(k, "k", on_free);
    assert_int_equal(flux_future_continue(f, g), 0);
    assert_int_equal(flux_future_continue(f, k), 0);
    flux_future_destroy(f);
}

static void results_outlive_the_futures_they_came_from(void **state)
{
    struct router *rt = *state;
    flux_future_t *next = flux_future_and_then(rpc(rt), on_continue_twice, NULL);
    const void *v;

    router_answer_next(rt, "a.b", 0, NULL);
    assert_int_equal(flux_future_get(next, &v), 0);
    assert_string_equal(v, "g");
    assert_int_equal(freed, 0);
    flux_future_destroy(next);
    assert_int_equal(freed, 2);
}

static void composites_of_chains_work(void **state)
{
    struct router *rt = *state;
    flux_future_t *all = flux_future_wait_all_create();
    int calls = 0;

    assert_int_equal(flux_future_push(all, "a", flux_future_and_then(rpc(rt), on_plain, &calls)),
                     0);
    assert_int_equal(flux_future_push(all, "b", flux_future_and_then(rpc(rt), on_plain, &calls)),
                     0);
    router_answer_next(rt, "a.b", 0, NULL);
    router_answer_next(rt, "a.b", 0, NULL);
    assert_int_equal(flux_future_get(all, NULL), 0);
    assert_int_equal(calls, 2);
    flux_future_destroy(all);
}

static void on_inner(flux_future_t *f, void *arg)
{
    assert_int_equal(flux_future_fulfill_with(arg, f), 0);
    flux_future_destroy(f);
}

static void on_init_rpc(flux_future_t *f, void *arg)
{
    flux_future_t *inner = flux_rpc(flux_future_get_flux(f), "a.b", NULL, FLUX_NODEID_ANY, 0);

    assert_non_null(inner);
    assert_int_equal(flux_future_then(inner, -1., on_inner, f), 0);
    router_answer_next(arg, "a.b", 0, "inner");
}

static void a_future_may_contain_an_rpc_made_by_its_init_callback(void **state)
{
    struct router *rt = *state;

    for (int i = 0; i < 2; i++) {
        flux_future_t *f = flux_future_create(on_init_rpc, rt);
        int calls = 0;
        const char *s;

        flux_future_set_flux(f, rt->h);
        if (i == 1) {
            assert_int_equal(flux_future_then(f, -1., on_then, &calls), 0);
            assert_int_equal(flux_reactor_run(rt->r, 0), 0);
        }
        assert_int_equal(flux_rpc_get(f, &s), 0);
        assert_string_equal(s, "inner");
        flux_future_destroy(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fulfilled_value_is_kept_until_destruction),
        TEST(error_is_kept_with_its_sentence),
        TEST(results_queue_in_order_and_reset_frees_each),
        TEST(fatal_error_takes_precedence_and_comes_once),
        TEST(bad_arguments_are_EINVAL),
        TEST(waiting_for_what_nobody_can_fulfill_fails),
        TEST(wait_for_runs_only_the_futures_own_reactor),
        TEST(init_is_called_once_for_each_context),
        TEST(an_init_callback_may_take_the_reactor),
        TEST(continuation_is_called_from_the_reactor_only),
        TEST(then_on_a_fulfilled_future_calls_back),
        TEST(reset_before_the_reactor_ran_calls_nobody),
        TEST(reset_restarts_the_timeout),
        TEST(fulfill_with_shares_result_and_aux),
        TEST(wait_all_waits_for_all),
        TEST(wait_any_waits_for_one),
        TEST(composite_can_be_waited_for_and_then_continued),
        TEST(waiting_for_a_composite_leaves_other_messages_alone),
        TEST(nested_composites_work_in_both_contexts),
        TEST(and_then_continues_with_another_future),
        TEST(errors_pass_and_then_and_are_caught_by_or_then),
        TEST(or_then_can_turn_an_error_into_success),
        TEST(continue_error_fails_the_next),
        TEST(without_continue_the_result_passes_on),
        TEST(continue_with_NULL_fulfills_nothing),
        TEST(destroying_the_last_of_an_unfinished_chain_destroys_it_all),
        TEST(a_chain_of_a_stream_goes_on_with_reset),
        TEST(results_outlive_the_futures_they_came_from),
        TEST(composites_of_chains_work),
        TEST(a_future_may_contain_an_rpc_made_by_its_init_callback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
