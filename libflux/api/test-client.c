/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The small client APIs: attributes, log, services, heartbeat, jobs. */
#include "base/sign_none.h"
#include "rpc/test-router.h"

#define ID 0x0001000200030004ull

/* Put the answer to the n-th next request into the socket before it is asked: for calls that block.
 * Matchtags of a new handle are 1, 2, 3... */
static void answer_ahead(struct router *rt, uint32_t tag, int errnum, const char *s)
{
    flux_msg_t *msg = flux_request_encode("x.y", NULL);

    assert_int_equal(flux_msg_set_matchtag(msg, tag), 0);
    router_answer(rt, msg, errnum, s);
    flux_msg_destroy(msg);
}

static void immutable_attributes_are_asked_for_once(void **state)
{
    struct router *rt = *state;
    uint32_t rank = 7;

    answer_ahead(rt, 1, 0, "{\"value\":\"3\",\"flags\":1}");
    assert_int_equal(flux_get_rank(rt->h, &rank), 0);
    assert_int_equal(rank, 3);
    assert_int_equal(flux_get_rank(rt->h, &rank), 0);
    flux_msg_destroy(router_expect(rt, "attr.get"));
    assert_null(router_recv(rt));
}

static void other_attributes_are_asked_for_each_time(void **state)
{
    struct router *rt = *state;

    answer_ahead(rt, 1, 0, "{\"value\":\"one\",\"flags\":0}");
    answer_ahead(rt, 2, 0, "{\"value\":\"two\"}");
    answer_ahead(rt, 3, ENOENT, NULL);
    assert_string_equal(flux_attr_get(rt->h, "x"), "one");
    assert_string_equal(flux_attr_get(rt->h, "x"), "two");
    assert_null(flux_attr_get(rt->h, "x"));
    assert_int_equal(errno, ENOENT);
}

static void a_size_that_is_no_number_is_EPROTO(void **state)
{
    struct router *rt = *state;
    uint32_t size;

    answer_ahead(rt, 1, 0, "{\"value\":\"many\",\"flags\":1}");
    assert_int_equal(flux_get_size(rt->h, &size), -1);
    assert_int_equal(errno, EPROTO);
    assert_int_equal(flux_get_size(rt->h, NULL), -1);
    assert_int_equal(errno, EINVAL);
}

static void attributes_are_set_and_removed(void **state)
{
    struct router *rt = *state;

    answer_ahead(rt, 1, 0, NULL);
    answer_ahead(rt, 2, EPERM, NULL);
    assert_int_equal(flux_attr_set(rt->h, "a", "b"), 0);
    assert_int_equal(flux_attr_set(rt->h, "a", NULL), -1);
    assert_int_equal(errno, EPERM);
    flux_msg_destroy(router_expect(rt, "attr.set"));
    flux_msg_destroy(router_expect(rt, "attr.rm"));
    assert_null(flux_attr_get(rt->h, NULL));
    assert_int_equal(errno, EINVAL);
}

static void assert_log(struct router *rt, const char *begin, const char *end)
{
    flux_msg_t *msg = router_expect(rt, "log.append");
    const void *data;
    char line[4096];
    int len;

    assert_true(flux_msg_is_noresponse(msg));
    assert_int_equal(flux_request_decode_raw(msg, NULL, &data, &len), 0);
    assert_in_range(len, 1, sizeof(line) - 1);
    memcpy(line, data, len);
    line[len] = '\0';
    assert_int_equal(strncmp(line, begin, strlen(begin)), 0);
    assert_true(strlen(line) > strlen(end));
    assert_string_equal(line + strlen(line) - strlen(end), end);
    flux_msg_destroy(msg);
}

static void log_lines_follow_RFC_5424(void **state)
{
    struct router *rt = *state;

    flux_log_set_appname(rt->h, "my app");
    flux_log_set_procid(rt->h, "17");
    assert_int_equal(flux_log(rt->h, LOG_WARNING, "hello %d", 42), 0);
    assert_log(rt, "<12>1 ", "Z - my_app 17 - - hello 42");
    assert_int_equal(flux_log(rt->h, LOG_ERR, "one\n\ntwo\xc3\xa4\n"), 0);
    assert_log(rt, "<11>1 ", "- - one");
    assert_log(rt, "<11>1 ", "- - two??");
    errno = EPERM;
    flux_log_error(rt->h, "cannot");
    assert_int_equal(errno, EPERM);
    assert_log(rt, "<11>1 ", "- - cannot: Operation not permitted");
    assert_int_equal(flux_log(rt->h, 8, "x"), -1);
    assert_int_equal(errno, EINVAL);
    answer_ahead(rt, 1, 0, "{\"value\":\"5\",\"flags\":1}");
    assert_int_equal(flux_get_rank(rt->h, &(uint32_t){ 0 }), 0);
    flux_msg_destroy(router_expect(rt, "attr.get"));
    assert_int_equal(flux_log(rt->h, LOG_DEBUG, "x"), 0);
    assert_log(rt, "<15>1 ", "Z 5 my_app 17 - - x");
}

