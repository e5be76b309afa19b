/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Watching eventlogs of jobs, with the KVS played by the test. */
#include "base/base64.h"
#include "base/jsonx.h"
#include "rpc/test-router.h"

#define ID   0x0001000200030004ull
#define MAIN "job.0001.0002.0003.0004.eventlog"
#define LINK "job.0001.0002.0003.0004.guest"
#define A    "{\"timestamp\":1.0,\"name\":\"a\"}"
#define B    "{\"timestamp\":2.0,\"name\":\"b\"}"
#define C    "{\"timestamp\":3.0,\"name\":\"c\"}"
#define NO   "{\"timestamp\":3.5,\"name\":\"x\",\"context\":{\"name\":\"clean\"}}"
#define END  "{\"timestamp\":4.0,\"name\":\"clean\"}"

/* The next request must be a lookup of this key in this namespace. */
static flux_msg_t *expect_lookup(struct router *rt, const char *topic, const char *ns,
                                 const char *key)
{
    flux_msg_t *msg = router_expect(rt, topic);
    const char *k, *n;
    int flags;

    assert_int_equal(flux_request_unpack(msg, NULL, "{s:s s:s s:i}", "key", &k, "namespace", &n,
                                         "flags", &flags),
                     0);
    assert_string_equal(k, key);
    assert_string_equal(n, ns);
    return msg;
}

static flux_msg_t *expect_watch(struct router *rt, const char *ns, const char *key)
{
    return expect_lookup(rt, "kvs-watch.lookup", ns, key);
}

static void send_value(struct router *rt, const flux_msg_t *request, const char *text)
{
    char *data = base64_encode(text, strlen(text), NULL);
    char *json;

    assert_true(asprintf(&json, "{\"val\":{\"ver\":1,\"type\":\"val\",\"data\":\"%s\"}}", data) >
                0);
    router_answer(rt, request, 0, json);
    free(json);
    free(data);
}

static void send_link(struct router *rt, const flux_msg_t *request, const char *type)
{
    char json[128];

    (void)snprintf(json, sizeof(json), "{\"val\":{\"ver\":1,\"type\":\"%s\",\"data\":{}}}", type);
    router_answer(rt, request, 0, json);
}

static void assert_event(flux_future_t *f, const char *want)
{
    const char *event;

    assert_int_equal(flux_future_wait_for(f, 5.), 0);
    assert_int_equal(flux_job_event_watch_get(f, &event), 0);
    assert_string_equal(event, want);
    flux_future_reset(f);
}

static void assert_error(flux_future_t *f, int errnum)
{
    assert_int_equal(flux_future_wait_for(f, 5.), 0);
    assert_int_equal(flux_job_event_watch_get(f, NULL), -1);
    assert_int_equal(errno, errnum);
}

static void eventlog_is_delivered_line_by_line_until_clean(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_job_event_watch(rt->h, ID, "eventlog", 0);
    flux_msg_t *req = expect_watch(rt, "primary", MAIN);

    send_value(rt, req, A "\n" B "\n");
    assert_event(f, A);
    assert_event(f, B);
    assert_int_equal(flux_future_wait_for(f, 0.001), -1);
    assert_int_equal(errno, ETIMEDOUT);
    send_value(rt, req, NO "\n");
    assert_event(f, NO);
    send_value(rt, req, END "\n");
    assert_event(f, END);
    assert_error(f, ENODATA);
    flux_msg_destroy(router_expect(rt, "kvs-watch.cancel"));
    flux_future_destroy(f);
    flux_msg_destroy(req);
}

static flux_msg_t *expect_info(struct router *rt, const char *path)
{
    flux_msg_t *msg = router_expect(rt, "job-info.eventlog-watch");
    const char *p;
    int64_t id;

    assert_int_equal(flux_request_unpack(msg, NULL, "{s:I s:s}", "id", &id, "path", &p), 0);
    assert_true((uint64_t)id == ID);
    assert_string_equal(p, path);
    return msg;
}

