/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* See test-world.h. */
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
#include "test-world.h"

#define JOBSPEC \
    "{\"version\":1,\"resources\":[],\"attributes\":{\"system\":{\"environment\":{\"A\":\"B\"}}}}"

/* --- requests */

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

/* --- the KVS */

static void ops_clear(struct kvs_ops *ops)
{
    struct kvs_op *op;

    while ((op = STAILQ_FIRST(ops))) {
        STAILQ_REMOVE_HEAD(ops, link);
        free(op->key);
        free(op->value);
        free(op);
    }
}

static int op_add(struct world *w, int type, const char *key, const char *value, size_t len)
{
    struct kvs_op *op = calloc(1, sizeof(*op));

    op->type = type;
    op->key = strdup(key);
    op->value = value ? strndup(value, len) : NULL;
    STAILQ_INSERT_TAIL(&w->open, op, link);
    return 0;
}

/* A key and all below it. */
static void kvs_prune(struct world *w, const char *key)
{
    struct kvs_entry *e, *tmp;
    const size_t len = strlen(key);

    HASH_ITER (hh, w->kvs, e, tmp) {
        if (strncmp(e->key, key, len) != 0 || (e->key[len] != '.' && e->key[len] != '\0'))
            continue;
        HASH_DEL(w->kvs, e);
        free(e->key);
        free(e->value);
        free(e);
    }
}

static void kvs_apply(struct world *w, const struct kvs_op *op)
{
    struct kvs_entry *e;

    if (op->type == KVS_PRUNE) {
        kvs_prune(w, op->key);
        return;
    }
    HASH_FIND_STR(w->kvs, op->key, e);
    if (op->type == KVS_UNLINK) {
        assert_non_null(e);
        HASH_DEL(w->kvs, e);
        free(e->key);
        free(e->value);
        free(e);
        return;
    }
    if (!e) {
        e = calloc(1, sizeof(*e));
        e->key = strdup(op->key);
        e->value = strdup("");
        HASH_ADD_KEYPTR(hh, w->kvs, e->key, strlen(e->key), e);
    }
    if (op->type == KVS_APPEND) {
        struct text t = { 0 };

        text_adds(&t, e->value);
        text_adds(&t, op->value);
        free(e->value);
        e->value = text_steal(&t);
    } else {
        free(e->value);
        e->value = strdup(op->value);
    }
}

static void flying_apply(struct world *w)
{
    struct kvs_op *op;

    STAILQ_FOREACH(op, &w->flying, link)
    kvs_apply(w, op);
    ops_clear(&w->flying);
    w->commit_flying = false;
}

const char *world_kvs_get(struct world *w, const char *key)
{
    struct kvs_entry *e;

    HASH_FIND_STR(w->kvs, key, e);
    return e ? e->value : NULL;
}

const char *world_kvs(struct world *w, const char *prefix, flux_jobid_t id, const char *suffix)
{
    const bool flat = strcmp(prefix, "job-active") == 0;
    char s[32], key[128];

    assert_int_equal(fluid_encode(s, sizeof(s), id, flat ? FLUID_DEC : FLUID_DOTHEX), 0);
    (void)snprintf(key, sizeof(key), "%s.%s%s", prefix, s, suffix);
    return world_kvs_get(w, key);
}

char *world_events(struct world *w, flux_jobid_t id)
{
    const char *log = world_kvs(w, "job", id, ".eventlog");
    json_t *entries = eventlog_decode(log, strlen(log), NULL);
    struct text t = { 0 };
    json_t *o;
    size_t i;

    assert_non_null(entries);
    json_array_foreach (entries, i, o) {
        if (i > 0)
            text_adds(&t, " ");
        text_adds(&t, json_string_value(json_object_get(o, "name")));
    }
    json_decref(entries);
    return text_steal(&t);
}

/* --- operations of the domain */

static double op_now(void *arg)
{
    struct world *w = arg;

    return w->clock += 0.001;
}

static int op_append(void *arg, const char *key, const char *data, size_t len)
{
    return op_add(arg, KVS_APPEND, key, data, len);
}

static int op_put(void *arg, const char *key, const char *value)
{
    return op_add(arg, KVS_PUT, key, value, strlen(value));
}

static int op_unlink(void *arg, const char *key)
{
    return op_add(arg, KVS_UNLINK, key, NULL, 0);
}

static int op_prune(void *arg, const char *key)
{
    return op_add(arg, KVS_PRUNE, key, NULL, 0);
}

