/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The job manager's domain: jobs and what is done about them. It knows no sockets; what it wants
 * done goes through struct manager_ops, so the tests drive it with a scheduler, an execution
 * service and a KVS made of a few lines.
 *
 * One turn: handlers post events and mark jobs; manager_process() then advances the marked jobs,
 * asks the scheduler, commits what was posted and writes the journal. It is called once per pass of
 * the loop, which is what batches events over jobs. */
#ifndef JOB_MANAGER_MANAGER_H
#define JOB_MANAGER_MANAGER_H

#include <flux/job.h>
#include "event.h"
#include "job.h"
#include "queue.h"

enum manager_peer { PEER_SCHED, PEER_EXEC };

struct manager_ops {
    double (*now)(void *arg); /* wall clock, seconds */
    /* Add to the open transaction; kvs_commit sends it, its end comes back as commit_done(). 0 or
     * -errno. */
    int (*kvs_append)(void *arg, const char *key, const char *data, size_t len);
    int (*kvs_put)(void *arg, const char *key, const char *value);
    int (*kvs_unlink)(void *arg, const char *key);
    int (*kvs_prune)(void *arg, const char *key); /* and directories that this leaves empty */
    int (*kvs_namespace)(void *arg, const char *key, const char *ns, uint32_t owner);
    int (*kvs_archive)(void *arg, const char *key, const char *ns, const char *log);
    int (*kvs_commit)(void *arg);
    /* Call commit_late() after so many seconds; replaces what was asked before. 0: do not. */
    void (*commit_timer)(void *arg, double seconds);
    /* A request with matchtag 0. 0 or -errno. */
    int (*send)(void *arg, const char *topic, const char *json, bool noresponse);
    /* Answers; respond may be repeated on a streaming request. None drops the reference. */
    void (*respond)(void *arg, struct request *req, const char *json);
    void (*fail)(void *arg, struct request *req, int errnum, const char *sentence);
    struct request *(*ref)(void *arg, struct request *req);
    void (*unref)(void *arg, struct request *req);
    void (*wake)(void *arg, enum manager_peer peer); /* it went away: wake it */
    /* Tell job-ingest the setting of the queue, then answer req with {}. Keeps a reference; NULL:
     * no one asked. */
    void (*announce)(void *arg, struct request *req, const char *json);
};

struct commit {
    struct job_list dirty; /* jobs with events not yet on their way, oldest first */
    uint64_t ndirtied;     /* how many jobs were ever put on it */
    size_t nfreeing;       /* of them, those with JOB_EFFECT_FREE */
    bool urgent;           /* something of it must not wait for company */
    enum commit_wait { COMMIT_WAIT_NONE, COMMIT_WAIT_COMPANY, COMMIT_WAIT_SCHED } wait;
    struct job_answers answers;       /* due when what was dirty before them is durable */
    struct job_answers answers_batch; /* due when the batch is */
    struct job **batch;               /* in flight, or waiting for another try; with references */
    size_t nbatch, batch_cap;
    uint64_t ninactive; /* of those in batch that it makes inactive */
    bool in_flight, retry;
    uint64_t ncommits, nevents;
};

struct alloc {
    struct queue pending;     /* in SCHED, not held, not asked for yet */
    struct queue outstanding; /* asked for; the least important is first */
    struct request *ready;    /* the scheduler's stream; NULL: no scheduler */
    size_t limit;
    size_t ncanceling;
    uint64_t nfrees;      /* jobs it was told to free since it was ready */
    uint64_t nfrees_seen; /* so many it has taken into account, as it said */
    uint64_t nfrees_late; /* and for so many we did not wait any longer */
    bool batch;           /* it takes sched.alloc-batch */
    char session[64];     /* what it calls its session; it gets it back with each request */
    bool greeted;         /* it had its hello and was not ready yet */
    struct job **freed;   /* what the hello told of and was freed since; with references */
    size_t nfreed, freed_cap;
};

struct start {
    struct request *hello; /* the execution service's stream; NULL: none */
    char *service;
    size_t npending;
    struct text out; /* start requests of this turn, with commas between */
    size_t nout;
    struct text archived; /* ids of jobs that it need not remember any more, with commas between */
};

struct waiter;
struct zombie;
TAILQ_HEAD(waiter_list, waiter);
TAILQ_HEAD(zombie_list, zombie);

