/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Exceptions and signals: cancellation at each stage, who may, and how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "test-world.h"

static void cancel_meets_an_allocation_under_way(void **state)
{
    struct request *req = request_make();
    flux_error_t error;
    struct world w;

    world_submitted(&w, 1, 1);
    assert_int_equal(raise_job(&w.m, world_owner, 1, 0, "cancel", NULL, req, &error), 0);
    world_alloc(&w, 1); /* sent before the scheduler saw the cancellation */
    world_settle(&w);
    world_assert_events(&w, 1, "submit validate depend priority exception clean");
    assert_int_equal(world_job(&w, 1)->nfrees, 1);
    assert_int_equal(w.nused, 0);
    request_drop(req);
    world_deinit(&w);
}

static void cancel_of_a_running_job_waits_for_its_end(void **state)
{
    struct request *req = request_make();
    flux_error_t error;
    struct world w;

    world_submitted(&w, 1, 1);
    world_alloc(&w, 1);
    world_settle(&w);
    assert_int_equal(raise_job(&w.m, world_guest, 1, 0, "cancel", NULL, req, &error), -EPERM);
    assert_int_equal(raise_job(&w.m, world_owner, 2, 0, "cancel", NULL, req, &error), -ENOENT);
    assert_int_equal(raise_job(&w.m, world_owner, 1, 8, "cancel", NULL, req, &error), -EINVAL);
    assert_int_equal(raise_job(&w.m, world_owner, 1, 0, "two words", NULL, req, &error), -EINVAL);
    assert_int_equal(raise_job(&w.m, world_owner, 1, 0, "cancel", "tired", req, &error), 0);
    world_settle(&w);
    assert_int_equal(world_job(&w, 1)->ncancels, 1);
    assert_int_equal(w.nused, 1);
    world_run(&w, 1, 15);
    world_settle(&w);
    world_assert_events(&w, 1,
                        "submit validate depend priority alloc exception start finish release free "
                        "clean");
    assert_int_equal(w.nused, 0);
    assert_int_equal(kill_job(&w.m, world_owner, 1, SIGTERM, &error), -ENOENT);
    request_drop(req);
    world_deinit(&w);
}

static void signals_go_to_running_jobs_only(void **state)
{
    flux_error_t error;
    struct world w;

    world_submitted(&w, 1, 1);
    assert_int_equal(kill_job(&w.m, world_owner, 1, SIGTERM, &error), -EINVAL);
    world_alloc(&w, 1);
    world_settle(&w);
    assert_int_equal(kill_job(&w.m, world_guest, 1, SIGTERM, &error), -EPERM);
    assert_int_equal(kill_job(&w.m, world_owner, 1, 0, &error), -EINVAL);
    assert_int_equal(kill_job(&w.m, world_owner, 1, 65, &error), -EINVAL);
    assert_int_equal(kill_job(&w.m, world_owner, 1, SIGUSR1, &error), 0);
    assert_non_null(strstr(w.sent.s, "job-exec.kill {\"id\":1,\"signum\":10}"));
    world_deinit(&w);
}

static void a_user_cannot_grow_an_eventlog_without_bound(void **state)
{
    struct request *req = request_make();
    flux_error_t error;
    struct world w;
    int n = 0;

    world_submitted(&w, 1, 1);
    while (raise_job(&w.m, world_owner, 1, 1, "noise", "", req, &error) == 0)
        assert_true(++n <= JOB_EVENTS_MAX);
    assert_int_equal(urgency_job(&w.m, world_owner, 1, 5, req, &error), -ENOSPC);
    assert_int_equal(raise_job(&w.m, world_owner, 1, 0, "cancel", "", req, &error), 0);
    request_drop(req);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancel_meets_an_allocation_under_way),
        cmocka_unit_test(cancel_of_a_running_job_waits_for_its_end),
        cmocka_unit_test(signals_go_to_running_jobs_only),
        cmocka_unit_test(a_user_cannot_grow_an_eventlog_without_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
