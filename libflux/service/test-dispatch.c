/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Requests from the table to their last answer, without a socket: answers land in a list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "service/request.h"
#include "service/state.h"
#include "wire/message.h"

#define GUEST 4242

struct fixture {
    struct service svc;
    struct origin origin;
    flux_msg_t *answers[32];
    int nanswers;
    int send_result;
    bool errors_pass; /* send_result is for answers only */
    struct request *kept[8];
    int nkept;
    int gone;
};

static struct fixture fx;

static int collect(struct origin *o, flux_msg_t *msg)
{
    if (fx.send_result < 0 && !(fx.errors_pass && msg_proto(msg)->aux1 != 0))
        return fx.send_result;
    assert_true(fx.nanswers < 32);
    fx.answers[fx.nanswers++] = (flux_msg_t *)flux_msg_incref(msg);
    return 0;
}

static int rpc_echo(struct request *req, void *arg)
{
    const char *s;

    assert_ptr_equal(arg, &fx);
    assert_int_equal(request_unpack(req, "{s:s}", "text", &s), 0);
    return request_respond_pack(req, "{s:s}", "text", s);
}

static int rpc_keep(struct request *req, void *arg)
{
    fx.kept[fx.nkept++] = request_ref(req);
    return 0;
}

static int rpc_silent(struct request *req, void *arg)
{
    return 0;
}

static int rpc_fails(struct request *req, void *arg)
{
    return request_explain(req, ENOTDIR, "x is no directory");
}

static int rpc_both(struct request *req, void *arg)
{
    (void)request_respond(req, NULL);
    return -EINVAL; /* too late to be sent */
}

static const struct rpc_method methods[] = {
    { .topic = "test.echo", .roles = ROLE_USER, .in = "text:s", .fn = rpc_echo },
    { .topic = "test.keep", .roles = ROLE_USER, .fn = rpc_keep },
    { .topic = "test.silent", .roles = ROLE_USER, .fn = rpc_silent },
    { .topic = "test.fails", .roles = ROLE_USER, .fn = rpc_fails },
    { .topic = "test.both", .roles = ROLE_USER, .fn = rpc_both },
    { .topic = "test.owner", .roles = ROLE_OWNER, .fn = rpc_silent },
    { .topic = "test.stream", .roles = ROLE_USER, .flags = RPC_METHOD_STREAMING, .fn = rpc_keep },
    { .topic = "test-extra.keep", .roles = ROLE_USER, .fn = rpc_keep },
};
static const struct service_desc desc = {
    .name = "test",
    .methods = methods,
    .nmethods = ARRAY_SIZE(methods),
};

static int setup(void **state)
{
    static const struct quota_limits limits = { .bytes = 1000, .requests = 3 };

    fx = (struct fixture){ 0 };
    fx.svc.desc = &desc;
    fx.svc.arg = &fx;
    fx.svc.owner = 1;
    fx.svc.running = true;
    fx.svc.config = json_object();
    stats_init(&fx.svc.stats);
    assert_int_equal(quota_new(1, &quota_limits_owner, &limits, &fx.svc.quota), 0);
    assert_int_equal(dispatch_new(&desc, &fx.svc.dispatch), 0);
    assert_int_equal(peers_new(&fx.svc, &fx.svc.peers), 0);
    origin_init(&fx.origin, collect);
    return 0;
}

static void drop_answers(void)
{
    while (fx.nanswers > 0)
        flux_msg_decref(fx.answers[--fx.nanswers]);
}

static int teardown(void **state)
{
    while (fx.nkept > 0)
        request_unref(fx.kept[--fx.nkept]);
    drop_answers();
    assert_true(TAILQ_EMPTY(&fx.origin.requests));
    assert_int_equal(request_count(&fx.svc), 0);
    assert_int_equal(quota_users(fx.svc.quota), 0);
    origin_deinit(&fx.origin);
    peers_free(fx.svc.peers);
    dispatch_free(fx.svc.dispatch);
    request_index_free(fx.svc.requests);
    quota_free(fx.svc.quota);
    json_decref(fx.svc.config);
    return 0;
}