struct wait {
    struct waiter *by_id;     /* hash */
    struct waiter *by_req;    /* hash, all of them */
    size_t nany;              /* on the list `any` */
    struct waiter_list any;   /* in order of arrival */
    struct zombie *zombies;   /* hash: waitable jobs that ended and nobody waited for */
    struct zombie_list order; /* the same, oldest first */
    size_t nzombies;
    size_t nwaitable;   /* active and waitable */
    flux_jobid_t *told; /* their results need not be kept any more, see wait.c */
    size_t ntold, told_cap;
    size_t ntold_committing; /* the first so many are in the transaction in flight */
};

struct listener;
struct journal_record;
TAILQ_HEAD(listener_list, listener);
TAILQ_HEAD(journal_record_list, journal_record);

struct journal {
    struct listener_list listeners;
    struct journal_record_list ring; /* inactive jobs, oldest first */
    struct journal_record *ring_by_id;
    size_t ring_count, ring_bytes;
    uint64_t serial;          /* of the last thing that was to be told */
    struct job_answers syncs; /* due when the commit in flight is durable */
};

struct depend {
    struct dependency_list begin_times;
    double next; /* earliest of them; 0: none */
};

/* Jobs that ended and are to be forgotten. */
struct purge {
    flux_jobid_t *ids; /* the batch: due, or in the transaction in flight */
    size_t n;
    size_t ngone; /* of those, not in the KVS any more: they do not count */
    bool committing;
    uint64_t npurged; /* ever, durably */
    void (*done)(void *arg, size_t n);
    void *arg;
};

/* Counted since the start, or since somebody said stats-clear. */
struct stats {
    uint64_t submitted, completed, failed, canceled;
    uint64_t ncommits, commit_jobs; /* durable ones; jobs with events in them, together */
    uint64_t commit_jobs_max;
    uint64_t commit_usec, commit_usec_max;
};

struct control_waiter;
TAILQ_HEAD(control_waiter_list, control_waiter);

/* What was said to the queue as a whole. */
struct control {
    bool disabled, stopped; /* submission, scheduling */
    char *disable_reason, *stop_reason;
    char *safe_run; /* the run for which the safe mode was last begun; NULL: none */
    bool loaded;    /* the KVS has a setting */
    bool dirty, committing;
    struct job_answers answers, answers_batch;
    struct control_waiter_list waiters;
    size_t nwaiters;
};

/* The instance is being shut down. */
struct quiesce {
    struct request *req; /* whoever wants it, NULL: nobody */
    size_t outstanding;  /* requests the scheduler had when running jobs were looked at */
    size_t told;         /* running jobs that were told last */
    bool idle;           /* nothing runs, and that was told */
};

struct manager {
    const struct manager_ops *ops;
    void *arg;
    uint32_t owner;
    struct job *jobs; /* hash by id, in order of arrival */
    struct job_list todo;
    size_t counts[JOB_STATE_COUNT];
    uint64_t max_jobid, ninactive;
    uint64_t next_serial;
    bool loading; /* replaying: nothing is advanced, no effect */
    int fatal;    /* negative errno: the daemon must end (and rebuild) */
    struct commit commit;
    struct alloc alloc;
    struct start start;
    struct wait wait;
    struct journal journal;
    struct depend depend;
    struct control control;
    struct quiesce quiesce;
    struct purge purge;
    struct stats stats;
};

/* Events that users may add to one job (a fatal exception is always possible). */
#define JOB_EVENTS_MAX 10000

/* Who asks. */
struct asker {
    uint32_t userid;
    bool owner;
};

void manager_init(struct manager *m, const struct manager_ops *ops, void *arg, uint32_t owner);
void manager_deinit(struct manager *m);
/* One turn. True: there is more to do, call again soon even if nothing happens. */
bool manager_process(struct manager *m);
struct job *manager_find(struct manager *m, flux_jobid_t id);
/* For a request of `who` about an active job. 0, -ENOENT, -EPERM with a sentence. */
int manager_find_for(struct manager *m, flux_jobid_t id, struct asker who, struct job **ret,
                     flux_error_t *error);
int manager_insert(struct manager *m, struct job *job); /* keeps a reference */
size_t manager_count(const struct manager *m);
void manager_fatal(struct manager *m, int errnum, const char *what);

/* Have job_advance look at the job in this turn. */
void manager_mark(struct manager *m, struct job *job);
/* advance.c: do what the job's state calls for. Idempotent. */
void job_advance(struct manager *m, struct job *job);

/* commit.c: ev->timestamp is set here. 0 or -EINVAL (cannot happen now; logged). */
int event_post(struct manager *m, struct job *job, struct event *ev);
int event_post_exception(struct manager *m, struct job *job, const char *type, int severity,
                         uint32_t userid, const char *note);
