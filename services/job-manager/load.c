/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Reading the active jobs from the KVS: `job-active` names them, so the work is proportional to
 * them and not to history. At the start look-ups are pipelined and waited for, before READY; later
 * (ingest came back and names jobs) they are asynchronous.
 *
 * A commit of the process before this one may still be on its way when this one starts. So the
 * first thing is a commit of our own: commits are ordered, and what is read after it includes all
 * of the past.
 *
 * An eventlog that cannot be replayed is logged and its job left alone. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/fluid.h"
#include "base/number.h"
#include "service/jobindex.h"
#include "service/log.h"
#include "service/safemode.h"
#include "daemon.h"

#define WINDOW 64 /* jobs looked up at a time */

DEFINE_CLEANUP(flux_future_t *, flux_future_destroy)

static flux_future_t *job_lookup(struct daemon *d, flux_jobid_t id, const char *name)
{
    char key[96];

    if (flux_job_kvs_key(key, sizeof(key), id, name) < 0)
        return NULL;
    return flux_kvs_lookup(d->h, KVS_PRIMARY_NAMESPACE, 0, key);
}

/* --- one job from its parts */

static int take_eventlog(struct daemon *d, flux_jobid_t id, flux_future_t *f)
{
    flux_error_t error = { .text = "" };
    const void *data = NULL;
    int len = 0;
    int rc;

    if (flux_kvs_lookup_get_raw(f, &data, &len) < 0) {
        if (errno != ENOENT)
            return -errno;
        log_err("job %" PRIu64 " is active but has no eventlog, left alone", id);
        return 0;
    }
    rc = restart_add(&d->m, id, data, (size_t)len, &error);
    if (rc == -EPROTO) {
        log_err("job %" PRIu64 " left alone: %s", id, error.text);
        return 0;
    }
    return rc;
}

static int take_jobspec(struct daemon *d, struct job *job, flux_future_t *f)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    const char *s;

    if (flux_kvs_lookup_get(f, &s) < 0) {
        if (errno != ENOENT)
            return -errno;
        s = NULL;
    }
    o = s ? json_loads(s, 0, NULL) : NULL;
    if (!o) {
        log_err("job %" PRIu64 " has no readable jobspec", job->id);
        o = json_object();
    }
    return job_set_jobspec(job, o);
}

static int take_R(struct daemon *d, struct job *job, flux_future_t *f)
{
    const char *s;

    if (flux_kvs_lookup_get(f, &s) < 0) {
        if (errno != ENOENT)
            return -errno;
        log_err("job %" PRIu64 " holds resources but has no R", job->id);
        s = "{}";
    }
    job->R = strdup(s);
    return job->R ? 0 : -ENOMEM;
}

/* --- the setting of the queue */

static int load_control(struct daemon *d)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_kvs_lookup(d->h, KVS_PRIMARY_NAMESPACE, 0, CONTROL_KEY);
    flux_error_t error = { .text = "" };
    const char *s;
    int rc;

    if (!f || flux_kvs_lookup_get(f, &s) < 0)
        return errno == ENOENT ? 0 : -errno;
    rc = s ? control_load(&d->m, s, &error) : -EPROTO;
    if (rc == -EPROTO || rc == -EINVAL) {
        log_err(CONTROL_KEY " in the KVS is malformed, ignored: %s", error.text);
        return 0;
    }
    return rc;
}

/* The router's attribute names a run that followed one without an orderly end. */
static int load_safe_mode(struct daemon *d)
{
    const char *run = flux_attr_get(d->h, SAFE_MODE_ATTR);

    return run && *run ? control_safe_mode(&d->m, run) : 0;
}

/* --- all of them, at the start */

struct ids {
    flux_jobid_t *v;
    size_t n, cap;
};

static int ids_add(flux_jobid_t id, void *arg)
{
    struct ids *ids = arg;

    if (ids->n == ids->cap) {
        size_t cap = ids->cap ? ids->cap * 2 : 256;
        flux_jobid_t *v = reallocarray(ids->v, cap, sizeof(*v));

        if (!v)
            return -ENOMEM;
        ids->v = v;
        ids->cap = cap;
    }
    ids->v[ids->n++] = id;
    return 0;
}

static int load_number(struct daemon *d, const char *key, uint64_t *ret)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_kvs_lookup(d->h, KVS_PRIMARY_NAMESPACE, 0, key);
    const char *s;

    if (!f || flux_kvs_lookup_get(f, &s) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (number_parse_u64(s, UINT64_MAX, ret) < 0)
        log_err("%s in the KVS is not a number, taken as 0", key);
    return 0;
}

