/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Runs of the purge. The configuration's limits and each request of the owner are one run; one is
 * on at a time. A run asks job-list for the jobs that ended first, a page at a time, looks each up
 * in the KVS (so that the commit finds their directories loaded), and gives the page to purge.c; it
 * goes on BATCH_SECONDS after that is durable, so purging leaves the KVS most of its time.
 *
 * An answer of job-list is used only if it knows of as many purges as we do: else it may still name
 * jobs that are gone. Without job-list nothing is purged. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/errorx.h"
#include "base/fluid.h"
#include "base/fsd.h"
#include "service/log.h"
#include "purge.h"

#define BATCH_JOBS      100
#define BATCH_SECONDS   0.05
#define STALE_SECONDS   0.05
#define STALE_MAX       200 /* times that job-list may be behind before a run is given up */
#define REST_SECONDS    5.  /* after a run that failed, or found nothing to purge */
#define AGE_LOOK_MAX    60. /* look again at least so often: the wall clock may be set */
#define REQUESTS_MAX    32
#define REQUEST_IDS_MAX 1000

enum run_state { RUN_NONE, RUN_ASKING, RUN_LOOKING, RUN_COMMITTING, RUN_PAUSED };

struct run {
    enum run_state state;
    struct request *req; /* NULL: the configuration's */
    struct purge_limits limits;
    json_t *ids; /* of the request, or NULL */
    bool dry;
    double begun;
    double after_time; /* place of the last job looked at */
    flux_jobid_t after_id;
    uint64_t seen;  /* jobs looked at */
    uint64_t count; /* purged, or would be */
    unsigned int nstale;
    bool last; /* no page follows */
};

struct pending {
    struct run run;
    STAILQ_ENTRY(pending) link;
};
STAILQ_HEAD(pending_list, pending);

struct look {
    struct purger *p;
    flux_jobid_t id;
    flux_future_t *f;
    bool gone;
};

struct purger {
    struct daemon *d;
    struct purge_limits limits; /* of the configuration */
    struct run run;
    struct pending_list pending;
    size_t npending;
    flux_watcher_t *timer; /* the run goes on */
    flux_watcher_t *due;   /* the oldest job reaches the age limit, or the rest is over */
    bool resting;
    flux_future_t *ask;
    struct look looks[BATCH_JOBS];
    size_t nlooks, nwaiting;
};

static void run_next(struct purger *p);

static void timer_arm(flux_watcher_t *w, double seconds)
{
    flux_timer_watcher_reset(w, seconds, 0.);
    flux_watcher_start(w);
}

static void looks_drop(struct purger *p)
{
    for (size_t i = 0; i < p->nlooks; i++)
        flux_future_destroy(p->looks[i].f);
    memset(p->looks, 0, sizeof(p->looks));
    p->nlooks = p->nwaiting = 0;
}

/* --- the end of a run */

static void run_deinit(struct run *run)
{
    json_decref(run->ids);
    if (run->req) {
        request_on_gone(run->req, NULL, NULL);
        request_unref(run->req);
    }
    *run = (struct run){ .state = RUN_NONE };
}

/* errnum 0: done. Configured runs rest after one that did nothing. */
static void run_end(struct purger *p, int errnum, const char *why)
{
    struct run run = p->run;

    p->run = (struct run){ .state = RUN_NONE };
    flux_future_destroy(p->ask);
    p->ask = NULL;
    looks_drop(p);
    flux_watcher_stop(p->timer);
    if (errnum)
        log_warning("purging past jobs stopped: %s", why);
    if (run.count > 0 && !run.dry)
        log_info("purged %ju past jobs", (uintmax_t)run.count);
    if (run.req && errnum)
        (void)request_fail(run.req, errnum, "%s", why);
    else if (run.req)
        (void)request_respond_pack(run.req, "{s:I}", "count", (json_int_t)run.count);
    if (!run.req && (errnum || run.count == 0)) {
        p->resting = true;
        timer_arm(p->due, REST_SECONDS);
    }
    run_deinit(&run);
}

static void on_gone(struct request *req, void *arg)
{
    struct purger *p = arg;
    struct pending *w;

    if (p->run.req == req) { /* what is on its way is finished */
        p->run.last = true;
        return;
    }
    STAILQ_FOREACH(w, &p->pending, link)
    {
        if (w->run.req == req) {
            STAILQ_REMOVE(&p->pending, w, pending, link);
            p->npending--;
            run_deinit(&w->run);
            free(w);
            return;
        }
    }
}

