/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "sched/engine.h"

DEFINE_CLEANUP(struct rset *, rset_free)
DEFINE_CLEANUP(struct idset *, idset_destroy)

#define NOW 1000.0

static json_t *answers; /* all so far */

static void on_answer(json_t *answer, void *arg)
{
    assert_non_null(answer);
    assert_int_equal(json_array_append_new(answers, answer), 0);
}

static int setup(void **state)
{
    answers = json_array();
    return 0;
}

static int teardown(void **state)
{
    json_decref(answers);
    return 0;
}

static struct engine *make_engine(const char *cores)
{
    CLEANUP(rset_freep) struct rset *r = NULL;
    CLEANUP(idset_destroyp) struct idset *c = idset_decode(cores);
    CLEANUP(idset_destroyp) struct idset *g = idset_decode("");
    CLEANUP(idset_destroyp) struct idset *ranks = idset_decode("0");
    struct engine *e;

    assert_int_equal(rset_new(&r), 0);
    assert_int_equal(rset_add(r, 0, "node0", c, g), 0);
    assert_int_equal(engine_new(r, on_answer, NULL, &e), 0);
    engine_set_up(e, ranks, true);
    return e;
}

static void submit(struct engine *e, flux_jobid_t id, uint32_t priority, int cores)
{
    struct pending job = { .id = id,
                           .priority = priority,
                           .t_submit = (double)id,
                           .request = { .nslots = 1, .cores_per_slot = cores } };

    assert_int_equal(engine_submit(e, &job), 0);
}

static void run(struct engine *e)
{
    assert_false(engine_run(e, 1000, NOW));
}

static void assert_answer(size_t n, flux_jobid_t id, enum alloc_type type)
{
    json_t *o = json_array_get(answers, n);

    assert_non_null(o);
    assert_int_equal(json_integer_value(json_object_get(o, "id")), id);
    assert_int_equal(json_integer_value(json_object_get(o, "type")), type);
}

static void jobs_are_allocated_by_priority_then_submission(void **state)
{
    CLEANUP(engine_freep) struct engine *e = make_engine("0-3");

    submit(e, 4, 16, 1);
    submit(e, 3, 16, 1);
    submit(e, 2, 1, 1);
    submit(e, 5, 31, 1);
    run(e);
    assert_int_equal(json_array_size(answers), 4);
    assert_answer(0, 5, ALLOC_SUCCESS);
    assert_answer(1, 3, ALLOC_SUCCESS);
    assert_answer(2, 4, ALLOC_SUCCESS);
    assert_answer(3, 2, ALLOC_SUCCESS);
}

static void nothing_overtakes_a_head_that_does_not_fit(void **state)
{
    CLEANUP(engine_freep) struct engine *e = make_engine("0-3");

    submit(e, 1, 16, 3);
    submit(e, 2, 16, 2);
    submit(e, 3, 16, 1);
    run(e);
    assert_int_equal(json_array_size(answers), 1);
    assert_int_equal(engine_pending(e), 2);
    assert_int_equal(engine_release(e, 1, NULL, true), 0);
    run(e);
    assert_int_equal(json_array_size(answers), 3);
    assert_answer(1, 2, ALLOC_SUCCESS);
    assert_answer(2, 3, ALLOC_SUCCESS);
}

static void a_new_priority_changes_the_order(void **state)
{
    CLEANUP(engine_freep) struct engine *e = make_engine("0");

    submit(e, 1, 16, 1);
    run(e);
    submit(e, 2, 16, 1);
    submit(e, 3, 16, 1);
    run(e);
    engine_prioritize(e, 3, 20);
    assert_int_equal(engine_release(e, 1, NULL, true), 0);
    run(e);
    assert_answer(1, 3, ALLOC_SUCCESS);
}

static void jobs_with_priority_zero_are_held(void **state)
{
    CLEANUP(engine_freep) struct engine *e = make_engine("0-1");

    submit(e, 1, 0, 1);
    run(e);
    assert_int_equal(json_array_size(answers), 0);
    engine_prioritize(e, 1, 1);
    run(e);
    assert_answer(0, 1, ALLOC_SUCCESS);
}

static void canceling_a_blocked_head_lets_the_next_one_in(void **state)
{
    CLEANUP(engine_freep) struct engine *e = make_engine("0-1");

    submit(e, 1, 16, 1);
    submit(e, 2, 16, 2);
    submit(e, 3, 16, 1);
    run(e);
    engine_cancel(e, 2);
    engine_cancel(e, 2);
    engine_cancel(e, 99);
    run(e);
    assert_int_equal(json_array_size(answers), 3);
    assert_answer(1, 2, ALLOC_CANCEL);
    assert_answer(2, 3, ALLOC_SUCCESS);
}

static void impossible_jobs_are_denied_with_the_reason(void **state)
{
    CLEANUP(engine_freep) struct engine *e = make_engine("0-1");

    submit(e, 1, 16, 3);
    assert_answer(0, 1, ALLOC_DENY);
    assert_string_equal(json_string_value(json_object_get(json_array_get(answers, 0), "note")),
                        "the job asks for 3 cores in one slot, but the largest node has 2");
    assert_int_equal(engine_pending(e), 0);
}