static int op_commit(void *arg)
{
    struct world *w = arg;
    struct kvs_op *op;

    assert_false(w->commit_flying);
    w->commit_flying = true;
    w->ncommits++;
    STAILQ_CONCAT(&w->flying, &w->open);
    w->nops = 0;
    STAILQ_FOREACH(op, &w->flying, link)
    w->nops++;
    return 0;
}

static void op_commit_timer(void *arg, double seconds)
{
    struct world *w = arg;

    w->timer = seconds;
}

struct world_job *world_job(struct world *w, flux_jobid_t id)
{
    struct world_job *j;

    HASH_FIND(hh, w->jobs, &id, sizeof(id), j);
    if (!j) {
        j = calloc(1, sizeof(*j));
        j->id = id;
        HASH_ADD(hh, w->jobs, id, sizeof(j->id), j);
    }
    return j;
}

static void sched_take(struct world *w, json_t *o)
{
    world_job(w, (flux_jobid_t)json_integer_value(json_object_get(o, "id")))->asked = ++w->nasked;
    assert_non_null(json_object_get(o, "jobspec"));
}

static bool is_simulated(json_t *start)
{
    json_t *exec = NULL;

    return json_unpack(start, "{s:{s:{s:{s:o}}}}", "jobspec", "attributes", "system", "exec",
                       &exec) == 0;
}

static void exec_take(struct world *w, const char *topic, json_t *o)
{
    struct world_job *j = world_job(w, (flux_jobid_t)json_integer_value(json_object_get(o, "id")));
    const char *log = world_kvs(w, "job", j->id, ".eventlog");

    if (strstr(topic, ".cancel")) {
        j->ncancels++;
        return;
    }
    if (!strstr(topic, ".start"))
        return;
    /* The promise: whatever starts is in the KVS first. */
    if (!is_simulated(o)) {
        assert_non_null(strstr(log, "\"alloc\""));
        assert_non_null(world_kvs(w, "job", j->id, ".R"));
    } else if (json_is_false(json_object_get(o, "reattach")))
        j->nstarts = 0;
    j->simulated = is_simulated(o);
    if (json_is_false(json_object_get(o, "reattach")))
        assert_int_equal(j->nstarts, 0);
    j->running = true;
    if (j->nstarts == 0 && !json_is_true(json_object_get(o, "cleanup")))
        j->nstarts++;
}

static int op_send(void *arg, const char *topic, const char *json, bool noresponse)
{
    struct world *w = arg;
    json_t *o = json_loads(json, 0, NULL);
    json_t *jobs, *job;
    size_t i;

    assert_non_null(o);
    text_addf(&w->sent, "%s ", topic);
    text_adds(&w->sent, json);
    text_adds(&w->sent, "\n");
    if (!strcmp(topic, "sched.alloc-batch")) {
        jobs = json_object_get(o, "jobs");
        json_array_foreach (jobs, i, job)
            sched_take(w, job);
    } else if (!strcmp(topic, "sched.alloc"))
        sched_take(w, o);
    else if (!strcmp(topic, "sched.free") && !w->lenient) {
        struct world_job *j =
            world_job(w, (flux_jobid_t)json_integer_value(json_object_get(o, "id")));

        assert_true(j->allocated);
        assert_false(j->running);
        j->allocated = false;
        j->nfrees++;
        w->nused--;
        w->nfreed++;
    } else if (!strncmp(topic, "job-exec.", 9) && (jobs = json_object_get(o, "jobs"))) {
        json_array_foreach (jobs, i, job)
            exec_take(w, topic, job);
    } else if (!strncmp(topic, "job-exec.", 9))
        exec_take(w, topic, o);
    json_decref(o);
    return 0;
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
    .kvs_append = op_append,
    .kvs_put = op_put,
    .kvs_unlink = op_unlink,
    .kvs_prune = op_prune,
    .kvs_commit = op_commit,
    .commit_timer = op_commit_timer,
    .send = op_send,
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
    struct kvs_entry *e, *tmp;
    struct world_job *j, *jtmp;

    world_forget(w);
    ops_clear(&w->open);
    ops_clear(&w->flying);
    HASH_ITER (hh, w->kvs, e, tmp) {
        HASH_DEL(w->kvs, e);
        free(e->key);
        free(e->value);
        free(e);
    }
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
    flying_apply(w);
    commit_done(&w->m, 0);
}