struct ask {
    const char *topic;
    const char *payload;
    const char *route; /* the client's name at the router */
    uint32_t matchtag; /* 0: 1 */
    uint8_t flags;
    bool guest;
    bool no_matchtag;
};

static void ask(struct ask a)
{
    flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_REQUEST);
    struct msg_proto *p;

    assert_non_null(msg);
    assert_int_equal(flux_msg_set_topic(msg, a.topic), 0);
    assert_int_equal(flux_msg_route_enable(msg), 0);
    assert_int_equal(flux_msg_route_push(msg, a.route ? a.route : "client-1"), 0);
    if (a.payload)
        assert_int_equal(flux_msg_set_string(msg, a.payload), 0);
    p = msg_proto_mut(msg);
    p->flags |= a.flags;
    p->userid = a.guest ? GUEST : 1;
    p->rolemask = a.guest ? FLUX_ROLE_USER : FLUX_ROLE_OWNER;
    p->aux2 = a.no_matchtag ? 0 : a.matchtag ? a.matchtag : 1;
    dispatch_request(&fx.svc, &fx.origin, msg);
    flux_msg_decref(msg);
}

/* The only answer so far: its errnum and text. */
static int answer(const char **ret_text)
{
    const char *text = NULL;

    assert_int_equal(fx.nanswers, 1);
    (void)flux_msg_get_string(fx.answers[0], &text);
    if (ret_text)
        *ret_text = text ? text : "";
    return (int)msg_proto(fx.answers[0])->aux1;
}

static void who_refuses_says_why_to_all_but_what_every_service_has(void **state)
{
    const char *text;

    service_refuse(&fx.svc, ENOSPC, "there is no room");
    ask((struct ask){ .topic = "test.echo", .payload = "{\"text\":\"hi\"}" });
    assert_int_equal(answer(&text), ENOSPC);
    assert_string_equal(text, "there is no room");
    drop_answers();
    ask((struct ask){ .topic = "test.owner", .guest = true });
    assert_int_equal(answer(NULL), EPERM);
    drop_answers();
    ask((struct ask){ .topic = "test.ping", .payload = "{}" });
    assert_int_equal(answer(NULL), 0);
}

static void a_request_is_answered_to_its_client_with_its_matchtag(void **state)
{
    const char *text;

    ask((struct ask){ .topic = "test.echo", .payload = "{\"text\":\"hi\"}", .matchtag = 77 });
    assert_int_equal(answer(&text), 0);
    assert_string_equal(text, "{\"text\":\"hi\"}");
    assert_int_equal(msg_proto(fx.answers[0])->aux2, 77);
    assert_string_equal(flux_msg_route_last(fx.answers[0]), "client-1");
    assert_string_equal(msg_topic(fx.answers[0]), "test.echo");
}

static void an_unknown_method_is_answered_enosys_with_its_name(void **state)
{
    const char *text;

    ask((struct ask){ .topic = "test.nothing" });
    assert_int_equal(answer(&text), ENOSYS);
    assert_non_null(strstr(text, "test.nothing"));
}

static void a_guest_cannot_call_what_is_for_the_owner(void **state)
{
    ask((struct ask){ .topic = "test.owner", .guest = true });
    assert_int_equal(answer(NULL), EPERM);
}

static void a_payload_of_the_wrong_shape_never_reaches_the_handler(void **state)
{
    static const char *const bad[] = { NULL, "{}", "{\"text\":1}", "[]", "not json", "{\"text\":" };
    const char *text;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        ask((struct ask){ .topic = "test.echo", .payload = bad[i] });
        assert_int_equal(answer(&text), EPROTO);
        assert_memory_equal(text, "test.echo: ", 11);
        drop_answers();
    }
}

