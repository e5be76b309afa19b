/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Task maps as a list of blocks. A map built task by task becomes as short as its regularity
 * allows: neighbours with as many tasks join into one block, equal blocks into one that repeats.
 * What a map can hold is bounded, so that walking one is. */
#include <string.h>

#include "base/taskmap-internal.h"

int taskmap_new(struct taskmap **ret)
{
    struct taskmap *map = calloc(1, sizeof(*map));

    if (!map)
        return -ENOMEM;
    *ret = map;
    return 0;
}

struct taskmap *taskmap_free(struct taskmap *map)
{
    if (map) {
        free(map->runs);
        free(map);
    }
    return NULL;
}

static int reserve(struct taskmap *map)
{
    const size_t capacity = map->capacity ? map->capacity * 2 : 4;
    struct taskmap_run *grown;

    if (map->count < map->capacity)
        return 0;
    if (map->count >= TASKMAP_BLOCKS_MAX)
        return -E2BIG;
    grown = realloc(map->runs, capacity * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    map->runs = grown;
    map->capacity = capacity;
    return 0;
}

static int64_t tasks_of(const struct taskmap_run *run)
{
    return (int64_t)run->nnodes * run->ppn * run->repeat;
}

int taskmap_add_run(struct taskmap *map, const struct taskmap_run *run)
{
    int rc;

    if (run->node < 0 || run->nnodes < 1 || run->ppn < 1 || run->repeat < 1)
        return -EINVAL;
    if (run->node >= TASKMAP_NODES_MAX || run->nnodes > TASKMAP_NODES_MAX - run->node ||
        run->ppn > TASKMAP_TASKS_MAX || run->repeat > TASKMAP_TASKS_MAX ||
        (int64_t)run->nnodes * run->ppn > TASKMAP_TASKS_MAX ||
        tasks_of(run) > TASKMAP_TASKS_MAX - map->ntasks)
        return -E2BIG;
    if ((rc = reserve(map)) < 0)
        return rc;
    map->runs[map->count++] = *run;
    map->ntasks += (int)tasks_of(run);
    return 0;
}

/* The last two blocks become one if they are the same. */
static void join_repeats(struct taskmap *map)
{
    struct taskmap_run *a, *b;

    if (map->count < 2)
        return;
    a = &map->runs[map->count - 2];
    b = &map->runs[map->count - 1];
    if (a->node == b->node && a->nnodes == b->nnodes && a->ppn == b->ppn) {
        a->repeat += b->repeat;
        map->count--;
    }
}

int taskmap_append(struct taskmap *map, int node, int ntasks)
{
    const struct taskmap_run run = { .node = node, .nnodes = 1, .ppn = ntasks, .repeat = 1 };
    struct taskmap_run *last;
    int rc = taskmap_add_run(map, &run);

    if (rc < 0 || map->count < 2)
        return rc;
    last = &map->runs[map->count - 2];
    if (last->repeat == 1 && last->node + last->nnodes == node && last->ppn == ntasks) {
        last->nnodes++;
        map->count--;
    }
    join_repeats(map);
    return 0;
}

int taskmap_cyclic(const int *counts, size_t nnodes, int stride, struct taskmap **ret)
{
    CLEANUP(taskmap_freep) struct taskmap *map = NULL;
    int rc = taskmap_new(&map);

    if (rc == 0 && (stride < 1 || nnodes > TASKMAP_NODES_MAX))
        rc = -EINVAL;
    for (int64_t done = 0, before = -1; rc == 0 && map->ntasks != before; done += stride) {
        before = map->ntasks;
        for (size_t i = 0; i < nnodes && rc == 0; i++) {
            const int64_t left = counts[i] - done;

            if (left > 0)
                rc = taskmap_append(map, (int)i, (int)(left < stride ? left : stride));
        }
    }
    if (rc < 0)
        return rc;
    *ret = TAKE(map);
    return 0;
}

int taskmap_block(const int *counts, size_t nnodes, struct taskmap **ret)
{
    return taskmap_cyclic(counts, nnodes, TASKMAP_TASKS_MAX, ret);
}

int taskmap_ntasks(const struct taskmap *map)
{
    return map->ntasks;
}

int taskmap_nnodes(const struct taskmap *map)
{
    int n = 0;

    for (size_t i = 0; i < map->count; i++)
        if (map->runs[i].node + map->runs[i].nnodes > n)
            n = map->runs[i].node + map->runs[i].nnodes;
    return n;
}

int taskmap_node(const struct taskmap *map, int task)
{
    int64_t left = task;

    for (size_t i = 0; i < map->count && task >= 0; i++) {
        const struct taskmap_run *run = &map->runs[i];

        if (left < tasks_of(run))
            return run->node + (int)(left / run->ppn % run->nnodes);
        left -= tasks_of(run);
    }
    return -EINVAL;
}

static bool has_node(const struct taskmap_run *run, int node)
{
    return node >= run->node && node < run->node + run->nnodes;
}

int taskmap_count(const struct taskmap *map, int node)
{
    int n = 0;

    for (size_t i = 0; i < map->count; i++)
        if (has_node(&map->runs[i], node))
            n += map->runs[i].ppn * map->runs[i].repeat;
    return n;
}

struct idset *taskmap_tasks(const struct taskmap *map, int node)
{
    struct idset *ids = idset_create(0, IDSET_FLAG_AUTOGROW);
    unsigned int first = 0;

    for (size_t i = 0; ids && i < map->count; i++) {
        const struct taskmap_run *run = &map->runs[i];
        const unsigned int ppn = (unsigned int)run->ppn;
        unsigned int id = first + (unsigned int)(node - run->node) * ppn;

        for (int n = 0; has_node(run, node) && n < run->repeat; n++) {
            if (idset_range_set(ids, id, id + ppn - 1) < 0) {
                idset_destroy(ids);
                return NULL;
            }
            id += (unsigned int)run->nnodes * ppn;
        }
        first += (unsigned int)tasks_of(run);
    }
    return ids;
}
