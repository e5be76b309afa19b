/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/eventlog.h"
#include "base/jobspec.h"
#include "base/sign_none.h"
#include "submission.h"

#define OWNER 100

static json_t *good(void)
{
    char *argv[] = { "hostname", NULL };
    CLEANUP(json_decrefp) json_t *env = json_pack("{s:s}", "SECRET", "xyzzy");
    struct jobspec_request r = { .argc = 1, .argv = argv, .ntasks = 2, .environment = env };
    json_t *o = jobspec_build(&r, NULL);

    assert_non_null(o);
    return o;
}

static int check_text(const char *text, const struct submit_request *like, struct submission **ret,
                      flux_error_t *error)
{
    CLEANUP(freep) char *J = sign_none_wrap(text, strlen(text), OWNER);
    struct submit_request r = *like;

    r.J = J;
    error->text[0] = '\0';
    return submission_check(&r, ret, error);
}

static const struct submit_request by_owner = { .urgency = 16, .userid = OWNER, .owner = true };

static int check(json_t *o, const struct submit_request *like, struct submission **ret,
                 flux_error_t *error)
{
    CLEANUP(freep) char *text = json_dumps(o, 0);

    return check_text(text, like, ret, error);
}

static void a_good_jobspec_is_taken_and_its_environment_kept_from_the_manager(void **state)
{
    CLEANUP(submission_freep) struct submission *s = NULL;
    CLEANUP(json_decrefp) json_t *o = good();
    flux_error_t error;

    assert_int_equal(check(o, &by_owner, &s, &error), 0);
    assert_int_equal(s->userid, OWNER);
    assert_int_equal(s->urgency, 16);
    assert_non_null(strstr(s->jobspec, "xyzzy"));
    assert_null(strstr(s->reduced, "xyzzy"));
    assert_non_null(strstr(s->reduced, "hostname"));
}

static void the_sentence_names_the_wrong_key(void **state)
{
    static const struct {
        const char *path, *value, *named;
    } bad[] = {
        { "version", "2", "version" },
        { "tasks", "[]", "tasks" },
        { "resources", "{}", "resources" },
        { "attributes.system.duration", "\"long\"", "duration" },
        { "attributes.system.duration", "-1", "duration" },
        { "attributes.system.environment", "[]", "environment" },
        { "attributes.system.cwd", "7", "cwd" },
        { "attributes.system.constraints", "{\"properties\":[\"gpu\"]}", "constraints" },
        { "attributes.system.constraints", "7", "constraints" },
        { "attributes.system.dependencies", "{}", "dependencies" },
        { "attributes.system.dependencies", "[{\"value\":\"x\"}]", "dependencies[0].scheme" },
        { "attributes.system.dependencies", "[{\"scheme\":\"after\"}]", "dependencies[0].value" },
        { "attributes.system.dependencies", "[{\"scheme\":\"maybe\",\"value\":\"x\"}]",
          "dependencies[0].scheme" },
        { "attributes.system.dependencies", "[{\"scheme\":\"afterok\",\"value\":\"!\"}]",
          "dependencies[0].value" },
        { "attributes.system.dependencies", "[{\"scheme\":\"begin-time\",\"value\":\"noon\"}]",
          "dependencies[0].value" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP(submission_freep) struct submission *s = NULL;
        CLEANUP(json_decrefp) json_t *o = good();
        flux_error_t error;

        assert_int_equal(
            jobspec_set(o, bad[i].path, json_loads(bad[i].value, JSON_DECODE_ANY, NULL)), 0);
        assert_int_equal(check(o, &by_owner, &s, &error), -EINVAL);
        assert_null(s);
        if (!strstr(error.text, bad[i].named))
            fail_msg("%s = %s: \"%s\" does not name %s", bad[i].path, bad[i].value, error.text,
                     bad[i].named);
    }
}

static void dependencies_of_known_schemes_are_taken(void **state)
{
    CLEANUP(submission_freep) struct submission *s = NULL;
    CLEANUP(json_decrefp) json_t *o = good();
    flux_error_t error;

    assert_int_equal(jobspec_set(o, "attributes.system.dependencies",
                                 json_pack("[{s:s s:s}{s:s s:s}]", "scheme", "begin-time", "value",
                                           "1700000000.5", "scheme", "afterok", "value", "1234")),
                     0);
    assert_int_equal(check(o, &by_owner, &s, &error), 0);
}

static void text_that_is_no_jobspec_is_refused(void **state)
{
    static const char *const texts[] = { "",
                                         "{",
                                         "[]",
                                         "7",
                                         "{}",
                                         "{} x",
                                         "{\"version\":1}",
                                         "{\"version\":1,\"version\":1}",
                                         "\xff\xfe",
                                         "{\"\":0}",
                                         "{\"version \":1}" };
    flux_error_t error;

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP(submission_freep) struct submission *s = NULL;

        assert_true(check_text(texts[i], &by_owner, &s, &error) < 0);
        assert_null(s);
        assert_true(strlen(error.text) > 0);
    }
}

