/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One active job, and the table of them. A hundred thousand may wait: the struct stays small, text
 * is kept as text. */
#ifndef JOB_MANAGER_JOB_H
#define JOB_MANAGER_JOB_H

#include <jansson.h>
#include <flux/types.h>
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/list.h"
#include "state.h"
#include "text.h"

struct request;

/* What is due once the events committed with it are durable (commit.c). */
enum job_effect {
    JOB_EFFECT_START = 1,    /* tell job-exec to start it */
    JOB_EFFECT_INACTIVE = 2, /* tell waiters, then forget the job */
    JOB_EFFECT_STORE_R = 4,  /* R goes into the same commit */
    JOB_EFFECT_SUBMIT = 8,   /* the journal sends the jobspec with these events */
    JOB_EFFECT_ARCHIVE = 32, /* its namespace is archived in the same commit */
    JOB_EFFECT_FREE = 16,    /* others may have its resources: never committed after theirs */
};

struct job_answer { /* a client to be answered when the events before it are durable */
    struct request *req;
    char *json;      /* what to say; NULL: {} */
    uint64_t ticket; /* so many jobs were dirtied before it */
    STAILQ_ENTRY(job_answer) link;
};
STAILQ_HEAD(job_answers, job_answer);

struct dependency;
LIST_HEAD(dependency_list, dependency);

struct job {
    flux_jobid_t id;
    UT_hash_handle hh; /* in struct jobs */
    unsigned int refs;

    /* As the eventlog says (event.c only changes these). */
    uint32_t userid;
    uint32_t priority;
    double t_submit;
    enum job_state state : 8;
    unsigned int urgency : 8;
    unsigned int flags : 16;
    bool simulated : 1;         /* its jobspec asks for no processes */
    bool has_resources : 1;     /* alloc, no free yet */
    bool ran : 1;               /* alloc, ever */
    bool started : 1;           /* start */
    bool finished : 1;          /* finish */
    bool released : 1;          /* release final, or nothing was started */
    bool failed : 1;            /* exception of severity 0 */
    bool canceled : 1;          /* the first such exception was of type cancel */
    bool dependencies_set : 1;  /* their dependency-add events are in the log */
    int status;                 /* of finish */
    unsigned int ndependencies; /* added and not removed */
    unsigned int nprologs, nepilogs;
    char *exception; /* "type=T NOTE" of the first fatal one */

    /* What this process did about it. */
    bool alloc_pending : 1;   /* the scheduler has a request of ours */
    bool alloc_canceling : 1; /* and was told to forget it */
    bool start_pending : 1;   /* job-exec has a start request of ours */
    bool start_sent : 1; /* a start may have reached job-exec before: the next one reattaches */
    bool cancel_sent : 1;
    bool has_namespace : 1; /* committed with its alloc */
    bool dirty : 1;         /* on the list of jobs with events to commit */
    bool todo : 1;          /* on the list of jobs to advance */
    bool inactive_told : 1; /* those that wait for it know that it ended */
    struct heap_node queued;

    char *jobspec;       /* compact JSON, no environment */
    char *R;             /* compact JSON, while it has resources */
    json_t *annotations; /* or NULL */

    /* The whole eventlog; what is beyond log_durable is not yet in the KVS, what is beyond
     * log_committing is not yet on its way. */
    struct text log;
    size_t log_committing, log_durable;
    unsigned int nevents, nevents_committing, nevents_durable;
    unsigned char effects, effects_committing; /* enum job_effect */
    uint64_t dirty_ticket;                     /* place on the list of the dirty ones */
    TAILQ_ENTRY(job) dirty_link, todo_link;
    struct dependency_list waiting_for; /* edges to those we wait for */
    struct dependency_list waited_by;   /* edges to those that wait for us */
    uint64_t inactive_seq;              /* it was the N-th to become inactive */
    uint64_t serial;                    /* order of arrival here */
};

TAILQ_HEAD(job_list, job);

int job_new(flux_jobid_t id, struct job **ret);
struct job *job_ref(struct job *job);
struct job *job_unref(struct job *job);
DEFINE_CLEANUP(struct job *, job_unref)

bool job_is_held(const struct job *job); /* priority 0: not shown to the scheduler */
bool job_succeeded(const struct job *job);
/* Why a job that ended did not succeed, for people; "" if it did. malloc'd. */
char *job_failure(const struct job *job);
/* Merge annotations into those it has (RFC 27: null removes). 0, -EPROTO: not an object, -ENOMEM.
 */
int annotate_job(struct job *job, const json_t *annotations);
/* Keep what is needed of it; the environment is dropped from jobspec. 0 or -ENOMEM. */
int job_set_jobspec(struct job *job, json_t *jobspec);

#endif