static void a_stream_must_be_asked_for_as_a_stream(void **state)
{
    ask((struct ask){ .topic = "test.stream" });
    assert_int_equal(answer(NULL), EPROTO);
}

static void a_failing_handler_is_answered_for_with_its_sentence(void **state)
{
    const char *text;

    ask((struct ask){ .topic = "test.fails" });
    assert_int_equal(answer(&text), ENOTDIR);
    assert_string_equal(text, "x is no directory");
}

static void a_request_is_answered_once(void **state)
{
    ask((struct ask){ .topic = "test.both" });
    assert_int_equal(answer(NULL), 0);
}

static void a_forgotten_request_is_answered_ecanceled(void **state)
{
    ask((struct ask){ .topic = "test.silent" });
    assert_int_equal(answer(NULL), ECANCELED);
}

static void what_a_daemon_leaves_unanswered_at_its_end_may_be_asked_again(void **state)
{
    ask((struct ask){ .topic = "test.keep" });
    fx.svc.running = false;
    fx.kept[0] = request_unref(fx.kept[0]);
    fx.nkept = 0;
    assert_int_equal(answer(NULL), ECONNRESET);
}

static void a_request_that_wants_no_response_gets_none(void **state)
{
    ask((struct ask){ .topic = "test.fails", .flags = FLUX_MSGFLAG_NORESPONSE });
    ask((struct ask){ .topic = "test.silent", .flags = FLUX_MSGFLAG_NORESPONSE });
    ask((struct ask){ .topic = "test.nothing", .flags = FLUX_MSGFLAG_NORESPONSE });
    assert_int_equal(fx.nanswers, 0);
}

static void a_kept_request_can_be_answered_later_and_then_ends(void **state)
{
    ask((struct ask){ .topic = "test.keep" });
    assert_int_equal(fx.nanswers, 0);
    assert_int_equal(request_count(&fx.svc), 1);
    assert_int_equal(request_respond(fx.kept[0], "{}"), 0);
    assert_true(request_gone(fx.kept[0]));
    assert_int_equal(request_respond(fx.kept[0], "{}"), 0);
    assert_int_equal(fx.nanswers, 1);
    assert_int_equal(request_count(&fx.svc), 0);
}

static void a_stream_goes_on_until_it_is_ended(void **state)
{
    ask((struct ask){ .topic = "test.stream", .flags = FLUX_MSGFLAG_STREAMING });
    assert_int_equal(request_respond(fx.kept[0], "{}"), 0);
    assert_int_equal(request_respond(fx.kept[0], "{}"), 0);
    assert_false(request_gone(fx.kept[0]));
    (void)request_end(fx.kept[0]);
    assert_true(request_gone(fx.kept[0]));
    assert_int_equal(fx.nanswers, 3);
    assert_int_equal(msg_proto(fx.answers[2])->aux1, ENODATA);
    assert_true(flux_msg_is_streaming(fx.answers[0]));
}

static void a_request_without_a_matchtag_may_be_answered_many_times(void **state)
{
    ask((struct ask){ .topic = "test.keep", .no_matchtag = true });
    assert_int_equal(request_respond(fx.kept[0], "{}"), 0);
    assert_int_equal(request_respond(fx.kept[0], "{}"), 0);
    assert_false(request_gone(fx.kept[0]));
    fx.kept[0] = request_unref(fx.kept[0]);
    fx.nkept = 0;
    assert_int_equal(fx.nanswers, 2);
}

static void on_gone(struct request *req, void *arg)
{
    assert_ptr_equal(arg, &fx);
    assert_true(request_gone(req));
    fx.gone++;
}

