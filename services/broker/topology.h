/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The shape of the tree: who is above whom. Pure; every node computes the same from the same words.
 */
#ifndef BROKER_TOPOLOGY_H
#define BROKER_TOPOLOGY_H

#include <flux/idset.h>
#include <flux/types.h>
#include "base/cleanup.h"

#define TOPOLOGY_LEVEL_MAX 14 /* a message has places for so many hops and its client */

struct topology;

/* spec: "kary:K" (rank r is below (r - 1) / K; kary:0: all below rank 0), "mincrit" or "mincrit:N"
 * (N nodes below rank 0 share the others evenly; without N as many as make both equal), "custom":
 * parents[r] for each rank (of rank 0: ignored; FLUX_NODEID_ANY: rank 0). 0 or -errno with a
 * sentence. */
int topology_new(const char *spec, uint32_t size, const uint32_t *parents, struct topology **ret,
                 flux_error_t *error);
struct topology *topology_free(struct topology *t);
DEFINE_CLEANUP(struct topology *, topology_free)

uint32_t topology_size(const struct topology *t);
uint32_t topology_parent(const struct topology *t, uint32_t rank); /* FLUX_NODEID_ANY for 0 */
/* Ascending; lent. */
size_t topology_children(const struct topology *t, uint32_t rank, const uint32_t **ret);
/* The child of from on the way to to; FLUX_NODEID_UPSTREAM: to is not below from. */
uint32_t topology_next_hop(const struct topology *t, uint32_t from, uint32_t to);
uint32_t topology_level(const struct topology *t, uint32_t rank);
uint32_t topology_maxlevel(const struct topology *t);
uint32_t topology_descendants(const struct topology *t, uint32_t rank);
/* Adds rank and all below it to out. 0 or -ENOMEM. */
int topology_subtree(const struct topology *t, uint32_t rank, struct idset *out);

#endif
