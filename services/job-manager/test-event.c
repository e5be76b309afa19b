/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/eventlog.h"
#include "event.h"

static json_t *format_decode(const struct event *ev, struct event *ret)
{
    struct text t = { 0 };
    json_t *o;

    event_format(ev, &t);
    assert_false(t.failed);
    assert_int_equal(t.s[t.len - 1], '\n');
    assert_ptr_equal(strchr(t.s, '\n'), t.s + t.len - 1);
    o = eventlog_entry_decode(t.s, t.len - 1, NULL);
    assert_non_null(o);
    assert_int_equal(event_decode(o, ret), 0);
    text_deinit(&t);
    return o;
}

static void what_is_formatted_is_decoded_alike(void **state)
{
    json_t *memo = json_pack("{s:i}", "a", 1);
    const struct event ev = { .timestamp = 1552593348.073045,
                              .userid = 4294967294u,
                              .urgency = 31,
                              .flags = 7,
                              .priority = 4294967295u,
                              .status = 143,
                              .severity = 7,
                              .final = true,
                              .description = "a \"quoted\"\n\\ \x01 text",
                              .etype = "oom",
                              .note = "node\tfoo42",
                              .ranks = "0-3" };

    for (int i = EVENT_SUBMIT; i < EVENT_TYPE_COUNT; i++) {
        struct event in = ev, out;
        json_t *o;

        in.type = (enum event_type)i;
        in.context = i == EVENT_MEMO ? memo : NULL;
        o = format_decode(&in, &out);
        assert_int_equal(out.type, in.type);
        assert_true(out.timestamp == in.timestamp);
        if (i == EVENT_SUBMIT || i == EVENT_URGENCY || i == EVENT_EXCEPTION)
            assert_int_equal(out.userid, in.userid);
        if (i == EVENT_PRIORITY)
            assert_int_equal(out.priority, in.priority);
        if (i == EVENT_FINISH)
            assert_int_equal(out.status, in.status);
        if (i == EVENT_RELEASE) {
            assert_true(out.final);
            assert_string_equal(out.ranks, in.ranks);
        }
        if (out.description)
            assert_string_equal(out.description, in.description);
        if (i == EVENT_EXCEPTION) {
            assert_string_equal(out.note, in.note);
            assert_string_equal(out.etype, in.etype);
            assert_int_equal(out.severity, 7);
        }
        if (i == EVENT_MEMO)
            assert_true(json_equal(out.context, memo));
        json_decref(o);
    }
    json_decref(memo);
}

static void events_look_as_rfc21_shows_them(void **state)
{
    struct text t = { 0 };
    struct event ev = {
        .type = EVENT_SUBMIT, .timestamp = 1552593348.073045, .urgency = 16, .userid = 5588
    };

    event_format(&ev, &t);
    ev = (struct event){ .type = EVENT_FREE, .timestamp = 1552593348.093541 };
    event_format(&ev, &t);
    assert_string_equal(t.s, "{\"timestamp\":1552593348.073045,\"name\":\"submit\",\"context\":"
                             "{\"userid\":5588,\"urgency\":16,\"flags\":0,\"version\":1}}\n"
                             "{\"timestamp\":1552593348.093541,\"name\":\"free\"}\n");
    text_deinit(&t);
}

static int replay(const char *names[], struct job **ret)
{
    static const struct event events[] = {
        { .type = EVENT_SUBMIT, .timestamp = 1, .urgency = 16 },
        { .type = EVENT_VALIDATE, .timestamp = 1 },
        { .type = EVENT_DEPENDENCY_ADD, .timestamp = 1, .description = "x" },
        { .type = EVENT_DEPENDENCY_REMOVE, .timestamp = 1, .description = "x" },
        { .type = EVENT_DEPEND, .timestamp = 1 },
        { .type = EVENT_PRIORITY, .timestamp = 1, .priority = 16 },
        { .type = EVENT_ALLOC, .timestamp = 1 },
        { .type = EVENT_START, .timestamp = 1 },
        { .type = EVENT_FINISH, .timestamp = 1, .status = 256 },
        { .type = EVENT_RELEASE, .timestamp = 1, .ranks = "all", .final = true },
        { .type = EVENT_FREE, .timestamp = 1 },
        { .type = EVENT_CLEAN, .timestamp = 1 },
        { .type = EVENT_EXCEPTION, .timestamp = 1, .etype = "cancel", .note = "why" },
        { .type = EVENT_OTHER, .timestamp = 1, .name = "debug.free-request" },
    };
    struct text t = { 0 };
    flux_error_t error = { .text = "" };
    int rc;

    for (size_t i = 0; names[i]; i++) {
        for (size_t j = 0; j < ARRAY_SIZE(events); j++) {
            if (!strcmp(names[i],
                        events[j].name ? events[j].name : event_type_name(events[j].type)))
                event_format(&events[j], &t);
        }
    }
    assert_int_equal(job_new(5, ret), 0);
    rc = event_replay(*ret, t.s, t.len, &error);
    if (rc < 0)
        assert_true(strlen(error.text) > 0);
    text_deinit(&t);
    return rc;
}

