/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Waitable jobs: each result reaches one waiter, once, whatever was restarted meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>

#include "test-world.h"

static void each_ended_job_is_told_to_exactly_one_waiter(void **state)
{
    struct request *a = request_make(), *b = request_make(), *c = request_make(),
                   *d = request_make();
    flux_error_t error;
    struct world w;

    world_setup(&w, 4);
    assert_int_equal(wait_job(&w.m, world_owner, FLUX_JOBID_ANY, a, &error), -ECHILD);
    world_submit(&w, 1, 16);
    world_submit(&w, 2, 16);
    world_submit(&w, 3, 16);
    world_submit_full(&w, 4, OWNER, 16, 0, "{}");
    assert_int_equal(wait_job(&w.m, world_guest, 1, a, &error), -EPERM);
    assert_int_equal(wait_job(&w.m, world_owner, 4, a, &error), -ECHILD);
    assert_int_equal(wait_job(&w.m, world_owner, 99, a, &error), -ECHILD);
    assert_int_equal(wait_job(&w.m, world_owner, 2, a, &error), 0);
    assert_int_equal(wait_job(&w.m, world_owner, 2, b, &error), -ECHILD);
    assert_int_equal(wait_job(&w.m, world_owner, FLUX_JOBID_ANY, b, &error), 0);
    assert_int_equal(wait_job(&w.m, world_owner, FLUX_JOBID_ANY, c, &error), 0);
    assert_int_equal(wait_job(&w.m, world_owner, FLUX_JOBID_ANY, d, &error), -ECHILD);
    world_run_one(&w, 2, 0);
    assert_string_equal(a->last, "{\"id\":2,\"success\":true,\"errstr\":\"\"}");
    assert_int_equal(b->nanswers, 0);
    world_run_one(&w, 1, 0x100);
    assert_string_equal(
        b->last, "{\"id\":1,\"success\":false,\"errstr\":\"task(s) exited with exit code 1\"}");
    wait_gone(&w.m, c);
    world_run_one(&w, 3, SIGKILL); /* nobody waits: kept */
    assert_int_equal(b->nanswers, 1);
    assert_int_equal(c->nanswers, 0);
    assert_int_equal(wait_job(&w.m, world_owner, 3, c, &error), 0);
    assert_string_equal(c->last, "{\"id\":3,\"success\":false,\"errstr\":\"task(s) Killed\"}");
    assert_int_equal(wait_job(&w.m, world_owner, 3, c, &error), -ECHILD);
    request_drop(a);
    request_drop(b);
    request_drop(c);
    request_drop(d);
    world_deinit(&w);
}

static void a_result_that_nobody_waited_for_survives_a_restart(void **state)
{
    struct request *a = request_make(), *b = request_make();
    flux_error_t error;
    struct world w;

    world_setup(&w, 2);
    world_submit(&w, 1, 16);
    world_submit(&w, 2, 16);
    world_run_one(&w, 1, 0x300);
    world_run_one(&w, 2, 0);
    assert_non_null(world_kvs(&w, "job-active", 1, ""));
    world_crash(&w, false);
    assert_int_equal(manager_count(&w.m), 0);
    assert_int_equal(wait_job(&w.m, world_owner, 1, a, &error), 0);
    assert_string_equal(
        a->last, "{\"id\":1,\"success\":false,\"errstr\":\"task(s) exited with exit code 3\"}");
    world_settle(&w);
    assert_null(world_kvs(&w, "job-active", 1, ""));
    world_crash(&w, false); /* told and committed: not told again */
    assert_int_equal(wait_job(&w.m, world_owner, 1, b, &error), -ECHILD);
    assert_int_equal(wait_job(&w.m, world_owner, FLUX_JOBID_ANY, b, &error), 0);
    assert_string_equal(b->last, "{\"id\":2,\"success\":true,\"errstr\":\"\"}");
    assert_int_equal(wait_job(&w.m, world_owner, FLUX_JOBID_ANY, b, &error), -ECHILD);
    world_turn(&w);
    world_commit_lost(&w); /* no space: the same entries are unlinked with the next try */
    commit_done(&w.m, ENOSPC);
    commit_retry(&w.m);
    world_settle(&w);
    assert_null(world_kvs(&w, "job-active", 2, ""));
    request_drop(a);
    request_drop(b);
    world_deinit(&w);
}

static void the_entry_of_a_job_that_was_waited_for_goes_with_a_commit_of_others(void **state)
{
    struct request *a = request_make(), *b = request_make();
    flux_error_t error;
    struct world w;
    int ncommits;

    world_setup(&w, 2);
    world_submit(&w, 1, 16);
    world_submit(&w, 2, 16);
    world_settle(&w);
    assert_int_equal(wait_job(&w.m, world_owner, 1, a, &error), 0);
    world_alloc(&w, 1);
    world_alloc(&w, 2);
    world_settle(&w);
    ncommits = w.ncommits;
    world_run(&w, 1, 0);
    world_turn(&w);
    world_commit(&w);
    assert_int_equal(a->nanswers, 1);
    world_turn(&w);
    assert_int_equal(w.ncommits, ncommits + 1);
    world_run(&w, 2, 0);
    world_turn(&w);
    world_commit(&w);
    assert_null(world_kvs(&w, "job-active", 1, ""));
    world_turn(&w);
    assert_int_equal(w.ncommits, ncommits + 2);
    /* One that nobody waited for in time: at once. */
    assert_int_equal(wait_job(&w.m, world_owner, 2, b, &error), 0);
    assert_int_equal(b->nanswers, 1);
    world_turn(&w);
    assert_true(w.commit_flying);
    world_commit(&w);
    assert_null(world_kvs(&w, "job-active", 2, ""));
    request_drop(a);
    request_drop(b);
    world_deinit(&w);
}

static void wait_is_answered_when_the_end_is_durable(void **state)
{
    struct request *a = request_make();
    flux_error_t error;
    struct world w;

    world_submitted(&w, 1, 1);
    assert_int_equal(wait_job(&w.m, world_owner, 1, a, &error), 0);
    world_alloc(&w, 1);
    world_settle(&w);
    world_run(&w, 1, 0);
    world_turn(&w);
    assert_int_equal(a->nanswers, 0);
    world_commit(&w);
    assert_int_equal(a->nanswers, 1);
    request_drop(a);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_ended_job_is_told_to_exactly_one_waiter),
        cmocka_unit_test(a_result_that_nobody_waited_for_survives_a_restart),
        cmocka_unit_test(the_entry_of_a_job_that_was_waited_for_goes_with_a_commit_of_others),
        cmocka_unit_test(wait_is_answered_when_the_end_is_durable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
