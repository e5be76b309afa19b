/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What is asked of the scheduler, in which order, and again when it was lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "test-world.h"

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
    assert_int_equal((int)queue_count(&w.m.alloc.outstanding), 2);
    assert_int_equal(world_job(&w, 1)->asked, 0);
    assert_int_equal(urgency_job(&w.m, world_owner, 1, 30, req, &error), 0);
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

    world_setup(&w, 1);
    world_submit_full(&w, 1, GUEST, 16, 0, "{}");
    world_settle(&w);
    assert_int_equal(urgency_job(&w.m, world_guest, 1, 17, req, &error), -EPERM);
    assert_int_equal(urgency_job(&w.m, world_owner, 1, 32, req, &error), -EINVAL);
    assert_int_equal(urgency_job(&w.m, world_guest, 1, 0, req, &error), 0);
    world_settle(&w);
    assert_non_null(strstr(w.sent.s, "sched.cancel {\"id\":1}"));
    world_sched_answer(&w, 1, 3);
    world_settle(&w);
    assert_int_equal(world_next_asked(&w), 0);
    assert_int_equal(urgency_job(&w.m, world_guest, 1, 5, req, &error), 0);
    world_settle(&w);
    assert_int_equal(world_next_asked(&w), 1);
    assert_int_equal(req->nanswers, 2);
    assert_int_equal(urgency_job(&w.m, world_owner, 1, 6, req, &error), 0);
    assert_non_null(strstr(w.sent.s, "sched.prioritize {\"jobs\":[[1,6]]}"));
    world_alloc(&w, 1);
    world_settle(&w);
    assert_int_equal(urgency_job(&w.m, world_owner, 1, 7, req, &error), -EINVAL);
    request_drop(req);
    world_deinit(&w);
}

static void denied_jobs_end_with_an_alloc_exception(void **state)
{
    struct world w;

    world_submitted(&w, 1, 1);
    world_sched_answer(&w, 1, 2);
    world_settle(&w);
    world_assert_events(&w, 1, "submit validate depend priority exception clean");
    assert_non_null(strstr(world_kvs(&w, "job", 1, ".eventlog"), "\"type\":\"alloc\""));
    world_deinit(&w);
}

static void a_lost_scheduler_is_asked_again_after_its_hello(void **state)
{
    struct world w;

    world_setup(&w, 2);
    for (flux_jobid_t id = 1; id <= 3; id++)
        world_submit(&w, id, 16);
    world_settle(&w);
    world_alloc(&w, 1);
    world_settle(&w);
    world_sched_down(&w);
    assert_int_equal(w.nwakes[PEER_SCHED], 1);
    world_settle(&w);
    assert_int_equal((int)queue_count(&w.m.alloc.pending), 2);
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

    world_submitted(&w, 1, 1);
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

static void a_scheduler_knows_by_the_session_what_was_asked_of_the_one_before(void **state)
{
    struct world w;

    world_submitted(&w, 1, 1);
    assert_non_null(strstr(w.sent.s, "sched.alloc-batch {\"jobs\":[{\"id\":1,"));
    assert_non_null(strstr(w.sent.s, "}],\"session\":\"5e\"}\n"));
    world_alloc(&w, 1);
    world_settle(&w);
    world_run(&w, 1, 0);
    world_settle(&w);
    assert_non_null(strstr(w.sent.s, "sched.free {\"id\":1,\"final\":true,\"session\":\"5e\"}\n"));
    world_deinit(&w);
}

static void annotations_merge_and_are_recorded_with_alloc(void **state)
{
    json_t *o;
    struct world w;

    world_submitted(&w, 1, 1);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_asked_for_by_priority_then_id),
        cmocka_unit_test(limited_mode_makes_room_for_the_more_important),
        cmocka_unit_test(urgency_holds_releases_and_reorders),
        cmocka_unit_test(denied_jobs_end_with_an_alloc_exception),
        cmocka_unit_test(a_lost_scheduler_is_asked_again_after_its_hello),
        cmocka_unit_test(what_is_freed_between_hello_and_ready_is_not_lost),
        cmocka_unit_test(a_scheduler_knows_by_the_session_what_was_asked_of_the_one_before),
        cmocka_unit_test(annotations_merge_and_are_recorded_with_alloc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
