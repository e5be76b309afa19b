/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Queues that are stopped, disabled, waited for; shutting down; the run after an unclean end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "test-world.h"

static const char *pop_last(struct request *req)
{
    return req->nanswers > 0 ? req->last : NULL;
}

static void a_stopped_queue_asks_for_nothing_and_outlives_a_crash(void **state)
{
    struct world w;
    struct request *req = request_make();

    world_submitted(&w, 2, 7);
    assert_int_equal(world_next_asked(&w), 7);
    assert_int_equal(control_start(&w.m, false, "repair", req, NULL), 0);
    assert_null(pop_last(req)); /* not before it is durable */
    world_settle(&w);
    assert_string_equal(pop_last(req), "{}");
    assert_non_null(strstr(w.sent.s, "sched.cancel {\"id\":7}"));
    assert_non_null(strstr(w.sent.s, "job-ingest.admission {\"enable\":true,\"start\":false"));
    world_sched_answer(&w, 7, 3);
    world_submit(&w, 8, 16);
    world_settle(&w);
    assert_int_equal(world_next_asked(&w), 0);
    world_crash(&w, false);
    world_settle(&w);
    assert_int_equal(world_next_asked(&w), 0);
    assert_true(w.m.control.stopped);
    assert_int_equal(control_start(&w.m, true, "", req, NULL), 0);
    world_settle(&w);
    assert_int_equal(world_next_asked(&w), 7);
    world_deinit(&w);
    request_drop(req);
}

static void waiting_for_the_queue_ends_when_it_is_idle_or_empty(void **state)
{
    struct world w;
    struct request *idle = request_make(), *drain = request_make(), *gone = request_make();

    world_setup(&w, 1);
    world_submit(&w, 7, 16);
    world_submit(&w, 8, 16);
    world_settle(&w);
    world_alloc(&w, 7);
    world_settle(&w);
    assert_int_equal(control_wait(&w.m, false, idle, NULL), 0);
    assert_int_equal(control_wait(&w.m, true, drain, NULL), 0);
    assert_int_equal(control_wait(&w.m, true, gone, NULL), 0);
    control_gone(&w.m, gone);
    world_settle(&w);
    assert_int_equal(idle->nanswers, 0);
    world_run(&w, 7, 0);
    world_settle(&w);
    assert_int_equal(idle->nanswers, 1);
    assert_int_equal(drain->nanswers, 0);
    assert_int_equal(raise_job(&w.m, world_owner, 8, 0, "cancel", "", NULL, NULL), 0);
    world_settle(&w);
    world_sched_answer(&w, 8, 3);
    world_settle(&w);
    assert_int_equal(drain->nanswers, 1);
    assert_int_equal(gone->nanswers, 0);
    world_deinit(&w);
    request_drop(idle);
    request_drop(drain);
    request_drop(gone);
}

static void a_disabled_queue_outlives_a_crash(void **state)
{
    struct world w;
    struct request *req = request_make();

    world_setup(&w, 1);
    assert_int_equal(control_enable(&w.m, false, "shutdown at 8", req, NULL), 0);
    world_settle(&w);
    world_crash(&w, false);
    assert_true(w.m.control.disabled);
    assert_string_equal(w.m.control.disable_reason, "shutdown at 8");
    assert_int_equal(control_load(&w.m, "{\"enable\":1}", NULL), -EPROTO);
    assert_int_equal(control_load(&w.m, "[", NULL), -EPROTO);
    world_deinit(&w);
    request_drop(req);
}

static void shutting_down_cancels_what_runs_and_keeps_what_is_queued(void **state)
{
    struct world w;
    struct request *req = request_make(), *second = request_make();

    world_setup(&w, 1);
    for (flux_jobid_t id = 1; id <= 3; id++)
        world_submit(&w, id, 16);
    world_settle(&w);
    world_alloc(&w, 1);
    world_settle(&w);
    assert_int_equal(quiesce_begin(&w.m, req), 0);
    assert_int_equal(quiesce_begin(&w.m, second), -EBUSY);
    world_settle(&w);
    assert_non_null(strstr(w.sent.s, "job-exec.cancel"));
    assert_non_null(strstr(w.sent.s, "job-ingest.admission {\"enable\":false"));
    assert_non_null(strstr(req->last, "{\"running\":1,\"ids\":[1],\"idle\":false}"));
    world_sched_answer(&w, 2, 3);
    world_sched_answer(&w, 3, 3);
    world_run(&w, 1, 0x100);
    world_settle(&w);
    assert_string_equal(req->last, "{\"running\":0,\"ids\":[],\"idle\":true}");
    world_assert_events(&w, 2, "submit validate depend priority");
    assert_int_equal(world_next_asked(&w), 0);
    quiesce_end(&w.m);
    assert_false(quiesce_is_on(&w.m));
    world_settle(&w);
    assert_int_equal(world_next_asked(&w), 2);
    assert_non_null(strstr(w.sent.s, "job-ingest.admission {\"enable\":true,\"start\":true}"));
    world_deinit(&w);
    request_drop(req);
    request_drop(second);
}

static void a_job_allocated_just_before_the_shutdown_is_cancelled_too(void **state)
{
    struct world w;
    struct request *req = request_make();

    world_submitted(&w, 1, 1);
    assert_int_equal(quiesce_begin(&w.m, req), 0);
    world_settle(&w);
    assert_non_null(strstr(req->last, "\"idle\":false"));
    world_alloc(&w, 1); /* the answer and the cancel request have crossed */
    world_settle(&w);
    assert_non_null(strstr(req->last, "\"idle\":true"));
    world_assert_events(&w, 1, "submit validate depend priority alloc exception free clean");
    world_deinit(&w);
    request_drop(req);
}

static void an_unclean_run_begins_with_the_queue_closed_once(void **state)
{
    struct world w;
    struct request *req = request_make();

    world_setup(&w, 1);
    assert_int_equal(control_safe_mode(&w.m, "run-2"), 0);
    world_submit(&w, 1, 16);
    world_settle(&w);
    assert_int_equal(world_next_asked(&w), 0);
    assert_int_equal(control_enable(&w.m, true, "", req, NULL), 0);
    assert_int_equal(control_start(&w.m, true, "", req, NULL), 0);
    world_settle(&w);
    assert_int_equal(world_next_asked(&w), 1);
    world_crash(&w, false);
    assert_int_equal(control_safe_mode(&w.m, "run-2"), 0); /* the same run, a new process */
    assert_false(w.m.control.stopped);
    assert_int_equal(control_safe_mode(&w.m, "run-3"), 0);
    assert_true(w.m.control.stopped && w.m.control.disabled);
    world_deinit(&w);
    request_drop(req);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stopped_queue_asks_for_nothing_and_outlives_a_crash),
        cmocka_unit_test(waiting_for_the_queue_ends_when_it_is_idle_or_empty),
        cmocka_unit_test(a_disabled_queue_outlives_a_crash),
        cmocka_unit_test(shutting_down_cancels_what_runs_and_keeps_what_is_queued),
        cmocka_unit_test(a_job_allocated_just_before_the_shutdown_is_cancelled_too),
        cmocka_unit_test(an_unclean_run_begins_with_the_queue_closed_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
