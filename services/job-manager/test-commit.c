/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which events share a commit, how long they wait for company, and what follows a failed one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "test-world.h"

static void events_of_one_turn_are_one_commit_with_one_append_a_job(void **state)
{
    struct world w;

    world_setup(&w, 0);
    for (flux_jobid_t id = 1; id <= 100; id++)
        world_submit(&w, id, 16);
    world_turn(&w);
    world_tick(&w);
    assert_int_equal(w.ncommits, 1);
    assert_int_equal(w.nops, 100);
    /* What is posted meanwhile waits for the next one. */
    for (flux_jobid_t id = 101; id <= 150; id++)
        world_submit(&w, id, 16);
    world_turn(&w);
    world_tick(&w);
    assert_int_equal(w.ncommits, 1);
    world_commit(&w);
    world_turn(&w);
    assert_int_equal(w.ncommits, 2);
    assert_int_equal(w.nops, 50);
    world_settle(&w);
    assert_int_equal(w.ncommits, 2);
    world_assert_events(&w, 150, "submit validate depend priority");
    world_deinit(&w);
}

static void what_nothing_waits_for_is_committed_with_what_follows(void **state)
{
    struct world w;

    world_setup(&w, 1);
    world_submit(&w, 1, 16);
    world_turn(&w);
    assert_int_equal(w.ncommits, 0); /* depend, priority */
    world_alloc(&w, 1);
    world_turn(&w);
    assert_int_equal(w.ncommits, 1);
    world_commit(&w);
    world_turn(&w);
    world_assert_events(&w, 1, "submit validate depend priority alloc");
    world_exec_answer(&w, 1, "start", "{}");
    world_turn(&w);
    assert_int_equal(w.ncommits, 1);
    world_run(&w, 1, 0);
    world_turn(&w);
    assert_int_equal(w.ncommits, 2);
    world_commit(&w);
    world_assert_events(&w, 1, WHOLE_LIFE);
    world_deinit(&w);
}

static void what_nothing_waits_for_is_committed_soon_all_the_same(void **state)
{
    struct request *req = request_make();
    flux_error_t error;
    struct world w;

    world_setup(&w, 1);
    world_submit(&w, 1, 16);
    world_turn(&w);
    assert_true(w.timer > 0 && w.timer < 0.1);
    world_tick(&w);
    assert_true(w.commit_flying);
    world_commit(&w);
    world_assert_events(&w, 1, "submit validate depend priority");
    world_turn(&w);
    assert_true(w.timer == 0);
    world_submit(&w, 2, 16);
    world_turn(&w);
    assert_false(w.commit_flying);
    /* Who asks is not kept waiting. */
    assert_int_equal(urgency_job(&w.m, world_owner, 2, 17, req, &error), 0);
    world_turn(&w);
    assert_true(w.commit_flying);
    assert_true(w.timer == 0);
    world_commit(&w);
    assert_int_equal(req->nanswers, 1);
    request_drop(req);
    world_deinit(&w);
}

/* Two jobs for one slot; the first one runs, and the scheduler was seen to say what it has seen. */
static void setup_queue(struct world *w)
{
    world_setup(w, 1);
    w->tells_freed = true;
    for (flux_jobid_t id = 1; id <= 3; id++)
        world_submit(w, id, 16);
    world_settle(w);
    world_alloc(w, 1);
    world_settle(w);
    world_run(w, 1, 0);
    world_settle(w);
    world_alloc(w, 2);
    world_settle(w);
}

static void the_end_of_a_job_and_the_allocation_of_the_next_are_one_commit(void **state)
{
    struct world w;
    int ncommits;

    setup_queue(&w);
    ncommits = w.ncommits;
    world_run(&w, 2, 0);
    world_turn(&w);
    assert_false(w.commit_flying);
    world_alloc(&w, 3);
    world_turn(&w);
    assert_int_equal(w.ncommits, ncommits + 1);
    assert_int_equal(world_job(&w, 3)->nstarts, 0);
    world_commit(&w);
    world_assert_events(&w, 2, WHOLE_LIFE);
    world_assert_events(&w, 3, "submit validate depend priority alloc");
    world_turn(&w);
    assert_int_equal(world_job(&w, 3)->nstarts, 1);
    world_deinit(&w);
}