static void success_carries_R_and_its_summary(void **state)
{
    CLEANUP(engine_freep) struct engine *e = make_engine("0-3");
    struct pending job = {
        .id = 7, .priority = 16, .duration = 60, .request = { .nslots = 2, .cores_per_slot = 1 }
    };
    const char *summary, *rank, *core, *host;
    double start, end;

    assert_int_equal(engine_submit(e, &job), 0);
    run(e);
    assert_int_equal(json_unpack(json_array_get(answers, 0),
                                 "{s:{s:{s:s}} s:{s:{s:[{s:s s:{s:s}}] s:F s:F s:[s]}}}",
                                 "annotations", "sched", "resource_summary", &summary, "R",
                                 "execution", "R_lite", "rank", &rank, "children", "core", &core,
                                 "starttime", &start, "expiration", &end, "nodelist", &host),
                     0);
    assert_string_equal(summary, "rank0/core[0-1]");
    assert_string_equal(rank, "0");
    assert_string_equal(core, "0-1");
    assert_string_equal(host, "node0");
    assert_true(start == NOW);
    assert_true(end == NOW + 60);
}

static void a_job_gives_back_only_what_it_holds(void **state)
{
    CLEANUP(engine_freep) struct engine *e = make_engine("0-3");
    CLEANUP(rset_freep) struct rset *r2 = NULL;
    const char *text = "{\"version\":1,\"execution\":{\"R_lite\":[{\"rank\":\"0\",\"children\":"
                       "{\"core\":\"1\"}}],\"nodelist\":[\"node0\"],\"starttime\":0,"
                       "\"expiration\":0}}";

    submit(e, 1, 16, 1);
    submit(e, 2, 16, 1);
    run(e);
    assert_int_equal(rset_decode_string(text, &r2, NULL), 0);
    assert_int_equal(engine_release(e, 1, r2, true), -EINVAL);
    assert_int_equal(engine_release(e, 9, r2, true), -ENOENT);
    assert_int_equal(pool_usage(engine_pool(e)).busy_cores, 2);
    assert_int_equal(engine_release(e, 2, r2, true), 0);
    assert_int_equal(engine_release(e, 2, r2, true), -ENOENT);
    assert_int_equal(pool_usage(engine_pool(e)).busy_cores, 1);
    assert_int_equal(engine_running(e), 1);
}

static void restored_jobs_hold_what_they_had(void **state)
{
    CLEANUP(engine_freep) struct engine *e = make_engine("0-1");
    CLEANUP(rset_freep) struct rset *r = NULL;
    const char *text = "{\"version\":1,\"execution\":{\"R_lite\":[{\"rank\":\"0\",\"children\":"
                       "{\"core\":\"0\"}}],\"nodelist\":[\"node0\"],\"starttime\":0,"
                       "\"expiration\":0}}";
    struct pending again = { .id = 1, .priority = 16, .request = { 0, 1, 1, 0, false } };

    assert_int_equal(rset_decode_string(text, &r, NULL), 0);
    assert_int_equal(engine_restore(e, 1, r), 0);
    assert_int_equal(engine_restore(e, 1, r), -EEXIST);
    assert_int_equal(engine_restore(e, 2, r), 1); /* another job claims the same core */
    assert_int_equal(engine_submit(e, &again), 0);
    assert_int_equal(engine_pending(e), 0);
    submit(e, 3, 16, 2);
    run(e);
    assert_int_equal(json_array_size(answers), 0);
    assert_int_equal(engine_release(e, 2, NULL, true), 0);
    run(e);
    assert_int_equal(json_array_size(answers), 0);
    assert_int_equal(engine_release(e, 1, NULL, true), 0);
    run(e);
    assert_answer(0, 3, ALLOC_SUCCESS);
}

static void one_run_is_bounded(void **state)
{
    CLEANUP(engine_freep) struct engine *e = make_engine("0-9");

    for (flux_jobid_t id = 1; id <= 10; id++)
        submit(e, id, 16, 1);
    assert_true(engine_run(e, 4, NOW));
    assert_int_equal(json_array_size(answers), 4);
    run(e);
    assert_int_equal(json_array_size(answers), 10);
}

static void requests_that_are_no_jobs_are_refused_with_a_sentence(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"id\":1,\"priority\":-1,\"userid\":0,\"t_submit\":0,\"jobspec\":{}}",
        "{\"id\":1,\"priority\":1,\"userid\":0,\"t_submit\":0,\"jobspec\":{}}",
        "{\"id\":\"x\",\"priority\":1,\"userid\":0,\"t_submit\":0,\"jobspec\":{}}",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP(json_decrefp) json_t *o = json_loads(bad[i], 0, NULL);
        struct pending job;
        flux_error_t error = { "" };

        assert_int_equal(engine_decode_job(o, &job, &error), -EPROTO);
        assert_true(strlen(error.text) > 0);
    }
}

