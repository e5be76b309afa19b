/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A binary heap of jobs. job->queue_index is its place plus one, so that removal needs no search;
 * it is 0 in no queue. The queue holds no references: who unlinks a job removes it first. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "queue.h"

int job_order(const struct job *a, const struct job *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

void queue_deinit(struct queue *q)
{
    for (size_t i = 0; i < q->n; i++)
        q->heap[i]->queue_index = 0;
    free(q->heap);
    *q = (struct queue){ .reversed = q->reversed };
}

static bool queue_before(const struct queue *q, size_t i, size_t j)
{
    int order = job_order(q->heap[i], q->heap[j]);

    return q->reversed ? order > 0 : order < 0;
}

static void queue_swap(struct queue *q, size_t i, size_t j)
{
    struct job *job = q->heap[i];

    q->heap[i] = q->heap[j];
    q->heap[j] = job;
    q->heap[i]->queue_index = i + 1;
    q->heap[j]->queue_index = j + 1;
}

static void queue_sift(struct queue *q, size_t i)
{
    while (i > 0 && queue_before(q, i, (i - 1) / 2)) {
        queue_swap(q, i, (i - 1) / 2);
        i = (i - 1) / 2;
    }
    for (;;) {
        size_t best = i;

        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < q->n; child++) {
            if (queue_before(q, child, best))
                best = child;
        }
        if (best == i)
            return;
        queue_swap(q, i, best);
        i = best;
    }
}

int queue_add(struct queue *q, struct job *job)
{
    assert(job->queue_index == 0);
    if (q->n == q->cap) {
        size_t cap = q->cap ? q->cap * 2 : 64;
        struct job **heap = reallocarray(q->heap, cap, sizeof(*heap));

        if (!heap)
            return -ENOMEM;
        q->heap = heap;
        q->cap = cap;
    }
    q->heap[q->n++] = job;
    job->queue_index = q->n;
    queue_sift(q, q->n - 1);
    return 0;
}

void queue_remove(struct queue *q, struct job *job)
{
    size_t i = job->queue_index - 1;

    assert(job->queue_index > 0 && i < q->n && q->heap[i] == job);
    job->queue_index = 0;
    if (i == --q->n)
        return;
    q->heap[i] = q->heap[q->n];
    q->heap[i]->queue_index = i + 1;
    queue_sift(q, i);
}

void queue_update(struct queue *q, struct job *job)
{
    queue_sift(q, job->queue_index - 1);
}

struct job *queue_first(const struct queue *q)
{
    return q->n > 0 ? q->heap[0] : NULL;
}
