/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which tasks run on which node of a job: how many by slots, which by -o taskmap. */
#ifndef SHELL_LAYOUT_H
#define SHELL_LAYOUT_H

#include "base/rset.h"
#include "base/taskmap.h"

/* Spread ntasks over nnodes nodes with slots[i] slots each, one at a time and round robin, never
 * more than a node has slots while another has one free; beyond that (oversubscribed) round robin
 * over all. counts[i]: number of tasks on node i. 0, -EINVAL (no nodes, no tasks). */
int layout_deal(const int *slots, size_t nnodes, int ntasks, int *counts);

/* scheme: NULL or "block", "cyclic[:STRIDE]", "manual:MAP", "hostfile:PATH". The result has as many
 * tasks as counts together. -EINVAL or another -errno with a sentence. */
int layout_map(const char *scheme, const int *counts, const struct rset *nodes,
               struct taskmap **ret, flux_error_t *error);

#endif