/* Answer req with json (copied; NULL: {}) once everything posted so far is durable. Keeps a
 * reference. */
void commit_answer(struct manager *m, struct request *req, const char *json);
int commit_unlink_active(struct manager *m, flux_jobid_t id); /* in the open transaction */
void commit_flush(struct manager *m);
/* The transaction ended: 0 it is durable, ENOSPC it is known not to be (commit_retry() later), else
 * nobody knows: m->fatal. */
void commit_done(struct manager *m, int errnum);
void commit_retry(struct manager *m);
/* What waits for company has waited long enough. */
void commit_late(struct manager *m);
/* Nothing waits for it, but something is to be committed in a while. */
void commit_soon(struct manager *m);

/* submit.c. t_submit is wall time. 0; a known id is ignored. Takes jobspec (borrowed) apart from
 * its environment. */
struct submission {
    flux_jobid_t id;
    uint32_t userid;
    int urgency, flags;
    double t_submit;
    json_t *jobspec;
};
int submit_job(struct manager *m, const struct submission *s);

/* restart.c */
int restart_add(struct manager *m, flux_jobid_t id, const char *eventlog, size_t len,
                flux_error_t *error);   /* 1: taken, 0: known already or inactive, or -errno */
void restart_finish(struct manager *m); /* all were added, with jobspec and R */
void restart_job(struct manager *m, struct job *job); /* the same for one */

/* alloc.c */
void alloc_hello(struct manager *m, struct request *req); /* answers, without the end */
int alloc_ready(struct manager *m, struct request *req, const char *mode, bool batch,
                const char *session, flux_error_t *error); /* keeps a reference */
void alloc_lost(struct manager *m);
int alloc_response(struct manager *m, json_t *response); /* 0 or -EPROTO */
void alloc_want(struct manager *m, struct job *job);
bool alloc_drop(struct manager *m, struct job *job); /* true: the scheduler still has to answer */
void alloc_priority(struct manager *m, struct job *job); /* it changed */
void alloc_free(struct manager *m, struct job *job);
/* Is the scheduler about to say who gets what was just freed? */
bool alloc_answers_soon(const struct manager *m);
void alloc_late(struct manager *m);       /* do not count on it any more */
void alloc_cancel_all(struct manager *m); /* ask for nothing for now */
bool alloc_pump(struct manager *m);       /* true: more to send */

/* start.c */
int start_hello(struct manager *m, struct request *req, const char *service);
void start_lost(struct manager *m);
int start_response(struct manager *m, json_t *response);
void start_try(struct manager *m, struct job *job);
void start_cancel(struct manager *m, struct job *job);
void start_archived(struct manager *m, const struct job *job); /* that is durable */
void start_flush(struct manager *m);                           /* once a turn: send the requests */

/* raise.c kill.c urgency.c annotate.c stats.c */
int raise_job(struct manager *m, struct asker who, flux_jobid_t id, int severity, const char *type,
              const char *note, struct request *req, flux_error_t *error);
int raise_all(struct manager *m, struct asker who, uint32_t userid, int states, int severity,
              const char *type, const char *note, bool dry_run, struct request *req);
int kill_job(struct manager *m, struct asker who, flux_jobid_t id, int signum, flux_error_t *error);
int kill_all(struct manager *m, struct asker who, uint32_t userid, int signum, bool dry_run,
             int *ret_count);
int urgency_job(struct manager *m, struct asker who, flux_jobid_t id, int urgency,
                struct request *req, flux_error_t *error);
uint32_t urgency_priority(unsigned int urgency);
/* What a user notes down about a job: annotations.user. fleeting: not in the eventlog. */
int memo_job(struct manager *m, struct asker who, flux_jobid_t id, json_t *memo, bool fleeting,
             struct request *req, flux_error_t *error);
json_t *stats_json(const struct manager *m);
void counters_ended(struct manager *m, const struct job *job);
void counters_commit(struct manager *m, uint64_t usec); /* one is durable, after so long */
void counters_clear(struct manager *m);

/* wait.c */
int wait_job(struct manager *m, struct asker who, flux_jobid_t id, struct request *req,
             flux_error_t *error);
void wait_active(struct manager *m, struct job *job);   /* it became known */
void wait_inactive(struct manager *m, struct job *job); /* it ended, durably */
bool wait_keeps(
    const struct job *job); /* its job-active entry outlives it, until it was waited for */
