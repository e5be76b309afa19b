/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <flux/job.h>

#include "job.h"

/* RFC 21, written out again by hand. */
static const char allowed[JOB_STATE_COUNT][JOB_STATE_COUNT + 1] = {
    [JOB_STATE_NEW] = ".D...C.",      [JOB_STATE_DEPEND] = "..P..C.",
    [JOB_STATE_PRIORITY] = "...S.C.", [JOB_STATE_SCHED] = "....RC.",
    [JOB_STATE_RUN] = ".....C.",      [JOB_STATE_CLEANUP] = "......I",
    [JOB_STATE_INACTIVE] = ".......",
};

static void each_transition_is_allowed_or_refused_as_rfc21_says(void **state)
{
    struct job *job;

    assert_int_equal(job_new(1, &job), 0);
    for (int from = 0; from < JOB_STATE_COUNT; from++) {
        for (int to = 0; to < JOB_STATE_COUNT; to++) {
            bool may = allowed[from][to] != '.';

            job->state = (enum job_state)from;
            assert_int_equal(job_state_may_follow(from, to), may);
            assert_int_equal(job_set_state(job, (enum job_state)to), may ? 0 : -EINVAL);
            assert_int_equal(job->state, may ? to : from);
        }
    }
    job_unref(job);
}

static void states_have_the_names_and_bits_of_the_public_header(void **state)
{
    assert_string_equal(job_state_name(JOB_STATE_SCHED), "SCHED");
    assert_string_equal(job_state_name(JOB_STATE_COUNT), "?");
    assert_int_equal(job_state_mask(JOB_STATE_NEW), FLUX_JOB_STATE_NEW);
    assert_int_equal(job_state_mask(JOB_STATE_RUN), FLUX_JOB_STATE_RUN);
    assert_int_equal(job_state_mask(JOB_STATE_INACTIVE), FLUX_JOB_STATE_INACTIVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_transition_is_allowed_or_refused_as_rfc21_says),
        cmocka_unit_test(states_have_the_names_and_bits_of_the_public_header),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
