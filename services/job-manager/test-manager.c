/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "test-world.h"

static const struct asker owner = { .userid = OWNER, .owner = true };
static const struct asker guest = { .userid = GUEST };

#define WHOLE_LIFE "submit validate depend priority alloc start finish release free clean"

static void setup(struct world *w, size_t nslots)
{
    world_init(w, nslots);
    world_exec_up(w);
    world_sched_up(w, "unlimited", true);
}

static void assert_events(struct world *w, flux_jobid_t id, const char *expected)
{
    char *s = world_events(w, id);

    assert_string_equal(s, expected);
    free(s);
}

static void a_job_goes_through_its_whole_life(void **state)
{
    struct world w;

    setup(&w, 1);
    world_submit_full(&w, 7, OWNER, 16, 0, "{}");
    world_settle(&w);
    assert_int_equal(world_next_asked(&w), 7);
    world_alloc(&w, 7);
    world_settle(&w);
    assert_int_equal(world_job(&w, 7)->nstarts, 1);
    world_run(&w, 7, 0);
    world_settle(&w);
    assert_events(&w, 7, WHOLE_LIFE);
    assert_null(world_kvs(&w, "job-active", 7, ""));
    assert_string_equal(world_kvs_get(&w, "job-state.ninactive"), "1");
    assert_int_equal(manager_count(&w.m), 0);
    assert_int_equal(world_job(&w, 7)->nfrees, 1);
    world_deinit(&w);
}

static void nothing_starts_before_its_allocation_is_durable(void **state)
{
    struct world w;

    setup(&w, 1);
    world_submit(&w, 7, 16);
    world_settle(&w);
    world_alloc(&w, 7);
    world_turn(&w);
    assert_true(w.commit_flying);
    assert_int_equal(world_job(&w, 7)->nstarts, 0);
    world_commit(&w);
    world_turn(&w);
    assert_int_equal(world_job(&w, 7)->nstarts, 1);
    world_deinit(&w);
}

static void events_of_one_turn_are_one_commit_with_one_append_a_job(void **state)
{
    struct world w;

    setup(&w, 0);
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
    assert_events(&w, 150, "submit validate depend priority");
    world_deinit(&w);
}

static void what_nothing_waits_for_is_committed_with_what_follows(void **state)
{
    struct world w;

    setup(&w, 1);
    world_submit(&w, 1, 16);
    world_turn(&w);
    assert_int_equal(w.ncommits, 0); /* depend, priority */
    world_alloc(&w, 1);
    world_turn(&w);
    assert_int_equal(w.ncommits, 1);
    world_commit(&w);
    world_turn(&w);
    assert_events(&w, 1, "submit validate depend priority alloc");
    world_exec_answer(&w, 1, "start", "{}");
    world_turn(&w);
    assert_int_equal(w.ncommits, 1);
    world_run(&w, 1, 0);
    world_turn(&w);
    assert_int_equal(w.ncommits, 2);
    world_commit(&w);
    assert_events(&w, 1, WHOLE_LIFE);
    world_deinit(&w);
}

static void what_nothing_waits_for_is_committed_soon_all_the_same(void **state)
{
    struct request *req = request_make();
    flux_error_t error;
    struct world w;

    setup(&w, 1);
    world_submit(&w, 1, 16);
    world_turn(&w);
    assert_true(w.timer > 0 && w.timer < 0.1);
    world_tick(&w);
    assert_true(w.commit_flying);
    world_commit(&w);
    assert_events(&w, 1, "submit validate depend priority");
    world_turn(&w);
    assert_true(w.timer == 0);
    world_submit(&w, 2, 16);
    world_turn(&w);
    assert_false(w.commit_flying);
    /* Who asks is not kept waiting. */
    assert_int_equal(urgency_job(&w.m, owner, 2, 17, req, &error), 0);
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
    setup(w, 1);
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
    assert_events(&w, 2, WHOLE_LIFE);
    assert_events(&w, 3, "submit validate depend priority alloc");
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
    assert_events(&w, 2, WHOLE_LIFE);
    world_deinit(&w);
}

static void a_commit_cut_short_gives_no_resources_to_two_jobs(void **state)
{
    struct request *req = request_make();
    const flux_jobid_t last = 5000;
    flux_error_t error;
    struct world w;

    setup(&w, 1);
    world_submit(&w, 1, 16);
    world_settle(&w);
    world_alloc(&w, 1);
    world_settle(&w);
    for (flux_jobid_t id = 2; id <= last; id++)
        world_submit(&w, id, 16);
    world_turn(&w); /* all of them wait to be committed, job 2 first */
    world_run(&w, 1, 0);
    assert_int_equal(raise_job(&w.m, owner, last, 1, "last", "", req, &error), 0);
    (void)manager_process(&w.m);
    assert_true(w.commit_flying);
    world_crash(&w, true);
    assert_non_null(strstr(world_kvs(&w, "job", 2, ".eventlog"), "\"priority\""));
    assert_null(strstr(world_kvs(&w, "job", last, ".eventlog"), "\"priority\""));
    assert_events(&w, 1, WHOLE_LIFE);
    assert_int_equal(req->nanswers, 0); /* its event was not in that commit */
    request_drop(req);
    world_deinit(&w);
}

static void starts_of_a_turn_share_a_message(void **state)
{
    struct world w;

    setup(&w, 3);
    for (flux_jobid_t id = 1; id <= 3; id++)
        world_submit(&w, id, 16);
    world_settle(&w);
    for (flux_jobid_t id = 1; id <= 3; id++)
        world_alloc(&w, id);
    world_settle(&w);
    for (flux_jobid_t id = 1; id <= 3; id++)
        assert_int_equal(world_job(&w, id)->nstarts, 1);
    assert_non_null(strstr(w.sent.s, "job-exec.start {\"jobs\":[{\"id\":1,"));
    assert_null(strstr(strstr(w.sent.s, "job-exec.start") + 1, "job-exec.start"));
    world_deinit(&w);
}

