/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A heap, and a hash by id. */
#include "sched/queue.h"

struct queue {
    struct heap heap;
    struct pending *by_id;
};

static struct pending *pending_of(const struct heap_node *n)
{
    return container_of(n, struct pending, node);
}

static bool goes_before(const struct heap_node *first, const struct heap_node *second)
{
    const struct pending *a = pending_of(first);
    const struct pending *b = pending_of(second);

    if (a->priority != b->priority)
        return a->priority > b->priority;
    if (a->t_submit != b->t_submit)
        return a->t_submit < b->t_submit;
    return a->id < b->id;
}

int queue_new(struct queue **ret)
{
    struct queue *q = calloc(1, sizeof(*q));

    if (!q)
        return -ENOMEM;
    q->heap.before = goes_before;
    *ret = q;
    return 0;
}

struct queue *queue_free(struct queue *q)
{
    struct pending *job, *tmp;

    if (!q)
        return NULL;
    heap_deinit(&q->heap);
    HASH_ITER (hh, q->by_id, job, tmp) {
        HASH_DEL(q->by_id, job);
        free(job);
    }
    free(q);
    return NULL;
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
    if (!(copy = malloc(sizeof(*copy))))
        return -ENOMEM;
    *copy = *job;
    copy->node = (struct heap_node){ 0 };
    HASH_ADD(hh, q->by_id, id, sizeof(copy->id), copy);
    if (!copy->hh.tbl)
        return -ENOMEM;
    if (heap_add(&q->heap, &copy->node) < 0) {
        HASH_DEL(q->by_id, copy);
        return -ENOMEM;
    }
    TAKE(copy);
    return 0;
}

const struct pending *queue_head(const struct queue *q)
{
    const struct heap_node *n = heap_first(&q->heap);

    return n ? pending_of(n) : NULL;
}

const struct pending *queue_find(const struct queue *q, flux_jobid_t id)
{
    return find(q, id);
}

int queue_remove(struct queue *q, flux_jobid_t id)
{
    CLEANUP(freep) struct pending *job = find(q, id);

    if (!job)
        return -ENOENT;
    HASH_DEL(q->by_id, job);
    heap_remove(&q->heap, &job->node);
    return 0;
}

int queue_reprioritize(struct queue *q, flux_jobid_t id, uint32_t prio)
{
    struct pending *job = find(q, id);

    if (!job)
        return -ENOENT;
    job->priority = prio;
    heap_moved(&q->heap, &job->node);
    return 0;
}

size_t queue_count(const struct queue *q)
{
    return q->heap.count;
}
