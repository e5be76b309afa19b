/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Taking up jobs from their eventlogs. The log alone says where a job stands; job_advance then does
 * what that state calls for, as if the job had just entered it. A job that holds resources may have
 * been started by the process before this one, so its start says reattach.
 * Jobs with processes get a `flux-restart` event; for those that only wait nothing happened. */
#include <errno.h>

#include "service/log.h"
#include "manager.h"

int restart_add(struct manager *m, flux_jobid_t id, const char *eventlog, size_t len,
                flux_error_t *error)
{
    CLEANUP(job_unrefp) struct job *job = NULL;
    int rc;

    if (manager_find(m, id))
        return 0;
    rc = job_new(id, &job);
    if (rc == 0)
        rc = event_replay(job, eventlog, len, error);
    if (rc < 0)
        return rc;
    if (job->state == JOB_STATE_INACTIVE) {
        if (m->loading) /* later it may have been waited for already */
            wait_resume(m, job);
        return 0;
    }
    job->start_sent = job->has_resources && !job->released;
    rc = manager_insert(m, job);
    return rc < 0 ? rc : 1;
}

void restart_job(struct manager *m, struct job *job)
{
    journal_add(m, job, 0, 0, JOB_EFFECT_SUBMIT | (job->R ? JOB_EFFECT_STORE_R : 0));
    if (job->state == JOB_STATE_RUN || job->state == JOB_STATE_CLEANUP)
        (void)event_post(m, job, &(struct event){ .type = EVENT_OTHER, .name = "flux-restart" });
    manager_mark(m, job);
}

void restart_finish(struct manager *m)
{
    struct job *job, *tmp;

    m->loading = false;
    HASH_ITER (hh, m->jobs, job, tmp)
        restart_job(m, job);
}