static void simulated_jobs_start_at_once_and_anew_if_that_is_lost(void **state)
{
    struct world w;

    setup(&w, 1);
    world_submit_full(&w, 1, OWNER, 16, 0,
                      "{\"attributes\":{\"system\":{\"exec\":{\"test\":{}}}}}");
    world_settle(&w);
    world_alloc(&w, 1);
    world_turn(&w);
    assert_true(w.commit_flying);
    assert_int_equal(world_job(&w, 1)->nstarts, 1);
    world_crash(&w, false);
    world_settle(&w);
    assert_int_equal(world_next_asked(&w), 1);
    world_alloc(&w, 1);
    world_turn(&w);
    assert_int_equal(world_job(&w, 1)->nstarts, 1);
    world_run(&w, 1, 0);
    world_turn(&w);
    world_settle(&w);
    assert_events(&w, 1, WHOLE_LIFE);
    assert_int_equal(w.nused, 0);
    world_deinit(&w);
}

static void a_commit_that_found_no_space_is_tried_again_unchanged(void **state)
{
    struct world w;

    setup(&w, 0);
    world_submit(&w, 1, 16);
    world_turn(&w);
    world_tick(&w);
    world_commit_lost(&w);
    commit_done(&w.m, ENOSPC);
    world_turn(&w);
    assert_false(w.commit_flying);
    commit_retry(&w.m);
    world_settle(&w);
    assert_events(&w, 1, "submit validate depend priority");
    world_deinit(&w);
}

static void a_commit_of_unknown_outcome_ends_the_daemon(void **state)
{
    struct world w;

    setup(&w, 0);
    world_submit(&w, 1, 16);
    world_turn(&w);
    world_tick(&w);
    commit_done(&w.m, ECONNRESET);
    assert_int_equal(w.m.fatal, -ECONNRESET);
    world_deinit(&w);
}

static void answers_wait_until_their_events_are_durable(void **state)
{
    struct request *req = request_make();
    flux_error_t error;
    struct world w;

    setup(&w, 0);
    world_submit(&w, 1, 16);
    world_turn(&w);
    world_tick(&w); /* a first commit is in flight */
    assert_int_equal(raise_job(&w.m, owner, 1, 0, "cancel", "", req, &error), 0);
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
    assert_events(&w, 1, "submit validate depend priority exception clean");
    request_drop(req);
    world_deinit(&w);
}

static void answers_for_many_jobs_wait_until_all_their_events_are_durable(void **state)
{
    struct request *req = request_make(), *dry = request_make(), *none = request_make();
    struct world w;

    setup(&w, 0);
    for (flux_jobid_t id = 1; id <= 3; id++)
        world_submit(&w, id, 16);
    world_turn(&w);
    world_tick(&w); /* a first commit is in flight */
    assert_int_equal(raise_all(&w.m, owner, OWNER, FLUX_JOB_STATE_ACTIVE, 1, "note", "", true, dry),
                     0);
    assert_string_equal(dry->last, "{\"count\":3,\"errors\":0}"); /* nothing was changed */
    assert_int_equal(
        raise_all(&w.m, owner, OWNER, FLUX_JOB_STATE_ACTIVE, 1, "note", "", false, req), 0);
    world_turn(&w);
    world_commit(&w);
    assert_int_equal(req->nanswers, 0);
    world_turn(&w);
    assert_int_equal(req->nanswers, 0);
    assert_null(strstr(world_kvs(&w, "job", 3, ".eventlog"), "\"exception\""));
    world_commit(&w);
    assert_string_equal(req->last, "{\"count\":3,\"errors\":0}");
    assert_non_null(strstr(world_kvs(&w, "job", 3, ".eventlog"), "\"exception\""));
    assert_int_equal(raise_all(&w.m, owner, OWNER, 0, 1, "note", "", false, none), 0);
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

    setup(&w, 0);
    world_submit(&w, 1, 16);
    world_turn(&w);
    world_tick(&w); /* a first commit is in flight */
    assert_int_equal(urgency_job(&w.m, owner, 1, 20, req, &error), 0);
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

    setup(&w, 1);
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

    setup(&w, 1);
    world_submit(&w, 7, 16);
    world_settle(&w);
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

static void allocations_are_asked_for_by_priority_then_id(void **state)
{
    static const flux_jobid_t order[] = { 5, 2, 3, 1, 6, 4 };
    struct world w;

    world_init(&w, 1);
    world_exec_up(&w);
    world_submit(&w, 1, 16);
    world_submit(&w, 2, 20);
    world_submit(&w, 3, 20);
    world_submit(&w, 4, 1);
    world_submit(&w, 5, 31);
    world_submit(&w, 6, 16);
    world_submit(&w, 7, 0); /* held */
    world_settle(&w);
    world_sched_up(&w, "unlimited", true);
    world_turn(&w);
    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        flux_jobid_t id = world_next_asked(&w);

        assert_int_equal(id, order[i]);
        world_alloc(&w, id);
        world_settle(&w);
        world_run(&w, id, 0);
        world_settle(&w);
    }
    assert_int_equal(world_next_asked(&w), 0);
    world_deinit(&w);
}

