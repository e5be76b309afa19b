/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Signals to running jobs: passed to the execution service, which owns the processes. Refuses jobs
 * that are not in RUN, jobs of others, and numbers that are no signal. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "base/errorx.h"
#include "manager.h"

static int kill_send(struct manager *m, const struct job *job, int signum)
{
    char topic[128], buf[96];

    (void)snprintf(topic, sizeof(topic), "%s.kill", m->start.service);
    (void)snprintf(buf, sizeof(buf), "{\"id\":%" PRIu64 ",\"signum\":%d}", job->id, signum);
    return m->ops->send(m->arg, topic, buf, true);
}

int kill_job(struct manager *m, struct asker who, flux_jobid_t id, int signum, flux_error_t *error)
{
    struct job *job;
    int rc;

    if (signum <= 0 || signum >= NSIG)
        return errorx_fail(error, EINVAL, "%d is not a signal number", signum);
    rc = manager_find_for(m, id, who, &job, error);
    if (rc < 0)
        return rc;
    if (job->state != JOB_STATE_RUN)
        return errorx_fail(error, EINVAL, "the job is not running, its state is %s",
                           job_state_name(job->state));
    if (!job->start_pending)
        return errorx_fail(error, EAGAIN, "the job is just being started or taken over, try again");
    return kill_send(m, job, signum);
}

int kill_all(struct manager *m, struct asker who, uint32_t userid, int signum, bool dry_run,
             int *ret_count)
{
    struct job *job, *tmp;
    int count = 0;

    if (signum <= 0 || signum >= NSIG)
        return -EINVAL;
    if (!who.owner && userid != who.userid)
        return -EPERM;
    HASH_ITER (hh, m->jobs, job, tmp) {
        if ((userid != FLUX_USERID_UNKNOWN && job->userid != userid) ||
            job->state != JOB_STATE_RUN || !job->start_pending)
            continue;
        if (!dry_run && kill_send(m, job, signum) < 0)
            continue;
        count++;
    }
    *ret_count = count;
    return 0;
}
