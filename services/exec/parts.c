/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One stream to each node. It breaks when flux-exec or a router there is restarted, or when the
 * node is gone; which of these it is only time tells, so it is begun anew every RETRY_SECONDS, and
 * the node finds its shell by its own record. One that is lost is not asked again: when it comes
 * back it asks itself (orphans.c). Invariant: a part has a stream, or a retry under way, or has
 * ended. */
#include <string.h>
#include <sys/wait.h>

#include "base/exitcode.h"
#include "base/monotime.h"
#include "job.h"
#include "parts.h"
#include "service/log.h"

#define RETRY_SECONDS 0.5

struct part {
    struct parts *parts;
    uint32_t rank;
    flux_future_t *f;
    flux_watcher_t *retry;
    uint64_t away_usec; /* since when it cannot be reached; 0: it can */
    bool started, ended, lost, has_status;
    int status;
};

struct parts {
    struct job *job;
    bool begun;
    size_t count;
    struct part all[];
};

static void start_part(struct part *p, bool reattach);

static void end_part(struct part *p, bool has_status, int status)
{
    if (p->ended)
        return;
    p->ended = true;
    p->has_status = has_status;
    p->status = status;
    flux_future_destroy(p->f);
    p->f = NULL;
    flux_watcher_stop(p->retry);
    job_part_ended(p->parts->job); /* may free us */
}

static void fail(struct part *p, const char *why)
{
    char where[WHERE_SIZE];

    job_fail(p->parts->job, "exec", "%s: %s",
             job_where(p->parts->job, p->rank, where, sizeof(where)), why);
}

static void lose(struct part *p, const char *why)
{
    struct job *job = p->parts->job;
    char where[WHERE_SIZE];

    (void)job_where(job, p->rank, where, sizeof(where));
    log_warning("job %" PRIu64 ": %s is lost: %s", job->id, where, why);
    job_fail(job, "node-failure", "%s is lost and ended this job, which may be submitted again: %s",
             where, why);
    p->lost = true;
    end_part(p, true, STATUS_VANISHED);
}

static void on_retry(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    start_part(arg, true);
}

static void away(struct part *p, int errnum, const char *why)
{
    const uint64_t now_usec = monotime_usec();

    if (errnum == ECONNRESET || errnum == ENOSYS)
        why = "flux-exec does not run there";
    if (p->away_usec == 0)
        p->away_usec = now_usec;
    if ((double)(now_usec - p->away_usec) * 1e-6 > p->parts->job->jobs->config->node_timeout) {
        lose(p, why);
        return;
    }
    log_debug("job %" PRIu64 ": rank %u: %s", p->parts->job->id, p->rank, why);
    flux_timer_watcher_reset(p->retry, RETRY_SECONDS, 0.);
    flux_watcher_start(p->retry);
}

static void on_error(struct part *p, int errnum, const char *why)
{
    if (kvs_is_away(errnum)) { /* the same errors mean the same of any service */
        away(p, errnum, why);
    } else if (errnum == ENODATA) {
        end_part(p, false, 0);
    } else {
        fail(p, why);
        end_part(p, false, 0);
    }
}

static void on_response(flux_future_t *f, void *arg)
{
    struct part *p = arg;
    const char *type, *note = "";
    int status = -1;

    if (flux_rpc_get_unpack(f, "{s:s s?i s?s}", "type", &type, "status", &status, "note", &note) <
        0) {
        char why[160];
        const int errnum = errno;

        (void)snprintf(why, sizeof(why), "%s", flux_future_error_string(f));
        flux_future_destroy(f);
        p->f = NULL;
        on_error(p, errnum, why);
        return;
    }
    p->away_usec = 0;
    if (strcmp(type, "end") == 0) {
        job_shell_ended(p->parts->job, p->rank, status);
        end_part(p, status >= 0, status);
        return;
    }
    if (strcmp(type, "exception") == 0) {
        fail(p, note);
    } else if (!p->started) {
        p->started = true;
        job_part_started(p->parts->job);
    }
    flux_future_reset(f); /* type and note end with it */
}

