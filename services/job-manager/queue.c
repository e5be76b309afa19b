/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A heap of jobs, and the order that they are served in. */
#include "queue.h"

int job_order(const struct job *a, const struct job *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static const struct job *job_of(const struct heap_node *n)
{
    return container_of(n, struct job, queued);
}

static bool served_first(const struct heap_node *a, const struct heap_node *b)
{
    return job_order(job_of(a), job_of(b)) < 0;
}

static bool served_last(const struct heap_node *a, const struct heap_node *b)
{
    return job_order(job_of(a), job_of(b)) > 0;
}

void queue_init(struct queue *q, bool reversed)
{
    *q = (struct queue){ .heap.before = reversed ? served_last : served_first };
}

void queue_deinit(struct queue *q)
{
    heap_deinit(&q->heap);
}

int queue_add(struct queue *q, struct job *job)
{
    return heap_add(&q->heap, &job->queued);
}

void queue_remove(struct queue *q, struct job *job)
{
    heap_remove(&q->heap, &job->queued);
}

void queue_update(struct queue *q, struct job *job)
{
    heap_moved(&q->heap, &job->queued);
}

struct job *queue_first(const struct queue *q)
{
    struct heap_node *n = heap_first(&q->heap);

    return n ? container_of(n, struct job, queued) : NULL;
}

size_t queue_count(const struct queue *q)
{
    return q->heap.count;
}
