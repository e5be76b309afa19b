/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Ended jobs leave the KVS and the journal whole, or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "test-world.h"

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

    world_setup(&w, 1);
    for (flux_jobid_t id = 1; id <= 4; id++)
        world_run_whole(&w, id, 0);
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

    world_setup(&w, 1);
    world_run_whole(&w, 1, FLUX_JOB_WAITABLE);
    assert_int_equal(purge_post(&w.m, ids, 1, 0), 0);
    assert_int_equal(wait_job(&w.m, world_owner, 1, req, &error), 0);
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

        world_setup(&w, 1);
        world_run_whole(&w, 1, 0);
        world_run_whole(&w, 2, 0);
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

    world_setup(&w, 1);
    world_run_whole(&w, 1, 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(purged_jobs_leave_the_kvs_and_the_journal_with_one_commit),
        cmocka_unit_test(a_result_that_was_promised_is_not_purged),
        cmocka_unit_test(a_crash_leaves_a_purge_done_or_not_begun),
        cmocka_unit_test(a_purge_that_found_no_space_is_tried_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
