/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The job state machine of RFC 21.
 *
 *            validate     depend        priority       alloc      finish
 *     NEW ----------> DEPEND ----> PRIORITY ----> SCHED ----> RUN -------> CLEANUP --clean-->
 * INACTIVE |                |            |              |           |             ^
 *      +----------------+------------+--------------+-----------+-------------+
 *                       exception of severity 0
 *
 * Refuses every other change. States never go back: a new priority of a job in SCHED changes its
 * place in the queue, not its state. INACTIVE is the end. */
#include <errno.h>

#include <flux/job.h>

#include "service/log.h"
#include "job.h"
#include "state.h"

static const char *const names[JOB_STATE_COUNT] = {
    [JOB_STATE_NEW] = "NEW",           [JOB_STATE_DEPEND] = "DEPEND",
    [JOB_STATE_PRIORITY] = "PRIORITY", [JOB_STATE_SCHED] = "SCHED",
    [JOB_STATE_RUN] = "RUN",           [JOB_STATE_CLEANUP] = "CLEANUP",
    [JOB_STATE_INACTIVE] = "INACTIVE",
};

#define TO(s) (1u << JOB_STATE_##s)
static const unsigned int next[JOB_STATE_COUNT] = {
    [JOB_STATE_NEW] = TO(DEPEND) | TO(CLEANUP),
    [JOB_STATE_DEPEND] = TO(PRIORITY) | TO(CLEANUP),
    [JOB_STATE_PRIORITY] = TO(SCHED) | TO(CLEANUP),
    [JOB_STATE_SCHED] = TO(RUN) | TO(CLEANUP),
    [JOB_STATE_RUN] = TO(CLEANUP),
    [JOB_STATE_CLEANUP] = TO(INACTIVE),
    [JOB_STATE_INACTIVE] = 0,
};
#undef TO

const char *job_state_name(enum job_state state)
{
    return (unsigned int)state < JOB_STATE_COUNT ? names[state] : "?";
}

bool job_state_may_follow(enum job_state from, enum job_state to)
{
    return (unsigned int)from < JOB_STATE_COUNT && (unsigned int)to < JOB_STATE_COUNT &&
           (next[from] & (1u << to));
}

int job_state_mask(enum job_state state)
{
    return FLUX_JOB_STATE_NEW << state;
}

int job_set_state(struct job *job, enum job_state to)
{
    if (!job_state_may_follow(job->state, to))
        return -EINVAL;
    log_debug("job %llu: %s -> %s", (unsigned long long)job->id, job_state_name(job->state),
              job_state_name(to));
    job->state = to;
    return 0;
}