static void a_whole_life_replays_to_inactive(void **state)
{
    const char *names[] = {
        "submit", "validate", "dependency-add", "dependency-remove",  "depend",  "priority",
        "alloc",  "start",    "finish",         "debug.free-request", "release", "free",
        "clean",  NULL
    };
    CLEANUP(job_unrefp) struct job *job = NULL;

    assert_int_equal(replay(names, &job), 0);
    assert_int_equal(job->state, JOB_STATE_INACTIVE);
    assert_int_equal(job->status, 256);
    assert_int_equal(job->nevents, 13);
    assert_false(job->has_resources);
    assert_false(job_succeeded(job));
}

static void a_job_cancelled_while_running_still_holds_its_resources(void **state)
{
    const char *names[] = { "submit", "validate", "depend",    "priority",
                            "alloc",  "start",    "exception", NULL };
    CLEANUP(job_unrefp) struct job *job = NULL;
    CLEANUP(freep) char *failure = NULL;

    assert_int_equal(replay(names, &job), 0);
    assert_int_equal(job->state, JOB_STATE_CLEANUP);
    assert_true(job->has_resources && !job->released && job->canceled);
    failure = job_failure(job);
    assert_string_equal(failure, "Fatal exception type=cancel why");
}

static void logs_that_cannot_have_happened_are_refused(void **state)
{
    const char *bad[][8] = {
        { "validate" },
        { "submit", "submit" },
        { "submit", "validate", "alloc" },
        { "submit", "validate", "dependency-add", "depend" },
        { "submit", "validate", "dependency-remove" },
        { "submit", "validate", "depend", "priority", "start" },
        { "submit", "validate", "depend", "priority", "alloc", "clean" },
        { "submit", "validate", "depend", "priority", "alloc", "exception", "clean" },
        { "submit", "validate", "exception", "free" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP(job_unrefp) struct job *job = NULL;

        assert_int_equal(replay(bad[i], &job), -EPROTO);
    }
}

static void garbage_is_refused(void **state)
{
    static const char *const lines[] = {
        "",
        "{",
        "[]\n",
        "{\"name\":\"submit\"}\n",
        "{\"timestamp\":1,\"name\":\"submit\"}\n",
        "{\"timestamp\":1,\"name\":\"submit\",\"context\":{\"userid\":-1,\"urgency\":1,\"flags\":0}"
        "}\n",
        "{\"timestamp\":1,\"name\":\"submit\",\"context\":{\"userid\":1,\"urgency\":32,\"flags\":0}"
        "}\n",
        "{\"timestamp\":1,\"name\":\"submit\",\"context\":{\"userid\":1,\"urgency\":1,\"flags\":0,"
        "\"version\":2}}\n",
    };

    for (size_t i = 1; i < ARRAY_SIZE(lines); i++) {
        CLEANUP(job_unrefp) struct job *job = NULL;

        assert_int_equal(job_new(1, &job), 0);
        assert_int_equal(event_replay(job, lines[i], strlen(lines[i]), NULL), -EPROTO);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_formatted_is_decoded_alike),
        cmocka_unit_test(events_look_as_rfc21_shows_them),
        cmocka_unit_test(a_whole_life_replays_to_inactive),
        cmocka_unit_test(a_job_cancelled_while_running_still_holds_its_resources),
        cmocka_unit_test(logs_that_cannot_have_happened_are_refused),
        cmocka_unit_test(garbage_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
