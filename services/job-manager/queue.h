/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Jobs ordered by priority (highest first), then id (lowest first). A job is in at most one queue;
 * all changes are O(log n). */
#ifndef JOB_MANAGER_QUEUE_H
#define JOB_MANAGER_QUEUE_H

#include "job.h"

struct queue {
    struct job **heap;
    size_t n, cap;
    bool reversed; /* the one to be served last is first */
};

void queue_deinit(struct queue *q);
int queue_add(struct queue *q, struct job *job); /* borrows; 0 or -ENOMEM */
void queue_remove(struct queue *q, struct job *job);
void queue_update(struct queue *q, struct job *job);     /* its priority changed */
struct job *queue_first(const struct queue *q);          /* NULL: empty */
int job_order(const struct job *a, const struct job *b); /* < 0: a is served first */

#endif
