/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "adopt.h"
#include "base/cleanup.h"
#include "base/eventlog.h"

static enum adopt_outcome decide(struct adopt_facts facts, int *status)
{
    return adopt_decide(&facts, status);
}

static void a_job_without_traces_is_launched(void **state)
{
    int status;

    assert_int_equal(decide((struct adopt_facts){ .record = false }, &status), ADOPT_LAUNCH);
}

static void a_living_shell_is_attached_to_whatever_its_log_says(void **state)
{
    struct adopt_facts f = { .record = true, .alive = true };
    int status;

    assert_int_equal(decide(f, &status), ADOPT_ATTACH);
    f.informed = true;
    assert_int_equal(decide(f, &status), ADOPT_ATTACH);
    f.started = true;
    assert_int_equal(decide(f, &status), ADOPT_ATTACH);
    f.log = (struct exec_log){ .exists = true, .shell_exit = true, .shell_status = 3 };
    assert_int_equal(decide(f, &status), ADOPT_ATTACH); /* it is about to end by itself */
}

static void a_shell_that_died_before_it_knew_its_job_is_launched_again(void **state)
{
    int status;

    assert_int_equal(decide((struct adopt_facts){ .record = true }, &status), ADOPT_LAUNCH);
    /* even if the job manager was told that it had started */
    assert_int_equal(decide((struct adopt_facts){ .record = true, .started = true }, &status),
                     ADOPT_LAUNCH);
}

static void user_code_is_never_run_twice(void **state)
{
    /* Every combination in which user code may have run must not end in a launch. */
    for (unsigned int bits = 0; bits < 128; bits++) {
        const struct adopt_facts f = {
            .record = bits & 1,
            .alive = (bits & 1) && (bits & 2),
            .informed = (bits & 1) && (bits & 4),
            .started = bits & 8,
            .log = {
                .exists = bits & (16 | 32 | 64),
                .complete = bits & 32,
                .shell_exit = bits & 64,
            },
        };
        const bool may_have_run = f.informed || f.alive || f.log.exists || (!f.record && f.started);
        int status;

        assert_int_equal(adopt_decide(&f, &status) == ADOPT_LAUNCH, !may_have_run);
    }
}

static void a_shell_that_left_no_word_has_vanished(void **state)
{
    int status;

    assert_int_equal(decide((struct adopt_facts){ .record = true, .informed = true }, &status),
                     ADOPT_VANISHED);
    assert_int_equal(status, STATUS_VANISHED);
    assert_int_equal(decide((struct adopt_facts){ .started = true }, &status), ADOPT_VANISHED);
    assert_int_equal(decide((struct adopt_facts){ .log = { .exists = true } }, &status),
                     ADOPT_VANISHED);
}

static void the_last_word_of_a_shell_is_its_status(void **state)
{
    const struct adopt_facts f = {
        .record = true,
        .informed = true,
        .log = { .exists = true, .shell_exit = true, .shell_status = 3 },
    };
    int status;

    assert_int_equal(decide(f, &status), ADOPT_ARCHIVE);
    assert_int_equal(status, 3 << 8);
}

static void an_archived_job_is_finished_even_if_a_record_was_left(void **state)
{
    const struct adopt_facts f = {
        .record = true,
        .informed = true,
        .log = { .exists = true, .complete = true, .complete_status = 15, .shell_exit = true },
    };
    int status;

    assert_int_equal(decide(f, &status), ADOPT_FINISHED);
    assert_int_equal(status, 15);
}

static void the_log_is_read_and_what_makes_no_sense_in_it_is_skipped(void **state)
{
    static const char text[] =
        "{\"timestamp\":1.0,\"name\":\"init\"}\n"
        "{\"timestamp\":2.0,\"name\":\"shell.exit\",\"context\":{\"status\":\"x\"}}\n"
        "{\"timestamp\":3.0,\"name\":\"shell.exit\",\"context\":{\"status\":7}}\n"
        "{\"timestamp\":4.0,\"name\":\"complete\",\"context\":{}}\n";
    flux_error_t error;
    CLEANUP(json_decrefp) json_t *entries = eventlog_decode(text, strlen(text), &error);
    struct exec_log log;

    assert_non_null(entries);
    exec_log_read(entries, &log);
    assert_true(log.exists);
    assert_true(log.shell_exit);
    assert_int_equal(log.shell_status, 7);
    assert_false(log.complete);
    exec_log_read(NULL, &log);
    assert_false(log.exists);
}

static void statuses_have_words(void **state)
{
    char buf[64];

    assert_string_equal(status_describe(3 << 8, buf, sizeof(buf)), "exit code 3");
    assert_string_equal(status_describe(9, buf, sizeof(buf)), "signal 9 (Killed)");
    assert_int_equal(status_from_exit_code(0), 0);
    assert_int_equal(status_from_exit_code(255), 255 << 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_without_traces_is_launched),
        cmocka_unit_test(a_living_shell_is_attached_to_whatever_its_log_says),
        cmocka_unit_test(a_shell_that_died_before_it_knew_its_job_is_launched_again),
        cmocka_unit_test(user_code_is_never_run_twice),
        cmocka_unit_test(a_shell_that_left_no_word_has_vanished),
        cmocka_unit_test(the_last_word_of_a_shell_is_its_status),
        cmocka_unit_test(an_archived_job_is_finished_even_if_a_record_was_left),
        cmocka_unit_test(the_log_is_read_and_what_makes_no_sense_in_it_is_skipped),
        cmocka_unit_test(statuses_have_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