static int id_order(const void *a, const void *b)
{
    flux_jobid_t x = *(const flux_jobid_t *)a, y = *(const flux_jobid_t *)b;

    return x < y ? -1 : x > y;
}

struct parts {
    flux_future_t *eventlog, *jobspec;
};

static int take_parts(struct daemon *d, flux_jobid_t id, struct parts *p)
{
    int rc = take_eventlog(d, id, p->eventlog);

    if (rc > 0)
        rc = take_jobspec(d, manager_find(&d->m, id), p->jobspec);
    flux_future_destroy(p->eventlog);
    flux_future_destroy(p->jobspec);
    *p = (struct parts){ 0 };
    return rc;
}

static int load_jobs(struct daemon *d, const struct ids *ids)
{
    struct parts window[WINDOW] = { 0 };
    int rc = 0;

    for (size_t i = 0; i < ids->n + WINDOW && rc >= 0; i++) {
        struct parts *p = &window[i % WINDOW];

        if (i >= WINDOW && i - WINDOW < ids->n)
            rc = take_parts(d, ids->v[i - WINDOW], p);
        service_progress(d->svc);
        if (rc >= 0 && i < ids->n) {
            p->eventlog = job_lookup(d, ids->v[i], "eventlog");
            p->jobspec = job_lookup(d, ids->v[i], "jobspec");
            if (!p->eventlog || !p->jobspec)
                rc = -errno;
        }
    }
    for (size_t i = 0; i < WINDOW; i++) {
        flux_future_destroy(window[i].eventlog);
        flux_future_destroy(window[i].jobspec);
    }
    return rc < 0 ? rc : 0;
}

static struct job *next_with_resources(struct job *job)
{
    while (job && !job->has_resources)
        job = job->hh.next;
    return job;
}

static int load_resources(struct daemon *d)
{
    struct {
        struct job *job;
        flux_future_t *f;
    } window[WINDOW] = { 0 };
    struct job *job = next_with_resources(d->m.jobs);
    size_t busy = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && (job || busy > 0); i = (i + 1) % WINDOW) {
        if (window[i].f) {
            rc = take_R(d, window[i].job, window[i].f);
            flux_future_destroy(window[i].f);
            window[i].f = NULL;
            busy--;
            service_progress(d->svc);
        }
        if (rc == 0 && job) {
            window[i].job = job;
            window[i].f = job_lookup(d, job->id, "R");
            if (!window[i].f)
                rc = -errno;
            busy++;
            job = next_with_resources(job->hh.next);
        }
    }
    for (size_t i = 0; i < WINDOW; i++)
        flux_future_destroy(window[i].f);
    return rc;
}

/* `job` waits for a job that ended while nobody looked. */
static void resolve_ended(struct manager *m, struct job *job, flux_jobid_t on_id)
{
    struct daemon *d = container_of(m, struct daemon, m);
    CLEANUP(flux_future_destroyp) flux_future_t *f = job_lookup(d, on_id, "eventlog");
    CLEANUP(job_unrefp) struct job *on = NULL;
    const void *data;
    int len;

    if (!f || job_new(on_id, &on) < 0 || flux_kvs_lookup_get_raw(f, &data, &len) < 0 ||
        event_replay(on, data, (size_t)len, NULL) < 0)
        log_err("job %" PRIu64 " depends on job %" PRIu64 ", of which nothing can be read", job->id,
                on_id);
    if (on)
        dependency_settle(m, job, on, on->ran);
}

int load_all(struct daemon *d)
{
    struct ids ids = { 0 };
    struct job *job, *tmp;
    int rc = jobindex_settle(d->h, "job-state.started");

    d->m.loading = true;
    if (rc == 0)
        rc = load_number(d, "job-state.ninactive", &d->m.ninactive);
    if (rc == 0)
        rc = load_number(d, "job-state.npurged", &d->m.purge.npurged);
    if (rc == 0)
        rc = load_number(d, "job-state.max_jobid", &d->m.max_jobid);
    if (rc == 0)
        rc = load_control(d);
    if (rc == 0)
        rc = load_safe_mode(d);
    if (rc == 0)
        rc = jobindex_foreach(d->h, ids_add, &ids);
    if (rc == 0 && ids.n > 1)
        qsort(ids.v, ids.n, sizeof(*ids.v), id_order);
    if (rc == 0)
        rc = load_jobs(d, &ids);
    free(ids.v);
    if (rc == 0)
        rc = load_resources(d);
    if (rc < 0) {
        log_err("cannot read the active jobs from the KVS: %s", strerror(-rc));
        return rc;
    }
    HASH_ITER (hh, d->m.jobs, job, tmp)
        dependency_resume(&d->m, job, resolve_ended);
    restart_finish(&d->m);
    if (manager_count(&d->m) > 0)
        log_info("took up %zu active jobs", manager_count(&d->m));
    return 0;
}