static void a_disconnect_notice_ends_the_requests_of_that_client_only(void **state)
{
    ask((struct ask){ .topic = "test.keep", .route = "client-1" });
    ask((struct ask){ .topic = "test-extra.keep", .route = "client-1", .matchtag = 2 });
    ask((struct ask){ .topic = "test.keep", .route = "client-2" });
    for (int i = 0; i < 3; i++)
        request_on_gone(fx.kept[i], on_gone, &fx);
    assert_true(request_same_client(fx.kept[0], fx.kept[1]));
    assert_false(request_same_client(fx.kept[0], fx.kept[2]));

    ask((struct ask){ .topic = "test.disconnect",
                      .route = "client-1",
                      .flags = FLUX_MSGFLAG_NORESPONSE,
                      .no_matchtag = true });
    assert_int_equal(fx.gone, 2);
    assert_true(request_gone(fx.kept[0]));
    assert_true(request_gone(fx.kept[1]));
    assert_false(request_gone(fx.kept[2]));
    assert_int_equal(request_respond(fx.kept[0], "{}"), 0);
    assert_int_equal(fx.nanswers, 0);
}

static void the_loss_of_the_connection_ends_all_its_requests(void **state)
{
    ask((struct ask){ .topic = "test.keep", .route = "client-1" });
    ask((struct ask){ .topic = "test.keep", .route = "client-2" });
    for (int i = 0; i < 2; i++)
        request_on_gone(fx.kept[i], on_gone, &fx);
    origin_deinit(&fx.origin);
    assert_int_equal(fx.gone, 2);
    assert_true(request_gone(fx.kept[0]) && request_gone(fx.kept[1]));
    assert_int_equal(request_respond(fx.kept[0], NULL), 0);
    assert_int_equal(fx.nanswers, 0);
}

static void an_answer_that_cannot_be_sent_ends_the_request(void **state)
{
    ask((struct ask){ .topic = "test.stream", .flags = FLUX_MSGFLAG_STREAMING });
    fx.send_result = -EPIPE;
    assert_int_equal(request_respond(fx.kept[0], "{}"), -EPIPE);
    assert_true(request_gone(fx.kept[0]));
}

static void a_stream_whose_connection_broke_is_gone_when_that_is_taken_down(void **state)
{
    ask((struct ask){ .topic = "test.stream", .flags = FLUX_MSGFLAG_STREAMING });
    request_on_gone(fx.kept[0], on_gone, &fx);
    fx.send_result = -ENOBUFS;
    assert_int_equal(request_respond(fx.kept[0], "{}"), -ENOBUFS);
    assert_true(request_gone(fx.kept[0]));
    assert_int_equal(fx.gone, 0); /* whoever answered may not expect it now */
    origin_deinit(&fx.origin);
    assert_int_equal(fx.gone, 1);
}

static void an_answer_for_which_there_is_no_descriptor_becomes_an_error(void **state)
{
    const char *text;

    ask((struct ask){ .topic = "test.keep" });
    fx.send_result = -EMFILE;
    fx.errors_pass = true;
    assert_int_equal(request_respond(fx.kept[0], "{}"), -EMFILE);
    assert_true(request_gone(fx.kept[0]));
    assert_int_equal(answer(&text), EMFILE);
    assert_string_equal(text, "the answer could not be sent");
}

static void a_guest_beyond_his_quota_gets_eagain_and_his_disconnect_still_counts(void **state)
{
    for (uint32_t i = 1; i <= 3; i++)
        ask((struct ask){ .topic = "test.keep", .guest = true, .matchtag = i });
    ask((struct ask){ .topic = "test.keep", .guest = true, .matchtag = 4 });
    assert_int_equal(answer(NULL), EAGAIN);
    ask((struct ask){ .topic = "test.keep", .matchtag = 5 }); /* the owner goes on */
    assert_int_equal(fx.nkept, 4);
    ask((struct ask){ .topic = "test.disconnect",
                      .guest = true,
                      .flags = FLUX_MSGFLAG_NORESPONSE,
                      .no_matchtag = true });
    assert_true(request_gone(fx.kept[0]));
    assert_int_equal(quota_requests(fx.svc.quota, GUEST), 0);
}

