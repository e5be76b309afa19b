/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What can be allocated: every rank of the instance with its free cores and gpus. */
#ifndef SCHED_POOL_H
#define SCHED_POOL_H

#include "base/cleanup.h"
#include "base/rset.h"

struct pool;

struct pool_request {
    int nnodes;         /* exactly so many nodes, slots spread evenly; 0: as the slots fall */
    int nslots;         /* total, >= 1; a slot never spans nodes */
    int cores_per_slot; /* >= 1 */
    int gpus_per_slot;  /* >= 0 */
    bool exclusive;     /* only idle nodes, and all of each */
};

struct pool_usage {
    size_t nodes, cores, gpus;                /* everything */
    size_t busy_nodes, busy_cores, busy_gpus; /* allocated, on nodes up or down */
    size_t down_nodes;
};

enum pool_outcome { POOL_ALLOCATED = 0, POOL_BUSY = 1 };

/* All ranks begin free and down. The rset is copied. */
int pool_new(const struct rset *all, struct pool **ret);
struct pool *pool_free(struct pool *pool);
DEFINE_CLEANUP(struct pool *, pool_free)

/* Only ranks that are up are allocated from. Ranks that the pool does not have are ignored. */
void pool_set_up(struct pool *pool, const struct idset *ranks, bool up);

/* First fit in rank order. POOL_ALLOCATED with *ret_r, POOL_BUSY (not now), -errno. */
int pool_alloc(struct pool *pool, const struct pool_request *req, struct rset **ret_r);

/* Could the request be met with every node up and free? 0, or -ENOSPC with a sentence. */
int pool_check(struct pool *pool, const struct pool_request *req, flux_error_t *error);

/* Mark r allocated, on ranks that are down too. What is allocated already or not in the pool is
 * left out: *ret_taken is what was marked (it may be empty). Is anything left out: 1, else 0. */
int pool_take(struct pool *pool, const struct rset *r, struct rset **ret_taken);

/* Give back. -EINVAL, and nothing is changed, unless all of r is allocated. */
int pool_release(struct pool *pool, const struct rset *r);

/* Rises when something became free or up: what was POOL_BUSY before may fit now. */
uint64_t pool_generation(const struct pool *pool);
struct pool_usage pool_usage(const struct pool *pool);
/* Copies of what is allocated, of what is on ranks that are down; may be empty. */
int pool_allocated(const struct pool *pool, struct rset **ret);
int pool_down(const struct pool *pool, struct rset **ret);
const struct rset *pool_all(const struct pool *pool);

#endif