static void the_scheduler_is_waited_for_until_it_has_seen_what_is_free(void **state)
{
    struct world w;

    setup_queue(&w);
    world_run(&w, 2, 0);
    world_turn(&w);
    assert_false(w.commit_flying);
    world_sched_seen(&w); /* job 3 does not fit */
    world_turn(&w);
    assert_true(w.commit_flying);
    world_deinit(&w);
}

static void the_scheduler_is_not_waited_for_for_long(void **state)
{
    struct world w;

    setup_queue(&w);
    world_run(&w, 2, 0);
    world_turn(&w);
    assert_false(w.commit_flying);
    assert_true(w.timer > 0 && w.timer < 0.01);
    world_tick(&w);
    assert_true(w.commit_flying);
    world_commit(&w);
    world_assert_events(&w, 2, WHOLE_LIFE);
    world_deinit(&w);
}

static void a_commit_cut_short_gives_no_resources_to_two_jobs(void **state)
{
    struct request *req = request_make();
    const flux_jobid_t last = 5000;
    flux_error_t error;
    struct world w;

    world_submitted(&w, 1, 1);
    world_alloc(&w, 1);
    world_settle(&w);
    for (flux_jobid_t id = 2; id <= last; id++)
        world_submit(&w, id, 16);
    world_turn(&w); /* all of them wait to be committed, job 2 first */
    world_run(&w, 1, 0);
    assert_int_equal(raise_job(&w.m, world_owner, last, 1, "last", "", req, &error), 0);
    (void)manager_process(&w.m);
    assert_true(w.commit_flying);
    world_crash(&w, true);
    assert_non_null(strstr(world_kvs(&w, "job", 2, ".eventlog"), "\"priority\""));
    assert_null(strstr(world_kvs(&w, "job", last, ".eventlog"), "\"priority\""));
    world_assert_events(&w, 1, WHOLE_LIFE);
    assert_int_equal(req->nanswers, 0); /* its event was not in that commit */
    request_drop(req);
    world_deinit(&w);
}

static void a_commit_that_found_no_space_is_tried_again_unchanged(void **state)
{
    struct world w;

    world_setup(&w, 0);
    world_submit(&w, 1, 16);
    world_turn(&w);
    world_tick(&w);
    world_commit_lost(&w);
    commit_done(&w.m, ENOSPC);
    world_turn(&w);
    assert_false(w.commit_flying);
    commit_retry(&w.m);
    world_settle(&w);
    world_assert_events(&w, 1, "submit validate depend priority");
    world_deinit(&w);
}

static void a_commit_of_unknown_outcome_ends_the_daemon(void **state)
{
    struct world w;

    world_setup(&w, 0);
    world_submit(&w, 1, 16);
    world_turn(&w);
    world_tick(&w);
    commit_done(&w.m, ECONNRESET);
    assert_int_equal(w.m.fatal, -ECONNRESET);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_of_one_turn_are_one_commit_with_one_append_a_job),
        cmocka_unit_test(what_nothing_waits_for_is_committed_with_what_follows),
        cmocka_unit_test(what_nothing_waits_for_is_committed_soon_all_the_same),
        cmocka_unit_test(the_end_of_a_job_and_the_allocation_of_the_next_are_one_commit),
        cmocka_unit_test(the_scheduler_is_waited_for_until_it_has_seen_what_is_free),
        cmocka_unit_test(the_scheduler_is_not_waited_for_for_long),
        cmocka_unit_test(a_commit_cut_short_gives_no_resources_to_two_jobs),
        cmocka_unit_test(a_commit_that_found_no_space_is_tried_again_unchanged),
        cmocka_unit_test(a_commit_of_unknown_outcome_ends_the_daemon),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