static void send_event(struct router *rt, const flux_msg_t *request, const char *line)
{
    CLEANUP(json_decrefp) json_t *o = json_pack("{s:s}", "event", line);
    char *json = json_dumps(o, 0);

    router_answer(rt, request, 0, json);
    free(json);
}

static void a_job_that_is_unknown_ends_the_watch_with_a_sentence(void **state)
{
    static const char *const paths[] = { "eventlog", "guest.output" };
    struct router *rt = *state;

    for (int i = 0; i < 2; i++) {
        flux_future_t *f = flux_job_event_watch(rt->h, ID, paths[i], 0);
        flux_msg_t *link = i == 1 ? expect_watch(rt, "primary", LINK) : NULL;
        flux_msg_t *req = expect_watch(rt, "primary", MAIN);
        const char *s;
        int flags;

        assert_int_equal(flux_request_unpack(req, NULL, "{s:i}", "flags", &flags), 0);
        assert_false(flags & FLUX_KVS_WAITCREATE);
        router_answer(rt, req, ENOENT, NULL);
        assert_int_equal(flux_future_wait_for(f, 0.001), -1);
        if (link)
            flux_msg_destroy(router_expect(rt, "kvs-watch.cancel"));
        flux_msg_destroy(req);
        req = expect_info(rt, paths[i]);
        router_answer(rt, req, ENOENT, NULL);
        assert_int_equal(flux_future_wait_for(f, 5.), 0);
        assert_int_equal(flux_job_event_watch_get(f, &s), -1);
        assert_int_equal(errno, ENOENT);
        assert_non_null(strstr(flux_future_error_string(f), "there is no such job"));
        flux_future_destroy(f);
        flux_msg_destroy(link);
        flux_msg_destroy(req);
    }
}

static void a_line_may_come_in_pieces(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_job_event_watch(rt->h, ID, "eventlog", 0);
    flux_msg_t *req = expect_watch(rt, "primary", MAIN);

    send_value(rt, req, "{\"timestamp\":1.0,");
    send_value(rt, req, "\"name\":");
    send_value(rt, req, "\"a\"}\n" B);
    assert_event(f, A);
    assert_int_equal(flux_future_wait_for(f, 0.001), -1);
    send_value(rt, req, "\n");
    assert_event(f, B);
    flux_future_destroy(f);
    flux_msg_destroy(req);
}

static void a_running_jobs_guest_log_ends_with_its_archive(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_job_event_watch(rt->h, ID, "guest.exec.eventlog", 0);
    flux_msg_t *link = expect_watch(rt, "primary", LINK);
    flux_msg_t *life = expect_watch(rt, "primary", MAIN);
    flux_msg_t *live, *arch;

    send_value(rt, life, A "\n");
    send_link(rt, link, "symlink");
    assert_int_equal(flux_future_wait_for(f, 0.001), -1);
    flux_msg_destroy(router_expect(rt, "kvs-watch.cancel"));
    flux_msg_destroy(router_expect(rt, "kvs-watch.cancel"));
    live = expect_watch(rt, "job-281483566841860", "exec.eventlog");
    send_value(rt, live, A "\n");
    assert_event(f, A);
    send_value(rt, live, B "\n");
    assert_event(f, B);
    router_answer(rt, live, ENOTSUP, NULL);
    assert_int_equal(flux_future_wait_for(f, 0.001), -1);
    arch = expect_lookup(rt, "kvs.lookup", "primary", LINK ".exec.eventlog");
    send_value(rt, arch, A "\n" B "\n" C "\n");
    assert_event(f, C); /* only what was not delivered yet */
    assert_error(f, ENODATA);
    flux_future_destroy(f);
    flux_msg_destroy(link);
    flux_msg_destroy(life);
    flux_msg_destroy(live);
    flux_msg_destroy(arch);
}

