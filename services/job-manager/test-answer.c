/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* No request is answered before what it changed is durable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "test-world.h"

static void answers_wait_until_their_events_are_durable(void **state)
{
    struct request *req = request_make();
    flux_error_t error;
    struct world w;

    world_setup(&w, 0);
    world_submit(&w, 1, 16);
    world_turn(&w);
    world_tick(&w); /* a first commit is in flight */
    assert_int_equal(raise_job(&w.m, world_owner, 1, 0, "cancel", "", req, &error), 0);
    world_turn(&w);
    world_sched_answer(&w, 1, 3);
    world_commit(&w);
    assert_int_equal(req->nanswers, 0);
    world_turn(&w);
    assert_int_equal(req->nanswers, 0);
    world_commit(&w);
    assert_int_equal(req->nanswers, 1);
    assert_int_equal(req->errnum, 0);
    world_settle(&w);
    world_assert_events(&w, 1, "submit validate depend priority exception clean");
    request_drop(req);
    world_deinit(&w);
}

static void answers_for_many_jobs_wait_until_all_their_events_are_durable(void **state)
{
    struct request *req = request_make(), *dry = request_make(), *none = request_make();
    struct world w;

    world_setup(&w, 0);
    for (flux_jobid_t id = 1; id <= 3; id++)
        world_submit(&w, id, 16);
    world_turn(&w);
    world_tick(&w); /* a first commit is in flight */
    assert_int_equal(
        raise_all(&w.m, world_owner, OWNER, FLUX_JOB_STATE_ACTIVE, 1, "note", "", true, dry), 0);
    assert_string_equal(dry->last, "{\"count\":3,\"errors\":0}"); /* nothing was changed */
    assert_int_equal(
        raise_all(&w.m, world_owner, OWNER, FLUX_JOB_STATE_ACTIVE, 1, "note", "", false, req), 0);
    world_turn(&w);
    world_commit(&w);
    assert_int_equal(req->nanswers, 0);
    world_turn(&w);
    assert_int_equal(req->nanswers, 0);
    assert_null(strstr(world_kvs(&w, "job", 3, ".eventlog"), "\"exception\""));
    world_commit(&w);
    assert_string_equal(req->last, "{\"count\":3,\"errors\":0}");
    assert_non_null(strstr(world_kvs(&w, "job", 3, ".eventlog"), "\"exception\""));
    assert_int_equal(raise_all(&w.m, world_owner, OWNER, 0, 1, "note", "", false, none), 0);
    world_settle(&w);
    assert_string_equal(none->last, "{\"count\":0,\"errors\":0}");
    world_deinit(&w);
    request_drop(req);
    request_drop(dry);
    request_drop(none);
}

static void a_new_urgency_is_acknowledged_when_it_is_durable(void **state)
{
    struct request *req = request_make();
    flux_error_t error;
    struct world w;

    world_setup(&w, 0);
    world_submit(&w, 1, 16);
    world_turn(&w);
    world_tick(&w); /* a first commit is in flight */
    assert_int_equal(urgency_job(&w.m, world_owner, 1, 20, req, &error), 0);
    world_turn(&w);
    world_commit(&w);
    assert_int_equal(req->nanswers, 0);
    world_turn(&w);
    assert_null(strstr(world_kvs(&w, "job", 1, ".eventlog"), "\"urgency\":20"));
    assert_int_equal(req->nanswers, 0);
    world_commit(&w);
    assert_int_equal(req->nanswers, 1);
    assert_non_null(strstr(world_kvs(&w, "job", 1, ".eventlog"), "\"urgency\":20"));
    world_deinit(&w);
    request_drop(req);
}

static void settings_of_the_queue_are_acknowledged_when_they_are_durable(void **state)
{
    struct request *disable = request_make(), *stop = request_make();
    struct world w;

    world_setup(&w, 1);
    assert_int_equal(control_enable(&w.m, false, "later", disable, NULL), 0);
    world_turn(&w);
    assert_int_equal(control_start(&w.m, false, "repair", stop, NULL), 0);
    assert_int_equal(disable->nanswers, 0);
    world_commit(&w);
    assert_int_equal(disable->nanswers, 1);
    world_turn(&w);
    assert_int_equal(stop->nanswers, 0);
    world_commit(&w);
    assert_int_equal(stop->nanswers, 1);
    assert_non_null(strstr(world_kvs_get(&w, CONTROL_KEY), "repair"));
    world_deinit(&w);
    request_drop(disable);
    request_drop(stop);
}

static void the_queue_is_idle_when_the_end_of_its_last_job_is_durable(void **state)
{
    struct request *idle = request_make();
    struct world w;

    world_submitted(&w, 1, 7);
    world_alloc(&w, 7);
    world_settle(&w);
    assert_int_equal(control_wait(&w.m, false, idle, NULL), 0);
    world_run(&w, 7, 0);
    while (idle->nanswers == 0) {
        world_turn(&w);
        if (idle->nanswers == 0)
            world_tick(&w);
        if (w.commit_flying && idle->nanswers == 0)
            world_commit(&w);
    }
    assert_non_null(strstr(world_kvs(&w, "job", 7, ".eventlog"), "\"clean\""));
    world_deinit(&w);
    request_drop(idle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_wait_until_their_events_are_durable),
        cmocka_unit_test(answers_for_many_jobs_wait_until_all_their_events_are_durable),
        cmocka_unit_test(a_new_urgency_is_acknowledged_when_it_is_durable),
        cmocka_unit_test(settings_of_the_queue_are_acknowledged_when_they_are_durable),
        cmocka_unit_test(the_queue_is_idle_when_the_end_of_its_last_job_is_durable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