static void very_long_log_lines_are_cut(void **state)
{
    struct router *rt = *state;
    char *big = malloc(100001);

    memset(big, 'x', 100000);
    big[100000] = '\0';
    flux_log_set_appname(rt->h, big);
    flux_log_set_procid(rt->h, big);
    assert_int_equal(flux_log(rt->h, LOG_INFO, "%s", big), 0);
    assert_log(rt, "<14>1 ", "xxx...");
    free(big);
}

static void submit_wraps_the_jobspec_for_the_owner(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_job_submit(rt->h, "{\"version\":1}", 16, FLUX_JOB_WAITABLE);
    flux_msg_t *msg = router_expect(rt, "job-ingest.submit");
    flux_jobid_t id;
    const char *J;
    char *payload;
    size_t size;
    uint32_t uid;
    int urgency, flags;

    assert_int_equal(flux_request_unpack(msg, NULL, "{s:s s:i s:i !}", "J", &J, "urgency", &urgency,
                                         "flags", &flags),
                     0);
    assert_int_equal(urgency, 16);
    assert_int_equal(flags, FLUX_JOB_WAITABLE);
    assert_int_equal(sign_none_unwrap(J, strlen(J), &payload, &size, &uid, NULL), 0);
    assert_string_equal(payload, "{\"version\":1}");
    assert_int_equal(uid, getuid());
    router_answer(rt, msg, 0, "{\"id\":281483566841860}");
    assert_int_equal(flux_job_submit_get_id(f, &id), 0);
    assert_true(id == ID);
    free(payload);
    flux_msg_destroy(msg);
    flux_future_destroy(f);
}

static void check_control(struct router *rt, flux_future_t *f, const char *topic, const char *want)
{
    flux_msg_t *msg = router_expect(rt, topic);
    const char *s;

    assert_int_equal(flux_request_decode(msg, NULL, &s), 0);
    assert_string_equal(s, want);
    flux_msg_destroy(msg);
    flux_future_destroy(f);
}

static void job_control_requests_say_what_is_wanted(void **state)
{
    struct router *rt = *state;

    check_control(rt, flux_job_cancel(rt->h, 5, "why"), "job-manager.raise",
                  "{\"id\":5,\"severity\":0,\"type\":\"cancel\",\"note\":\"why\"}");
    check_control(rt, flux_job_raise(rt->h, 5, "foo", 7, NULL), "job-manager.raise",
                  "{\"id\":5,\"severity\":7,\"type\":\"foo\"}");
    check_control(rt, flux_job_kill(rt->h, 5, 15), "job-manager.kill", "{\"id\":5,\"signum\":15}");
    check_control(rt, flux_job_set_urgency(rt->h, 5, 31), "job-manager.urgency",
                  "{\"id\":5,\"urgency\":31}");
    check_control(rt, flux_job_wait(rt->h, FLUX_JOBID_ANY), "job-manager.wait", "{\"id\":-1}");
    check_control(rt, flux_job_list(rt->h, 9, "[\"all\"]", 1000, FLUX_JOB_STATE_RUN),
                  "job-list.list",
                  "{\"max_entries\":9,\"attrs\":[\"all\"],\"states\":16,\"userid\":1000}");
    check_control(rt, flux_job_list_id(rt->h, 5, "[\"id\"]"), "job-list.list-id",
                  "{\"id\":5,\"attrs\":[\"id\"]}");
    assert_null(flux_job_kill(rt->h, 5, 0));
    assert_int_equal(errno, EINVAL);
    assert_null(flux_job_list(rt->h, 9, "{}", 1000, 0));
    assert_int_equal(errno, EINVAL);
}

