/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The functions that differ from another one in how they take their arguments (va_list, raw
 * payloads) or that count references: each is used as its page says. */
#include "rpc/test-router.h"

static int msg_vpack(flux_msg_t *msg, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = flux_msg_vpack(msg, fmt, ap);
    va_end(ap);
    return rc;
}

static int msg_vunpack(const flux_msg_t *msg, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = flux_msg_vunpack(msg, fmt, ap);
    va_end(ap);
    return rc;
}

static void messages_are_packed_from_a_va_list(void **state)
{
    flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_REQUEST);
    int n = 0;

    assert_int_equal(msg_vpack(msg, "{s:i}", "n", 4), 0);
    assert_int_equal(msg_vunpack(msg, "{s:i}", "n", &n), 0);
    assert_int_equal(n, 4);
    assert_int_equal(msg_vunpack(msg, "{s:s}", "n", &n), -1);
    assert_int_equal(errno, EPROTO);
    assert_true(strlen(flux_msg_last_error(msg)) > 0);
    assert_int_equal(msg_vpack(msg, "[i]", 4), -1);
    assert_int_equal(errno, EINVAL);
    flux_msg_destroy(msg);
}

static void a_message_is_made_streaming_and_loses_its_routes(void **state)
{
    flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_REQUEST);

    assert_false(flux_msg_is_streaming(msg));
    assert_int_equal(flux_msg_set_streaming(msg), 0);
    assert_true(flux_msg_is_streaming(msg));
    assert_int_equal(flux_msg_set_noresponse(msg), 0); /* one excludes the other */
    assert_true(flux_msg_is_noresponse(msg));
    assert_false(flux_msg_is_streaming(msg));
    assert_int_equal(flux_msg_set_streaming(msg), 0);
    assert_false(flux_msg_is_noresponse(msg));
    assert_int_equal(flux_msg_route_enable(msg), 0);
    assert_int_equal(flux_msg_route_push(msg, "hop"), 0);
    flux_msg_route_disable(msg);
    assert_int_equal(flux_msg_route_count(msg), -1);
    assert_int_equal(errno, EPROTO);
    flux_msg_destroy(msg);
}

static flux_future_t *rpc_vpack(flux_t *h, const char *topic, const char *fmt, ...)
{
    flux_future_t *f;
    va_list ap;

    va_start(ap, fmt);
    f = flux_rpc_vpack(h, topic, FLUX_NODEID_ANY, 0, fmt, ap);
    va_end(ap);
    return f;
}

static void requests_and_responses_carry_raw_payloads(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = rpc_vpack(rt->h, "a.b", "{s:i}", "n", 4);
    flux_msg_t *request = router_expect(rt, "a.b");
    flux_msg_t *msg;
    const char *topic;
    const void *data;
    int len;

    assert_int_equal(msg_vunpack(request, "{s:i}", "n", &len), 0);
    router_answer(rt, request, 0, "text");
    assert_int_equal(flux_rpc_get_raw(f, &data, &len), 0);
    assert_int_equal(len, 5);
    flux_msg_destroy(request);
    flux_future_destroy(f);

    msg = flux_request_encode_raw("x.y", "\0\1", 2);
    assert_int_equal(flux_request_decode_raw(msg, &topic, &data, &len), 0);
    assert_string_equal(topic, "x.y");
    assert_int_equal(len, 2);
    assert_int_equal(flux_respond_raw(rt->h, msg, "\2\3\4", 3), 0);
    flux_msg_destroy(msg);
    assert_null(flux_request_encode_raw(NULL, NULL, 0));
    assert_int_equal(errno, EINVAL);

    msg = router_expect(rt, "x.y");
    assert_int_equal(flux_response_decode_raw(msg, &topic, &data, &len), 0);
    assert_memory_equal(data, "\2\3\4", 3);
    assert_int_equal(flux_response_decode(msg, NULL, NULL), 0);
    assert_int_equal(flux_response_decode_error(msg, &topic), -1);
    assert_int_equal(errno, EPROTO); /* it is no error */
    assert_int_equal(flux_response_decode_raw(NULL, &topic, &data, &len), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(flux_request_decode_raw(msg, &topic, &data, &len), -1);
    assert_int_equal(errno, EPROTO);
    flux_msg_destroy(msg);

    msg = flux_event_encode_raw("e", "\5", 1);
    assert_int_equal(flux_event_decode_raw(msg, &topic, &data, &len), 0);
    assert_memory_equal(data, "\5", 1);
    assert_int_equal(flux_response_decode(msg, NULL, NULL), -1);
    assert_int_equal(errno, EPROTO);
    flux_msg_destroy(msg);
}

static int txn_vpack(flux_kvs_txn_t *txn, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = flux_kvs_txn_vpack(txn, 0, "key", fmt, ap);
    va_end(ap);
    return rc;
}

static void a_transaction_is_packed_from_a_va_list(void **state)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();

    assert_int_equal(txn_vpack(txn, "{s:i}", "n", 4), 0);
    assert_int_equal(txn_vpack(txn, "i", 4), 0);
    assert_int_equal(txn_vpack(txn, "{", 4), -1);
    assert_int_equal(errno, EINVAL);
    flux_kvs_txn_destroy(txn);
}

