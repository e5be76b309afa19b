/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which tasks run on which node of a job. */
#ifndef SHELL_TASKMAP_H
#define SHELL_TASKMAP_H

#include <stddef.h>

/* Spread ntasks over nnodes nodes with slots[i] slots each, one at a time and round robin, never
 * more than a node has slots while another has one free; beyond that (oversubscribed) round robin
 * over all. Task numbers then follow node by node ("block"). counts[i]: number of tasks on node i.
 * 0, -EINVAL (no nodes, no tasks). */
int taskmap_block(const int *slots, size_t nnodes, int ntasks, int *counts);

#endif
