/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Jobs that wait for resources, in order: highest priority, then oldest submission, then lowest id.
 * Every operation is O(log n). */
#ifndef SCHED_QUEUE_H
#define SCHED_QUEUE_H

#include <flux/types.h>
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/heap.h"
#include "sched/pool.h"

struct pending {
    flux_jobid_t id;
    uint32_t priority;
    uint32_t userid;
    double t_submit;
    double duration; /* seconds; 0: none */
    struct pool_request request;
    struct heap_node node; /* the queue's own */
    UT_hash_handle hh;
};

struct queue;

int queue_new(struct queue **ret);
struct queue *queue_free(struct queue *q); /* and every job in it */
DEFINE_CLEANUP(struct queue *, queue_free)

/* Copies job. 0, -EEXIST, -ENOMEM. */
int queue_add(struct queue *q, const struct pending *job);
const struct pending *queue_head(const struct queue *q); /* NULL: empty */
const struct pending *queue_find(const struct queue *q, flux_jobid_t id);
int queue_remove(struct queue *q, flux_jobid_t id);                      /* 0 or -ENOENT */
int queue_reprioritize(struct queue *q, flux_jobid_t id, uint32_t prio); /* 0 or -ENOENT */
size_t queue_count(const struct queue *q);

#endif