/* --- a page: asked for, looked up, committed */

static bool over_limits(const struct purger *p, double t_inactive)
{
    const struct run *run = &p->run;
    const uint64_t held = purge_held(&p->d->m);
    /* What was purged meanwhile is no longer held; in a dry run all of it is. */
    const uint64_t left = run->dry ? held - (run->count < held ? run->count : held) : held;
    const uint64_t taken = run->dry ? 0 : p->nlooks;

    if (run->ids)
        return true;
    if (run->limits.held >= 0 && left > (uint64_t)run->limits.held + taken)
        return true;
    return run->limits.age >= 0. && t_inactive < run->begun - run->limits.age;
}

static void on_purged(void *arg, size_t n)
{
    struct purger *p = arg;

    if (p->run.state != RUN_COMMITTING)
        return;
    p->run.count += n;
    p->run.state = RUN_PAUSED;
    timer_arm(p->timer, BATCH_SECONDS);
}

static void post_page(struct purger *p)
{
    flux_jobid_t ids[BATCH_JOBS];
    size_t n = 0, ngone = 0;
    int rc;

    for (size_t i = 0; i < p->nlooks; i++)
        if (!p->looks[i].gone)
            ids[n++] = p->looks[i].id;
    for (size_t i = 0; i < p->nlooks; i++)
        if (p->looks[i].gone) {
            ids[n++] = p->looks[i].id;
            ngone++;
        }
    looks_drop(p);
    p->run.state = RUN_COMMITTING;
    rc = purge_post(&p->d->m, ids, n, ngone);
    if (rc < 0)
        run_end(p, -rc, strerror(-rc));
    else if (rc == 0)
        on_purged(p, 0);
}

static void on_look(flux_future_t *f, void *arg)
{
    struct look *look = arg;
    struct purger *p = look->p;
    const char *treeobj;

    if (flux_kvs_lookup_get_treeobj(f, &treeobj) < 0) {
        if (errno != ENOENT) {
            run_end(p, errno, "a past job cannot be read from the KVS");
            return;
        }
        look->gone = true;
    }
    if (--p->nwaiting == 0)
        post_page(p);
}

static int look_at(struct purger *p, flux_jobid_t id)
{
    struct look *look = &p->looks[p->nlooks];
    char key[64];

    *look = (struct look){ .p = p, .id = id };
    if (flux_job_kvs_key(key, sizeof(key), id, NULL) < 0)
        return -errno;
    look->f = flux_kvs_lookup(p->d->h, KVS_PRIMARY_NAMESPACE, FLUX_KVS_TREEOBJ, key);
    if (!look->f || flux_future_then(look->f, -1., on_look, look) < 0) {
        flux_future_destroy(look->f);
        return -errno;
    }
    p->nlooks++;
    p->nwaiting++;
    return 0;
}

/* The first job that is within the limits: when is it due? */
static void next_due(struct purger *p, double t_inactive)
{
    double after = t_inactive + p->limits.age - p->d->m.ops->now(p->d);

    if (p->run.req || p->limits.age < 0.)
        return;
    timer_arm(p->due, after < 1. ? 1. : after < AGE_LOOK_MAX ? after : AGE_LOOK_MAX);
}