static void limited_mode_makes_room_for_the_more_important(void **state)
{
    struct request *req = request_make();
    flux_error_t error;
    struct world w;

    world_init(&w, 1);
    world_sched_up(&w, "limited=2", false);
    world_submit(&w, 1, 10);
    world_submit(&w, 2, 12);
    world_submit(&w, 3, 11);
    world_settle(&w);
    assert_int_equal(w.m.alloc.outstanding.n, 2);
    assert_int_equal(world_job(&w, 1)->asked, 0);
    assert_int_equal(urgency_job(&w.m, owner, 1, 30, req, &error), 0);
    world_settle(&w);
    assert_non_null(strstr(w.sent.s, "sched.cancel {\"id\":3}"));
    world_sched_answer(&w, 3, 3);
    world_settle(&w);
    assert_true(world_job(&w, 1)->asked > 0);
    assert_int_equal(world_job(&w, 3)->asked, 0);
    request_drop(req);
    world_deinit(&w);
}

static void urgency_holds_releases_and_reorders(void **state)
{
    struct request *req = request_make();
    flux_error_t error;
    struct world w;

    setup(&w, 1);
    world_submit_full(&w, 1, GUEST, 16, 0, "{}");
    world_settle(&w);
    assert_int_equal(urgency_job(&w.m, guest, 1, 17, req, &error), -EPERM);
    assert_int_equal(urgency_job(&w.m, owner, 1, 32, req, &error), -EINVAL);
    assert_int_equal(urgency_job(&w.m, guest, 1, 0, req, &error), 0);
    world_settle(&w);
    assert_non_null(strstr(w.sent.s, "sched.cancel {\"id\":1}"));
    world_sched_answer(&w, 1, 3);
    world_settle(&w);
    assert_int_equal(world_next_asked(&w), 0);
    assert_int_equal(urgency_job(&w.m, guest, 1, 5, req, &error), 0);
    world_settle(&w);
    assert_int_equal(world_next_asked(&w), 1);
    assert_int_equal(req->nanswers, 2);
    assert_int_equal(urgency_job(&w.m, owner, 1, 6, req, &error), 0);
    assert_non_null(strstr(w.sent.s, "sched.prioritize {\"jobs\":[[1,6]]}"));
    world_alloc(&w, 1);
    world_settle(&w);
    assert_int_equal(urgency_job(&w.m, owner, 1, 7, req, &error), -EINVAL);
    request_drop(req);
    world_deinit(&w);
}

static void denied_jobs_end_with_an_alloc_exception(void **state)
{
    struct world w;

    setup(&w, 1);
    world_submit(&w, 1, 16);
    world_settle(&w);
    world_sched_answer(&w, 1, 2);
    world_settle(&w);
    assert_events(&w, 1, "submit validate depend priority exception clean");
    assert_non_null(strstr(world_kvs(&w, "job", 1, ".eventlog"), "\"type\":\"alloc\""));
    world_deinit(&w);
}

static void cancel_meets_an_allocation_under_way(void **state)
{
    struct request *req = request_make();
    flux_error_t error;
    struct world w;

    setup(&w, 1);
    world_submit(&w, 1, 16);
    world_settle(&w);
    assert_int_equal(raise_job(&w.m, owner, 1, 0, "cancel", NULL, req, &error), 0);
    world_alloc(&w, 1); /* sent before the scheduler saw the cancellation */
    world_settle(&w);
    assert_events(&w, 1, "submit validate depend priority exception clean");
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

    setup(&w, 1);
    world_submit(&w, 1, 16);
    world_settle(&w);
    world_alloc(&w, 1);
    world_settle(&w);
    assert_int_equal(raise_job(&w.m, guest, 1, 0, "cancel", NULL, req, &error), -EPERM);
    assert_int_equal(raise_job(&w.m, owner, 2, 0, "cancel", NULL, req, &error), -ENOENT);
    assert_int_equal(raise_job(&w.m, owner, 1, 8, "cancel", NULL, req, &error), -EINVAL);
    assert_int_equal(raise_job(&w.m, owner, 1, 0, "two words", NULL, req, &error), -EINVAL);
    assert_int_equal(raise_job(&w.m, owner, 1, 0, "cancel", "tired", req, &error), 0);
    world_settle(&w);
    assert_int_equal(world_job(&w, 1)->ncancels, 1);
    assert_int_equal(w.nused, 1);
    world_run(&w, 1, 15);
    world_settle(&w);
    assert_events(&w, 1,
                  "submit validate depend priority alloc exception start finish release free "
                  "clean");
    assert_int_equal(w.nused, 0);
    assert_int_equal(kill_job(&w.m, owner, 1, SIGTERM, &error), -ENOENT);
    request_drop(req);
    world_deinit(&w);
}

static void signals_go_to_running_jobs_only(void **state)
{
    flux_error_t error;
    struct world w;

    setup(&w, 1);
    world_submit(&w, 1, 16);
    world_settle(&w);
    assert_int_equal(kill_job(&w.m, owner, 1, SIGTERM, &error), -EINVAL);
    world_alloc(&w, 1);
    world_settle(&w);
    assert_int_equal(kill_job(&w.m, guest, 1, SIGTERM, &error), -EPERM);
    assert_int_equal(kill_job(&w.m, owner, 1, 0, &error), -EINVAL);
    assert_int_equal(kill_job(&w.m, owner, 1, 65, &error), -EINVAL);
    assert_int_equal(kill_job(&w.m, owner, 1, SIGUSR1, &error), 0);
    assert_non_null(strstr(w.sent.s, "job-exec.kill {\"id\":1,\"signum\":10}"));
    world_deinit(&w);
}

static void a_lost_scheduler_is_asked_again_after_its_hello(void **state)
{
    struct world w;

    setup(&w, 2);
    for (flux_jobid_t id = 1; id <= 3; id++)
        world_submit(&w, id, 16);
    world_settle(&w);
    world_alloc(&w, 1);
    world_settle(&w);
    world_sched_down(&w);
    assert_int_equal(w.nwakes[PEER_SCHED], 1);
    world_settle(&w);
    assert_int_equal(w.m.alloc.pending.n, 2);
    world_sched_up(&w, "unlimited", true); /* checks that the hello tells of job 1 */
    world_settle(&w);
    assert_int_equal(world_next_asked(&w), 2);
    world_deinit(&w);
}

