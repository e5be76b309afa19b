/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Simulated execution: attributes.system.exec.test.run_duration. A timer stands for the shell;
 * neither process, namespace nor record is made. A job that is asked for again (reattach) runs for
 * what is left since its start time in R. */
#include "base/errorx.h"
#include "base/fsd.h"
#include "base/monotime.h"
#include "job.h"

#define SHORT_SECONDS 0.01 /* where a timer of the loop, good to 1 ms, is too coarse */

int simulation_parse(const json_t *jobspec, double *ret_duration, flux_error_t *error)
{
    const json_t *o = json_object_get(jobspec, "attributes");
    const json_t *duration;

    o = json_object_get(json_object_get(json_object_get(o, "system"), "exec"), "test");
    if (!o)
        return 0;
    duration = json_object_get(o, "run_duration");
    *ret_duration = 0;
    if (json_is_number(duration) && json_number_value(duration) >= 0)
        *ret_duration = json_number_value(duration);
    else if (duration && (!json_is_string(duration) ||
                          fsd_parse(json_string_value(duration), ret_duration) < 0))
        return errorx_fail(error, EINVAL,
                           "jobspec.attributes.system.exec.test.run_duration: must "
                           "be a duration such as \"1.5s\"");
    return 1;
}

bool job_is_simulating(const struct job *job)
{
    return job->simulation || job->alarm.set;
}

void job_simulation_end(struct job *job)
{
    flux_watcher_destroy(job->simulation);
    job->simulation = NULL;
    alarm_clear(job->jobs->alarms, &job->alarm);
}

static void on_alarm(void *arg)
{
    struct job *job = arg;

    job->has_status = true;
    job_done(job);
}

static void on_simulated(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    on_alarm(arg);
}

void job_simulate(struct job *job)
{
    double left = job->run_duration;

    job_set_state(job, JOB_RUN);
    answers_start(job->jobs->answers, job->id);
    if (job->reattach && job->starttime > 0)
        left -= walltime() - job->starttime;
    if (left > job->run_duration)
        left = job->run_duration;
    if (left < SHORT_SECONDS) {
        job->alarm = (struct alarm){ .fn = on_alarm, .arg = job };
        alarm_set(job->jobs->alarms, &job->alarm, left > 0 ? (uint64_t)(left * 1e6) : 0);
        return;
    }
    job->simulation = flux_timer_watcher_create(job->jobs->reactor, left, 0., on_simulated, job);
    if (!job->simulation) {
        job_fail(job, "exec", "flux-exec is out of memory");
        job_done(job);
        return;
    }
    flux_watcher_start(job->simulation);
    job_arm_expiration(job);
}
