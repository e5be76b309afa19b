/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* See test-world.h: the life of the world, and jobs that are submitted to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/eventlog.h"
#include "base/fluid.h"
#include "service/log.h"
#include "test-world-parts.h"

#define JOBSPEC \
    "{\"version\":1,\"resources\":[],\"attributes\":{\"system\":{\"environment\":{\"A\":\"B\"}}}}"

const struct asker world_owner = { .userid = OWNER, .owner = true };
const struct asker world_guest = { .userid = GUEST };

struct request *request_make(void)
{
    struct request *req = calloc(1, sizeof(*req));

    req->refs = 1;
    return req;
}

void request_drop(struct request *req)
{
    if (--req->refs > 0)
        return;
    free(req->last);
    free(req->all);
    free(req);
}

static void request_answer(struct request *req, int errnum, const char *s)
{
    struct text t = { 0 };

    req->nanswers++;
    req->errnum = errnum;
    text_adds(&t, req->all ? req->all : "");
    text_adds(&t, s ? s : "");
    text_adds(&t, "\n");
    free(req->all);
    req->all = text_steal(&t);
    free(req->last);
    req->last = s ? strdup(s) : NULL;
}

/* --- operations of the domain that are not the KVS's nor the peers' */

static double op_now(void *arg)
{
    struct world *w = arg;

    return w->clock += 0.001;
}

static void op_commit_timer(void *arg, double seconds)
{
    struct world *w = arg;

    w->timer = seconds;
}

static void op_respond(void *arg, struct request *req, const char *json)
{
    json_t *o = json_loads(json, 0, NULL);

    assert_non_null(o);
    json_decref(o);
    request_answer(req, 0, json);
}

static void op_fail(void *arg, struct request *req, int errnum, const char *sentence)
{
    request_answer(req, errnum, sentence);
}

static struct request *op_ref(void *arg, struct request *req)
{
    req->refs++;
    return req;
}

static void op_unref(void *arg, struct request *req)
{
    request_drop(req);
}

static void op_wake(void *arg, enum manager_peer peer)
{
    struct world *w = arg;

    w->nwakes[peer]++;
}

static void op_announce(void *arg, struct request *req, const char *json)
{
    struct world *w = arg;

    text_addf(&w->sent, "job-ingest.admission %s\n", json);
    if (req)
        op_respond(w, req, "{}");
}

static const struct manager_ops ops = {
    .now = op_now,
    .kvs_append = world_kvs_append,
    .kvs_put = world_kvs_put,
    .kvs_unlink = world_kvs_unlink,
    .kvs_prune = world_kvs_prune,
    .kvs_namespace = world_kvs_namespace,
    .kvs_archive = world_kvs_archive,
    .kvs_commit = world_kvs_commit,
    .commit_timer = op_commit_timer,
    .send = world_peers_take,
    .respond = op_respond,
    .fail = op_fail,
    .ref = op_ref,
    .unref = op_unref,
    .wake = op_wake,
    .announce = op_announce,
};

/* --- life */

void world_init(struct world *w, size_t nslots)
{
    log_set_level(LOG_CRIT);
    *w = (struct world){ .clock = 1e9, .nslots = nslots };
    STAILQ_INIT(&w->open);
    STAILQ_INIT(&w->flying);
    manager_init(&w->m, &ops, w, OWNER);
}

static void world_forget(struct world *w)
{
    manager_deinit(&w->m);
    if (w->ready)
        request_drop(w->ready);
    if (w->hello)
        request_drop(w->hello);
    w->ready = w->hello = NULL;
}

void world_deinit(struct world *w)
{
    struct world_job *j, *jtmp;

    world_forget(w);
    world_kvs_free(w);
    HASH_ITER (hh, w->jobs, j, jtmp) {
        HASH_DEL(w->jobs, j);
        free(j);
    }
    text_deinit(&w->sent);
}

void world_turn(struct world *w)
{
    while (manager_process(&w->m))
        ;
    assert_int_equal(w->m.fatal, 0);
}

void world_commit(struct world *w)
{
    assert_true(w->commit_flying);
    world_kvs_arrive(w);
    commit_done(&w->m, 0);
}

void world_commit_lost(struct world *w)
{
    world_kvs_lose(w);
}

void world_tick(struct world *w)
{
    if (w->timer > 0) {
        w->timer = 0;
        commit_late(&w->m);
    }
    world_turn(w);
}

void world_settle(struct world *w)
{
    world_turn(w);
    while (w->commit_flying || w->timer > 0) {
        if (w->commit_flying)
            world_commit(w);
        world_tick(w);
    }
}

static void world_load(struct world *w)
{
    struct kvs_entry *e, *tmp;

    w->m.loading = true;
    if (world_kvs_get(w, "job-state.ninactive"))
        w->m.ninactive = strtoull(world_kvs_get(w, "job-state.ninactive"), NULL, 10);
    HASH_ITER (hh, w->kvs, e, tmp) {
        flux_error_t error = { .text = "" };
        json_t *jobspec;
        const char *log;
        struct job *job;
        flux_jobid_t id;
        int rc;

        if (strncmp(e->key, "job-active.", 11) != 0)
            continue;
        assert_int_equal(fluid_parse(e->key + 11, &id), 0);
        log = world_kvs(w, "job", id, ".eventlog");
        rc = restart_add(&w->m, id, log, strlen(log), &error);
        if (rc == 0)
            continue; /* ended, not waited for */
        if (rc != 1)
            fail_msg("restart_add: %s", error.text);
        job = manager_find(&w->m, id);
        jobspec = json_loads(world_kvs(w, "job", id, ".jobspec"), 0, NULL);
        assert_int_equal(job_set_jobspec(job, jobspec), 0);
        json_decref(jobspec);
        if (job->has_resources)
            job->R = strdup(world_kvs(w, "job", id, ".R"));
    }
}