static void a_line_may_be_split_between_namespace_and_archive(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_job_event_watch(rt->h, ID, "guest.output", 0);
    flux_msg_t *link = expect_watch(rt, "primary", LINK);
    flux_msg_t *life = expect_watch(rt, "primary", MAIN);
    flux_msg_t *live, *arch;

    send_link(rt, link, "symlink");
    assert_int_equal(flux_future_wait_for(f, 0.001), -1);
    flux_msg_destroy(router_expect(rt, "kvs-watch.cancel"));
    flux_msg_destroy(router_expect(rt, "kvs-watch.cancel"));
    live = expect_watch(rt, "job-281483566841860", "output");
    send_value(rt, live, A "\n{\"timestamp\":2.0,");
    router_answer(rt, live, ENODATA, NULL);
    assert_event(f, A);
    assert_int_equal(flux_future_wait_for(f, 0.001), -1);
    arch = expect_lookup(rt, "kvs.lookup", "primary", LINK ".output");
    send_value(rt, arch, A "\n" B "\n");
    assert_event(f, B);
    assert_error(f, ENODATA);
    flux_future_destroy(f);
    flux_msg_destroy(link);
    flux_msg_destroy(life);
    flux_msg_destroy(live);
    flux_msg_destroy(arch);
}

static void a_past_jobs_guest_log_is_read_from_its_archive(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_job_event_watch(rt->h, ID, "guest.output", 0);
    flux_msg_t *link = expect_watch(rt, "primary", LINK);
    flux_msg_t *life = expect_watch(rt, "primary", MAIN);
    flux_msg_t *arch;

    send_link(rt, link, "dirref");
    assert_int_equal(flux_future_wait_for(f, 0.001), -1);
    flux_msg_destroy(router_expect(rt, "kvs-watch.cancel"));
    flux_msg_destroy(router_expect(rt, "kvs-watch.cancel"));
    arch = expect_lookup(rt, "kvs.lookup", "primary", LINK ".output");
    send_value(rt, arch, A "\n");
    assert_event(f, A);
    assert_error(f, ENODATA);
    flux_future_destroy(f);
    flux_msg_destroy(link);
    flux_msg_destroy(life);
    flux_msg_destroy(arch);
}

static void a_job_that_ends_without_having_run_has_no_guest_log(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_job_event_watch(rt->h, ID, "guest.output", 0);
    flux_msg_t *link = expect_watch(rt, "primary", LINK);
    flux_msg_t *life = expect_watch(rt, "primary", MAIN);
    flux_msg_t *arch, *info;

    send_value(rt, life, A "\n" NO "\n" END "\n");
    assert_int_equal(flux_future_wait_for(f, 0.001), -1);
    flux_msg_destroy(router_expect(rt, "kvs-watch.cancel"));
    flux_msg_destroy(router_expect(rt, "kvs-watch.cancel"));
    arch = expect_lookup(rt, "kvs.lookup", "primary", LINK ".output");
    router_answer(rt, arch, ENOENT, NULL);
    assert_int_equal(flux_future_wait_for(f, 0.001), -1);
    info = expect_info(rt, "guest.output");
    router_answer(rt, info, ENODATA, NULL);
    assert_error(f, ENODATA);
    flux_future_destroy(f);
    flux_msg_destroy(link);
    flux_msg_destroy(life);
    flux_msg_destroy(arch);
    flux_msg_destroy(info);
}

static void a_job_that_this_node_does_not_know_yet_is_asked_for_where_all_are_known(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_job_event_watch(rt->h, ID, "eventlog", 0);
    flux_msg_t *info;

    router_answer_next(rt, "kvs-watch.lookup", ENOENT, NULL);
    assert_int_equal(flux_future_wait_for(f, 0.001), -1);
    info = expect_info(rt, "eventlog");
    send_event(rt, info, A);
    assert_event(f, A);
    send_event(rt, info, END "\n");
    assert_event(f, END);
    assert_error(f, ENODATA);
    flux_future_destroy(f);
    flux_msg_destroy(router_expect(rt, "job-info.eventlog-watch-cancel"));
    flux_msg_destroy(info);
}

