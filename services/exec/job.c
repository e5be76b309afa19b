/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The life of a job here.
 *
 *     NEW --> RECALL --> LAUNCH --> RUN --> INQUEST --> ARCHIVE --> (gone)
 *      |         |                   ^ |                   ^
 *      |         +---- shell lives --+ +---- exit code 0 --+
 *      +-- shell lives --> RUN
 *      +-- first start, no record of a shell --> LAUNCH
 *
 * RECALL asks the KVS whether the job ran before (RUNDIR/jobs/ID was looked at already); that may
 * be so only if the job manager says reattach. LAUNCH starts the shell while the namespace and the
 * jobspec are on their way; a shell learns its job only when all three are there. INQUEST finds out
 * how a shell ended that could not be waited for or did not end well. ARCHIVE moves the namespace
 * into job.X.guest in one commit, and only then is the job manager told; of a job that ended well
 * on this node it is told at once, and does that in the commit of `finish`. Simulated jobs go NEW
 * --> RUN --> (gone) and touch neither disk nor KVS.
 *
 * Nothing here waits: each step is a message, and jobs are not ordered among themselves. */
#include <string.h>
#include <sys/wait.h>

#include "base/errorx.h"
#include "base/jsonx.h"
#include "base/monotime.h"
#include "base/rset.h"
#include "job.h"
#include "service/log.h"

DEFINE_CLEANUP(struct rset *, rset_free)

static const char *const state_names[] = {
    [JOB_NEW] = "new", [JOB_RECALL] = "recall",   [JOB_LAUNCH] = "launch",
    [JOB_RUN] = "run", [JOB_INQUEST] = "inquest", [JOB_ARCHIVE] = "archive",
};

static const unsigned int transitions[] = {
    [JOB_NEW] = 1u << JOB_RECALL | 1u << JOB_LAUNCH | 1u << JOB_RUN | 1u << JOB_ARCHIVE,
    [JOB_RECALL] = 1u << JOB_LAUNCH | 1u << JOB_RUN | 1u << JOB_ARCHIVE,
    [JOB_LAUNCH] = 1u << JOB_RUN | 1u << JOB_INQUEST | 1u << JOB_ARCHIVE,
    [JOB_RUN] = 1u << JOB_INQUEST | 1u << JOB_ARCHIVE,
    [JOB_INQUEST] = 1u << JOB_ARCHIVE,
    [JOB_ARCHIVE] = 0,
};

const char *job_state_name(enum job_state state)
{
    return state_names[state];
}

void job_set_state(struct job *job, enum job_state state)
{
    if (!(transitions[job->state] & 1u << state))
        log_err("job %" PRIu64 ": %s -> %s is not a step that a job takes", job->id,
                state_names[job->state], state_names[state]);
    log_debug("job %" PRIu64 ": %s -> %s", job->id, state_names[job->state], state_names[state]);
    job->state = state;
}

struct job *jobs_find(struct jobs *jobs, flux_jobid_t id)
{
    struct job *job;

    HASH_FIND(hh, jobs->table, &id, sizeof(id), job);
    return job;
}

static struct job *job_free(struct job *job)
{
    if (job) {
        job_simulation_end(job);
        flux_watcher_destroy(job->relaunch);
        flux_watcher_destroy(job->kill_timer);
        flux_watcher_destroy(job->expire);
        jobkvs_deinit(job);
        request_unref(job->info);
        parts_free(job->parts);
        if (job->carrier)
            request_on_gone(job->carrier, NULL, NULL);
        request_unref(job->carrier);
        launch_free(job->launch);
        for (char **s = job->cpus; s && *s; s++)
            free(*s);
        free(job->cpus);
        free(job->jobspec);
        free(job->ranks);
        free(job->R);
        free(job);
    }
    return NULL;
}
DEFINE_CLEANUP(struct job *, job_free)

void jobs_free_all(struct jobs *jobs)
{
    struct job *job, *tmp;

    HASH_ITER (hh, jobs->table, job, tmp) {
        HASH_DEL(jobs->table, job);
        job_free(job);
    }
}

/* Where the shells are to be: here, and on the leader those of other nodes. */
static int read_ranks(struct job *job, struct idset *ranks)
{
    job->here = idset_test(ranks, job->jobs->rank);
    if (job->is_part || job->simulated)
        return 0;
    (void)idset_clear(ranks, job->jobs->rank);
    return idset_count(ranks) > 0 ? parts_new(job, ranks, &job->parts) : 0;
}