void wait_resume(struct manager *m, const struct job *job); /* it had ended before the restart */
bool wait_holds(struct manager *m, flux_jobid_t id);        /* its result is still needed */
/* Have the open transaction unlink the entry of one that was told, if it is there yet. */
int wait_forget(struct manager *m, flux_jobid_t id);
void wait_committed(struct manager *m); /* entries of the told are gone */
void wait_gone(struct manager *m, struct request *req);
void wait_deinit(struct manager *m);

/* purge.c. A batch of past jobs: the next commit removes them, m->purge.done is told when that is
 * durable. The last ngone are not in the KVS. One batch at a time: how many it has (some may be
 * refused), or -EBUSY, -ENOMEM. */
int purge_post(struct manager *m, const flux_jobid_t *ids, size_t n, size_t ngone);
bool purge_may(struct manager *m, flux_jobid_t id);
uint64_t purge_held(const struct manager *m); /* past jobs that are in the KVS */
bool purge_due(const struct manager *m);
int purge_commit(struct manager *m);   /* add the batch to the open transaction */
void purge_durable(struct manager *m); /* that transaction is durable */
void purge_deinit(struct manager *m);

/* control.c. The setting of the queue is the value of this key. */
#define CONTROL_KEY "job-state.queue"
void control_init(struct manager *m);
void control_deinit(struct manager *m);
int control_load(struct manager *m, const char *text, flux_error_t *error); /* 0 or -errno */
/* req is answered once it is durable and job-ingest knows. Keep a reference. */
int control_enable(struct manager *m, bool enable, const char *reason, struct request *req,
                   flux_error_t *error);
int control_start(struct manager *m, bool start, const char *reason, struct request *req,
                  flux_error_t *error);
/* The instance has begun a new run after one that did not end in order: accept and start nothing
 * until the administrator says so. Once for each run. 0 or -ENOMEM. */
int control_safe_mode(struct manager *m, const char *run);
json_t *control_status(const struct manager *m);
/* Answer req when no job is active (drain) or none runs. Keeps a reference. */
int control_wait(struct manager *m, bool drain, struct request *req, flux_error_t *error);
void control_gone(struct manager *m, struct request *req);
void control_check(struct manager *m);    /* once a turn */
int control_commit(struct manager *m);    /* add the setting to the open transaction */
void control_durable(struct manager *m);  /* that transaction is durable */
void control_announce(struct manager *m); /* tell job-ingest what holds */

/* quiesce.c. Streaming: {running, ids, idle} at each change, until idle; then it stays that way
 * until quiesce_end(). 0 or -EBUSY: somebody has asked for it already. */
int quiesce_begin(struct manager *m, struct request *req);
bool quiesce_is_on(const struct manager *m);
void quiesce_check(struct manager *m); /* once a turn */
void quiesce_end(struct manager *m);   /* scheduling goes on */
void quiesce_deinit(struct manager *m);

/* journal.c */
int journal_listen(struct manager *m, struct request *req, uint64_t since);
/* Answer req with the serial that the journal has when all that is durable now was told, even if we
 * do not know yet that it is. Keeps a reference. 0 or -ENOMEM. */
int journal_sync(struct manager *m, struct request *req);
void journal_durable(struct manager *m); /* a commit ended */
void journal_gone(struct manager *m, struct request *req);
/* Events of the job's log from byte and event `from` to what is durable now. */
void journal_add(struct manager *m, struct job *job, size_t from, unsigned int seq,
                 unsigned int effects);
void journal_annotations(struct manager *m, struct job *job);
bool journal_flush(struct manager *m); /* true: history is left to send */
bool journal_is_inactive(struct manager *m, flux_jobid_t id);
size_t journal_nlisteners(const struct manager *m);
void journal_purged(struct manager *m, const flux_jobid_t *ids, size_t n);
void journal_forget(struct manager *m, struct job *job); /* it leaves m->jobs */
void journal_deinit(struct manager *m);

/* dependency.c */
void dependency_setup(struct manager *m, struct job *job); /* entering DEPEND */
void dependency_resume(struct manager *m, struct job *job,
                       void (*unknown)(struct manager *m, struct job *job, flux_jobid_t on));
void dependency_running(struct manager *m, struct job *job);
void dependency_inactive(struct manager *m, struct job *job);
void dependency_drop(struct job *job); /* it waits for nothing any more */
/* Job `on` ended before this process started: settle what `job` waits for of it. */
void dependency_settle(struct manager *m, struct job *job, const struct job *on, bool ran);
void dependency_tick(struct manager *m); /* wall clock reached m->depend.next */

#endif