void world_commit_lost(struct world *w)
{
    ops_clear(&w->flying);
    w->commit_flying = false;
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

/* --- scheduler and execution service */

void world_sched_up(struct world *w, const char *mode, bool batch)
{
    struct request *hello = request_make();
    struct world_job *j, *tmp;
    struct job *job, *jtmp;
    flux_error_t error;

    /* It begins anew with what the hello says. */
    HASH_ITER (hh, w->jobs, j, tmp) {
        j->asked = 0;
        j->allocated = false;
    }
    w->nused = 0;
    alloc_hello(&w->m, hello);
    HASH_ITER (hh, w->m.jobs, job, jtmp) {
        if (job->has_resources) {
            world_job(w, job->id)->allocated = true;
            w->nused++;
        }
    }
    assert_int_equal((size_t)hello->nanswers, w->nused);
    assert_true(w->nused <= w->nslots);
    request_drop(hello);
    if (w->ready)
        request_drop(w->ready);
    w->ready = request_make();
    w->nfreed = 0;
    assert_int_equal(alloc_ready(&w->m, w->ready, mode, batch, "5e", &error), 0);
    w->sched_up = true;
}

void world_exec_up(struct world *w)
{
    if (w->hello)
        request_drop(w->hello);
    w->hello = request_make();
    assert_int_equal(start_hello(&w->m, w->hello, "job-exec"), 0);
    w->exec_up = true;
}

void world_sched_down(struct world *w)
{
    alloc_lost(&w->m);
    w->sched_up = false;
}

void world_exec_down(struct world *w)
{
    start_lost(&w->m);
    w->exec_up = false;
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
    ops_clear(&w->open);
    if (commit_arrives)
        flying_apply(w);
    ops_clear(&w->flying);
    w->commit_flying = false;
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

flux_jobid_t world_next_asked(struct world *w)
{
    struct world_job *j, *tmp, *best = NULL;

    HASH_ITER (hh, w->jobs, j, tmp) {
        if (j->asked > 0 && (!best || j->asked < best->asked))
            best = j;
    }
    return best ? best->id : 0;
}

static void take(struct world *w, int (*fn)(struct manager *m, json_t *o), const char *s)
{
    json_t *o = json_loads(s, 0, NULL);

    assert_non_null(o);
    assert_int_equal(fn(&w->m, o), 0);
    json_decref(o);
}

void world_alloc(struct world *w, flux_jobid_t id)
{
    struct world_job *j = world_job(w, id);
    char buf[256], freed[48] = "";

    if (w->tells_freed)
        (void)snprintf(freed, sizeof(freed), ",\"freed\":%" PRIu64, w->nfreed);
    assert_true(j->asked > 0 && !j->allocated && w->nused < w->nslots);
    j->asked = 0;
    j->allocated = true;
    w->nused++;
    (void)snprintf(buf, sizeof(buf),
                   "{\"jobs\":[{\"id\":%" PRIu64 ",\"type\":0,\"R\":{\"version\":1},"
                   "\"annotations\":{\"sched\":{\"resource_summary\":\"rank0\"}}}]%s}",
                   id, freed);
    take(w, alloc_response, buf);
}

void world_sched_seen(struct world *w)
{
    char buf[64];

    (void)snprintf(buf, sizeof(buf), "{\"jobs\":[],\"freed\":%" PRIu64 "}", w->nfreed);
    take(w, alloc_response, buf);
}

void world_sched_answer(struct world *w, flux_jobid_t id, int type)
{
    char buf[128];

    world_job(w, id)->asked = 0;
    (void)snprintf(buf, sizeof(buf), "{\"id\":%" PRIu64 ",\"type\":%d,\"note\":\"no\"}", id, type);
    take(w, alloc_response, buf);
}

void world_exec_answer(struct world *w, flux_jobid_t id, const char *type, const char *data)
{
    char buf[256];

    (void)snprintf(buf, sizeof(buf), "{\"id\":%" PRIu64 ",\"type\":\"%s\",\"data\":%s}", id, type,
                   data);
    take(w, start_response, buf);
}

void world_run(struct world *w, flux_jobid_t id, int status)
{
    char buf[64];

    world_exec_answer(w, id, "start", "{}");
    (void)snprintf(buf, sizeof(buf), "{\"status\":%d}", status);
    world_exec_answer(w, id, "finish", buf);
    world_job(w, id)->running = false;
    world_exec_answer(w, id, "release", "{\"ranks\":\"all\",\"final\":true}");
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
    kvs_apply(w, &(struct kvs_op){ .type = KVS_PUT, .key = key, .value = t.s });
    (void)snprintf(key, sizeof(key), "job.%s.jobspec", dothex);
    kvs_apply(w, &(struct kvs_op){ .type = KVS_PUT, .key = key, .value = (char *)jobspec });
    (void)snprintf(key, sizeof(key), "job-active.%" PRIu64, id);
    kvs_apply(w, &(struct kvs_op){ .type = KVS_PUT, .key = key, .value = "" });
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