static void start_part(struct part *p, bool reattach)
{
    const struct job *job = p->parts->job;

    p->f = flux_rpc_pack(job->jobs->h, "rexec.job-start", p->rank, FLUX_RPC_STREAMING,
                         "{s:I s:I s:s s:s s:b s:b s:b}", "id", (json_int_t)job->id, "userid",
                         (json_int_t)job->userid, "R", job->R, "jobspec",
                         job->jobspec ? job->jobspec : "", "reattach", reattach, "started",
                         p->started || job->facts.started, "cleanup", job->canceled);
    if (!p->f || flux_future_then(p->f, -1., on_response, p) < 0)
        job->jobs->on_fatal(job->jobs->fatal_arg, strerror(errno));
}

void parts_start(struct parts *p, bool reattach)
{
    if (p->begun)
        return;
    p->begun = true;
    for (size_t i = 0; i < p->count; i++)
        start_part(&p->all[i], reattach);
}

static void tell(struct parts *p, const struct part *part, const char *topic, int signum)
{
    flux_future_t *f = flux_rpc_pack(p->job->jobs->h, topic, part->rank, FLUX_RPC_NORESPONSE,
                                     "{s:I s:i}", "id", (json_int_t)p->job->id, "signum", signum);

    flux_future_destroy(f);
}

void parts_signal(struct parts *p, int signum)
{
    for (size_t i = 0; i < p->count; i++)
        if (!p->all[i].ended && p->begun)
            tell(p, &p->all[i], "rexec.job-kill", signum);
}

void parts_forget(struct parts *p)
{
    for (size_t i = 0; i < p->count; i++)
        tell(p, &p->all[i], "rexec.job-forget", 0);
}

bool parts_started(const struct parts *p)
{
    return p->begun;
}

bool parts_running(const struct parts *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (!p->all[i].started && !p->all[i].ended)
            return false;
    return true;
}

bool parts_ended(const struct parts *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->begun && !p->all[i].ended)
            return false;
    return true;
}

bool parts_lost(const struct parts *p, uint32_t rank)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->all[i].rank == rank)
            return p->all[i].lost;
    return false;
}

/* Wait statuses: exit codes count more than signals. */
static bool is_worse(int status, int than)
{
    if (WIFEXITED(status) && WIFEXITED(than))
        return exitcode_is_worse(WEXITSTATUS(status), WEXITSTATUS(than));
    return status > than;
}

bool parts_status(const struct parts *p, int *ret_status)
{
    bool known = true;

    for (size_t i = 0; i < p->count; i++) {
        known = known && p->all[i].has_status;
        if (p->all[i].has_status && is_worse(p->all[i].status, *ret_status))
            *ret_status = p->all[i].status;
    }
    return known;
}

int parts_new(struct job *job, const struct idset *ranks, struct parts **ret)
{
    struct parts *p = calloc(1, sizeof(*p) + idset_count(ranks) * sizeof(p->all[0]));

    if (!p)
        return -ENOMEM;
    p->job = job;
    for (unsigned int r = idset_first(ranks); r != IDSET_INVALID_ID; r = idset_next(ranks, r)) {
        struct part *part = &p->all[p->count++];

        *part = (struct part){ .parts = p, .rank = r };
        part->retry = flux_timer_watcher_create(job->jobs->reactor, 0., 0., on_retry, part);
        if (!part->retry) {
            (void)parts_free(p);
            return -ENOMEM;
        }
    }
    *ret = p;
    return 0;
}

struct parts *parts_free(struct parts *p)
{
    for (size_t i = 0; p && i < p->count; i++) {
        flux_future_destroy(p->all[i].f);
        flux_watcher_destroy(p->all[i].retry);
    }
    free(p);
    return NULL;
}
