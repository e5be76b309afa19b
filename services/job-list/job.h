/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One job as its events, jobspec and R tell it. */
#ifndef JOB_LIST_JOB_H
#define JOB_LIST_JOB_H

#include <jansson.h>
#include <flux/job.h>
#include "base/cleanup.h"
#include "base/hash.h"
#include "job-list/order.h"

#define JOB_SEVERITY_NONE (-1)
#define JOB_STATUS_NONE   (-1)
#define JOB_PRIORITY_NONE (-1)

struct job {
    flux_jobid_t id;
    size_t nevents;     /* of its eventlog seen so far */
    uint64_t ninactive; /* it was the n-th job to become inactive; 0: not known */
    flux_job_state_t state;
    flux_job_result_t result; /* 0 until inactive */
    uint32_t userid;
    int urgency;
    int64_t priority;
    double t_submit, t_depend, t_run, t_cleanup, t_inactive; /* wall time; 0: not yet */
    bool has_jobspec;
    char *name, *cwd, *queue;   /* may be NULL */
    int ntasks, ncores, nnodes; /* 0: not known */
    int per_node, per_core;     /* tasks; 0: what the jobspec counts */
    double duration;            /* 0: none */
    char *ranks, *nodelist;     /* NULL before alloc */
    double expiration;
    int exception_severity; /* of the most severe one so far, or JOB_SEVERITY_NONE */
    char *exception_type, *exception_note;
    int waitstatus;       /* JOB_STATUS_NONE: did not finish */
    json_t *annotations;  /* NULL: none */
    json_t *dependencies; /* array of descriptions; NULL: never any */
    unsigned int epoch;   /* of the table: last journal that spoke of it */
    struct order_node order;
    UT_hash_handle hh;
};

int job_new(flux_jobid_t id, struct job **ret);
struct job *job_free(struct job *job);
DEFINE_CLEANUP(struct job *, job_free)

/* The next event of the eventlog. Unknown events are counted and ignored. 0, -EPROTO, -ENOMEM. */
int job_apply_event(struct job *job, const json_t *event);
/* Once, before jobspec-update events. What does not parse leaves the fields unknown. */
int job_apply_jobspec(struct job *job, json_t *jobspec);
int job_apply_R(struct job *job, const json_t *R);
int job_set_annotations(struct job *job, json_t *annotations); /* keeps a reference */

#endif