static void wait_returns_id_and_status(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_job_wait(rt->h, FLUX_JOBID_ANY);
    const char *errstr;
    flux_jobid_t id;
    bool success;

    router_answer_next(rt, "job-manager.wait", 0,
                       "{\"id\":5,\"success\":false,\"errstr\":\"exit 1\"}");
    assert_int_equal(flux_job_wait_get_id(f, &id), 0);
    assert_int_equal(id, 5);
    assert_int_equal(flux_job_wait_get_status(f, &success, &errstr), 0);
    assert_false(success);
    assert_string_equal(errstr, "exit 1");
    flux_future_destroy(f);
}

static void ids_are_encoded_and_parsed_in_all_styles(void **state)
{
    static const char *const types[] = { "dec",   "hex", "dothex",   "kvs",
                                         "words", "f58", "f58plain", NULL };
    flux_jobid_t id;
    char buf[128];

    for (size_t i = 0; types[i]; i++) {
        assert_int_equal(flux_job_id_encode(ID, types[i], buf, sizeof(buf)), 0);
        assert_int_equal(flux_job_id_parse(buf, &id), 0);
        assert_true(id == ID);
    }
    assert_int_equal(flux_job_id_encode(ID, "kvs", buf, sizeof(buf)), 0);
    assert_string_equal(buf, "job.0001.0002.0003.0004");
    assert_int_equal(flux_job_id_encode(ID, "latin", buf, sizeof(buf)), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(flux_job_id_encode(ID, "dothex", buf, 5), -1);
    assert_int_equal(errno, EOVERFLOW);
    assert_int_equal(flux_job_id_parse("nonsense!", &id), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(setenv("LC_ALL", "C", 1), 0);
    assert_int_equal(flux_job_id_encode(ID, "f58", buf, sizeof(buf)), 0);
    assert_int_equal(buf[0], 'f');
    assert_int_equal(setenv("LC_ALL", "en_US.UTF-8", 1), 0);
    assert_int_equal(unsetenv("FLUX_F58_FORCE_ASCII"), 0);
    assert_int_equal(flux_job_id_encode(ID, "f58", buf, sizeof(buf)), 0);
    assert_memory_equal(buf, "\xc6\x92", 2);
}

static void kvs_keys_name_the_job(void **state)
{
    char buf[64];

    assert_int_equal(flux_job_kvs_key(buf, sizeof(buf), ID, NULL), 23);
    assert_string_equal(buf, "job.0001.0002.0003.0004");
    assert_int_equal(flux_job_kvs_key(buf, sizeof(buf), ID, "guest.x"), 31);
    assert_string_equal(buf, "job.0001.0002.0003.0004.guest.x");
    assert_int_equal(flux_job_kvs_key(buf, 31, ID, "guest.x"), -1);
    assert_int_equal(errno, EOVERFLOW);
    assert_int_equal(flux_job_kvs_namespace(buf, sizeof(buf), 17), 6);
    assert_string_equal(buf, "job-17");
}

static void states_and_results_have_names_both_ways(void **state)
{
    flux_job_state_t s;
    flux_job_result_t r;

    assert_string_equal(flux_job_statetostr(FLUX_JOB_STATE_RUN, "L"), "RUN");
    assert_string_equal(flux_job_statetostr(FLUX_JOB_STATE_RUN, "l"), "run");
    assert_string_equal(flux_job_statetostr(FLUX_JOB_STATE_RUN, "S"), "R");
    assert_string_equal(flux_job_statetostr(FLUX_JOB_STATE_RUN, "s"), "r");
    assert_string_equal(flux_job_statetostr(0, "L"), "(unknown)");
    assert_string_equal(flux_job_resulttostr(FLUX_JOB_RESULT_CANCELED, "S"), "CA");
    for (int bit = 1; bit <= FLUX_JOB_STATE_INACTIVE; bit <<= 1) {
        assert_int_equal(flux_job_strtostate(flux_job_statetostr(bit, "l"), &s), 0);
        assert_int_equal(s, bit);
        assert_int_equal(flux_job_strtostate(flux_job_statetostr(bit, "S"), &s), 0);
        assert_int_equal(s, bit);
    }
    for (int bit = 1; bit <= FLUX_JOB_RESULT_TIMEOUT; bit <<= 1) {
        assert_int_equal(flux_job_strtoresult(flux_job_resulttostr(bit, "l"), &r), 0);
        assert_int_equal(r, bit);
    }
    assert_int_equal(flux_job_strtostate("gone", &s), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(flux_job_strtoresult(NULL, &r), -1);
    assert_int_equal(errno, EINVAL);
}

static void event_publish_carries_the_payload_in_base64(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_event_publish(rt->h, "t", FLUX_MSGFLAG_PRIVATE, "hi");
    flux_msg_t *msg = router_expect(rt, "event.publish");
    const char *topic, *payload;
    int flags, seq;

    assert_int_equal(flux_request_unpack(msg, NULL, "{s:s s:i s:s}", "topic", &topic, "flags",
                                         &flags, "payload", &payload),
                     0);
    assert_string_equal(topic, "t");
    assert_int_equal(flags, FLUX_MSGFLAG_PRIVATE);
    assert_string_equal(payload, "aGkA"); /* with its NUL */
    router_answer(rt, msg, 0, "{\"seq\":12}");
    assert_int_equal(flux_event_publish_get_seq(f, &seq), 0);
    assert_int_equal(seq, 12);
    flux_msg_destroy(msg);
    flux_future_destroy(f);
    assert_null(flux_event_publish(rt->h, "t", 0x1000, NULL));
    assert_int_equal(errno, EINVAL);
    assert_null(flux_event_publish_pack(rt->h, NULL, 0, "{}"));
    assert_int_equal(errno, EINVAL);
}

static void sync_is_fulfilled_by_heartbeats_not_closer_than_minimum(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_sync_create(rt->h, 1000.);
    flux_future_t *g = flux_sync_create(rt->h, 0.);

    assert_non_null(f);
    router_answer_next(rt, "event.subscribe", 0, NULL);
    router_event(rt, "heartbeat.pulse");
    router_event(rt, "heartbeat.pulse");
    assert_int_equal(flux_future_wait_for(f, 5.), 0);
    flux_future_reset(f);
    assert_int_equal(flux_future_wait_for(f, 0.002), -1);
    assert_int_equal(errno, ETIMEDOUT);
    router_event(rt, "heartbeat.pulse");
    assert_int_equal(flux_future_wait_for(g, 5.), 0);
    flux_future_reset(g);
    router_event(rt, "heartbeat.pulse");
    assert_int_equal(flux_future_wait_for(g, 5.), 0);
    flux_future_destroy(f);
    assert_null(router_recv(rt)); /* g is still subscribed */
    flux_future_destroy(g);
    flux_msg_destroy(router_expect(rt, "event.unsubscribe"));
    assert_null(flux_sync_create(NULL, 0.));
    assert_int_equal(errno, EINVAL);
}

static void version_is_that_of_the_header(void **state)
{
    int major, minor, patch;

    assert_int_equal(flux_core_version(&major, &minor, &patch), FLUX_CORE_VERSION_HEX);
    assert_int_equal(major, FLUX_CORE_VERSION_MAJOR);
    assert_int_equal(minor, FLUX_CORE_VERSION_MINOR);
    assert_int_equal(patch, FLUX_CORE_VERSION_PATCH);
    assert_int_equal(flux_core_version(NULL, NULL, NULL), FLUX_CORE_VERSION_HEX);
    assert_string_equal(flux_core_version_string(), FLUX_CORE_VERSION_STRING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTER_TEST(immutable_attributes_are_asked_for_once),
        ROUTER_TEST(other_attributes_are_asked_for_each_time),
        ROUTER_TEST(a_size_that_is_no_number_is_EPROTO),
        ROUTER_TEST(attributes_are_set_and_removed),
        ROUTER_TEST(log_lines_follow_RFC_5424),
        ROUTER_TEST(very_long_log_lines_are_cut),
        ROUTER_TEST(submit_wraps_the_jobspec_for_the_owner),
        ROUTER_TEST(job_control_requests_say_what_is_wanted),
        ROUTER_TEST(wait_returns_id_and_status),
        ROUTER_TEST(ids_are_encoded_and_parsed_in_all_styles),
        ROUTER_TEST(kvs_keys_name_the_job),
        ROUTER_TEST(states_and_results_have_names_both_ways),
        ROUTER_TEST(event_publish_carries_the_payload_in_base64),
        ROUTER_TEST(sync_is_fulfilled_by_heartbeats_not_closer_than_minimum),
        ROUTER_TEST(version_is_that_of_the_header),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
