/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Blocks of a task map, for its codec. */
#ifndef BASE_TASKMAP_INTERNAL_H
#define BASE_TASKMAP_INTERNAL_H

#include "base/taskmap.h"

/* ppn tasks on each of nnodes nodes from `node` on, all of it `repeat` times. */
struct taskmap_run {
    int node, nnodes, ppn, repeat;
};

struct taskmap {
    struct taskmap_run *runs;
    size_t count, capacity;
    int ntasks;
};

/* As it is; -EINVAL, -E2BIG as in taskmap_append(). */
int taskmap_add_run(struct taskmap *map, const struct taskmap_run *run);

#endif
