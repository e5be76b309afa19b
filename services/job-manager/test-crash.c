/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Random histories with crashes at any moment, fixed seeds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "test-world.h"

#define NJOBS     40
#define SIMULATED "{\"attributes\":{\"system\":{\"exec\":{\"test\":{}}}}}"

static flux_jobid_t any_running(struct world *w)
{
    struct world_job *j, *tmp;

    HASH_ITER (hh, w->jobs, j, tmp) {
        struct job *job = j->running ? manager_find(&w->m, j->id) : NULL;

        if (job && job->start_pending && random() % 3 == 0)
            return j->id;
    }
    return 0;
}

/* The scheduler answers a cancellation it was sent. */
static void answer_cancels(struct world *w)
{
    struct job *job, *tmp;

    HASH_ITER (hh, w->m.jobs, job, tmp) {
        if (job->alloc_canceling && world_job(w, job->id)->asked > 0)
            world_sched_answer(w, job->id, 3);
    }
}

static void finish_one(struct world *w, flux_jobid_t id)
{
    struct job *job = manager_find(&w->m, id);

    world_job(w, id)->hand_over = random() % 2;
    if (job->started || random() % 4)
        world_run(w, id, random() % 2 ? 0 : 0x100);
    else {
        world_exec_answer(w, id, "exception",
                          "{\"severity\":0,\"type\":\"exec\",\"note\":\"no shell\"}");
        world_job(w, id)->running = false;
        world_exec_answer(w, id, "release", "{\"ranks\":\"all\",\"final\":true}");
    }
}

static void raise_any(struct world *w, flux_jobid_t last)
{
    struct request *req = request_make();
    flux_error_t error;

    (void)raise_job(&w->m, world_owner, 1 + (flux_jobid_t)random() % last, random() % 2, "cancel",
                    "", req, &error);
    request_drop(req);
}

static void step(struct world *w, flux_jobid_t *last)
{
    flux_jobid_t id;

    switch (random() % 12) {
    case 0:
        if (*last < NJOBS) {
            char spec[160] = "{}";

            ++*last;
            if (random() % 4 == 0)
                (void)snprintf(spec, sizeof(spec), SIMULATED);
            else if (random() % 3 == 0 && *last > 1)
                (void)snprintf(spec, sizeof(spec),
                               "{\"attributes\":{\"system\":{\"dependencies\":[{\"scheme\":\"%s\","
                               "\"value\":\"%d\"}]}}}",
                               random() % 2 ? "afterany" : "afterok", (int)*last - 1);
            if (random() % 10) {
                world_submit_full(w, *last, OWNER, (int)(random() % 31) + 1, FLUX_JOB_WAITABLE,
                                  spec);
                break;
            }
            /* ingest stored it, and the manager died before it was told */
            world_store(w, *last, OWNER, 16, FLUX_JOB_WAITABLE, spec);
            world_crash(w, false);
        }
        break;
    case 1:
    case 2:
        id = world_next_asked(w);
        if (id && w->sched_up && w->nused < w->nslots)
            world_alloc(w, id);
        break;
    case 3:
    case 4:
        id = w->exec_up ? any_running(w) : 0;
        if (id)
            finish_one(w, id);
        break;
    case 5:
        if (*last > 0 && random() % 4 == 0)
            raise_any(w, *last);
        break;
    case 6:
    case 7:
        if (w->commit_flying)
            world_commit(w);
        else if (random() % 2)
            world_tick(w);
        break;
    case 8:
        if (random() % 6 == 0)
            world_crash(w, random() % 2);
        break;
    case 9:
        if (random() % 8 == 0) {
            world_sched_down(w);
            w->tells_freed = random() % 2;
            world_sched_up(w, "unlimited", true);
        }
        break;
    case 10:
        if (random() % 8 == 0) {
            world_exec_down(w);
            world_exec_up(w);
        }
        break;
    default:
        (void)manager_process(&w->m);
        if (w->sched_up)
            answer_cancels(w);
        if (w->sched_up && w->tells_freed && w->nfreed > 0 && random() % 2)
            world_sched_seen(w);
    }
    assert_int_equal(w->m.fatal, 0);
}