/* 0, or -errno. */
static int take_page(struct purger *p, const json_t *jobs)
{
    json_t *row;
    size_t i;

    p->run.last |= p->run.ids || json_array_size(jobs) < BATCH_JOBS;
    json_array_foreach ((json_t *)jobs, i, row) {
        double t_inactive;
        json_int_t id;
        int rc = 0;

        if (i == BATCH_JOBS || json_unpack(row, "[I, F]", &id, &t_inactive) < 0)
            return -EPROTO;
        if (!over_limits(p, t_inactive)) {
            next_due(p, t_inactive);
            p->run.last = true;
            break;
        }
        p->run.after_time = t_inactive;
        p->run.after_id = (flux_jobid_t)id;
        p->run.seen++;
        if (!purge_may(&p->d->m, (flux_jobid_t)id))
            continue;
        if (p->run.dry)
            p->run.count++;
        else
            rc = look_at(p, (flux_jobid_t)id);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void on_oldest(flux_future_t *f, void *arg)
{
    struct purger *p = arg;
    json_int_t npurged;
    json_t *jobs;
    int rc;

    if (flux_rpc_get_unpack(f, "{s:o s:I}", "jobs", &jobs, "npurged", &npurged) < 0) {
        CLEANUP(freep) char *why = strdup(flux_future_error_string(f));

        run_end(p, errno, why ? why : "the index of past jobs does not answer");
        return;
    }
    if ((uint64_t)npurged != p->d->m.purge.npurged) {
        if (++p->run.nstale > STALE_MAX) {
            run_end(p, EAGAIN, "the index of past jobs is behind");
            return;
        }
        p->run.state = RUN_PAUSED;
        timer_arm(p->timer, STALE_SECONDS);
        return;
    }
    p->run.nstale = 0;
    p->run.state = RUN_LOOKING;
    rc = take_page(p, jobs);
    if (rc < 0)
        run_end(p, -rc, strerror(-rc));
    else if (p->nwaiting == 0)
        post_page(p);
}

static void run_next(struct purger *p)
{
    struct run *run = &p->run;
    const char *topic = "job-list.oldest";

    flux_future_destroy(p->ask);
    p->ask = NULL;
    if (run->last) {
        run_end(p, 0, NULL);
        return;
    }
    run->state = RUN_ASKING;
    if (run->ids)
        p->ask = flux_rpc_pack(p->d->h, topic, 0, 0, "{s:O}", "ids", run->ids);
    else
        p->ask = flux_rpc_pack(p->d->h, topic, 0, 0, "{s:i s:[f, I]}", "max_entries", BATCH_JOBS,
                               "after", run->after_time, (json_int_t)run->after_id);
    if (!p->ask || flux_future_then(p->ask, -1., on_oldest, p) < 0)
        run_end(p, errno, strerror(errno));
}

static void on_timer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    run_next(arg);
}

/* --- the beginning of a run */

static void on_due(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct purger *p = arg;

    p->resting = false; /* purge_check() of this turn sees to it */
}

static bool is_over(const struct purger *p)
{
    if (p->resting)
        return false;
    if (p->limits.held >= 0 && purge_held(&p->d->m) > (uint64_t)p->limits.held)
        return true;
    return p->limits.age >= 0. && purge_held(&p->d->m) > 0 && !flux_watcher_is_active(p->due);
}

void purge_check(struct purger *p)
{
    struct pending *w;

    if (p->run.state != RUN_NONE || p->d->stopping)
        return;
    if ((w = STAILQ_FIRST(&p->pending))) {
        STAILQ_REMOVE_HEAD(&p->pending, link);
        p->npending--;
        p->run = w->run;
        free(w);
    } else if (is_over(p))
        p->run = (struct run){ .limits = p->limits };
    else
        return;
    p->run.begun = p->d->m.ops->now(p->d);
    run_next(p);
}

static int check_ids(struct daemon *d, const json_t *ids, flux_error_t *error)
{
    json_t *o;
    size_t i;

    if (json_array_size(ids) == 0 || json_array_size(ids) > REQUEST_IDS_MAX)
        return errorx_fail(error, EINVAL, "ids: must be 1 to %d job ids", REQUEST_IDS_MAX);
    json_array_foreach ((json_t *)ids, i, o) {
        flux_jobid_t id = (flux_jobid_t)json_integer_value(o);
        char f58[32] = "";

        (void)fluid_encode(f58, sizeof(f58), id, FLUID_F58_PLAIN);
        if (!json_is_integer(o))
            return errorx_fail(error, EPROTO, "ids[%zu]: not a job id", i);
        if (manager_find(&d->m, id))
            return errorx_fail(error, EINVAL, "job %s is active: it cannot be purged", f58);
        if (!purge_may(&d->m, id))
            return errorx_fail(error, EINVAL, "job %s was not waited for yet: see flux job wait",
                               f58);
    }
    return 0;
}

/* Takes run apart from its request. */
static int enqueue(struct purger *p, struct run run, struct request *req)
{
    struct pending *w = calloc(1, sizeof(*w));

    if (!w) {
        json_decref(run.ids);
        return -ENOMEM;
    }
    w->run = run;
    w->run.req = request_ref(req);
    STAILQ_INSERT_TAIL(&p->pending, w, link);
    p->npending++;
    request_on_gone(req, on_gone, p);
    return 0;
}

int rpc_purge(struct request *req, void *arg)
{
    struct daemon *d = arg;
    const json_t *o = request_json(req);
    const json_t *age = json_object_get(o, "age_limit"), *num = json_object_get(o, "num_limit");
    struct run run = { .dry = !json_is_true(json_object_get(o, "force")),
                       .ids = json_incref(json_object_get(o, "ids")),
                       .limits = { .age = age ? json_number_value(age) : -1.,
                                   .held = num ? json_integer_value(num) : -1 } };
    flux_error_t error = { .text = "" };
    int rc = 0;

    if ((age && run.limits.age < 0.) || (num && run.limits.held < 0))
        rc = errorx_fail(&error, EINVAL, "a limit of the purge must not be negative");
    else if (!run.ids && !age && !num)
        rc = errorx_fail(&error, EINVAL, "say what to purge: job ids, an age or a number to keep");
    else if (d->purger->npending >= REQUESTS_MAX)
        rc = errorx_fail(&error, EAGAIN, "%d purges wait already", REQUESTS_MAX);
    else if (run.ids)
        rc = check_ids(d, run.ids, &error);
    if (rc < 0) {
        json_decref(run.ids);
        return error.text[0] ? request_explain(req, -rc, "%s", error.text) : rc;
    }
    return enqueue(d->purger, run, req);
}

/* --- configuration and construction */

static int read_age(const json_t *v, double *ret, flux_error_t *error)
{
    if (!v)
        return 0;
    if (!json_is_string(v) || fsd_parse(json_string_value(v), ret) < 0)
        return errorx_fail(error, EINVAL,
                           "job-manager.inactive-age-limit: must be a duration, as \"7d\"");
    return 0;
}

static int read_num(const json_t *v, int64_t *ret, flux_error_t *error)
{
    if (!v)
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return errorx_fail(error, EINVAL,
                           "job-manager.inactive-num-limit: must be a number of jobs, 0 or more");
    *ret = json_integer_value(v);
    return 0;
}

int purge_config(struct purger *p, const json_t *config, flux_error_t *error)
{
    const json_t *table = json_object_get(config, "job-manager");
    struct purge_limits limits = { .age = -1., .held = -1 };
    int rc;

    if (table && !json_is_object(table))
        return errorx_fail(error, EINVAL, "job-manager: must be a table");
    rc = read_age(json_object_get(table, "inactive-age-limit"), &limits.age, error);
    if (rc == 0)
        rc = read_num(json_object_get(table, "inactive-num-limit"), &limits.held, error);
    if (rc < 0)
        return rc;
    if (limits.age > 1e12) /* inf */
        limits.age = -1.;
    p->limits = limits;
    p->resting = false;
    flux_watcher_stop(p->due);
    return 0;
}

int purge_open(struct daemon *d, struct purger **ret)
{
    struct purger *p = calloc(1, sizeof(*p));
    flux_reactor_t *r = service_reactor(d->svc);
    flux_error_t error;

    if (!p)
        return -ENOMEM;
    p->d = d;
    STAILQ_INIT(&p->pending);
    p->timer = flux_timer_watcher_create(r, 0., 0., on_timer, p);
    p->due = flux_timer_watcher_create(r, 0., 0., on_due, p);
    *ret = p;
    if (!p->timer || !p->due)
        return -ENOMEM;
    if (purge_config(p, service_config(d->svc), &error) < 0)
        log_err("%s; nothing is purged by itself", error.text);
    d->m.purge.done = on_purged;
    d->m.purge.arg = p;
    return 0;
}

struct purger *purge_close(struct purger *p)
{
    struct pending *w;

    if (!p)
        return NULL;
    looks_drop(p);
    flux_future_destroy(p->ask);
    while ((w = STAILQ_FIRST(&p->pending))) {
        STAILQ_REMOVE_HEAD(&p->pending, link);
        run_deinit(&w->run);
        free(w);
    }
    run_deinit(&p->run);
    flux_watcher_destroy(p->due);
    flux_watcher_destroy(p->timer);
    free(p);
    return NULL;
}