/* Takes from R what is needed of it. */
static int read_R(struct job *job, json_t *R, flux_error_t *error)
{
    CLEANUP(rset_freep) struct rset *rset = NULL;
    struct idset *ranks;
    json_t *starttime = json_object_get(json_object_get(R, "execution"), "starttime");
    int rc = rset_decode(R, &rset, error);

    if (rc < 0)
        return rc;
    ranks = rset_ranks(rset);
    job->ranks = ranks ? idset_encode(ranks, IDSET_FLAG_RANGE) : NULL;
    rc = ranks ? read_ranks(job, ranks) : -ENOMEM;
    idset_destroy(ranks);
    if (rc < 0)
        return errorx_fail(error, -rc, "out of memory");
    job->R = json_dumps(R, JSON_COMPACT);
    if (!job->ranks || !job->R)
        return errorx_fail(error, ENOMEM, "out of memory");
    job->expiration = rset_expiration(rset);
    job->starttime = json_number_value(starttime);
    if (job->simulated)
        return 0;
    if (!job->here)
        return 0;
    job->cpus = cputopo_of_cores(job->jobs->topo, rset_find(rset, job->jobs->rank)->cores);
    return 0;
}

static int job_new(struct jobs *jobs, const struct job_request *req, struct job **ret)
{
    CLEANUP(job_freep) struct job *job = calloc(1, sizeof(*job));

    if (!job)
        return -ENOMEM;
    job->jobs = jobs;
    job->id = req->id;
    job->userid = req->userid;
    job->reattach = req->reattach;
    job->facts.started = req->started;
    job->canceled = req->cleanup;
    job->failed = req->cleanup; /* it has its exception: no further ones */
    job->namespace_ready = job->manager_knows = req->guest;
    job->t_init = walltime();
    HASH_ADD(hh, jobs->table, id, sizeof(job->id), job);
    if (!job->hh.tbl)
        return -ENOMEM;
    if (jobs->on_count)
        jobs->on_count(jobs->fatal_arg);
    *ret = TAKE(job);
    return 0;
}

static int read_request(struct job *job, const struct job_request *req, flux_error_t *error)
{
    CLEANUP(json_decrefp) json_t *decoded = NULL;
    json_t *R = req->R;
    int rc = req->jobspec ? simulation_parse(req->jobspec, &job->run_duration, error) : 0;

    if (rc < 0)
        return rc;
    job->simulated = rc > 0;
    if (json_is_string(R)) {
        decoded = jsonx_decode_object(json_string_value(R), json_string_length(R), error);
        if (!decoded)
            return -EPROTO;
        R = decoded;
    }
    return read_R(job, R, error);
}

/* A record of a shell: is it the one, and alive? 1: yes, 0: no, or -errno: that cannot be known
 * now, and a job whose shell may live must not be called dead. */
static int find_shell(struct job *job)
{
    struct record rec;
    int rc = record_read(launcher_records(job->jobs->launcher), job->id, &rec);

    if (rc == -ENOENT)
        return 0;
    if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM)
        return rc;
    job->facts.record = true;
    job->launched = true;
    if (rc < 0) {
        log_err("job %" PRIu64 ": the record of its shell cannot be read: %s", job->id,
                strerror(-rc));
        job->facts.informed = true; /* it may have been */
        return 0;
    }
    job->facts.informed = rec.informed;
    rc = launch_adopt(job->jobs->launcher, job->id, &rec, job, &job->launch);
    job->facts.alive = rc == 0;
    return rc == 0 ? 1 : rc == -ESRCH ? 0 : rc;
}

static void job_begin(struct job *job)
{
    int rc;

    if (job->simulated) {
        if (job->canceled)
            job_done(job);
        else
            job_simulate(job);
        return;
    }
    rc = find_shell(job);
    if (rc < 0)
        job->jobs->on_fatal(job->jobs->fatal_arg, strerror(-rc));
    else if (rc > 0)
        job_attach(job, 0, ADOPT_ATTACH);
    else if (!job->reattach && !job->facts.record)
        job_attach(job, 0, ADOPT_LAUNCH);
    else
        job_recall(job);
}

static bool job_has_started(const struct job *job)
{
    return (!job->here || job->launched) && (!job->parts || parts_running(job->parts));
}

