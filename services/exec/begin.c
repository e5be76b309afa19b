/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The shell of a job on this node: it is started, and runs or has ended.
 *
 * A shell that is gone before it was on record was never told what to run, so it may be started
 * again without any task being run twice. That happens where the service manager cannot complete a
 * start (a control group that it had just removed, say), or while flux-shell is being replaced.
 * It is done a few times, with pauses; a shell that never comes to life ends the job. */
#include <string.h>

#include "base/monotime.h"
#include "job.h"
#include "service/log.h"

static const double pauses[] = { 0.1, 1, 5 }; /* seconds before it is started again */

static int launch_shell(struct job *job)
{
    const struct launch_request req = {
        .id = job->id,
        .userid = job->userid,
        .shell = job->jobs->config->shell,
        .forks = job->jobs->config->own_shell,
    };

    return launch_start(job->jobs->launcher, &req, job, &job->launch);
}

void job_launch(struct job *job)
{
    int rc;

    job_set_state(job, JOB_LAUNCH);
    job->t_starting = walltime();
    job_want_namespace(job);
    job_want_jobspec(job);
    if (!job->here) { /* its shells are on other nodes alone */
        job->local_ended = true;
        job_set_state(job, JOB_RUN);
        job_arm_expiration(job);
        job_provided(job);
        return;
    }
    rc = launch_shell(job);
    if (rc < 0) {
        job_fail(job, "exec", "cannot start the job shell: %s", strerror(-rc));
        job_ended(job);
    }
}

static void on_started(void *arg)
{
    struct job *job = arg;

    job->launched = true;
    job_set_state(job, JOB_RUN);
    job_part_started(job);
    if (!job->is_part)
        job_arm_expiration(job);
    job_provided(job);
    if (job->canceled)
        job_cancel(job);
}

static void never_started(struct job *job)
{
    job->local_ended = true;
    job_part_ended(job);
}

static void on_failed(void *arg, int errnum, const char *reason)
{
    struct job *job = arg;

    job->launch = launch_free(job->launch);
    if (errnum == ESHUTDOWN) {
        job->jobs->on_fatal(job->jobs->fatal_arg, reason); /* the job starts after the reboot */
        return;
    }
    job_fail(job, "exec", "%s", reason);
    never_started(job);
}

static void on_relaunch(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct job *job = arg;
    int rc = job->canceled ? 0 : launch_shell(job);

    if (rc < 0)
        job_fail(job, "exec", "cannot start the job shell: %s", strerror(-rc));
    if (rc < 0 || job->canceled)
        never_started(job);
}

/* false: it was tried often enough. */
static bool launch_later(struct job *job)
{
    const double pause = job->nlaunches < ARRAY_SIZE(pauses) ? pauses[job->nlaunches++] : 0;

    if (pause == 0 || job->canceled)
        return false;
    flux_watcher_destroy(job->relaunch);
    job->relaunch = flux_timer_watcher_create(job->jobs->reactor, pause, 0., on_relaunch, job);
    if (!job->relaunch)
        return false;
    flux_watcher_start(job->relaunch);
    log_warning("job %" PRIu64 ": its shell ended before it was told what to run, another one is "
                "started in %g s",
                job->id, pause);
    return true;
}

static void on_exited(void *arg, int status)
{
    struct job *job = arg;

    if (job->state == JOB_LAUNCH && status < 0) { /* no record: it was told nothing */
        job->launch = launch_free(job->launch);
        if (launch_later(job))
            return;
        if (!job->canceled)
            job_fail(job, "exec",
                     "the job shell does not come to life: it was started %zu times "
                     "and ended each time before it was told what to run",
                     ARRAY_SIZE(pauses) + 1);
        never_started(job);
        return;
    }
    job->launched = true;
    job->has_status = status >= 0;
    job->status = status;
    job->local_ended = true;
    job_shell_ended(job, job->jobs->rank, status);
    job_part_ended(job);
}

const struct launch_events job_launch_events = {
    .on_started = on_started,
    .on_failed = on_failed,
    .on_exited = on_exited,
};