static void ping_echoes_the_payload_and_adds_who_asked(void **state)
{
    const char *text;
    json_t *o;

    ask((struct ask){ .topic = "test.ping", .payload = "{\"seq\":5}", .guest = true });
    assert_int_equal(answer(&text), 0);
    o = json_loads(text, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(o, "seq")), 5);
    assert_int_equal(json_integer_value(json_object_get(o, "userid")), GUEST);
    assert_int_equal(json_integer_value(json_object_get(o, "rolemask")), FLUX_ROLE_USER);
    assert_string_equal(json_string_value(json_object_get(o, "route")), "client-1");
    json_decref(o);
}

static void every_name_of_the_service_answers_the_built_in_methods(void **state)
{
    ask((struct ask){ .topic = "test-extra.ping" });
    assert_int_equal(answer(NULL), 0);
    drop_answers();
    ask((struct ask){ .topic = "test-extra.stats-get" });
    assert_int_equal(answer(NULL), 0);
    drop_answers();
    ask((struct ask){ .topic = "test.config-reload", .payload = "{}", .guest = true });
    assert_int_equal(answer(NULL), EPERM);
}

static void counters_and_debug_flags_are_for_the_owner_to_change(void **state)
{
    const char *text;

    ask((struct ask){ .topic = "test.debug", .payload = "{\"op\":\"get\"}", .guest = true });
    assert_int_equal(answer(NULL), EPERM);
    drop_answers();
    ask((struct ask){ .topic = "test.stats-clear", .guest = true });
    assert_int_equal(answer(NULL), EPERM);
    drop_answers();
    ask((struct ask){ .topic = "test.debug", .payload = "{\"op\":\"set\",\"flags\":5}" });
    assert_int_equal(answer(&text), 0);
    assert_non_null(strstr(text, "5"));
    drop_answers();
    ask((struct ask){ .topic = "test.debug", .payload = "{\"op\":\"set\",\"flags\":4294967296}" });
    assert_int_equal(answer(NULL), EINVAL);
    drop_answers();
    ask((struct ask){ .topic = "test.debug", .payload = "{\"op\":\"toggle\",\"flags\":1}" });
    assert_int_equal(answer(NULL), EINVAL);
    assert_int_equal(fx.svc.debug_flags, 5);
    drop_answers();
    fx.svc.stats.errors = 7;
    ask((struct ask){ .topic = "test.stats-clear" });
    assert_int_equal(answer(NULL), 0);
    assert_int_equal(fx.svc.stats.errors, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(who_refuses_says_why_to_all_but_what_every_service_has),
        T(a_request_is_answered_to_its_client_with_its_matchtag),
        T(an_unknown_method_is_answered_enosys_with_its_name),
        T(a_guest_cannot_call_what_is_for_the_owner),
        T(a_payload_of_the_wrong_shape_never_reaches_the_handler),
        T(a_stream_must_be_asked_for_as_a_stream),
        T(a_failing_handler_is_answered_for_with_its_sentence),
        T(a_request_is_answered_once),
        T(a_forgotten_request_is_answered_ecanceled),
        T(what_a_daemon_leaves_unanswered_at_its_end_may_be_asked_again),
        T(a_request_that_wants_no_response_gets_none),
        T(a_kept_request_can_be_answered_later_and_then_ends),
        T(a_stream_goes_on_until_it_is_ended),
        T(a_request_without_a_matchtag_may_be_answered_many_times),
        T(a_disconnect_notice_ends_the_requests_of_that_client_only),
        T(the_loss_of_the_connection_ends_all_its_requests),
        T(an_answer_that_cannot_be_sent_ends_the_request),
        T(a_stream_whose_connection_broke_is_gone_when_that_is_taken_down),
        T(an_answer_for_which_there_is_no_descriptor_becomes_an_error),
        T(a_guest_beyond_his_quota_gets_eagain_and_his_disconnect_still_counts),
        T(ping_echoes_the_payload_and_adds_who_asked),
        T(every_name_of_the_service_answers_the_built_in_methods),
        T(counters_and_debug_flags_are_for_the_owner_to_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