static void assert_same_as_replayed(struct world *w, struct job *job)
{
    const char *log = world_kvs(w, "job", job->id, ".eventlog");
    CLEANUP(job_unrefp) struct job *replayed = NULL;

    assert_int_equal(job_new(job->id, &replayed), 0);
    assert_int_equal(event_replay(replayed, log, strlen(log), NULL), 0);
    assert_string_equal(replayed->log.s, job->log.s);
    assert_int_equal(replayed->state, job->state);
    assert_int_equal(replayed->userid, job->userid);
    assert_int_equal(replayed->urgency, job->urgency);
    assert_int_equal(replayed->priority, job->priority);
    assert_int_equal(replayed->flags, job->flags);
    assert_true(replayed->t_submit - job->t_submit < 1e-5);
    assert_int_equal(replayed->has_resources, job->has_resources);
    assert_int_equal(replayed->ran, job->ran);
    assert_int_equal(replayed->started, job->started);
    assert_int_equal(replayed->finished, job->finished);
    assert_int_equal(replayed->released, job->released);
    assert_int_equal(replayed->failed, job->failed);
    assert_int_equal(replayed->canceled, job->canceled);
    assert_int_equal(replayed->status, job->status);
    assert_int_equal(replayed->ndependencies, job->ndependencies);
    assert_int_equal(replayed->nevents, job->nevents);
}

static void replay_equals_live(void **state)
{
    for (unsigned int seed = 1; seed <= 60; seed++) {
        flux_jobid_t last = 0;
        struct job *job, *tmp;
        struct world w;

        srandom(seed);
        world_init(&w, 4);
        world_exec_up(&w);
        world_sched_up(&w, "unlimited", true);
        for (int i = 0; i < 300; i++) {
            step(&w, &last);
            if (i % 50 != 49)
                continue;
            world_settle(&w);
            HASH_ITER (hh, w.m.jobs, job, tmp)
                assert_same_as_replayed(&w, job);
        }
        world_deinit(&w);
    }
}

static void drain(struct world *w)
{
    for (int i = 0; manager_count(&w->m) > 0; i++) {
        flux_jobid_t id;

        assert_true(i < 10000);
        world_settle(w);
        answer_cancels(w);
        world_settle(w);
        if ((id = world_next_asked(w)) && w->nused < w->nslots)
            world_alloc(w, id);
        else if ((id = any_running(w)))
            finish_one(w, id);
    }
    world_settle(w);
}

/* Whatever crashed before: the result of each job can be waited for, once. */
static void wait_for_all(struct world *w)
{
    bool told[NJOBS + 1] = { false };
    flux_error_t error;

    for (int i = 0; i < NJOBS; i++) {
        struct request *req = request_make();
        unsigned long id;

        assert_int_equal(wait_job(&w->m, world_owner, FLUX_JOBID_ANY, req, &error), 0);
        assert_non_null(req->last);
        id = strtoul(req->last + strlen("{\"id\":"), NULL, 10);
        assert_in_range(id, 1, NJOBS);
        assert_false(told[id]);
        told[id] = true;
        request_drop(req);
    }
    world_settle(w);
}

/* It has none, or that was archived. */
static void assert_no_namespace(struct world *w, flux_jobid_t id)
{
    const char *guest = world_kvs(w, "job", id, ".guest");

    if (guest)
        assert_string_equal(guest, "archive");
}

static void after_any_crash_each_job_ends_once_and_ran_at_most_once(void **state)
{
    for (unsigned int seed = 100; seed < 250; seed++) {
        struct world_job *j, *tmp;
        flux_jobid_t last = 0;
        struct world w;

        srandom(seed);
        world_init(&w, 3);
        world_exec_up(&w);
        world_sched_up(&w, "unlimited", true);
        while (last < NJOBS)
            step(&w, &last);
        drain(&w);
        assert_int_equal(w.nused, 0);
        wait_for_all(&w);
        for (flux_jobid_t id = 1; id <= NJOBS; id++) {
            CLEANUP(freep) char *events = world_events(&w, id);
            size_t len = strlen(events);

            assert_true(len > 6 && !strcmp(events + len - 6, " clean"));
            assert_ptr_equal(strstr(events, " clean"), events + len - 6);
            assert_null(world_kvs(&w, "job-active", id, ""));
            assert_no_namespace(&w, id);
        }
        HASH_ITER (hh, w.jobs, j, tmp) {
            assert_true(j->nstarts <= 1);
            assert_false(j->allocated || j->running);
        }
        assert_int_equal(strtol(world_kvs_get(&w, "job-state.ninactive"), NULL, 10), NJOBS);
        world_deinit(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replay_equals_live),
        cmocka_unit_test(after_any_crash_each_job_ends_once_and_ran_at_most_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
