/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The life of a job from its submission to its end, and what is lost on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "test-world.h"

static const struct asker owner = { .userid = OWNER, .owner = true };

static void a_job_goes_through_its_whole_life(void **state)
{
    struct world w;

    world_setup(&w, 1);
    world_submit_full(&w, 7, OWNER, 16, 0, "{}");
    world_settle(&w);
    assert_int_equal(world_next_asked(&w), 7);
    world_alloc(&w, 7);
    world_settle(&w);
    assert_int_equal(world_job(&w, 7)->nstarts, 1);
    world_run(&w, 7, 0);
    world_settle(&w);
    world_assert_events(&w, 7, WHOLE_LIFE);
    assert_null(world_kvs(&w, "job-active", 7, ""));
    assert_string_equal(world_kvs_get(&w, "job-state.ninactive"), "1");
    assert_int_equal(manager_count(&w.m), 0);
    assert_int_equal(world_job(&w, 7)->nfrees, 1);
    world_deinit(&w);
}

static void nothing_starts_before_its_allocation_is_durable(void **state)
{
    struct world w;

    world_submitted(&w, 1, 7);
    world_alloc(&w, 7);
    world_turn(&w);
    assert_true(w.commit_flying);
    assert_int_equal(world_job(&w, 7)->nstarts, 0);
    world_commit(&w);
    world_turn(&w);
    assert_int_equal(world_job(&w, 7)->nstarts, 1);
    world_deinit(&w);
}

static void a_namespace_comes_with_the_allocation_and_the_start_says_so(void **state)
{
    struct world w;

    world_setup(&w, 1);
    world_submit_full(&w, 7, GUEST, 16, 0, "{}");
    world_settle(&w);
    assert_null(world_kvs(&w, "job", 7, ".guest"));
    world_alloc(&w, 7);
    world_turn(&w);
    world_commit(&w);
    world_turn(&w);
    assert_string_equal(world_kvs(&w, "job", 7, ".guest"), "job-7 200");
    assert_non_null(strstr(w.sent.s, "\"reattach\":false,\"guest\":true"));
    /* Another process did not see it being made. */
    world_crash(&w, true);
    text_deinit(&w.sent);
    world_settle(&w);
    assert_non_null(strstr(w.sent.s, "\"reattach\":true"));
    assert_null(strstr(w.sent.s, "\"guest\""));
    world_deinit(&w);
}

static void a_job_that_is_handed_over_is_archived_with_its_finish_and_then_forgotten(void **state)
{
    struct world w;

    world_setup(&w, 1);
    world_submit(&w, 7, 16);
    world_submit(&w, 8, 16);
    world_settle(&w);
    world_alloc(&w, 7);
    world_settle(&w);
    world_job(&w, 7)->hand_over = true;
    world_run(&w, 7, 0);
    world_turn(&w);
    world_tick(&w);
    assert_true(w.commit_flying);
    assert_string_equal(world_kvs(&w, "job", 7, ".guest"), "job-7 100");
    assert_null(strstr(w.sent.s, "forget"));
    world_commit(&w);
    assert_string_equal(world_kvs(&w, "job", 7, ".guest"), "archive");
    assert_non_null(strstr(world_kvs(&w, "job", 7, ".eventlog"), "finish"));
    world_turn(&w);
    assert_non_null(strstr(w.sent.s, "job-exec.forget {\"ids\":[7]}"));
    /* The next start carries it, if it is there to do so. */
    world_alloc(&w, 8);
    world_settle(&w);
    assert_int_equal(world_job(&w, 8)->nstarts, 1);
    world_deinit(&w);
}

static void a_namespace_of_a_job_that_nobody_started_is_archived_here(void **state)
{
    struct request *req = request_make();
    flux_error_t error;
    struct world w;

    world_setup(&w, 1);
    world_exec_down(&w);
    world_submit(&w, 7, 16);
    world_settle(&w);
    world_alloc(&w, 7);
    world_settle(&w);
    assert_string_equal(world_kvs(&w, "job", 7, ".guest"), "job-7 100");
    assert_int_equal(raise_job(&w.m, owner, 7, 0, "cancel", "", req, &error), 0);
    world_settle(&w);
    assert_int_equal(manager_count(&w.m), 0);
    assert_string_equal(world_kvs(&w, "job", 7, ".guest"), "archive");
    request_drop(req);
    world_deinit(&w);
}

static void simulated_jobs_and_those_that_end_at_once_get_no_namespace(void **state)
{
    struct request *req = request_make();
    flux_error_t error;
    struct world w;

    world_setup(&w, 2);
    world_submit_full(&w, 7, OWNER, 16, 0,
                      "{\"attributes\":{\"system\":{\"exec\":{\"test\":{}}}}}");
    world_submit(&w, 8, 16);
    world_settle(&w);
    world_alloc(&w, 7);
    world_alloc(&w, 8);
    assert_int_equal(raise_job(&w.m, owner, 8, 0, "cancel", "", req, &error), 0);
    world_settle(&w);
    assert_null(world_kvs(&w, "job", 7, ".guest"));
    assert_null(world_kvs(&w, "job", 8, ".guest"));
    request_drop(req);
    world_deinit(&w);
}

static void starts_of_a_turn_share_a_message(void **state)
{
    struct world w;

    world_setup(&w, 3);
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

    world_setup(&w, 1);
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
    world_assert_events(&w, 1, WHOLE_LIFE);
    assert_int_equal(w.nused, 0);
    world_deinit(&w);
}

static void submit_of_a_known_or_ended_job_is_ignored(void **state)
{
    struct world w;

    world_setup(&w, 1);
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

static void an_end_without_a_status_is_an_exception(void **state)
{
    struct world w;

    world_submitted(&w, 1, 1);
    world_alloc(&w, 1);
    world_settle(&w);
    world_job(&w, 1)->running = false;
    world_exec_answer(&w, 1, "release", "{\"ranks\":\"all\",\"final\":true}");
    world_settle(&w);
    world_assert_events(&w, 1,
                        "submit validate depend priority alloc exception release free clean");
    assert_int_equal(w.nused, 0);
    world_deinit(&w);
}

static void a_lost_execution_service_is_asked_to_reattach(void **state)
{
    struct world w;

    world_submitted(&w, 1, 1);
    world_alloc(&w, 1);
    world_settle(&w);
    world_exec_down(&w);
    assert_int_equal(w.nwakes[PEER_EXEC], 1);
    world_exec_up(&w);
    world_settle(&w);
    assert_non_null(strstr(w.sent.s, "\"reattach\":true,\"started\":false,\"cleanup\":false"));
    world_run(&w, 1, 0);
    world_settle(&w);
    world_assert_events(&w, 1, WHOLE_LIFE);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_goes_through_its_whole_life),
        cmocka_unit_test(nothing_starts_before_its_allocation_is_durable),
        cmocka_unit_test(a_namespace_comes_with_the_allocation_and_the_start_says_so),
        cmocka_unit_test(a_job_that_is_handed_over_is_archived_with_its_finish_and_then_forgotten),
        cmocka_unit_test(a_namespace_of_a_job_that_nobody_started_is_archived_here),
        cmocka_unit_test(simulated_jobs_and_those_that_end_at_once_get_no_namespace),
        cmocka_unit_test(starts_of_a_turn_share_a_message),
        cmocka_unit_test(simulated_jobs_start_at_once_and_anew_if_that_is_lost),
        cmocka_unit_test(submit_of_a_known_or_ended_job_is_ignored),
        cmocka_unit_test(an_end_without_a_status_is_an_exception),
        cmocka_unit_test(a_lost_execution_service_is_asked_to_reattach),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
