/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A job as flux-exec sees it, from the start request to the last answer (RFC 32). */
#ifndef EXEC_JOB_H
#define EXEC_JOB_H

#include <jansson.h>
#include <flux/core.h>
#include "adopt.h"
#include "alarm.h"
#include "answers.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "commitq.h"
#include "service/cputopo.h"
#include "launch.h"
#include "orphans.h"
#include "parts.h"

struct exec_config {
    double kill_timeout; /* seconds between SIGTERM and SIGKILL */
    double reconcile;    /* seconds after which shells of no job are ended */
    double node_timeout; /* seconds without a node until it is lost */
    char *shell;         /* path of flux-shell */
    bool own_shell;      /* it is ours, not one that the configuration names */
};

struct job;

/* All jobs, and what they need. */
struct jobs {
    flux_t *h;
    flux_reactor_t *reactor;
    uint32_t rank;
    struct launcher *launcher;
    struct commitq *commits;
    struct answers *answers;
    struct alarms *alarms;
    struct orphans *orphans; /* not on the leader */
    bool complete;           /* the leader: the job manager has named all jobs */
    const struct exec_config *config;
    const struct cputopo *topo;
    void (*on_fatal)(void *arg, const char *why); /* go away and come back: the KVS knows */
    void *fatal_arg;
    void (*on_count)(void *arg); /* the table grew or shrank; may be NULL. With fatal_arg */
    struct job *table;
    uint64_t nstarted, nfinished, nfailed;
};

/* See the diagram in job.c. */
enum job_state {
    JOB_NEW,
    JOB_RECALL,
    JOB_LAUNCH,
    JOB_RUN,
    JOB_INQUEST,
    JOB_ARCHIVE,
};

struct job {
    struct jobs *jobs;
    UT_hash_handle hh;
    flux_jobid_t id;
    uint32_t userid;
    enum job_state state;
    /* as asked for */
    bool reattach;
    bool simulated;
    double run_duration;          /* simulated */
    double starttime, expiration; /* of R, wall clock, 0: none */
    char *R;
    char *ranks;   /* idset */
    char *jobspec; /* whole, from the KVS */
    char **cpus;   /* unused entries NULL; of the cores that R gives on this rank */
    /* as it went */
    struct adopt_facts facts;
    bool here;               /* a shell of it runs on this node */
    bool local_ended;        /* that shell has */
    struct parts *parts;     /* shells on other nodes; NULL: none */
    bool is_part;            /* this is a part itself: flux-exec of rank 0 leads it (part.c) */
    struct request *carrier; /* who is told of a part; NULL: nobody now */
    bool forgotten;          /* a part whose record nobody needs any more */
    bool canceled;           /* end it: no shell is to be started any more */
    bool killed;             /* a signal of ours may be why the shell ends */
    bool failed;             /* an exception of severity 0 was sent */
    bool launched;           /* there is, or was, a shell */
    bool told;               /* the job manager was: it has started */
    bool namespace_ready;
    bool manager_knows; /* of its namespace: the job manager made it, and may archive it */
    bool handed_over;   /* and is told to */
    bool has_status;
    int status; /* wait status */
    double t_init, t_starting;
    struct launch *launch;
    struct request *info; /* the shell waits for its job */
    pid_t info_pid;       /* who says it is the shell */
    /* in flight */
    flux_future_t *f_jobspec, *f_log;
    struct commit_op creation, archive;
    /* timers */
    flux_watcher_t *expire, *kill_timer;
    flux_watcher_t *relaunch;   /* of a shell that ended before it was told anything */
    size_t nlaunches;           /* so many of these */
    flux_watcher_t *simulation; /* long ones; or */
    struct alarm alarm;         /* short ones */
};

/* --- job.c */
struct job_request {
    flux_jobid_t id;
    uint32_t userid;
    json_t *R;
    json_t *jobspec; /* may be NULL */
    bool reattach;
    bool started; /* its eventlog has a start event */
    bool cleanup; /* it is being ended: start nothing */
    bool guest;   /* its namespace exists */
};
/* A start request. Whatever is wrong with it becomes an exception of the job. */
void jobs_start(struct jobs *jobs, const struct job_request *req);
/* A part of a job that rank 0 leads, told of by carrier. */
void jobs_start_part(struct jobs *jobs, const struct job_request *req, const char *jobspec,
                     struct request *carrier);
struct job *jobs_find(struct jobs *jobs, flux_jobid_t id);
void jobs_free_all(struct jobs *jobs); /* forget them; shells stay */

const char *job_state_name(enum job_state state);
void job_set_state(struct job *job, enum job_state state);
/* An exception of severity 0, once; what runs is ended. */
void job_fail(struct job *job, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void job_attach(struct job *job, int status_if_over, enum adopt_outcome outcome);
void job_ended(struct job *job); /* the inquest is over, or was not needed: archive */
void job_done(struct job *job);  /* archived: last answers; frees job */
void job_recalled(struct job *job);
/* Shells elsewhere: once all run the job has started; once all have ended so has the job. */
void job_part_started(struct job *job);
void job_part_ended(struct job *job);
/* One of several shells was killed: those that are left wait for it in vain, so the job ends. */
void job_shell_ended(struct job *job, uint32_t rank, int status);
/* The jobspec or the namespace has come: go on with what waits for both. */
void job_provided(struct job *job);

/* --- begin.c: the shell on this node */
void job_launch(struct job *job);
extern const struct launch_events job_launch_events;

/* --- where.c */
#define WHERE_SIZE 128
/* "HOST (rank N)", in buf. */
const char *job_where(const struct job *job, uint32_t rank, char *buf, size_t size);

/* --- part.c */
/* The stream that a part is told of by, from now on. */
void part_carry(struct job *job, struct request *carrier);
void part_answer(struct job *job, const char *type, int status, const char *note);
void part_end(struct job *job);

/* --- recall.c: what the KVS remembers */
void job_recall(struct job *job);  /* calls job_recalled() */
void job_inquest(struct job *job); /* the shell ended, not with exit code 0; calls job_ended() */

/* --- jobkvs.c: what a job needs of the KVS */
void job_want_jobspec(struct job *job);
void job_want_namespace(struct job *job);
void job_archive(struct job *job); /* calls job_done() */
void jobkvs_deinit(struct job *job);

/* --- away.c */
/* Errors that say "there is no such thing"; any other means that the KVS cannot be asked. */
bool kvs_says_none(int errnum);
/* It is being restarted, or so busy: what was asked may have happened or not. Says nothing about
 * the job. */
bool kvs_is_away(int errnum);

/* --- kill.c */
void job_cancel(struct job *job);
void job_kill(struct job *job, int signum);
void job_arm_expiration(struct job *job);

/* --- simulate.c */
/* 1: the jobspec asks for simulation, *ret_duration in seconds; 0: not; -EINVAL with a sentence. */
int simulation_parse(const json_t *jobspec, double *ret_duration, flux_error_t *error);
void job_simulate(struct job *job);
bool job_is_simulating(const struct job *job);
void job_simulation_end(struct job *job);

/* --- shellinfo.c */
/* Answer the shell that waits, if everything is there. */
void job_inform(struct job *job);

#endif