static void an_archive_that_this_node_does_not_know_yet_loses_and_repeats_nothing(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_job_event_watch(rt->h, ID, "guest.output", 0);
    flux_msg_t *link = expect_watch(rt, "primary", LINK);
    flux_msg_t *life = expect_watch(rt, "primary", MAIN);
    flux_msg_t *live, *arch, *info;

    send_link(rt, link, "symlink");
    assert_int_equal(flux_future_wait_for(f, 0.001), -1);
    flux_msg_destroy(router_expect(rt, "kvs-watch.cancel"));
    flux_msg_destroy(router_expect(rt, "kvs-watch.cancel"));
    live = expect_watch(rt, "job-281483566841860", "output");
    send_value(rt, live, A "\n{\"timestamp\":2.0,");
    router_answer(rt, live, ENOTSUP, NULL);
    assert_event(f, A);
    assert_int_equal(flux_future_wait_for(f, 0.001), -1);
    arch = expect_lookup(rt, "kvs.lookup", "primary", LINK ".output");
    router_answer(rt, arch, ENOTSUP, NULL); /* still a link, to a namespace that is gone */
    assert_int_equal(flux_future_wait_for(f, 0.001), -1);
    info = expect_info(rt, "guest.output");
    send_event(rt, info, A);
    send_event(rt, info, B);
    send_event(rt, info, C "\n");
    assert_event(f, B);
    assert_event(f, C);
    router_answer(rt, info, ENODATA, NULL);
    assert_error(f, ENODATA);
    flux_future_destroy(f);
    flux_msg_destroy(link);
    flux_msg_destroy(life);
    flux_msg_destroy(live);
    flux_msg_destroy(arch);
    flux_msg_destroy(info);
}

static void who_may_not_read_the_kvs_is_served_by_job_info(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_job_event_watch(rt->h, ID, "eventlog", 0);
    flux_msg_t *req;

    router_answer_next(rt, "kvs-watch.lookup", EPERM, NULL);
    assert_int_equal(flux_future_wait_for(f, 0.001), -1);
    req = expect_info(rt, "eventlog");
    send_event(rt, req, A "\n");
    assert_event(f, A);
    router_answer(rt, req, ENODATA, NULL);
    assert_error(f, ENODATA);
    flux_future_destroy(f);
    flux_msg_destroy(req);
}

static void errors_come_with_their_sentence(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_job_event_watch(rt->h, ID, "eventlog", 0);

    router_answer_next(rt, "kvs-watch.lookup", EIO, "the disk is on fire");
    assert_error(f, EIO);
    assert_string_equal(flux_future_error_string(f), "the disk is on fire");
    flux_future_destroy(f);
}

static void hostile_values_are_EPROTO(void **state)
{
    struct router *rt = *state;
    const char *bad[] = {
        "{}",
        "nonsense",
        "{\"val\":{\"type\":\"val\",\"data\":\"!!\"}}",
        "{\"val\":{\"type\":\"dir\",\"data\":{}}}",
        "{\"val\":{\"type\":\"val\",\"data\":7}}",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        flux_future_t *f = flux_job_event_watch(rt->h, ID, "eventlog", 0);
        flux_msg_t *req = expect_watch(rt, "primary", MAIN);

        router_answer(rt, req, 0, bad[i]);
        assert_error(f, EPROTO);
        flux_msg_destroy(router_expect(rt, "kvs-watch.cancel"));
        flux_future_destroy(f);
        flux_msg_destroy(req);
    }
}

