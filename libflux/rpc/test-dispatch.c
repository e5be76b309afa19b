/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Who gets a message: the precedence rules of flux_msg_handler_create(3). */
#include "rpc/test-router.h"

static char log_[128];

static int setup(void **state)
{
    log_[0] = '\0';
    return router_setup(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, router_teardown)

static void on_msg(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    strcat(log_, arg);
}

static flux_msg_handler_t *handler(struct router *rt, int type, const char *glob, const char *name)
{
    struct flux_match match = { type, FLUX_MATCHTAG_NONE, glob };
    flux_msg_handler_t *mh = flux_msg_handler_create(rt->h, match, on_msg, (void *)name);

    assert_non_null(mh);
    flux_msg_handler_start(mh);
    return mh;
}

static void request(struct router *rt, const char *topic)
{
    router_request(rt, topic, 5, FLUX_ROLE_OWNER);
    router_run(rt);
}

static void request_goes_to_the_newest_exact_match_then_to_the_newest_glob(void **state)
{
    struct router *rt = *state;
    flux_msg_handler_t *old = handler(rt, FLUX_MSGTYPE_REQUEST, "a.b", "1");
    flux_msg_handler_t *newer = handler(rt, FLUX_MSGTYPE_REQUEST, "a.b", "2");
    flux_msg_handler_t *glob = handler(rt, FLUX_MSGTYPE_REQUEST, "a.*", "3");
    flux_msg_handler_t *any = handler(rt, FLUX_MSGTYPE_REQUEST, NULL, "4");

    request(rt, "a.b");
    assert_string_equal(log_, "2");
    flux_msg_handler_stop(newer);
    request(rt, "a.b");
    assert_string_equal(log_, "21");
    flux_msg_handler_destroy(old);
    request(rt, "a.b");
    assert_string_equal(log_, "214"); /* the newest, although the other is more specific */
    flux_msg_handler_stop(any);
    request(rt, "a.b");
    assert_string_equal(log_, "2143");
    flux_msg_handler_start(newer);
    request(rt, "a.b");
    assert_string_equal(log_, "21432");
    flux_msg_handler_destroy(newer);
    flux_msg_handler_destroy(glob);
    flux_msg_handler_destroy(any);
}

static int answer_errnum(struct router *rt)
{
    flux_msg_t *msg = router_recv(rt);
    int type, errnum;
    uint32_t tag;

    if (!msg)
        return -1;
    assert_int_equal(flux_msg_get_type(msg, &type), 0);
    assert_int_equal(type, FLUX_MSGTYPE_RESPONSE);
    assert_int_equal(flux_msg_get_matchtag(msg, &tag), 0);
    assert_int_equal(tag, 5);
    assert_int_equal(flux_msg_get_errnum(msg, &errnum), 0);
    flux_msg_destroy(msg);
    return errnum;
}

static void request_without_a_match_is_answered_ENOSYS(void **state)
{
    struct router *rt = *state;
    flux_msg_handler_t *mh = handler(rt, FLUX_MSGTYPE_REQUEST, "a.b", "1");

    request(rt, "a.c");
    assert_int_equal(answer_errnum(rt), ENOSYS);
    assert_string_equal(log_, "");
    flux_msg_handler_destroy(mh);
}

static void request_that_wants_no_response_gets_none(void **state)
{
    struct router *rt = *state;
    flux_msg_handler_t *mh = handler(rt, FLUX_MSGTYPE_REQUEST, "a.b", "1");
    flux_msg_t *msg = flux_request_encode("no.such", NULL);

    assert_int_equal(flux_msg_set_noresponse(msg), 0);
    router_send(rt, msg);
    router_run(rt);
    assert_null(router_recv(rt));
    flux_msg_handler_destroy(mh);
}

static void roles_that_are_not_allowed_get_EPERM(void **state)
{
    struct router *rt = *state;
    flux_msg_handler_t *mh = handler(rt, FLUX_MSGTYPE_REQUEST, "a.b", "1");

    router_request(rt, "a.b", 5, FLUX_ROLE_USER);
    router_run(rt);
    assert_int_equal(answer_errnum(rt), EPERM);
    router_request(rt, "a.b", 5, FLUX_ROLE_NONE);
    router_run(rt);
    assert_int_equal(answer_errnum(rt), EPERM);
    assert_string_equal(log_, "");
    flux_msg_handler_allow_rolemask(mh, FLUX_ROLE_USER);
    router_request(rt, "a.b", 5, FLUX_ROLE_USER);
    router_run(rt);
    assert_string_equal(log_, "1");
    flux_msg_handler_deny_rolemask(mh, FLUX_ROLE_ALL);
    router_request(rt, "a.b", 5, FLUX_ROLE_USER);
    router_run(rt);
    assert_int_equal(answer_errnum(rt), EPERM);
    request(rt, "a.b"); /* the owner cannot be shut out */
    assert_string_equal(log_, "11");
    flux_msg_handler_destroy(mh);
}

static void events_go_to_all_that_match(void **state)
{
    struct router *rt = *state;
    flux_msg_handler_t *a = handler(rt, FLUX_MSGTYPE_EVENT, "e.*", "1");
    flux_msg_handler_t *b = handler(rt, FLUX_MSGTYPE_EVENT, "e.x", "2");
    flux_msg_handler_t *c = handler(rt, FLUX_MSGTYPE_EVENT, "f", "3");
    flux_msg_handler_t *d = handler(rt, FLUX_MSGTYPE_REQUEST, "e.x", "4");

    router_event(rt, "e.x");
    router_run(rt);
    assert_int_equal(strlen(log_), 2);
    assert_non_null(strchr(log_, '1'));
    assert_non_null(strchr(log_, '2'));
    flux_msg_handler_destroy(a);
    flux_msg_handler_destroy(b);
    flux_msg_handler_destroy(c);
    flux_msg_handler_destroy(d);
}

static void response(struct router *rt, uint32_t tag)
{
    flux_msg_t *msg = flux_request_encode("a.b", NULL);

    assert_int_equal(flux_msg_set_matchtag(msg, tag), 0);
    router_answer(rt, msg, 0, NULL);
    flux_msg_destroy(msg);
    router_run(rt);
}

static void responses_go_to_the_handler_of_their_matchtag_first(void **state)
{
    struct router *rt = *state;
    struct flux_match match = FLUX_MATCH_RESPONSE;
    flux_msg_handler_t *tagged, *any;

    match.matchtag = flux_matchtag_alloc(rt->h);
    tagged = flux_msg_handler_create(rt->h, match, on_msg, "t");
    flux_msg_handler_start(tagged);
    any = handler(rt, FLUX_MSGTYPE_RESPONSE, NULL, "a");
    response(rt, match.matchtag);
    response(rt, 0);
    response(rt, 12345);
    assert_string_equal(log_, "taa");
    flux_msg_handler_stop(any);
    response(rt, 0); /* discarded */
    response(rt, match.matchtag);
    assert_string_equal(log_, "taat");
    flux_matchtag_free(rt->h, match.matchtag);
    flux_msg_handler_destroy(tagged);
    flux_msg_handler_destroy(any);
}

static void start_and_stop_are_idempotent_and_the_reactor_ends_with_the_last(void **state)
{
    struct router *rt = *state;
    flux_msg_handler_t *mh = handler(rt, FLUX_MSGTYPE_REQUEST, "a.b", "1");

    flux_msg_handler_start(mh);
    flux_msg_handler_stop(mh);
    flux_msg_handler_stop(mh);
    assert_int_equal(flux_reactor_run(rt->r, 0), 0);
    flux_msg_handler_start(mh);
    flux_msg_handler_destroy(mh);
    assert_int_equal(flux_reactor_run(rt->r, 0), 0);
}

static flux_msg_handler_t *victims[3];

static void on_destroy_all(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    strcat(log_, arg);
    for (int i = 0; i < 3; i++) {
        flux_msg_handler_destroy(victims[i]);
        victims[i] = NULL;
    }
}

static void a_handler_may_destroy_itself_and_others(void **state)
{
    struct router *rt = *state;
    struct flux_match match = FLUX_MATCH_EVENT;

    for (int i = 0; i < 3; i++) {
        victims[i] = flux_msg_handler_create(rt->h, match, on_destroy_all, "x");
        flux_msg_handler_start(victims[i]);
    }
    router_event(rt, "e");
    router_event(rt, "e");
    router_run(rt);
    assert_string_equal(log_, "x");
}

static void on_close(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    struct router *rt = arg;

    strcat(log_, "c");
    flux_msg_handler_destroy(mh);
    flux_close(h);
    rt->h = NULL;
}

static void a_handler_may_close_the_handle(void **state)
{
    struct router *rt = *state;
    flux_reactor_t *r = rt->r;
    flux_msg_handler_t *mh = flux_msg_handler_create(rt->h, FLUX_MATCH_EVENT, on_close, rt);
    flux_msg_handler_t *other = handler(rt, FLUX_MSGTYPE_EVENT, NULL, "o");

    flux_reactor_incref(r);
    flux_msg_handler_start(mh);
    router_event(rt, "e");
    router_event(rt, "e");
    assert_int_equal(flux_reactor_run(r, 0), 0);
    assert_non_null(strchr(log_, 'c'));
    flux_msg_handler_destroy(other);
    flux_reactor_decref(r);
}

static void addvec_creates_all_and_delvec_destroys_all(void **state)
{
    static const struct flux_msg_handler_spec tab[] = {
        { FLUX_MSGTYPE_REQUEST, "a.b", on_msg, 0 },
        { FLUX_MSGTYPE_REQUEST, "a.c", on_msg, FLUX_ROLE_USER },
        FLUX_MSGHANDLER_TABLE_END,
    };
    static const struct flux_msg_handler_spec bad[] = {
        { FLUX_MSGTYPE_REQUEST, "a.b", on_msg, 0 },
        { FLUX_MSGTYPE_REQUEST, "a.c", NULL, 0 },
        FLUX_MSGHANDLER_TABLE_END,
    };
    struct router *rt = *state;
    flux_msg_handler_t **handlers;

    assert_int_equal(flux_msg_handler_addvec(rt->h, bad, "x", &handlers), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(flux_reactor_run(rt->r, 0), 0); /* the first was taken back */
    assert_int_equal(flux_msg_handler_addvec(rt->h, tab, "x", &handlers), 0);
    assert_non_null(handlers[0]);
    assert_non_null(handlers[1]);
    assert_null(handlers[2]);
    request(rt, "a.b");
    router_request(rt, "a.c", 5, FLUX_ROLE_USER);
    router_run(rt);
    assert_string_equal(log_, "xx");
    flux_msg_handler_delvec(handlers);
    assert_int_equal(flux_reactor_run(rt->r, 0), 0);
    assert_int_equal(flux_msg_handler_addvec(NULL, tab, "x", &handlers), -1);
    assert_int_equal(errno, EINVAL);
    flux_msg_handler_delvec(NULL);
}

static void a_clone_takes_what_it_handles_and_leaves_the_rest(void **state)
{
    struct router *rt = *state;
    flux_reactor_t *r = flux_reactor_create(0);
    flux_t *clone = flux_clone(rt->h);
    struct flux_match match = { FLUX_MSGTYPE_EVENT, FLUX_MATCHTAG_NONE, "clone.*" };
    flux_msg_handler_t *main_mh = handler(rt, FLUX_MSGTYPE_EVENT, "main.*", "m");
    flux_msg_handler_t *mh;

    assert_int_equal(flux_set_reactor(clone, r), 0);
    mh = flux_msg_handler_create(clone, match, on_msg, "c");
    flux_msg_handler_start(mh);
    router_event(rt, "main.1");
    router_event(rt, "clone.1");
    router_event(rt, "main.2");
    router_request(rt, "a.b", 5, FLUX_ROLE_OWNER);
    for (int i = 0; i < 5; i++)
        assert_true(flux_reactor_run(r, FLUX_REACTOR_NOWAIT) >= 0);
    assert_string_equal(log_, "c");
    assert_int_equal(answer_errnum(rt), -1);
    flux_msg_handler_destroy(mh);
    assert_int_equal(flux_dispatch_requeue(clone), 0);
    flux_close(clone);
    flux_reactor_destroy(r);
    router_run(rt);
    assert_string_equal(log_, "cmm");
    assert_int_equal(answer_errnum(rt), ENOSYS);
    flux_msg_handler_destroy(main_mh);
}

static void requeued_messages_are_dispatched(void **state)
{
    struct router *rt = *state;
    flux_msg_handler_t *mh = handler(rt, FLUX_MSGTYPE_EVENT, NULL, "e");
    flux_msg_t *msg = flux_event_encode("x", NULL);

    router_run(rt);
    assert_int_equal(flux_requeue(rt->h, msg, FLUX_RQ_HEAD), 0);
    assert_int_equal(flux_requeue(rt->h, msg, FLUX_RQ_TAIL), 0);
    router_run(rt);
    assert_string_equal(log_, "ee");
    flux_msg_destroy(msg);
    flux_msg_handler_destroy(mh);
}

static void on_watch(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    flux_t *h = flux_handle_watcher_get_flux(w);
    flux_msg_t *msg = flux_recv(h, FLUX_MATCH_ANY, FLUX_O_NONBLOCK);

    assert_int_equal(revents, FLUX_POLLIN);
    assert_non_null(msg);
    flux_msg_destroy(msg);
    if (++*(int *)arg == 40)
        flux_watcher_stop(w);
}

static void a_handle_watcher_fires_once_for_each_message_even_if_batched(void **state)
{
    struct router *rt = *state;
    int n = 0;
    flux_watcher_t *w = flux_handle_watcher_create(rt->r, rt->h, FLUX_POLLIN, on_watch, &n);

    flux_watcher_start(w);
    for (int i = 0; i < 40; i++)
        router_event(rt, "e");
    assert_int_equal(flux_reactor_run(rt->r, 0), 0);
    assert_int_equal(n, 40);
    flux_watcher_destroy(w);
}

static void many_messages_do_not_starve_other_watchers(void **state)
{
    struct router *rt = *state;
    flux_msg_handler_t *mh = handler(rt, FLUX_MSGTYPE_EVENT, NULL, "");
    flux_msg_t *msg = flux_event_encode("x", NULL);

    for (int i = 0; i < 1000; i++)
        assert_int_equal(flux_requeue(rt->h, msg, FLUX_RQ_TAIL), 0);
    assert_true(flux_reactor_run(rt->r, FLUX_REACTOR_NOWAIT) >= 0);
    assert_true(rt->h->conn->queue.count > 0);
    assert_true(rt->h->conn->queue.count < 1000);
    flux_msg_destroy(msg);
    flux_msg_handler_destroy(mh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(request_goes_to_the_newest_exact_match_then_to_the_newest_glob),
        TEST(request_without_a_match_is_answered_ENOSYS),
        TEST(request_that_wants_no_response_gets_none),
        TEST(roles_that_are_not_allowed_get_EPERM),
        TEST(events_go_to_all_that_match),
        TEST(responses_go_to_the_handler_of_their_matchtag_first),
        TEST(start_and_stop_are_idempotent_and_the_reactor_ends_with_the_last),
        TEST(a_handler_may_destroy_itself_and_others),
        TEST(a_handler_may_close_the_handle),
        TEST(addvec_creates_all_and_delvec_destroys_all),
        TEST(a_clone_takes_what_it_handles_and_leaves_the_rest),
        TEST(requeued_messages_are_dispatched),
        TEST(a_handle_watcher_fires_once_for_each_message_even_if_batched),
        TEST(many_messages_do_not_starve_other_watchers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
