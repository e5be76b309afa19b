/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Urgency (0-31, chosen by people) and the priority that follows from it while no priority plugin
 * decides otherwise: 0 holds the job, 31 expedites it, else priority equals urgency. Refuses to
 * change a job that has resources, and guests who want more than 16. */
#include <errno.h>

#include "base/errorx.h"
#include "manager.h"

uint32_t urgency_priority(unsigned int urgency)
{
    return urgency == FLUX_JOB_URGENCY_EXPEDITE ? FLUX_JOB_PRIORITY_MAX : urgency;
}

int urgency_job(struct manager *m, struct asker who, flux_jobid_t id, int urgency,
                struct request *req, flux_error_t *error)
{
    struct event ev = { .type = EVENT_URGENCY, .urgency = urgency, .userid = who.userid };
    struct job *job;
    int rc;

    if (urgency < FLUX_JOB_URGENCY_MIN || urgency > FLUX_JOB_URGENCY_MAX)
        return errorx_fail(error, EINVAL, "urgency %d: must be from %d to %d", urgency,
                           FLUX_JOB_URGENCY_MIN, FLUX_JOB_URGENCY_MAX);
    rc = manager_find_for(m, id, who, &job, error);
    if (rc < 0)
        return rc;
    if (!who.owner && urgency > FLUX_JOB_URGENCY_DEFAULT && urgency >= (int)job->urgency)
        return errorx_fail(error, EPERM, "urgency %d: guests may use at most %d", urgency,
                           FLUX_JOB_URGENCY_DEFAULT);
    if (job->state == JOB_STATE_RUN || job->state == JOB_STATE_CLEANUP)
        return errorx_fail(error, EINVAL, "the job has its resources already");
    if (job->nevents >= JOB_EVENTS_MAX)
        return errorx_fail(error, ENOSPC, "the job has %u events already", job->nevents);
    rc = event_post(m, job, &ev);
    if (rc == 0 && job->state == JOB_STATE_SCHED) {
        ev = (struct event){ .type = EVENT_PRIORITY, .priority = urgency_priority(job->urgency) };
        rc = event_post(m, job, &ev);
        if (rc == 0)
            alloc_priority(m, job);
    }
    if (rc == 0)
        commit_answer(m, req, NULL);
    return rc;
}