static void cancel_ends_with_ENODATA_and_tells_the_service(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_job_event_watch(rt->h, ID, "eventlog", 0);
    flux_msg_t *req = expect_watch(rt, "primary", MAIN);
    flux_msg_t *msg;
    uint32_t tag;
    int n;

    assert_int_equal(flux_job_event_watch_cancel(f), 0);
    assert_error(f, ENODATA);
    msg = router_expect(rt, "kvs-watch.cancel");
    assert_true(flux_msg_is_noresponse(msg));
    assert_int_equal(flux_request_unpack(msg, NULL, "{s:i}", "matchtag", &n), 0);
    assert_int_equal(flux_msg_get_matchtag(req, &tag), 0);
    assert_int_equal(n, tag);
    assert_int_equal(flux_job_event_watch_cancel(NULL), -1);
    assert_int_equal(errno, EINVAL);
    flux_future_destroy(f);
    flux_msg_destroy(msg);
    flux_msg_destroy(req);
}

static void on_event(flux_future_t *f, void *arg)
{
    int *counts = arg;

    if (flux_job_event_watch_get(f, NULL) == 0) {
        counts[0]++;
        flux_future_reset(f);
        return;
    }
    assert_int_equal(errno, ENODATA);
    counts[1]++;
    flux_future_destroy(f);
}

static void continuations_get_every_event(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_job_event_watch(rt->h, ID, "eventlog", 0);
    flux_msg_t *req = expect_watch(rt, "primary", MAIN);
    int counts[2] = { 0, 0 };

    assert_int_equal(flux_future_then(f, -1., on_event, counts), 0);
    send_value(rt, req, A "\n" B "\n" C "\n");
    send_value(rt, req, END "\n");
    router_answer(rt, req, ENODATA, NULL);
    assert_int_equal(flux_reactor_run(rt->r, 0), 0);
    assert_int_equal(counts[0], 4);
    assert_int_equal(counts[1], 1);
    flux_msg_destroy(req);
}

static void a_lost_router_is_ECONNRESET(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_job_event_watch(rt->h, ID, "guest.output", 0);

    router_hangup(rt);
    assert_error(f, ECONNRESET);
    flux_future_destroy(f);
}

static void other_paths_and_flags_are_EINVAL(void **state)
{
    struct router *rt = *state;

    assert_null(flux_job_event_watch(rt->h, ID, "jobspec", 0));
    assert_int_equal(errno, EINVAL);
    assert_null(flux_job_event_watch(rt->h, ID, NULL, 0));
    assert_int_equal(errno, EINVAL);
    errno = 0;
    assert_null(flux_job_event_watch(rt->h, ID, "eventlog", 1));
    assert_int_equal(errno, EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTER_TEST(eventlog_is_delivered_line_by_line_until_clean),
        ROUTER_TEST(a_job_that_is_unknown_ends_the_watch_with_a_sentence),
        ROUTER_TEST(a_line_may_come_in_pieces),
        ROUTER_TEST(a_running_jobs_guest_log_ends_with_its_archive),
        ROUTER_TEST(a_line_may_be_split_between_namespace_and_archive),
        ROUTER_TEST(a_past_jobs_guest_log_is_read_from_its_archive),
        ROUTER_TEST(a_job_that_ends_without_having_run_has_no_guest_log),
        ROUTER_TEST(a_job_that_this_node_does_not_know_yet_is_asked_for_where_all_are_known),
        ROUTER_TEST(an_archive_that_this_node_does_not_know_yet_loses_and_repeats_nothing),
        ROUTER_TEST(who_may_not_read_the_kvs_is_served_by_job_info),
        ROUTER_TEST(errors_come_with_their_sentence),
        ROUTER_TEST(hostile_values_are_EPROTO),
        ROUTER_TEST(cancel_ends_with_ENODATA_and_tells_the_service),
        ROUTER_TEST(continuations_get_every_event),
        ROUTER_TEST(a_lost_router_is_ECONNRESET),
        ROUTER_TEST(other_paths_and_flags_are_EINVAL),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