/* All shells run: say so, once all do. */
static void tell_started(struct job *job)
{
    if (job->is_part) {
        part_answer(job, "start", -1, NULL);
    } else if (job_has_started(job) && !job->told) {
        job->told = true;
        answers_start(job->jobs->answers, job->id);
    }
}

/* The job manager asks about a job that we have: it was restarted, or we answered a dead one. */
static void start_again(struct job *job, bool cleanup)
{
    if (cleanup) {
        job->failed = true;
        job_cancel(job);
        return;
    }
    /* Also when it is at its end: what the last one was told may have died with it. */
    if (job->simulated || job_has_started(job))
        answers_start(job->jobs->answers, job->id);
}

void jobs_start(struct jobs *jobs, const struct job_request *req)
{
    struct job *job = jobs_find(jobs, req->id);
    flux_error_t error = { .text = "" };
    int rc;

    if (job && job->simulated && !req->reattach) {
        /* The job manager does not remember it, so it was never started: forget it, too. */
        HASH_DEL(jobs->table, job);
        job = job_free(job);
    }
    if (job) {
        start_again(job, req->cleanup);
        return;
    }
    rc = job_new(jobs, req, &job);
    if (rc < 0) {
        answers_exception(jobs->answers, req->id, "exec", "flux-exec is out of memory");
        answers_release(jobs->answers, req->id, "all");
        return;
    }
    jobs->nstarted++;
    rc = read_request(job, req, &error);
    if (rc < 0) {
        job_fail(job, "exec", "%s", error.text);
        job_archive(job);
        return;
    }
    job_begin(job);
}

void jobs_start_part(struct jobs *jobs, const struct job_request *req, const char *jobspec,
                     struct request *carrier)
{
    flux_error_t error = { .text = "" };
    struct job *job;
    int rc = job_new(jobs, req, &job);

    if (rc < 0) {
        (void)request_fail(carrier, -rc, "flux-exec is out of memory");
        return;
    }
    jobs->nstarted++;
    job->is_part = true;
    job->failed = false;
    job->namespace_ready = true;
    part_carry(job, carrier);
    job->jobspec = strdup(jobspec);
    rc = job->jobspec ? read_request(job, req, &error) : -ENOMEM;
    if (rc < 0) {
        job_fail(job, "exec", "%s", error.text);
        job_done(job);
        return;
    }
    job_begin(job);
}

void job_fail(struct job *job, const char *type, const char *fmt, ...)
{
    flux_error_t error;
    va_list ap;

    if (job->failed)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(error.text, sizeof(error.text), fmt, ap);
    va_end(ap);
    job->failed = true;
    job->jobs->nfailed++;
    log_info("job %" PRIu64 ": exception %s: %s", job->id, type, error.text);
    if (job->is_part)
        part_answer(job, "exception", -1, error.text);
    else
        answers_exception(job->jobs->answers, job->id, type, error.text);
    job_cancel(job);
}

/* There is no shell on this node, any more; those on other nodes may go on, and say so themselves.
 * Without the first of them the job is lost, and they are ended. */
static void rejoin(struct job *job, enum adopt_outcome outcome)
{
    if (!job->facts.started && !job->canceled) /* it did start, but nobody heard of it */
        answers_start(job->jobs->answers, job->id);
    job->launched = job->facts.started || !job->canceled;
    job->local_ended = true;
    job_set_state(job, JOB_RUN);
    if (outcome == ADOPT_VANISHED && job->here)
        job_fail(job, "exec", "the job shell vanished: it is gone and left no exit status");
    job_want_namespace(job);
    job_want_jobspec(job);
    job_arm_expiration(job);
    job_provided(job);
    if (job->canceled)
        job_cancel(job);
}

