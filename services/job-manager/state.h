/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Job states (RFC 21) and which may follow which. */
#ifndef JOB_MANAGER_STATE_H
#define JOB_MANAGER_STATE_H

#include <stdbool.h>

enum job_state {
    JOB_STATE_NEW,
    JOB_STATE_DEPEND,
    JOB_STATE_PRIORITY,
    JOB_STATE_SCHED,
    JOB_STATE_RUN,
    JOB_STATE_CLEANUP,
    JOB_STATE_INACTIVE,
    JOB_STATE_COUNT
};

struct job;

const char *job_state_name(enum job_state state);
bool job_state_may_follow(enum job_state from, enum job_state to);
int job_state_mask(enum job_state state); /* as flux_job_state_t */
/* The only place where a state changes. 0 or -EINVAL (not in the table; nothing changed). */
int job_set_state(struct job *job, enum job_state to);

#endif