static void the_jobspec_of_a_request_is_read(void **state)
{
    CLEANUP(json_decrefp)
    json_t *o = json_loads(
        "{\"id\":5,\"priority\":9,\"userid\":1000,\"t_submit\":2.5,\"jobspec\":{\"version\":1,"
        "\"resources\":[{\"type\":\"node\",\"count\":2,\"with\":[{\"type\":\"slot\",\"label\":"
        "\"task\",\"count\":3,\"with\":[{\"type\":\"core\",\"count\":4},{\"type\":\"gpu\",\"count\""
        ":1}]}]}],\"tasks\":[{\"command\":[\"a\"],\"slot\":\"task\",\"count\":{\"per_slot\":1}}],"
        "\"attributes\":{\"system\":{\"duration\":10}}}}",
        0, NULL);
    struct pending job;

    assert_non_null(o);
    assert_int_equal(engine_decode_job(o, &job, NULL), 0);
    assert_int_equal(job.id, 5);
    assert_int_equal(job.priority, 9);
    assert_int_equal(job.userid, 1000);
    assert_true(job.t_submit == 2.5);
    assert_true(job.duration == 10);
    assert_int_equal(job.request.nnodes, 2);
    assert_int_equal(job.request.nslots, 6);
    assert_int_equal(job.request.cores_per_slot, 4);
    assert_int_equal(job.request.gpus_per_slot, 1);
    assert_false(job.request.exclusive);
}

/* The heap against sorting, with random additions, removals and new priorities. */
static void the_queue_is_always_in_order(void **state)
{
    CLEANUP(queue_freep) struct queue *q = NULL;
    uint64_t x = 42;
    size_t present = 0;

    assert_int_equal(queue_new(&q), 0);
    for (int i = 0; i < 20000; i++) {
        struct pending job = { 0 };

        x = x * 6364136223846793005u + 1442695040888963407u;
        job.id = (x >> 33) % 500;
        job.priority = (uint32_t)(x >> 50) % 7;
        job.t_submit = (double)((x >> 40) % 13);
        if (x % 3 == 0)
            present -= queue_remove(q, job.id) == 0;
        else if (x % 3 == 1)
            present += queue_add(q, &job) == 0;
        else
            (void)queue_reprioritize(q, job.id, job.priority);
        assert_int_equal(queue_count(q), present);
    }
    for (struct pending prev = { .priority = UINT32_MAX }; present > 0; present--) {
        struct pending head = *queue_head(q);

        assert_true(prev.priority > head.priority ||
                    (prev.priority == head.priority &&
                     (prev.t_submit < head.t_submit ||
                      (prev.t_submit == head.t_submit && prev.id < head.id))));
        assert_int_equal(queue_remove(q, head.id), 0);
        prev = head;
    }
    assert_null(queue_head(q));
}

static void more_nodes_may_come_while_jobs_run_and_wait(void **state)
{
    CLEANUP(engine_freep) struct engine *e = make_engine("0-3");
    CLEANUP(rset_freep) struct rset *more = NULL;
    CLEANUP(idset_destroyp) struct idset *both = idset_decode("0-1");
    CLEANUP(idset_destroyp) struct idset *none = idset_decode("");

    submit(e, 1, 16, 4);
    submit(e, 2, 16, 4);
    run(e);
    assert_int_equal(engine_running(e), 1);
    assert_int_equal(rset_copy(pool_all(engine_pool(e)), &more), 0);
    assert_int_equal(rset_add(more, 1, "node1", rset_nth(more, 0)->cores, none), 0);
    assert_int_equal(engine_grow(e, more), 0);
    run(e);
    assert_int_equal(engine_running(e), 1);
    engine_set_up(e, both, true);
    run(e);
    assert_int_equal(engine_running(e), 2);
    assert_answer(1, 2, ALLOC_SUCCESS);
    assert_int_equal(pool_usage(engine_pool(e)).busy_nodes, 2);
    assert_int_equal(engine_release(e, 1, NULL, true), 0);
    assert_int_equal(engine_release(e, 2, NULL, true), 0);
    assert_int_equal(pool_usage(engine_pool(e)).busy_cores, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(jobs_are_allocated_by_priority_then_submission),
        T(nothing_overtakes_a_head_that_does_not_fit),
        T(a_new_priority_changes_the_order),
        T(jobs_with_priority_zero_are_held),
        T(canceling_a_blocked_head_lets_the_next_one_in),
        T(impossible_jobs_are_denied_with_the_reason),
        T(success_carries_R_and_its_summary),
        T(a_job_gives_back_only_what_it_holds),
        T(restored_jobs_hold_what_they_had),
        T(more_nodes_may_come_while_jobs_run_and_wait),
        T(one_run_is_bounded),
        T(requests_that_are_no_jobs_are_refused_with_a_sentence),
        T(the_jobspec_of_a_request_is_read),
        T(the_queue_is_always_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