/* What became of a job that may have run before. */
void job_attach(struct job *job, int status, enum adopt_outcome outcome)
{
    switch (outcome) {
    case ADOPT_LAUNCH:
        if (!job->canceled || job->parts) {
            job->canceled ? rejoin(job, outcome) : job_launch(job);
            return;
        }
        job->has_status = job->facts.started; /* a shell that was never told what to run */
        job->status = STATUS_VANISHED;
        job->namespace_ready = true; /* it may be there */
        job_ended(job);
        return;
    case ADOPT_ATTACH:
        log_info("job %" PRIu64 ": found its shell, process %d", job->id,
                 (int)launch_pid(job->launch));
        job_set_state(job, JOB_RUN);
        job->namespace_ready = job->facts.informed;
        if (!job->facts.informed || job->parts) {
            job_want_namespace(job);
            job_want_jobspec(job);
        }
        tell_started(job);
        job_arm_expiration(job);
        job_provided(job);
        if (job->canceled)
            job_cancel(job);
        return;
    case ADOPT_VANISHED:
        if (job->facts.record)
            (void)launcher_sweep(job->jobs->launcher, job->id);
        break;
    case ADOPT_ARCHIVE:
    case ADOPT_FINISHED:
        break;
    }
    if (job->is_part) { /* it ended while nobody watched */
        job->has_status = false;
        job_done(job);
        return;
    }
    if (job->parts && outcome != ADOPT_FINISHED) {
        rejoin(job, outcome);
        return;
    }
    if (!job->facts.started && !job->canceled) /* it did start, but nobody heard of it */
        answers_start(job->jobs->answers, job->id);
    job->launched = job->namespace_ready = true;
    if (outcome == ADOPT_VANISHED)
        job_fail(job, "exec", "the job shell vanished: it is gone and left no exit status");
    job->has_status = true;
    job->status = status;
    if (outcome == ADOPT_FINISHED)
        job_done(job);
    else
        job_ended(job);
}

void job_recalled(struct job *job)
{
    int status;
    const enum adopt_outcome outcome = adopt_decide(&job->facts, &status);

    job_attach(job, status, outcome);
}

void job_shell_ended(struct job *job, uint32_t rank, int status)
{
    char where[WHERE_SIZE], text[64];

    if (job->parts && status >= 0 && WIFSIGNALED(status) && !job->killed && !job->canceled)
        job_fail(job, "exec", "the job shell on %s was killed by %s",
                 job_where(job, rank, where, sizeof(where)),
                 status_describe(status, text, sizeof(text)));
}

void job_part_started(struct job *job)
{
    tell_started(job);
}

/* Parts that were never begun have nothing to end. */
void job_part_ended(struct job *job)
{
    if (!job->local_ended || (job->parts && !parts_ended(job->parts)) ||
        (job->state != JOB_LAUNCH && job->state != JOB_RUN))
        return;
    if (job->parts && !job->failed && !job->canceled)
        tell_started(job); /* a part may have ended before it could say that it runs */
    if (job->parts && parts_started(job->parts))
        job->has_status = parts_status(job->parts, &job->status) && (job->has_status || !job->here);
    if (job->is_part || (job->has_status && job->status == 0) || !job->launched)
        job_ended(job);
    else
        job_inquest(job);
}

void job_provided(struct job *job)
{
    job_inform(job);
    if (job->parts && job->namespace_ready && job->jobspec && job->state <= JOB_RUN &&
        !parts_started(job->parts)) {
        job->launched = job->launched || !job->here;
        parts_start(job->parts, job->reattach);
    }
}

/* The job manager can archive it in the commit of its finish. If that commit is lost the job is
 * asked for again: its record is there until then, and what its shell wrote says how it ended. So
 * this is for a shell that ended well, on this node. */
static bool ended_well(const struct job *job)
{
    return job->manager_knows && job->state == JOB_RUN && !job->parts && !job->is_part &&
           job->has_status && job->status == 0 && !job->failed && !job->canceled;
}

void job_ended(struct job *job)
{
    flux_watcher_destroy(job->kill_timer);
    flux_watcher_destroy(job->expire);
    job->kill_timer = job->expire = NULL;
    job->handed_over = ended_well(job);
    if (job->is_part || job->handed_over)
        job_done(job);
    else
        job_archive(job);
}

void job_done(struct job *job)
{
    struct jobs *jobs = job->jobs;

    if (job->is_part) {
        part_end(job);
        orphans_look_later(jobs->orphans);
    } else {
        if (job->has_status)
            answers_finish(jobs->answers, job->id, job->status, job->handed_over);
        answers_release(jobs->answers, job->id, job->ranks ? job->ranks : "all");
        if (job->parts)
            parts_forget(job->parts);
    }
    /* That of a part goes by rpc_part_forget(), what was handed over by rpc_forget(). */
    if (job->is_part ? job->forgotten : !job->handed_over && (job->facts.record || job->launched))
        (void)record_remove(launcher_records(jobs->launcher), job->id);
    jobs->nfinished++;
    if (job->info)
        (void)request_fail(job->info, ENOENT, "the job is over");
    HASH_DEL(jobs->table, job);
    job_free(job);
    if (jobs->on_count)
        jobs->on_count(jobs->fatal_arg);
}