static void a_directory_knows_its_key_and_its_snapshot(void **state)
{
    const char *root = "{\"ver\":1,\"type\":\"dir\",\"data\":{}}";
    flux_kvsdir_t *d = flux_kvsdir_create(NULL, root, "a.b", root);
    flux_kvsdir_t *now = flux_kvsdir_create(NULL, NULL, ".", root);
    char *at;

    assert_string_equal(flux_kvsdir_key(d), "a.b");
    assert_string_equal(flux_kvsdir_rootref(d), root);
    assert_null(flux_kvsdir_rootref(now));
    assert_string_equal(at = flux_kvsdir_key_at(d, "c"), "a.b.c");
    free(at);
    assert_string_equal(at = flux_kvsdir_key_at(now, "c"), "c");
    free(at);
    flux_kvsdir_destroy(d);
    flux_kvsdir_destroy(now);
}

static int vlog(flux_t *h, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = flux_vlog(h, LOG_INFO, fmt, ap);
    va_end(ap);
    return rc;
}

static void a_log_line_is_written_from_a_va_list(void **state)
{
    struct router *rt = *state;
    flux_msg_t *msg;
    const void *data;
    int len;

    assert_int_equal(vlog(rt->h, "%d lines", 7), 0);
    msg = router_expect(rt, "log.append");
    assert_int_equal(flux_msg_get_payload(msg, &data, &len), 0);
    assert_non_null(memmem(data, (size_t)len, "7 lines", 7));
    flux_msg_destroy(msg);
}

static void init_with_reactor(flux_future_t *f, flux_reactor_t *r, void *arg)
{
    assert_non_null(r);
    ++*(int *)arg;
    flux_future_fulfill(f, "done", NULL);
}

static void a_future_lives_as_long_as_somebody_refers_to_it(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    int inits = 0;
    flux_future_t *f = flux_future_create_with_reactor(init_with_reactor, &inits);
    const void *result;

    flux_future_set_reactor(f, r);
    flux_future_incref(f);
    flux_future_destroy(f);
    assert_int_equal(flux_future_get(f, &result), 0);
    assert_string_equal(result, "done");
    assert_int_equal(inits, 1);
    flux_future_decref(f);
    flux_reactor_destroy(r);
}

static void a_handle_lives_as_long_as_somebody_refers_to_it(void **state)
{
    flux_t *h = flux_open("loop://", 0);

    flux_incref(h);
    flux_close(h);
    assert_int_equal(flux_flags_get(h), 0);
    flux_flags_set(h, FLUX_O_TRACE | FLUX_O_MATCHDEBUG);
    flux_flags_unset(h, FLUX_O_TRACE);
    assert_int_equal(flux_flags_get(h), FLUX_O_MATCHDEBUG);
    flux_decref(h);
}

static void on_fatal(const char *msg, void *arg)
{
    (void)snprintf(arg, 128, "%s", msg);
}

static void a_fatal_error_names_the_function_and_the_reason(void **state)
{
    flux_t *h = flux_open("loop://", 0);
    char text[128] = "";

    flux_fatal_error(h, "nobody", "listens");
    flux_fatal_set(h, on_fatal, text);
    errno = EPERM;
    FLUX_FATAL(h);
    assert_non_null(strstr(text, __func__));
    assert_non_null(strstr(text, strerror(EPERM)));
    flux_close(h);
}

static double in_an_hour(flux_watcher_t *w, double now, void *arg)
{
    return now + 3600.;
}

static void on_periodic(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
}

static void a_periodic_watcher_keeps_its_callback_when_only_its_times_are_set(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    flux_watcher_t *w = flux_periodic_watcher_create(r, 0., 60., in_an_hour, on_periodic, NULL);
    double before;

    flux_watcher_start(w);
    flux_periodic_watcher_set(w, 0., 1.);
    flux_reactor_now_update(r);
    before = flux_reactor_time();
    assert_true(flux_watcher_next_wakeup(w) > before + 3000.);
    assert_true(flux_reactor_now(r) > before - 60. && flux_reactor_now(r) < before + 60.);
    flux_watcher_destroy(w);
    flux_reactor_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_packed_from_a_va_list),
        cmocka_unit_test(a_message_is_made_streaming_and_loses_its_routes),
        ROUTER_TEST(requests_and_responses_carry_raw_payloads),
        cmocka_unit_test(a_transaction_is_packed_from_a_va_list),
        cmocka_unit_test(a_directory_knows_its_key_and_its_snapshot),
        ROUTER_TEST(a_log_line_is_written_from_a_va_list),
        cmocka_unit_test(a_future_lives_as_long_as_somebody_refers_to_it),
        cmocka_unit_test(a_handle_lives_as_long_as_somebody_refers_to_it),
        cmocka_unit_test(a_fatal_error_names_the_function_and_the_reason),
        cmocka_unit_test(a_periodic_watcher_keeps_its_callback_when_only_its_times_are_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
