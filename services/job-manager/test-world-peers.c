/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The scheduler and the execution service of the world, see test-world.h: what they are sent, and
 * what they answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/fluid.h"
#include "test-world-parts.h"

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
        assert_non_null(world_kvs(w, "job", j->id, ".guest"));
    } else if (json_is_false(json_object_get(o, "reattach")))
        j->nstarts = 0;
    j->guest = json_is_true(json_object_get(o, "guest"));
    j->handed_over = false;
    j->simulated = is_simulated(o);
    if (json_is_false(json_object_get(o, "reattach")))
        assert_int_equal(j->nstarts, 0);
    j->running = true;
    if (j->nstarts == 0 && !json_is_true(json_object_get(o, "cleanup")))
        j->nstarts++;
}

int world_peers_take(void *arg, const char *topic, const char *json, bool noresponse)
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

/* What the execution service does before it says release. */
static void archive(struct world *w, flux_jobid_t id)
{
    char s[32], key[64];

    if (!world_kvs(w, "job", id, ".guest"))
        return;
    assert_int_equal(fluid_encode(s, sizeof(s), id, FLUID_DOTHEX), 0);
    (void)snprintf(key, sizeof(key), "job.%s.guest", s);
    world_kvs_store(w, key, "archive");
}

void world_exec_answer(struct world *w, flux_jobid_t id, const char *type, const char *data)
{
    char buf[256];

    if (strcmp(type, "release") == 0 && !world_job(w, id)->handed_over)
        archive(w, id);
    (void)snprintf(buf, sizeof(buf), "{\"id\":%" PRIu64 ",\"type\":\"%s\",\"data\":%s}", id, type,
                   data);
    take(w, start_response, buf);
}

void world_run(struct world *w, flux_jobid_t id, int status)
{
    struct world_job *j = world_job(w, id);
    char buf[64];

    world_exec_answer(w, id, "start", "{}");
    j->handed_over = j->guest && j->hand_over;
    (void)snprintf(buf, sizeof(buf), "{\"status\":%d%s}", status,
                   j->handed_over ? ",\"archive\":true" : "");
    world_exec_answer(w, id, "finish", buf);
    world_job(w, id)->running = false;
    world_exec_answer(w, id, "release", "{\"ranks\":\"all\",\"final\":true}");
}
