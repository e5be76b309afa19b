/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The scheduler without its sockets: pending jobs, the pool, and who holds what. Decisions come out
 * through a callback, in the order they were made. */
#ifndef SCHED_ENGINE_H
#define SCHED_ENGINE_H

#include <jansson.h>
#include "sched/queue.h"

/* Answers to an allocation request, numbered as RFC 27 does. */
enum alloc_type { ALLOC_SUCCESS = 0, ALLOC_ANNOTATE = 1, ALLOC_DENY = 2, ALLOC_CANCEL = 3 };

/* answer: {id, type, R?, annotations?, note?}; the callee takes it. NULL: lack of memory swallowed
 * an answer, the callee must begin again from scratch. */
typedef void (*engine_answer_f)(json_t *answer, void *arg);

struct engine_counts {
    uint64_t allocated, denied, canceled, freed, bad_frees;
};

struct engine;

/* Keeps nothing of all; expiration of R is that of all for jobs without a duration. */
int engine_new(const struct rset *all, engine_answer_f answer, void *arg, struct engine **ret);
struct engine *engine_free(struct engine *e);
DEFINE_CLEANUP(struct engine *, engine_free)

/* all has ranks that the engine does not know yet, besides those it knows. Every rank is down
 * afterwards. 0, -errno: nothing is changed. */
int engine_grow(struct engine *e, const struct rset *all);

void engine_set_up(struct engine *e, const struct idset *ranks, bool up);

/* Reads {id, priority, userid, t_submit, jobspec} of an allocation request. 0, -EPROTO with a
 * sentence; *ret->id is set as soon as there is one, so that the refusal can be addressed. */
int engine_decode_job(const json_t *o, struct pending *ret, flux_error_t *error);
/* The same for a jobspec alone. */
int engine_decode_jobspec(json_t *jobspec, struct pending *ret, flux_error_t *error);

/* Queue a job, or deny it at once if it can never fit. Repeats are ignored. 0, -ENOMEM. */
int engine_submit(struct engine *e, const struct pending *job);
void engine_deny(struct engine *e, flux_jobid_t id, const char *note);
void engine_cancel(struct engine *e, flux_jobid_t id);
void engine_prioritize(struct engine *e, flux_jobid_t id, uint32_t priority);

/* A job runs already (hello). 0; 1: not all of r could be marked; -errno. */
int engine_restore(struct engine *e, flux_jobid_t id, const struct rset *r);
/* r NULL: all that the job has. What the job does not hold is refused: -EINVAL; -ENOENT: the job
 * holds nothing. In both cases nothing is changed. */
int engine_release(struct engine *e, flux_jobid_t id, const struct rset *r, bool final);

/* Allocate from the head of the queue until it does not fit, for at most `limit` jobs at time now.
 * Is there possibly more to do: true. */
bool engine_run(struct engine *e, size_t limit, double now);

int engine_check(struct engine *e, const struct pool_request *req, flux_error_t *error);
size_t engine_pending(const struct engine *e);
size_t engine_running(const struct engine *e);
const struct pool *engine_pool(const struct engine *e);
const struct engine_counts *engine_counts(const struct engine *e);
void engine_counts_clear(struct engine *e);

#endif