static void what_is_freed_between_hello_and_ready_is_not_lost(void **state)
{
    struct request *hello = request_make(), *ready = request_make();
    flux_error_t error;
    struct world w;

    setup(&w, 1);
    world_submit(&w, 1, 16);
    world_settle(&w);
    world_alloc(&w, 1);
    world_settle(&w);
    alloc_hello(&w.m, hello);
    assert_int_equal(hello->nanswers, 1);
    world_run(&w, 1, 0);
    world_settle(&w);
    assert_int_equal(world_job(&w, 1)->nfrees, 0);
    assert_int_equal(alloc_ready(&w.m, ready, "unlimited", true, "5e", &error), 0);
    assert_int_equal(world_job(&w, 1)->nfrees, 1);
    assert_int_equal(alloc_ready(&w.m, ready, "limited=0", true, "5e", &error), -EPROTO);
    assert_int_equal(alloc_ready(&w.m, ready, "sometimes", true, "5e", &error), -EPROTO);
    request_drop(hello);
    request_drop(ready);
    world_deinit(&w);
}

static void a_lost_execution_service_is_asked_to_reattach(void **state)
{
    struct world w;

    setup(&w, 1);
    world_submit(&w, 1, 16);
    world_settle(&w);
    world_alloc(&w, 1);
    world_settle(&w);
    world_exec_down(&w);
    assert_int_equal(w.nwakes[PEER_EXEC], 1);
    world_exec_up(&w);
    world_settle(&w);
    assert_non_null(strstr(w.sent.s, "\"reattach\":true,\"started\":false,\"cleanup\":false"));
    world_run(&w, 1, 0);
    world_settle(&w);
    assert_events(&w, 1, WHOLE_LIFE);
    world_deinit(&w);
}

static void an_end_without_a_status_is_an_exception(void **state)
{
    struct world w;

    setup(&w, 1);
    world_submit(&w, 1, 16);
    world_settle(&w);
    world_alloc(&w, 1);
    world_settle(&w);
    world_job(&w, 1)->running = false;
    world_exec_answer(&w, 1, "release", "{\"ranks\":\"all\",\"final\":true}");
    world_settle(&w);
    assert_events(&w, 1, "submit validate depend priority alloc exception release free clean");
    assert_int_equal(w.nused, 0);
    world_deinit(&w);
}

static void submit_of_a_known_or_ended_job_is_ignored(void **state)
{
    struct world w;

    setup(&w, 1);
    world_submit(&w, 1, 16);
    world_submit(&w, 1, 16);
    world_settle(&w);
    assert_int_equal(manager_count(&w.m), 1);
    world_alloc(&w, 1);
    world_settle(&w);
    world_run(&w, 1, 0);
    world_settle(&w);
    assert_true(journal_is_inactive(&w.m, 1));
    world_submit(&w, 1, 16);
    assert_int_equal(manager_count(&w.m), 0);
    world_deinit(&w);
}

static void run_one(struct world *w, flux_jobid_t id, int status)
{
    world_settle(w);
    world_alloc(w, id);
    world_settle(w);
    world_run(w, id, status);
    world_settle(w);
}

