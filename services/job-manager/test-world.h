/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A world for the job manager's domain: a KVS whose commits finish when the test says so (or are
 * lost in a crash), a scheduler with slots, an execution service that counts real starts. */
#ifndef JOB_MANAGER_TEST_WORLD_H
#define JOB_MANAGER_TEST_WORLD_H

#include "manager.h"

struct request { /* the domain only passes it around */
    int refs;
    int nanswers;
    int errnum;
    char *last; /* the last answer */
    char *all;  /* all of them, a line each */
};

struct kvs_entry {
    char *key, *value;
    UT_hash_handle hh;
};

struct kvs_op {
    enum { KVS_APPEND, KVS_PUT, KVS_UNLINK, KVS_PRUNE } type;
    char *key, *value;
    STAILQ_ENTRY(kvs_op) link;
};
STAILQ_HEAD(kvs_ops, kvs_op);

struct world_job { /* what the outside knows of a job */
    flux_jobid_t id;
    UT_hash_handle hh;
    int asked;        /* the scheduler has a request (in order: its number) */
    bool allocated;   /* the scheduler gave it a slot */
    bool running;     /* the execution service has it */
    int nstarts;      /* times processes were really started */
    int nfrees;       /* sched.free */
    bool simulated;   /* nothing of a run that nobody remembers is left */
    bool released;    /* its run is over */
    bool free_early;  /* freed although it ran */
    int ncancels;     /* job-exec.cancel */
    bool guest;       /* its start said that the manager made its namespace */
    bool hand_over;   /* its end says that the manager is to archive it, if it may */
    bool handed_over; /* it did */
};

struct world {
    struct manager m;
    double clock;
    struct kvs_entry *kvs;
    struct kvs_ops open, flying;
    bool commit_flying;
    double timer; /* commit_late() is due in so many seconds; 0: not asked for */
    int ncommits;
    size_t nops; /* of the last commit */
    struct world_job *jobs;
    int nasked;
    size_t nslots, nused;
    bool sched_up, exec_up;
    bool tells_freed; /* the scheduler says what it has seen */
    uint64_t nfreed;
    bool lenient;     /* the other daemons may talk nonsense (fuzz-answer) */
    struct text sent; /* topic and payload of each request, a line each */
    struct request *ready, *hello;
    int nwakes[2];
};

void world_init(struct world *w, size_t nslots);
void world_deinit(struct world *w);
void world_turn(struct world *w);        /* manager_process until there is nothing more */
void world_commit(struct world *w);      /* the commit in flight becomes durable */
void world_commit_lost(struct world *w); /* it never was; commit_done is yours to call */
void world_tick(struct world *w);        /* what waits for company waits no longer, and a turn */
void world_settle(struct world *w);      /* turns, ticks and commits until nothing moves */
void world_sched_up(struct world *w, const char *mode, bool batch);
void world_exec_up(struct world *w);
void world_sched_down(struct world *w);
void world_exec_down(struct world *w);
/* kill -9 and a new process; the commit in flight may have arrived. Scheduler and execution service
 * connect again if they were there. */
void world_crash(struct world *w, bool commit_arrives);

void world_store(struct world *w, flux_jobid_t id, uint32_t userid, int urgency, int flags,
                 const char *jobspec); /* what ingest commits */
void world_submit(struct world *w, flux_jobid_t id, int urgency);
void world_submit_full(struct world *w, flux_jobid_t id, uint32_t userid, int urgency, int flags,
                       const char *jobspec);

struct world_job *world_job(struct world *w, flux_jobid_t id);
flux_jobid_t world_next_asked(struct world *w); /* the request that came first, 0: none */
void world_alloc(struct world *w, flux_jobid_t id);
void world_sched_seen(struct world *w); /* nobody gets what was freed */
void world_sched_answer(struct world *w, flux_jobid_t id, int type); /* 2 deny, 3 canceled */
void world_exec_answer(struct world *w, flux_jobid_t id, const char *type, const char *data);
void world_run(struct world *w, flux_jobid_t id, int status); /* finish and release final */
/* Names of the events in the KVS, with spaces between. malloc'd. */
char *world_events(struct world *w, flux_jobid_t id);
const char *world_kvs(struct world *w, const char *prefix, flux_jobid_t id, const char *suffix);
const char *world_kvs_get(struct world *w, const char *key);

struct request *request_make(void);
void request_drop(struct request *req);

#define OWNER 100
#define GUEST 200
extern const struct asker world_owner, world_guest;

/* Shorthand of many tests. */
#define WHOLE_LIFE "submit validate depend priority alloc start finish release free clean"
void world_setup(struct world *w,
                 size_t nslots); /* with a scheduler of that many slots, and exec */
/* And with this job, as far as it comes alone. */
void world_submitted(struct world *w, size_t nslots, flux_jobid_t id);
void world_assert_events(struct world *w, flux_jobid_t id, const char *expected);
/* Allocates, runs and ends a job that was submitted; the other one submits it first. */
void world_run_one(struct world *w, flux_jobid_t id, int status);
void world_run_whole(struct world *w, flux_jobid_t id, int flags);

#endif