static void requests_that_are_not_signed_by_their_sender_are_refused(void **state)
{
    CLEANUP(json_decrefp) json_t *o = good();
    CLEANUP(freep) char *text = json_dumps(o, 0);
    CLEANUP(freep) char *mine = sign_none_wrap(text, strlen(text), OWNER);
    CLEANUP(freep) char *other = sign_none_wrap(text, strlen(text), 200);
    CLEANUP(freep) char *root = sign_none_wrap(text, strlen(text), 0);
    struct submission *s = NULL;
    flux_error_t error;

    assert_int_equal(
        submission_check(
            &(struct submit_request){ .J = other, .urgency = 16, .userid = OWNER, .owner = true },
            &s, &error),
        -EPERM);
    assert_int_equal(
        submission_check(&(struct submit_request){ .J = mine, .urgency = 16, .userid = 200 }, &s,
                         &error),
        -EPERM);
    assert_int_equal(
        submission_check(
            &(struct submit_request){ .J = root, .urgency = 16, .userid = OWNER, .owner = true },
            &s, &error),
        -EPERM);
    assert_non_null(strstr(error.text, "root may manage this instance"));
    /* A guest cannot vouch for himself. */
    assert_int_equal(
        submission_check(&(struct submit_request){ .J = other, .urgency = 16, .userid = 200 }, &s,
                         &error),
        -EPERM);
    assert_true(
        submission_check(
            &(struct submit_request){ .J = "a.b.c", .urgency = 16, .userid = OWNER, .owner = true },
            &s, &error) < 0);
    assert_null(s);
}

/* It travels inside of other messages, which may be 64 levels deep in all. */
static void a_jobspec_that_is_nested_too_deep_is_refused(void **state)
{
    for (int depth = 40; depth <= 60; depth += 20) {
        CLEANUP(submission_freep) struct submission *s = NULL;
        CLEANUP(json_decrefp) json_t *o = good();
        json_t *deep = json_array();
        flux_error_t error;
        int rc;

        for (int i = 0; i < depth; i++)
            deep = json_pack("[o]", deep);
        (void)json_object_set_new(json_object_get(o, "attributes"), "user",
                                  json_pack("{s:o}", "deep", deep));
        rc = check(o, &by_owner, &s, &error);
        assert_int_equal(rc, depth == 40 ? 0 : -EINVAL);
        assert_true(depth == 40 || strstr(error.text, "nested more than 48 levels"));
    }
}

static void urgency_and_flags_have_limits(void **state)
{
    static const struct {
        int urgency, flags;
        bool owner;
        int rc;
    } cases[] = {
        { -1, 0, true, -EINVAL },
        { 32, 0, true, -EINVAL },
        { 31, 0, true, 0 },
        { 0, FLUX_JOB_WAITABLE | FLUX_JOB_DEBUG, true, 0 },
        { 16, 1 << 20, true, -EINVAL },
        { 17, 0, false, -EINVAL },
        { 16, FLUX_JOB_WAITABLE, false, -EPERM },
        { 16, FLUX_JOB_NOVALIDATE, false, -EPERM },
    };
    CLEANUP(json_decrefp) json_t *o = good();

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(submission_freep) struct submission *s = NULL;
        struct submit_request r = { .urgency = cases[i].urgency,
                                    .flags = cases[i].flags,
                                    .userid = OWNER,
                                    .owner = cases[i].owner };
        flux_error_t error;

        assert_int_equal(check(o, &r, &s, &error), cases[i].rc);
    }
}

static void the_eventlog_begins_with_submit_and_validate(void **state)
{
    struct submission s = {
        .userid = 5588, .urgency = 16, .flags = 4, .t_submit = 1552593348.073045
    };
    CLEANUP(freep) char *text = submission_eventlog(&s);
    CLEANUP(json_decrefp) json_t *o = eventlog_decode(text, strlen(text), NULL);

    assert_int_equal(json_array_size(o), 2);
    assert_string_equal(text, "{\"timestamp\":1552593348.073045,\"name\":\"submit\",\"context\":"
                              "{\"userid\":5588,\"urgency\":16,\"flags\":4,\"version\":1}}\n"
                              "{\"timestamp\":1552593348.073045,\"name\":\"validate\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_jobspec_is_taken_and_its_environment_kept_from_the_manager),
        cmocka_unit_test(the_sentence_names_the_wrong_key),
        cmocka_unit_test(dependencies_of_known_schemes_are_taken),
        cmocka_unit_test(text_that_is_no_jobspec_is_refused),
        cmocka_unit_test(requests_that_are_not_signed_by_their_sender_are_refused),
        cmocka_unit_test(a_jobspec_that_is_nested_too_deep_is_refused),
        cmocka_unit_test(urgency_and_flags_have_limits),
        cmocka_unit_test(the_eventlog_begins_with_submit_and_validate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
