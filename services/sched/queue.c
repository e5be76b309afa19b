/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A binary heap of pointers whose elements know their place, and a hash by id.
 * Invariant: heap[job->pos] == job, and no element goes before its parent. */
#include "sched/queue.h"

struct queue {
    struct pending **heap;
    size_t count, capacity;
    struct pending *by_id;
};

int queue_new(struct queue **ret)
{
    struct queue *q = calloc(1, sizeof(*q));

    if (!q)
        return -ENOMEM;
    *ret = q;
    return 0;
}

struct queue *queue_free(struct queue *q)
{
    if (!q)
        return NULL;
    HASH_CLEAR(hh, q->by_id);
    for (size_t i = 0; i < q->count; i++)
        free(q->heap[i]);
    free(q->heap);
    free(q);
    return NULL;
}

static bool goes_before(const struct pending *a, const struct pending *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority;
    if (a->t_submit != b->t_submit)
        return a->t_submit < b->t_submit;
    return a->id < b->id;
}

static void heap_put(struct queue *q, size_t pos, struct pending *job)
{
    q->heap[pos] = job;
    job->pos = pos;
}

static void heap_up(struct queue *q, struct pending *job)
{
    size_t pos = job->pos;

    while (pos > 0 && goes_before(job, q->heap[(pos - 1) / 2])) {
        heap_put(q, pos, q->heap[(pos - 1) / 2]);
        pos = (pos - 1) / 2;
    }
    heap_put(q, pos, job);
}

static void heap_down(struct queue *q, struct pending *job)
{
    size_t pos = job->pos;

    for (;;) {
        size_t child = 2 * pos + 1;

        if (child >= q->count)
            break;
        if (child + 1 < q->count && goes_before(q->heap[child + 1], q->heap[child]))
            child++;
        if (!goes_before(q->heap[child], job))
            break;
        heap_put(q, pos, q->heap[child]);
        pos = child;
    }
    heap_put(q, pos, job);
}

static int queue_grow(struct queue *q)
{
    size_t capacity = q->capacity ? q->capacity * 2 : 64;
    struct pending **heap;

    if (q->count < q->capacity)
        return 0;
    heap = reallocarray(q->heap, capacity, sizeof(heap[0]));
    if (!heap)
        return -ENOMEM;
    q->heap = heap;
    q->capacity = capacity;
    return 0;
}

static struct pending *find(const struct queue *q, flux_jobid_t id)
{
    struct pending *job;

    HASH_FIND(hh, q->by_id, &id, sizeof(id), job);
    return job;
}

int queue_add(struct queue *q, const struct pending *job)
{
    CLEANUP(freep) struct pending *copy = NULL;

    if (find(q, job->id))
        return -EEXIST;
    if (queue_grow(q) < 0 || !(copy = malloc(sizeof(*copy))))
        return -ENOMEM;
    *copy = *job;
    HASH_ADD(hh, q->by_id, id, sizeof(copy->id), copy);
    if (!copy->hh.tbl)
        return -ENOMEM;
    copy->pos = q->count++;
    heap_up(q, TAKE(copy));
    return 0;
}

const struct pending *queue_head(const struct queue *q)
{
    return q->count > 0 ? q->heap[0] : NULL;
}

const struct pending *queue_find(const struct queue *q, flux_jobid_t id)
{
    return find(q, id);
}

int queue_remove(struct queue *q, flux_jobid_t id)
{
    CLEANUP(freep) struct pending *job = find(q, id);
    struct pending *last;

    if (!job)
        return -ENOENT;
    HASH_DEL(q->by_id, job);
    last = q->heap[--q->count];
    if (last != job) {
        heap_put(q, job->pos, last);
        heap_up(q, last);
        heap_down(q, last);
    }
    return 0;
}

int queue_reprioritize(struct queue *q, flux_jobid_t id, uint32_t prio)
{
    struct pending *job = find(q, id);

    if (!job)
        return -ENOENT;
    job->priority = prio;
    heap_up(q, job);
    heap_down(q, job);
    return 0;
}

size_t queue_count(const struct queue *q)
{
    return q->count;
}