static void each_ended_job_is_told_to_exactly_one_waiter(void **state)
{
    struct request *a = request_make(), *b = request_make(), *c = request_make(),
                   *d = request_make();
    flux_error_t error;
    struct world w;

    setup(&w, 4);
    assert_int_equal(wait_job(&w.m, owner, FLUX_JOBID_ANY, a, &error), -ECHILD);
    world_submit(&w, 1, 16);
    world_submit(&w, 2, 16);
    world_submit(&w, 3, 16);
    world_submit_full(&w, 4, OWNER, 16, 0, "{}");
    assert_int_equal(wait_job(&w.m, guest, 1, a, &error), -EPERM);
    assert_int_equal(wait_job(&w.m, owner, 4, a, &error), -ECHILD);
    assert_int_equal(wait_job(&w.m, owner, 99, a, &error), -ECHILD);
    assert_int_equal(wait_job(&w.m, owner, 2, a, &error), 0);
    assert_int_equal(wait_job(&w.m, owner, 2, b, &error), -ECHILD);
    assert_int_equal(wait_job(&w.m, owner, FLUX_JOBID_ANY, b, &error), 0);
    assert_int_equal(wait_job(&w.m, owner, FLUX_JOBID_ANY, c, &error), 0);
    assert_int_equal(wait_job(&w.m, owner, FLUX_JOBID_ANY, d, &error), -ECHILD);
    run_one(&w, 2, 0);
    assert_string_equal(a->last, "{\"id\":2,\"success\":true,\"errstr\":\"\"}");
    assert_int_equal(b->nanswers, 0);
    run_one(&w, 1, 0x100);
    assert_string_equal(
        b->last, "{\"id\":1,\"success\":false,\"errstr\":\"task(s) exited with exit code 1\"}");
    wait_gone(&w.m, c);
    run_one(&w, 3, SIGKILL); /* nobody waits: kept */
    assert_int_equal(b->nanswers, 1);
    assert_int_equal(c->nanswers, 0);
    assert_int_equal(wait_job(&w.m, owner, 3, c, &error), 0);
    assert_string_equal(c->last, "{\"id\":3,\"success\":false,\"errstr\":\"task(s) Killed\"}");
    assert_int_equal(wait_job(&w.m, owner, 3, c, &error), -ECHILD);
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

    setup(&w, 2);
    world_submit(&w, 1, 16);
    world_submit(&w, 2, 16);
    run_one(&w, 1, 0x300);
    run_one(&w, 2, 0);
    assert_non_null(world_kvs(&w, "job-active", 1, ""));
    world_crash(&w, false);
    assert_int_equal(manager_count(&w.m), 0);
    assert_int_equal(wait_job(&w.m, owner, 1, a, &error), 0);
    assert_string_equal(
        a->last, "{\"id\":1,\"success\":false,\"errstr\":\"task(s) exited with exit code 3\"}");
    world_settle(&w);
    assert_null(world_kvs(&w, "job-active", 1, ""));
    world_crash(&w, false); /* told and committed: not told again */
    assert_int_equal(wait_job(&w.m, owner, 1, b, &error), -ECHILD);
    assert_int_equal(wait_job(&w.m, owner, FLUX_JOBID_ANY, b, &error), 0);
    assert_string_equal(b->last, "{\"id\":2,\"success\":true,\"errstr\":\"\"}");
    assert_int_equal(wait_job(&w.m, owner, FLUX_JOBID_ANY, b, &error), -ECHILD);
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

static void a_user_cannot_grow_an_eventlog_without_bound(void **state)
{
    struct request *req = request_make();
    flux_error_t error;
    struct world w;
    int n = 0;

    setup(&w, 1);
    world_submit(&w, 1, 16);
    world_settle(&w);
    while (raise_job(&w.m, owner, 1, 1, "noise", "", req, &error) == 0)
        assert_true(++n <= JOB_EVENTS_MAX);
    assert_int_equal(urgency_job(&w.m, owner, 1, 5, req, &error), -ENOSPC);
    assert_int_equal(raise_job(&w.m, owner, 1, 0, "cancel", "", req, &error), 0);
    request_drop(req);
    world_deinit(&w);
}

static void the_entry_of_a_job_that_was_waited_for_goes_with_a_commit_of_others(void **state)
{
    struct request *a = request_make(), *b = request_make();
    flux_error_t error;
    struct world w;
    int ncommits;

    setup(&w, 2);
    world_submit(&w, 1, 16);
    world_submit(&w, 2, 16);
    world_settle(&w);
    assert_int_equal(wait_job(&w.m, owner, 1, a, &error), 0);
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
    assert_int_equal(wait_job(&w.m, owner, 2, b, &error), 0);
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

    setup(&w, 1);
    world_submit(&w, 1, 16);
    world_settle(&w);
    assert_int_equal(wait_job(&w.m, owner, 1, a, &error), 0);
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

static void annotations_merge_and_are_recorded_with_alloc(void **state)
{
    json_t *o;
    struct world w;

    setup(&w, 1);
    world_submit(&w, 1, 16);
    world_settle(&w);
    o = json_loads("{\"id\":1,\"type\":1,\"annotations\":{\"sched\":{\"t_estimate\":1.5},"
                   "\"user\":{\"a\":1}}}",
                   0, NULL);
    assert_int_equal(alloc_response(&w.m, o), 0);
    json_decref(o);
    o = json_loads("{\"id\":1,\"type\":1,\"annotations\":{\"sched\":{\"t_estimate\":null}}}", 0,
                   NULL);
    assert_int_equal(alloc_response(&w.m, o), 0);
    json_decref(o);
    world_alloc(&w, 1);
    world_settle(&w);
    assert_non_null(strstr(world_kvs(&w, "job", 1, ".eventlog"),
                           "\"name\":\"alloc\",\"context\":{\"annotations\":{\"sched\":"
                           "{\"resource_summary\":\"rank0\"},\"user\":{\"a\":1}}}}"));
    world_deinit(&w);
}

static size_t count(const char *s, const char *what)
{
    size_t n = 0;

    for (; s && (s = strstr(s, what)); s++)
        n++;
    return n;
}

static void the_journal_tells_each_event_once_and_only_when_durable(void **state)
{
    struct request *early = request_make(), *late = request_make(), *since = request_make();
    struct world w;

    setup(&w, 2);
    assert_int_equal(journal_listen(&w.m, early, 0), 0);
    world_turn(&w);
    assert_string_equal(early->all, "{\"jobs\":[],\"ninactive\":0,\"npurged\":0,\"serial\":0}\n");
    world_submit(&w, 1, 16);
    world_submit(&w, 2, 16);
    world_turn(&w);
    assert_int_equal(count(early->all, "\"jobspec\""), 2);
    assert_int_equal(count(early->all, "environment"), 0);
    assert_int_equal(count(early->all, "\"priority\""), 0);
    world_settle(&w);
    assert_int_equal(count(early->all, "\"name\":\"priority\""), 2);
    run_one(&w, 1, 0);
    assert_int_equal(count(early->all, "\"seq\":0,"), 2);
    assert_int_equal(count(early->all, "\"R\":"), 1);
    assert_int_equal(count(early->all, "\"name\":\"clean\""), 1);
    assert_int_equal(count(early->all, "\"inactive\":1}"), 1);
    assert_int_equal(journal_listen(&w.m, late, 0), 0);
    assert_int_equal(journal_listen(&w.m, since, 2), 0);
    world_settle(&w);
    assert_int_equal(count(late->all, "\"name\":\"submit\""), 2);
    assert_int_equal(count(since->all, "\"name\":\"submit\""), 1);
    assert_int_equal(count(late->all, "{\"jobs\":[],\"ninactive\":1,\"npurged\":0,"), 1);
    world_alloc(&w, 2);
    world_turn(&w);
    assert_int_equal(count(late->all, "\"name\":\"alloc\""), 1);
    world_settle(&w);
    assert_int_equal(count(late->all, "\"name\":\"alloc\""), 2);
    journal_gone(&w.m, early);
    request_drop(early);
    request_drop(late);
    request_drop(since);
    world_deinit(&w);
}

static uint64_t last_serial(const char *answers)
{
    const char *p = NULL;

    for (const char *s = answers; s && (s = strstr(s, "\"serial\":")); s++)
        p = s;
    assert_non_null(p);
    return strtoull(p + strlen("\"serial\":"), NULL, 10);
}

/* A client may have read in the KVS what we do not know to be there yet. */
static void who_asks_how_far_the_journal_is_is_told_after_the_commit_in_flight(void **state)
{
    struct request *journal = request_make(), *sync = request_make(), *idle = request_make();
    struct world w;

    setup(&w, 1);
    assert_int_equal(journal_listen(&w.m, journal, 0), 0);
    world_submit(&w, 1, 16);
    world_turn(&w);
    world_tick(&w);
    assert_true(w.commit_flying);
    assert_int_equal(journal_sync(&w.m, sync), 0);
    world_turn(&w);
    assert_int_equal(sync->nanswers, 0);
    world_commit(&w);
    assert_int_equal(sync->nanswers, 1);
    assert_true(last_serial(sync->last) > last_serial(journal->all)); /* it overtook the journal */
    world_turn(&w);
    assert_int_equal(count(journal->all, "\"name\":\"priority\""), 1);
    assert_int_equal(last_serial(journal->all), last_serial(sync->last));
    world_settle(&w);
    assert_int_equal(journal_sync(&w.m, idle), 0);
    assert_int_equal(last_serial(idle->last), last_serial(journal->all));
    world_deinit(&w);
    request_drop(journal);
    request_drop(sync);
    request_drop(idle);
}

#define AFTER(scheme, id)                                                                       \
    "{\"attributes\":{\"system\":{\"dependencies\":[{\"scheme\":\"" scheme "\",\"value\":\"" id \
    "\"}]}}}"

static void run_whole(struct world *w, flux_jobid_t id, int flags)
{
    world_submit_full(w, id, OWNER, 16, flags, "{}");
    world_settle(w);
    world_alloc(w, id);
    world_settle(w);
    world_run(w, id, 0);
    world_settle(w);
}

static void on_purged(void *arg, size_t n)
{
    *(size_t *)arg += n;
}

static void purged_jobs_leave_the_kvs_and_the_journal_with_one_commit(void **state)
{
    static const flux_jobid_t ids[] = { 1, 2, 3, 5 }, gone[] = { 77 };
    struct request *req = request_make();
    struct world w;
    size_t told = 0;

    setup(&w, 1);
    for (flux_jobid_t id = 1; id <= 4; id++)
        run_whole(&w, id, 0);
    world_submit_full(&w, 5, OWNER, 0, 0, "{}"); /* active */
    world_settle(&w);
    assert_int_equal(journal_listen(&w.m, req, 0), 0);
    world_settle(&w);
    w.m.purge.done = on_purged;
    w.m.purge.arg = &told;
    assert_int_equal(purge_post(&w.m, ids, 4, 0), 3);
    assert_int_equal(purge_post(&w.m, ids, 1, 0), -EBUSY);
    world_turn(&w);
    assert_int_equal(told, 0); /* not before it is durable */
    assert_null(strstr(req->all, "purged\":["));
    world_settle(&w);
    assert_int_equal(told, 3);
    assert_null(world_kvs(&w, "job", 1, ".eventlog"));
    assert_non_null(world_kvs(&w, "job", 4, ".eventlog"));
    assert_non_null(world_kvs(&w, "job", 5, ".eventlog"));
    assert_string_equal(world_kvs_get(&w, "job-state.npurged"), "3");
    assert_non_null(strstr(req->last, "\"ninactive\":4,\"npurged\":3,\"purged\":[1,2,3]"));
    assert_false(journal_is_inactive(&w.m, 1));
    assert_int_equal(purge_held(&w.m), 1);
    assert_int_equal(purge_post(&w.m, gone, 1, 1), 1); /* told again, counted once */
    world_settle(&w);
    assert_non_null(strstr(req->last, "\"npurged\":3,\"purged\":[77]"));
    request_drop(req);
    world_deinit(&w);
}

static void a_result_that_was_promised_is_not_purged(void **state)
{
    static const flux_jobid_t ids[] = { 1 };
    struct request *req = request_make();
    flux_error_t error;
    struct world w;

    setup(&w, 1);
    run_whole(&w, 1, FLUX_JOB_WAITABLE);
    assert_int_equal(purge_post(&w.m, ids, 1, 0), 0);
    assert_int_equal(wait_job(&w.m, owner, 1, req, &error), 0);
    assert_non_null(world_kvs_get(&w, "job-active.1"));
    assert_int_equal(purge_post(&w.m, ids, 1, 0), 1); /* it need not wait for the next commit */
    world_settle(&w);
    assert_null(world_kvs(&w, "job", 1, ".eventlog"));
    assert_null(world_kvs_get(&w, "job-active.1"));
    request_drop(req);
    world_deinit(&w);
}

static void a_crash_leaves_a_purge_done_or_not_begun(void **state)
{
    static const flux_jobid_t ids[] = { 1, 2 };

    for (int arrives = 0; arrives < 2; arrives++) {
        struct world w;

        setup(&w, 1);
        run_whole(&w, 1, 0);
        run_whole(&w, 2, 0);
        assert_int_equal(purge_post(&w.m, ids, 2, 0), 2);
        world_turn(&w);
        world_crash(&w, arrives);
        assert_int_equal(purge_held(&w.m), arrives ? 0 : 2);
        assert_int_equal(!world_kvs(&w, "job", 1, ".eventlog"), arrives);
        assert_int_equal(!world_kvs(&w, "job", 2, ".eventlog"), arrives);
        world_deinit(&w);
    }
}

static void a_purge_that_found_no_space_is_tried_again(void **state)
{
    static const flux_jobid_t ids[] = { 1 };
    struct world w;

    setup(&w, 1);
    run_whole(&w, 1, 0);
    assert_int_equal(purge_post(&w.m, ids, 1, 0), 1);
    world_turn(&w);
    world_commit_lost(&w);
    commit_done(&w.m, ENOSPC);
    assert_int_equal(purge_held(&w.m), 1);
    commit_retry(&w.m);
    world_settle(&w);
    assert_null(world_kvs(&w, "job", 1, ".eventlog"));
    assert_int_equal(purge_held(&w.m), 0);
    world_deinit(&w);
}

static void counters_tell_how_jobs_ended_and_what_commits_took(void **state)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    struct request *req = request_make();
    int submitted, completed, failed, canceled, commits, listeners, waitable;
    flux_error_t error;
    struct world w;

    setup(&w, 1);
    assert_int_equal(journal_listen(&w.m, req, 0), 0);
    run_whole(&w, 1, FLUX_JOB_WAITABLE);
    world_submit_full(&w, 2, OWNER, 16, 0, "{}");
    world_settle(&w);
    world_alloc(&w, 2);
    world_settle(&w);
    world_run(&w, 2, 256);
    world_settle(&w);
    world_submit_full(&w, 3, OWNER, 0, 0, "{}");
    world_settle(&w);
    assert_int_equal(raise_job(&w.m, owner, 3, 0, "cancel", "", NULL, &error), 0);
    world_settle(&w);
    counters_commit(&w.m, 1500);
    o = stats_json(&w.m);
    assert_int_equal(json_unpack(o, "{s:i s:{s:i s:i s:i s:i s:i} s:{s:i}}", "waitable_ended",
                                 &waitable, "since_clear", "submitted", &submitted, "completed",
                                 &completed, "failed", &failed, "canceled", &canceled, "commits",
                                 &commits, "journal", "listeners", &listeners),
                     0);
    assert_int_equal(submitted, 3);
    assert_int_equal(completed, 1);
    assert_int_equal(failed, 1);
    assert_int_equal(canceled, 1);
    assert_int_equal(commits, 1);
    assert_int_equal(listeners, 1);
    assert_int_equal(waitable, 1);
    counters_clear(&w.m);
    assert_int_equal(w.m.stats.submitted, 0);
    request_drop(req);
    world_deinit(&w);
}

static void dependencies_are_satisfied_or_raise_an_exception(void **state)
{
    struct world w;

    setup(&w, 10);
    world_submit(&w, 1, 16);
    world_submit(&w, 2, 16);
    world_submit_full(&w, 11, OWNER, 16, 0, AFTER("after", "1"));
    world_submit_full(&w, 12, OWNER, 16, 0, AFTER("afterany", "1"));
    world_submit_full(&w, 13, OWNER, 16, 0, AFTER("afterok", "1"));
    world_submit_full(&w, 14, OWNER, 16, 0, AFTER("afternotok", "1"));
    world_submit_full(&w, 15, OWNER, 16, 0, AFTER("afterok", "2"));
    world_submit_full(&w, 16, OWNER, 16, 0, AFTER("afterok", "99"));
    world_submit_full(&w, 17, OWNER, 16, 0, AFTER("perhaps", "1"));
    world_submit_full(&w, 18, GUEST, 16, 0, AFTER("afterany", "1"));
    world_submit_full(&w, 19, OWNER, 16, 0, AFTER("begin-time", "1000010000"));
    world_settle(&w);
    assert_events(&w, 11, "submit validate dependency-add");
    for (flux_jobid_t id = 16; id <= 18; id++)
        assert_events(&w, id, "submit validate exception clean");
    world_alloc(&w, 1);
    world_settle(&w);
    assert_events(&w, 11, "submit validate dependency-add dependency-remove depend priority");
    assert_events(&w, 12, "submit validate dependency-add");
    world_run(&w, 1, 0);
    world_settle(&w);
    assert_events(&w, 12, "submit validate dependency-add dependency-remove depend priority");
    assert_events(&w, 13, "submit validate dependency-add dependency-remove depend priority");
    assert_events(&w, 14, "submit validate dependency-add exception clean");
    run_one(&w, 2, 0x100);
    assert_events(&w, 15, "submit validate dependency-add exception clean");
    assert_true(w.m.depend.next == 1000010000);
    dependency_tick(&w.m);
    assert_events(&w, 19, "submit validate dependency-add");
    w.clock = 1000010000;
    dependency_tick(&w.m);
    world_settle(&w);
    assert_events(&w, 19, "submit validate dependency-add dependency-remove depend priority");
    world_deinit(&w);
}

static void a_long_chain_of_failing_dependencies_ends(void **state)
{
    struct world w;

    setup(&w, 1);
    world_submit(&w, 1, 16);
    for (flux_jobid_t id = 2; id <= 20000; id++) {
        char spec[160];

        (void)snprintf(spec, sizeof(spec), AFTER("afterok", "%d"), (int)id - 1);
        world_submit_full(&w, id, OWNER, 16, 0, spec);
    }
    run_one(&w, 1, 0x100);
    assert_int_equal(manager_count(&w.m), 0);
    world_deinit(&w);
}

static const char *pop_last(struct request *req)
{
    return req->nanswers > 0 ? req->last : NULL;
}

static void a_stopped_queue_asks_for_nothing_and_outlives_a_crash(void **state)
{
    struct world w;
    struct request *req = request_make();

    setup(&w, 2);
    world_submit(&w, 7, 16);
    world_settle(&w);
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

    setup(&w, 1);
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
    assert_int_equal(raise_job(&w.m, owner, 8, 0, "cancel", "", NULL, NULL), 0);
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

    setup(&w, 1);
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

    setup(&w, 1);
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
    assert_events(&w, 2, "submit validate depend priority");
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

    setup(&w, 1);
    world_submit(&w, 1, 16);
    world_settle(&w);
    assert_int_equal(quiesce_begin(&w.m, req), 0);
    world_settle(&w);
    assert_non_null(strstr(req->last, "\"idle\":false"));
    world_alloc(&w, 1); /* the answer and the cancel request have crossed */
    world_settle(&w);
    assert_non_null(strstr(req->last, "\"idle\":true"));
    assert_events(&w, 1, "submit validate depend priority alloc exception free clean");
    world_deinit(&w);
    request_drop(req);
}

static void a_scheduler_knows_by_the_session_what_was_asked_of_the_one_before(void **state)
{
    struct world w;

    setup(&w, 1);
    world_submit(&w, 1, 16);
    world_settle(&w);
    assert_non_null(strstr(w.sent.s, "sched.alloc-batch {\"jobs\":[{\"id\":1,"));
    assert_non_null(strstr(w.sent.s, "}],\"session\":\"5e\"}\n"));
    world_alloc(&w, 1);
    world_settle(&w);
    world_run(&w, 1, 0);
    world_settle(&w);
    assert_non_null(strstr(w.sent.s, "sched.free {\"id\":1,\"final\":true,\"session\":\"5e\"}\n"));
    world_deinit(&w);
}

static void an_unclean_run_begins_with_the_queue_closed_once(void **state)
{
    struct world w;
    struct request *req = request_make();

    setup(&w, 1);
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
        cmocka_unit_test(a_scheduler_knows_by_the_session_what_was_asked_of_the_one_before),
        cmocka_unit_test(an_unclean_run_begins_with_the_queue_closed_once),
        cmocka_unit_test(a_job_goes_through_its_whole_life),
        cmocka_unit_test(nothing_starts_before_its_allocation_is_durable),
        cmocka_unit_test(events_of_one_turn_are_one_commit_with_one_append_a_job),
        cmocka_unit_test(what_nothing_waits_for_is_committed_with_what_follows),
        cmocka_unit_test(what_nothing_waits_for_is_committed_soon_all_the_same),
        cmocka_unit_test(the_end_of_a_job_and_the_allocation_of_the_next_are_one_commit),
        cmocka_unit_test(the_scheduler_is_waited_for_until_it_has_seen_what_is_free),
        cmocka_unit_test(the_scheduler_is_not_waited_for_for_long),
        cmocka_unit_test(a_commit_cut_short_gives_no_resources_to_two_jobs),
        cmocka_unit_test(starts_of_a_turn_share_a_message),
        cmocka_unit_test(simulated_jobs_start_at_once_and_anew_if_that_is_lost),
        cmocka_unit_test(a_commit_that_found_no_space_is_tried_again_unchanged),
        cmocka_unit_test(a_commit_of_unknown_outcome_ends_the_daemon),
        cmocka_unit_test(answers_wait_until_their_events_are_durable),
        cmocka_unit_test(answers_for_many_jobs_wait_until_all_their_events_are_durable),
        cmocka_unit_test(a_new_urgency_is_acknowledged_when_it_is_durable),
        cmocka_unit_test(settings_of_the_queue_are_acknowledged_when_they_are_durable),
        cmocka_unit_test(the_queue_is_idle_when_the_end_of_its_last_job_is_durable),
        cmocka_unit_test(allocations_are_asked_for_by_priority_then_id),
        cmocka_unit_test(limited_mode_makes_room_for_the_more_important),
        cmocka_unit_test(urgency_holds_releases_and_reorders),
        cmocka_unit_test(denied_jobs_end_with_an_alloc_exception),
        cmocka_unit_test(cancel_meets_an_allocation_under_way),
        cmocka_unit_test(cancel_of_a_running_job_waits_for_its_end),
        cmocka_unit_test(signals_go_to_running_jobs_only),
        cmocka_unit_test(a_lost_scheduler_is_asked_again_after_its_hello),
        cmocka_unit_test(what_is_freed_between_hello_and_ready_is_not_lost),
        cmocka_unit_test(a_lost_execution_service_is_asked_to_reattach),
        cmocka_unit_test(an_end_without_a_status_is_an_exception),
        cmocka_unit_test(submit_of_a_known_or_ended_job_is_ignored),
        cmocka_unit_test(each_ended_job_is_told_to_exactly_one_waiter),
        cmocka_unit_test(a_result_that_nobody_waited_for_survives_a_restart),
        cmocka_unit_test(a_user_cannot_grow_an_eventlog_without_bound),
        cmocka_unit_test(the_entry_of_a_job_that_was_waited_for_goes_with_a_commit_of_others),
        cmocka_unit_test(wait_is_answered_when_the_end_is_durable),
        cmocka_unit_test(annotations_merge_and_are_recorded_with_alloc),
        cmocka_unit_test(the_journal_tells_each_event_once_and_only_when_durable),
        cmocka_unit_test(who_asks_how_far_the_journal_is_is_told_after_the_commit_in_flight),
        cmocka_unit_test(purged_jobs_leave_the_kvs_and_the_journal_with_one_commit),
        cmocka_unit_test(a_result_that_was_promised_is_not_purged),
        cmocka_unit_test(a_crash_leaves_a_purge_done_or_not_begun),
        cmocka_unit_test(a_purge_that_found_no_space_is_tried_again),
        cmocka_unit_test(counters_tell_how_jobs_ended_and_what_commits_took),
        cmocka_unit_test(dependencies_are_satisfied_or_raise_an_exception),
        cmocka_unit_test(a_long_chain_of_failing_dependencies_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
