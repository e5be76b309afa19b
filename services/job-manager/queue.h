/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Jobs ordered by priority (highest first), then id (lowest first). A job is in at most one queue
 * (job->queued); all changes are O(log n). The queue holds no references: who unlinks a job removes
 * it first. */
#ifndef JOB_MANAGER_QUEUE_H
#define JOB_MANAGER_QUEUE_H

#include "job.h"

struct queue {
    struct heap heap;
};

/* reversed: the one to be served last is first. */
void queue_init(struct queue *q, bool reversed);
void queue_deinit(struct queue *q);
int queue_add(struct queue *q, struct job *job); /* borrows; 0 or -ENOMEM */
void queue_remove(struct queue *q, struct job *job);
void queue_update(struct queue *q, struct job *job); /* its priority changed */
struct job *queue_first(const struct queue *q);      /* NULL: empty */
size_t queue_count(const struct queue *q);
int job_order(const struct job *a, const struct job *b); /* < 0: a is served first */

#endif
