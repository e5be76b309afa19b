/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A look gathers the ids of all shells and records here that no stream of rank 0 stands for, and
 * asks flux-exec there which of them are over (rexec.job-over). Those are killed and forgotten;
 * the rest is looked at again, until rank 0 has taken it up. What rank 0 does not know yet, because
 * it was started a moment ago, it refuses to answer (EAGAIN).
 *
 * Invariants: a shell is ended only on the word of rank 0; while anything is here that no stream
 * stands for, a timer or a request is under way. */
#include <signal.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/monotime.h"
#include "job.h"
#include "orphans.h"
#include "service/log.h"

#define ASK_MAX        1024 /* ids in one request */
#define LATER_SECONDS  60.
#define ANSWER_SECONDS 20.

struct orphans {
    struct jobs *jobs;
    double retry;
    flux_watcher_t *timer;
    uint64_t due_usec; /* of the timer; 0: it is not running */
    bool listing;      /* the back end lists its shells */
    json_t *suspects;  /* array of ids */
    bool unanswered;   /* rank 0 could not be asked about them */
    bool stale;        /* there may be others by now */
    flux_future_t *f;  /* it is asked now */
};

static void look(struct orphans *o, double seconds)
{
    const uint64_t due_usec = monotime_usec() + (uint64_t)(seconds * 1e6);

    if (o->due_usec && o->due_usec <= due_usec)
        return;
    o->due_usec = due_usec;
    flux_timer_watcher_reset(o->timer, seconds, 0.);
    flux_watcher_start(o->timer);
}

static bool is_suspect(const json_t *suspects, flux_jobid_t id)
{
    const json_t *known;
    size_t i;

    json_array_foreach (suspects, i, known) {
        if ((flux_jobid_t)json_integer_value(known) == id)
            return true;
    }
    return false;
}

static void suspect(struct orphans *o, flux_jobid_t id)
{
    const struct job *job = jobs_find(o->jobs, id);

    if ((job && job->carrier && !request_gone(job->carrier)) ||
        json_array_size(o->suspects) >= ASK_MAX || is_suspect(o->suspects, id))
        return;
    (void)json_array_append_new(o->suspects, json_integer((json_int_t)id));
}

/* The shell is killed with all that it started; the record goes when its end was seen. */
static void end_here(struct orphans *o, flux_jobid_t id)
{
    struct job *job = jobs_find(o->jobs, id);

    log_warning("job %" PRIu64 " ended while this node was cut off: what is left of it here, if "
                "anything, is ended",
                id);
    if (job) {
        job->forgotten = job->canceled = true;
        job_kill(job, SIGKILL);
    } else {
        (void)launcher_purge(o->jobs->launcher, id);
    }
}

static void on_answer(flux_future_t *f, void *arg)
{
    struct orphans *o = arg;
    json_t *over, *id;
    size_t i, nended = 0;

    o->unanswered = false;
    if (flux_rpc_get_unpack(f, "{s:o}", "over", &over) < 0) {
        log_debug("rank 0 does not say which jobs have ended: %s", flux_future_error_string(f));
        o->unanswered = true;
    } else {
        json_array_foreach (over, i, id) {
            if (!is_suspect(o->suspects, (flux_jobid_t)json_integer_value(id)))
                continue;
            end_here(o, (flux_jobid_t)json_integer_value(id));
            nended++;
        }
    }
    flux_future_destroy(f);
    o->f = NULL;
    if (o->stale || nended < json_array_size(o->suspects) || nended == ASK_MAX)
        look(o, o->retry);
}

static void ask(struct orphans *o)
{
    o->f = flux_rpc_pack(o->jobs->h, "rexec.job-over", 0, 0, "{s:i s:O}", "rank",
                         (int)o->jobs->rank, "ids", o->suspects);
    if (o->f && flux_future_then(o->f, ANSWER_SECONDS, on_answer, o) == 0)
        return;
    flux_future_destroy(o->f);
    o->f = NULL;
    o->unanswered = true;
    look(o, o->retry);
}

static void on_record(flux_jobid_t id, void *arg)
{
    suspect(arg, id);
}

static void on_shell(flux_jobid_t id, void *arg)
{
    struct orphans *o = arg;

    if (id) {
        suspect(o, id);
        return;
    }
    o->listing = false;
    if (record_each(launcher_records(o->jobs->launcher), on_record, o) < 0)
        look(o, o->retry);
    else if (json_array_size(o->suspects) > 0)
        ask(o);
}

static void on_timer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct orphans *o = arg;
    int rc;

    o->due_usec = 0;
    if (o->listing || o->f) {
        look(o, o->retry);
        return;
    }
    if (o->unanswered && !o->stale) {
        ask(o);
        return;
    }
    o->stale = false;
    (void)json_array_clear(o->suspects);
    o->listing = true;
    rc = launcher_list(o->jobs->launcher, on_shell, o);
    if (rc < 0) {
        o->listing = false;
        log_err("cannot list the shells of this node: %s", strerror(-rc));
        look(o, o->retry);
    }
}

void orphans_look(struct orphans *o)
{
    if (o) {
        o->stale = true;
        look(o, o->retry);
    }
}

void orphans_look_later(struct orphans *o)
{
    if (o) {
        o->stale = true;
        look(o, LATER_SECONDS);
    }
}

int orphans_new(struct jobs *jobs, double retry, struct orphans **ret)
{
    CLEANUP(orphans_freep) struct orphans *o = calloc(1, sizeof(*o));

    if (!o || !(o->suspects = json_array()) ||
        !(o->timer = flux_timer_watcher_create(jobs->reactor, 0., 0., on_timer, o)))
        return -ENOMEM;
    o->jobs = jobs;
    o->retry = retry;
    *ret = TAKE(o);
    return 0;
}

struct orphans *orphans_free(struct orphans *o)
{
    if (o) {
        flux_future_destroy(o->f);
        flux_watcher_destroy(o->timer);
        json_decref(o->suspects);
        free(o);
    }
    return NULL;
}
