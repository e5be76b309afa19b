/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which task of a job runs on which of its nodes (RFC 34). Nodes are those of the job, from 0;
 * tasks follow one another in the order of the blocks. */
#ifndef BASE_TASKMAP_H
#define BASE_TASKMAP_H

#include <stddef.h>
#include <jansson.h>
#include <flux/idset.h>
#include <flux/types.h>

#include "base/cleanup.h"

#define TASKMAP_TASKS_MAX  (1 << 22)
#define TASKMAP_NODES_MAX  (1 << 20)
#define TASKMAP_BLOCKS_MAX (1 << 16)

struct taskmap;

int taskmap_new(struct taskmap **ret); /* without tasks */
struct taskmap *taskmap_free(struct taskmap *map);
DEFINE_CLEANUP(struct taskmap *, taskmap_free)

/* The next ntasks tasks run on this node. Joins blocks where it can. -EINVAL: no such node or not
 * that many tasks; -E2BIG: too many tasks or blocks. */
int taskmap_append(struct taskmap *map, int node, int ntasks);
/* counts[i] tasks on node i: all of node 0 first (block), or `stride` on each in turn (cyclic). */
int taskmap_block(const int *counts, size_t nnodes, struct taskmap **ret);
int taskmap_cyclic(const int *counts, size_t nnodes, int stride, struct taskmap **ret);

/* From an array of blocks, or {"version":1, "map":BLOCKS}. 0 or -EPROTO, -ENOMEM with a sentence.
 */
int taskmap_decode(const json_t *o, struct taskmap **ret, flux_error_t *error);
/* From any of: JSON as above, "(vector,(0,4,2))" (PMI_process_mapping), "0-1;2-3" (for each node
 * the tasks it has). -EINVAL with a sentence. */
int taskmap_parse(const char *s, struct taskmap **ret, flux_error_t *error);

json_t *taskmap_encode(const struct taskmap *map);   /* the array; NULL ENOMEM */
char *taskmap_encode_pmi(const struct taskmap *map); /* malloc'd; NULL ENOMEM */
char *taskmap_encode_raw(const struct taskmap *map); /* likewise */

int taskmap_ntasks(const struct taskmap *map);
int taskmap_nnodes(const struct taskmap *map);          /* the highest node that has tasks, and 1 */
int taskmap_node(const struct taskmap *map, int task);  /* -EINVAL: there is no such task */
int taskmap_count(const struct taskmap *map, int node); /* of its tasks */
struct idset *taskmap_tasks(const struct taskmap *map, int node); /* may be empty; NULL ENOMEM */

#endif