/* --- some of them, while serving */

struct rescan {
    struct daemon *d;
    struct request *req;
    struct ids ids;
    size_t next, busy;
    bool failed;
};

struct fetch {
    struct rescan *rescan;
    flux_jobid_t id;
    flux_future_t *f[3];
    int npending;
};

static void rescan_continue(struct rescan *r);

static void resolve_nothing(struct manager *m, struct job *job, flux_jobid_t on_id)
{
    /* A job that this process did not know has no dependency events yet. */
}

static int fetch_take(struct fetch *fetch)
{
    struct daemon *d = fetch->rescan->d;
    struct job *job;
    int rc = take_eventlog(d, fetch->id, fetch->f[0]);

    if (rc <= 0)
        return rc;
    job = manager_find(&d->m, fetch->id);
    rc = take_jobspec(d, job, fetch->f[1]);
    if (rc == 0 && job->has_resources)
        rc = take_R(d, job, fetch->f[2]);
    if (rc < 0) {
        /* Half known is worse than unknown; the next process reads it anew. */
        manager_fatal(&d->m, -rc, "cannot read a job from the KVS");
        return rc;
    }
    dependency_resume(&d->m, job, resolve_nothing);
    restart_job(&d->m, job);
    return 0;
}

static void on_part(flux_future_t *f, void *arg)
{
    struct fetch *fetch = arg;
    struct rescan *r = fetch->rescan;

    if (--fetch->npending > 0)
        return;
    if (fetch_take(fetch) < 0)
        r->failed = true;
    for (size_t i = 0; i < ARRAY_SIZE(fetch->f); i++)
        flux_future_destroy(fetch->f[i]);
    free(fetch);
    r->busy--;
    rescan_continue(r);
}

static int fetch_start(struct rescan *r, flux_jobid_t id)
{
    static const char *const names[] = { "eventlog", "jobspec", "R" };
    struct fetch *fetch = calloc(1, sizeof(*fetch));

    if (!fetch)
        return -ENOMEM;
    fetch->rescan = r;
    fetch->id = id;
    for (size_t i = 0; i < ARRAY_SIZE(fetch->f); i++) {
        fetch->f[i] = job_lookup(r->d, id, names[i]);
        if (!fetch->f[i] || flux_future_then(fetch->f[i], -1., on_part, fetch) < 0) {
            int rc = -errno;

            for (size_t j = 0; j <= i; j++)
                flux_future_destroy(fetch->f[j]);
            free(fetch);
            return rc;
        }
        fetch->npending++;
    }
    r->busy++;
    return 0;
}

static void rescan_continue(struct rescan *r)
{
    while (!r->failed && r->busy < WINDOW && r->next < r->ids.n) {
        flux_jobid_t id = r->ids.v[r->next++];

        if (!manager_find(&r->d->m, id) && fetch_start(r, id) < 0)
            r->failed = true;
    }
    if (r->busy > 0)
        return;
    if (r->failed)
        (void)request_fail(r->req, EIO, "not all jobs could be read from the KVS");
    else
        (void)request_respond(r->req, "{}");
    (void)request_unref(r->req);
    free(r->ids.v);
    free(r);
}

int load_some(struct daemon *d, const json_t *ids, struct request *req)
{
    struct rescan *r = calloc(1, sizeof(*r));
    json_t *o;
    size_t i;

    if (!r)
        return -ENOMEM;
    r->d = d;
    json_array_foreach (ids, i, o) {
        flux_jobid_t id = (flux_jobid_t)json_integer_value(o);

        if (manager_find(&d->m, id) || journal_is_inactive(&d->m, id))
            continue;
        if (ids_add(id, &r->ids) < 0) {
            free(r->ids.v);
            free(r);
            return -ENOMEM;
        }
    }
    r->req = request_ref(req);
    rescan_continue(r);
    return 0;
}