static void settle_ended(struct manager *m, struct job *job, flux_jobid_t on_id)
{
    struct world *w = m->arg;
    const char *log = world_kvs(w, "job", on_id, ".eventlog");
    struct job *on;

    assert_int_equal(job_new(on_id, &on), 0);
    assert_int_equal(event_replay(on, log, strlen(log), NULL), 0);
    assert_int_equal(on->state, JOB_STATE_INACTIVE);
    dependency_settle(m, job, on, on->ran);
    job_unref(on);
}

/* Of simulated jobs that the KVS does not know as running. */
static void forget_simulations(struct world *w)
{
    struct world_job *j, *tmp;

    HASH_ITER (hh, w->jobs, j, tmp) {
        const struct job *job = manager_find(&w->m, j->id);

        if (j->simulated && (!job || !job->has_resources))
            j->running = false;
    }
}

void world_crash(struct world *w, bool commit_arrives)
{
    struct job *job, *tmp;

    world_forget(w);
    world_kvs_forget(w);
    if (commit_arrives)
        world_kvs_arrive(w);
    world_kvs_lose(w);
    w->timer = 0;
    manager_init(&w->m, &ops, w, OWNER);
    if (world_kvs_get(w, CONTROL_KEY))
        assert_int_equal(control_load(&w->m, world_kvs_get(w, CONTROL_KEY), NULL), 0);
    if (world_kvs_get(w, "job-state.npurged"))
        w->m.purge.npurged = strtoull(world_kvs_get(w, "job-state.npurged"), NULL, 10);
    if (world_kvs_get(w, "job-state.ninactive"))
        w->m.ninactive = strtoull(world_kvs_get(w, "job-state.ninactive"), NULL, 10);
    world_load(w);
    HASH_ITER (hh, w->m.jobs, job, tmp)
        dependency_resume(&w->m, job, settle_ended);
    restart_finish(&w->m);
    forget_simulations(w);
    if (w->sched_up)
        world_sched_up(w, "unlimited", true);
    if (w->exec_up)
        world_exec_up(w);
}

/* --- ingest */

void world_store(struct world *w, flux_jobid_t id, uint32_t userid, int urgency, int flags,
                 const char *jobspec)
{
    struct event submit = { .type = EVENT_SUBMIT,
                            .timestamp = w->clock,
                            .userid = userid,
                            .urgency = urgency,
                            .flags = flags };
    struct event validate = { .type = EVENT_VALIDATE, .timestamp = w->clock };
    char dothex[32], key[128];
    struct text t = { 0 };

    assert_int_equal(fluid_encode(dothex, sizeof(dothex), id, FLUID_DOTHEX), 0);
    event_format(&submit, &t);
    event_format(&validate, &t);
    (void)snprintf(key, sizeof(key), "job.%s.eventlog", dothex);
    world_kvs_store(w, key, t.s);
    (void)snprintf(key, sizeof(key), "job.%s.jobspec", dothex);
    world_kvs_store(w, key, jobspec);
    (void)snprintf(key, sizeof(key), "job-active.%" PRIu64, id);
    world_kvs_store(w, key, "");
    text_deinit(&t);
}

void world_submit_full(struct world *w, flux_jobid_t id, uint32_t userid, int urgency, int flags,
                       const char *jobspec)
{
    struct submission s = { .id = id,
                            .userid = userid,
                            .urgency = urgency,
                            .flags = flags,
                            .t_submit = w->clock,
                            .jobspec = json_loads(jobspec, 0, NULL) };

    assert_non_null(s.jobspec);
    world_store(w, id, userid, urgency, flags, jobspec);
    assert_int_equal(submit_job(&w->m, &s), 0);
    json_decref(s.jobspec);
}

void world_submit(struct world *w, flux_jobid_t id, int urgency)
{
    world_submit_full(w, id, OWNER, urgency, FLUX_JOB_WAITABLE, JOBSPEC);
}

/* --- shorthand */

void world_setup(struct world *w, size_t nslots)
{
    world_init(w, nslots);
    world_exec_up(w);
    world_sched_up(w, "unlimited", true);
}

void world_submitted(struct world *w, size_t nslots, flux_jobid_t id)
{
    world_setup(w, nslots);
    world_submit(w, id, 16);
    world_settle(w);
}

void world_assert_events(struct world *w, flux_jobid_t id, const char *expected)
{
    char *s = world_events(w, id);

    assert_string_equal(s, expected);
    free(s);
}

void world_run_one(struct world *w, flux_jobid_t id, int status)
{
    world_settle(w);
    world_alloc(w, id);
    world_settle(w);
    world_run(w, id, status);
    world_settle(w);
}

void world_run_whole(struct world *w, flux_jobid_t id, int flags)
{
    world_submit_full(w, id, OWNER, 16, flags, "{}");
    world_run_one(w, id, 0);
}
