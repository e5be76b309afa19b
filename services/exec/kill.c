/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Signals and time limits. Canceling is SIGTERM, then SIGKILL every kill-timeout until the shell is
 * gone; repeating it changes nothing. A job that has no shell yet gets none. */
#include <signal.h>
#include <string.h>

#include "base/monotime.h"
#include "job.h"
#include "service/log.h"

static void send_signal(struct job *job, int signum)
{
    const int rc = job->launch && !job->local_ended ? launch_signal(job->launch, signum) : 0;

    if (job->parts)
        parts_signal(job->parts, signum);
    if (rc < 0 && rc != -ESRCH)
        log_err("job %" PRIu64 ": cannot send signal %d: %s", job->id, signum, strerror(-rc));
}

static void on_kill_timeout(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct job *job = arg;

    log_info("job %" PRIu64 ": still there %g s after SIGTERM, sending SIGKILL", job->id,
             job->jobs->config->kill_timeout);
    send_signal(job, SIGKILL);
}

/* A simulated job, or one whose shell was never started, is over as soon as it is told. */
static void end_simulation(struct job *job, int signum)
{
    job->has_status = true;
    job->status = signum;
    job_done(job);
}

void job_cancel(struct job *job)
{
    const double timeout = job->jobs->config->kill_timeout;

    job->canceled = true;
    if (job_is_simulating(job)) {
        end_simulation(job, SIGTERM);
        return;
    }
    if (job->state != JOB_RUN || job->kill_timer)
        return;
    job->killed = true;
    send_signal(job, SIGTERM);
    job->kill_timer = flux_timer_watcher_create(
        job->jobs->reactor, timeout, timeout > 0.1 ? timeout : 0.1, on_kill_timeout, job);
    if (job->kill_timer)
        flux_watcher_start(job->kill_timer);
    else
        send_signal(job, SIGKILL);
}

void job_kill(struct job *job, int signum)
{
    if (job_is_simulating(job)) {
        end_simulation(job, signum);
    } else if (job->state == JOB_RUN) {
        job->killed = true;
        send_signal(job, signum);
    }
}

static void on_expired(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct job *job = arg;
    const double left = job->expiration - walltime();

    /* The loop's clock is monotonic; the limit is wall-clock time. A clock that was set forward
     * must not end a job early, one that was set back may end it as first promised: so no look at
     * the wall clock decides here, only rounding is corrected. */
    if (left > 0 && left < 0.05) {
        flux_timer_watcher_reset(w, left, 0.);
        flux_watcher_start(w);
        return;
    }
    job_fail(job, "timeout", "resource allocation expired");
}

void job_arm_expiration(struct job *job)
{
    double left;

    if (job->expiration <= 0)
        return;
    left = job->expiration - walltime();
    job->expire =
        flux_timer_watcher_create(job->jobs->reactor, left > 0 ? left : 0, 0., on_expired, job);
    if (job->expire)
        flux_watcher_start(job->expire);
    else
        log_err("job %" PRIu64 ": out of memory: its time limit is not watched", job->id);
}
