/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The pool: a table of ranks, each with its free cores and gpus as sets and as counts.
 *
 * Selection works on counts only and writes its picks to a scratch table; the sets are touched when
 * it succeeded. So a request that does not fit costs one pass over the ranks at most, and nothing
 * when the totals say so.
 *
 * Invariants: nfree_* are the sizes of the free sets; free sets are subsets of all; avail is the
 * sum over ranks that are up; no rank below `first` is up and has a free core. */
#include <limits.h>
#include <string.h>

#include "base/errorx.h"
#include "sched/pool.h"

struct pool_rank {
    size_t ncores, ngpus;
    size_t nfree_cores, nfree_gpus;
    bool up;
    uint32_t rank;
    struct idset *free_cores, *free_gpus;
};

struct pick {
    size_t index;
    size_t nslots;
};

struct pool {
    struct rset *all;
    size_t nranks;
    struct pool_rank *ranks;
    struct pick *picks;
    size_t npicks;
    size_t first;
    size_t avail_cores, avail_gpus;
    uint64_t generation;
};

DEFINE_CLEANUP(struct rset *, rset_free)
DEFINE_CLEANUP(struct idset *, idset_destroy)

struct pool *pool_free(struct pool *pool)
{
    if (!pool)
        return NULL;
    for (size_t i = 0; i < pool->nranks; i++) {
        idset_destroy(pool->ranks[i].free_cores);
        idset_destroy(pool->ranks[i].free_gpus);
    }
    free(pool->picks);
    free(pool->ranks);
    rset_free(pool->all);
    free(pool);
    return NULL;
}

static int pool_rank_init(struct pool_rank *pr, const struct rset_rank *rr)
{
    pr->rank = rr->rank;
    pr->free_cores = idset_copy(rr->cores);
    pr->free_gpus = idset_copy(rr->gpus);
    if (!pr->free_cores || !pr->free_gpus)
        return -ENOMEM;
    pr->ncores = pr->nfree_cores = idset_count(rr->cores);
    pr->ngpus = pr->nfree_gpus = idset_count(rr->gpus);
    return 0;
}

int pool_new(const struct rset *all, struct pool **ret)
{
    CLEANUP(pool_freep) struct pool *pool = calloc(1, sizeof(*pool));
    size_t nranks = rset_nnodes(all);

    if (!pool || rset_copy(all, &pool->all) < 0)
        return -ENOMEM;
    pool->ranks = calloc(nranks ? nranks : 1, sizeof(pool->ranks[0]));
    pool->picks = calloc(nranks ? nranks : 1, sizeof(pool->picks[0]));
    if (!pool->ranks || !pool->picks)
        return -ENOMEM;
    pool->nranks = nranks;
    pool->first = nranks;
    for (size_t i = 0; i < nranks; i++)
        if (pool_rank_init(&pool->ranks[i], rset_nth(all, i)) < 0)
            return -ENOMEM;
    *ret = TAKE(pool);
    return 0;
}

static struct pool_rank *pool_find(const struct pool *pool, uint32_t rank)
{
    size_t lo = 0, hi = pool->nranks;

    if (rank < pool->nranks && pool->ranks[rank].rank == rank)
        return &pool->ranks[rank];
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (pool->ranks[mid].rank == rank)
            return &pool->ranks[mid];
        if (pool->ranks[mid].rank < rank)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static size_t pool_index(const struct pool *pool, const struct pool_rank *pr)
{
    return (size_t)(pr - pool->ranks);
}

/* Account that a rank has `cores` and `gpus` more free ones. */
static void rank_gained(struct pool *pool, struct pool_rank *pr, size_t cores, size_t gpus)
{
    pr->nfree_cores += cores;
    pr->nfree_gpus += gpus;
    if (!pr->up)
        return;
    pool->avail_cores += cores;
    pool->avail_gpus += gpus;
    if (pool_index(pool, pr) < pool->first)
        pool->first = pool_index(pool, pr);
}

static void rank_lost(struct pool *pool, struct pool_rank *pr, size_t cores, size_t gpus)
{
    pr->nfree_cores -= cores;
    pr->nfree_gpus -= gpus;
    if (!pr->up)
        return;
    pool->avail_cores -= cores;
    pool->avail_gpus -= gpus;
}

static void pool_advance(struct pool *pool)
{
    while (pool->first < pool->nranks &&
           (!pool->ranks[pool->first].up || pool->ranks[pool->first].nfree_cores == 0))
        pool->first++;
}

void pool_set_up(struct pool *pool, const struct idset *ranks, bool up)
{
    for (unsigned int id = idset_first(ranks); id != IDSET_INVALID_ID; id = idset_next(ranks, id)) {
        struct pool_rank *pr = pool_find(pool, id);

        if (!pr || pr->up == up)
            continue;
        pr->up = up;
        if (up) {
            pool->avail_cores += pr->nfree_cores;
            pool->avail_gpus += pr->nfree_gpus;
            if (pool_index(pool, pr) < pool->first)
                pool->first = pool_index(pool, pr);
            pool->generation++;
        } else {
            pool->avail_cores -= pr->nfree_cores;
            pool->avail_gpus -= pr->nfree_gpus;
        }
    }
    pool_advance(pool);
}

/* --- selection */

/* How many slots of the request fit on a rank; ideal: were it up and idle. */
static size_t rank_slots(const struct pool_rank *pr, const struct pool_request *req, bool ideal)
{
    size_t cores = ideal ? pr->ncores : pr->nfree_cores;
    size_t gpus = ideal ? pr->ngpus : pr->nfree_gpus;
    size_t n;

    if (!ideal && !pr->up)
        return 0;
    if (!ideal && req->exclusive && (cores < pr->ncores || gpus < pr->ngpus))
        return 0;
    n = cores / (size_t)req->cores_per_slot;
    if (req->gpus_per_slot > 0 && gpus / (size_t)req->gpus_per_slot < n)
        n = gpus / (size_t)req->gpus_per_slot;
    return n;
}

static void pool_pick(struct pool *pool, size_t index, size_t nslots)
{
    pool->picks[pool->npicks].index = index;
    pool->picks[pool->npicks++].nslots = nslots;
}

static bool select_slots(struct pool *pool, const struct pool_request *req, bool ideal)
{
    size_t left = (size_t)req->nslots;

    for (size_t i = ideal ? 0 : pool->first; left > 0 && i < pool->nranks; i++) {
        size_t n = rank_slots(&pool->ranks[i], req, ideal);

        if (n > left)
            n = left;
        if (n > 0)
            pool_pick(pool, i, n);
        left -= n;
    }
    return left == 0;
}

/* nslots = nnodes * q + r: r nodes take q + 1 slots, the others q. Ranks that can take q + 1 are
 * used for that first; so this fails only if no choice of ranks would do. A node without a slot
 * still costs one core, or it would not belong to the job. */
static bool select_nodes(struct pool *pool, const struct pool_request *req, bool ideal)
{
    size_t nnodes = (size_t)req->nnodes, nslots = (size_t)req->nslots;
    size_t q = nslots / nnodes, big = nslots % nnodes, small = nnodes - big;

    for (size_t i = ideal ? 0 : pool->first; big + small > 0 && i < pool->nranks; i++) {
        size_t n = rank_slots(&pool->ranks[i], req, ideal);

        if (n == 0 || n < q)
            continue;
        if (big > 0 && n > q) {
            pool_pick(pool, i, q + 1);
            big--;
        } else if (small > 0) {
            pool_pick(pool, i, q);
            small--;
        }
    }
    return big + small == 0;
}

static bool pool_select(struct pool *pool, const struct pool_request *req, bool ideal)
{
    pool->npicks = 0;
    if (req->nnodes > 0)
        return select_nodes(pool, req, ideal);
    return select_slots(pool, req, ideal);
}

static bool request_valid(const struct pool_request *req)
{
    return req->nnodes >= 0 && req->nslots >= 1 && req->cores_per_slot >= 1 &&
           req->gpus_per_slot >= 0;
}

/* --- allocation */

/* Move the n lowest ids of from to a new set. */
static struct idset *idset_take(struct idset *from, size_t n)
{
    CLEANUP(idset_destroyp) struct idset *ids = idset_create(0, IDSET_FLAG_AUTOGROW);
    unsigned int id = idset_first(from);

    if (!ids)
        return NULL;
    while (n-- > 0 && id != IDSET_INVALID_ID) {
        unsigned int next = idset_next(from, id);

        if (idset_set(ids, id) < 0) {
            (void)idset_add(from, ids);
            return NULL;
        }
        (void)idset_clear(from, id);
        id = next;
    }
    return TAKE(ids);
}

static int pool_commit_pick(struct pool *pool, const struct pick *pick,
                            const struct pool_request *req, struct rset *r)
{
    struct pool_rank *pr = &pool->ranks[pick->index];
    CLEANUP(idset_destroyp) struct idset *cores = NULL;
    CLEANUP(idset_destroyp) struct idset *gpus = NULL;
    size_t ncores = pick->nslots * (size_t)req->cores_per_slot;
    size_t ngpus = pick->nslots * (size_t)req->gpus_per_slot;

    if (pick->nslots == 0)
        ncores = 1;
    if (req->exclusive) {
        ncores = pr->ncores;
        ngpus = pr->ngpus;
    }
    cores = idset_take(pr->free_cores, ncores);
    gpus = idset_take(pr->free_gpus, ngpus);
    if (!cores || !gpus ||
        rset_add(r, pr->rank, rset_nth(pool->all, pick->index)->hostname, cores, gpus) < 0) {
        if (cores)
            (void)idset_add(pr->free_cores, cores);
        if (gpus)
            (void)idset_add(pr->free_gpus, gpus);
        return -ENOMEM;
    }
    rank_lost(pool, pr, ncores, ngpus);
    return 0;
}

int pool_alloc(struct pool *pool, const struct pool_request *req, struct rset **ret_r)
{
    CLEANUP(rset_freep) struct rset *r = NULL;
    size_t nslots = (size_t)req->nslots;

    if (!request_valid(req))
        return -EINVAL;
    if (pool->avail_cores / (size_t)req->cores_per_slot < nslots ||
        (req->gpus_per_slot > 0 && pool->avail_gpus / (size_t)req->gpus_per_slot < nslots) ||
        !pool_select(pool, req, false))
        return POOL_BUSY;
    if (rset_new(&r) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < pool->npicks; i++) {
        int rc = pool_commit_pick(pool, &pool->picks[i], req, r);

        if (rc < 0) {
            (void)pool_release(pool, r);
            return rc;
        }
    }
    pool_advance(pool);
    *ret_r = TAKE(r);
    return POOL_ALLOCATED;
}

/* --- marking and giving back */

static struct idset *idset_common(const struct idset *a, const struct idset *b)
{
    struct idset *common = idset_intersect(a, b);

    return common ? common : idset_create(0, IDSET_FLAG_AUTOGROW);
}

static int take_rank(struct pool *pool, const struct rset_rank *rr, struct rset *taken)
{
    struct pool_rank *pr = pool_find(pool, rr->rank);
    CLEANUP(idset_destroyp) struct idset *cores = NULL;
    CLEANUP(idset_destroyp) struct idset *gpus = NULL;
    size_t ncores, ngpus;

    if (!pr)
        return 1;
    cores = idset_common(pr->free_cores, rr->cores);
    gpus = idset_common(pr->free_gpus, rr->gpus);
    if (!cores || !gpus)
        return -ENOMEM;
    ncores = idset_count(cores);
    ngpus = idset_count(gpus);
    if (ncores + ngpus > 0 && rset_add(taken, rr->rank, rr->hostname, cores, gpus) < 0)
        return -ENOMEM;
    (void)idset_subtract(pr->free_cores, cores);
    (void)idset_subtract(pr->free_gpus, gpus);
    rank_lost(pool, pr, ncores, ngpus);
    return ncores < idset_count(rr->cores) || ngpus < idset_count(rr->gpus);
}

int pool_take(struct pool *pool, const struct rset *r, struct rset **ret_taken)
{
    CLEANUP(rset_freep) struct rset *taken = NULL;
    int missing = 0;

    if (rset_new(&taken) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < rset_nnodes(r); i++) {
        int rc = take_rank(pool, rset_nth(r, i), taken);

        if (rc < 0) {
            (void)pool_release(pool, taken);
            return rc;
        }
        missing |= rc;
    }
    pool_advance(pool);
    *ret_taken = TAKE(taken);
    return missing;
}

/* Is every id of ids one of all, and none of them free? */
static bool idset_is_taken(const struct idset *ids, const struct idset *all,
                           const struct idset *free_ids)
{
    for (unsigned int id = idset_first(ids); id != IDSET_INVALID_ID; id = idset_next(ids, id))
        if (!idset_test(all, id) || idset_test(free_ids, id))
            return false;
    return true;
}

int pool_release(struct pool *pool, const struct rset *r)
{
    for (size_t i = 0; i < rset_nnodes(r); i++) {
        const struct rset_rank *rr = rset_nth(r, i);
        const struct pool_rank *pr = pool_find(pool, rr->rank);
        const struct rset_rank *all = pr ? rset_nth(pool->all, pool_index(pool, pr)) : NULL;

        if (!all || !idset_is_taken(rr->cores, all->cores, pr->free_cores) ||
            !idset_is_taken(rr->gpus, all->gpus, pr->free_gpus))
            return -EINVAL;
    }
    for (size_t i = 0; i < rset_nnodes(r); i++) {
        const struct rset_rank *rr = rset_nth(r, i);
        struct pool_rank *pr = pool_find(pool, rr->rank);

        /* The sets have held these ids before: adding them allocates nothing. */
        (void)idset_add(pr->free_cores, rr->cores);
        (void)idset_add(pr->free_gpus, rr->gpus);
        rank_gained(pool, pr, idset_count(rr->cores), idset_count(rr->gpus));
        if (pr->up)
            pool->generation++;
    }
    pool_advance(pool);
    return 0;
}

/* --- could it ever fit? */

struct capacity {
    size_t nodes, cores, gpus;  /* of all nodes */
    size_t max_cores, max_gpus; /* of the largest node */
    size_t slots;               /* of the request, over all nodes */
};

static struct capacity pool_capacity(const struct pool *pool, const struct pool_request *req)
{
    struct capacity c = { .nodes = pool->nranks };

    for (size_t i = 0; i < pool->nranks; i++) {
        const struct pool_rank *pr = &pool->ranks[i];

        c.cores += pr->ncores;
        c.gpus += pr->ngpus;
        c.max_cores = pr->ncores > c.max_cores ? pr->ncores : c.max_cores;
        c.max_gpus = pr->ngpus > c.max_gpus ? pr->ngpus : c.max_gpus;
        c.slots += rank_slots(pr, req, true);
    }
    return c;
}

static int explain_nodes(const struct pool *pool, const struct pool_request *req,
                         flux_error_t *error)
{
    size_t per_node = ((size_t)req->nslots + (size_t)req->nnodes - 1) / (size_t)req->nnodes;
    size_t fitting = 0;

    for (size_t i = 0; i < pool->nranks; i++)
        fitting += rank_slots(&pool->ranks[i], req, true) >= per_node;
    if (fitting == 0)
        return errorx_fail(error, ENOSPC,
                           "the job asks for %zu cores and %zu gpus on each node, but no node has "
                           "that many",
                           per_node * (size_t)req->cores_per_slot,
                           per_node * (size_t)req->gpus_per_slot);
    if (req->gpus_per_slot > 0)
        return errorx_fail(error, ENOSPC,
                           "the job asks for %d nodes with %zu cores and %zu gpus each, but only "
                           "%zu of %zu nodes have that",
                           req->nnodes, per_node * (size_t)req->cores_per_slot,
                           per_node * (size_t)req->gpus_per_slot, fitting, pool->nranks);
    return errorx_fail(error, ENOSPC,
                       "the job asks for %d nodes with %zu cores each, but only %zu of %zu nodes "
                       "have that many",
                       req->nnodes, per_node * (size_t)req->cores_per_slot, fitting, pool->nranks);
}

static const char *are(size_t n)
{
    return n == 1 ? "is" : "are";
}

static int explain(const struct pool *pool, const struct pool_request *req, flux_error_t *error)
{
    struct capacity c = pool_capacity(pool, req);
    size_t nslots = (size_t)req->nslots;
    size_t cores = (size_t)req->cores_per_slot, gpus = (size_t)req->gpus_per_slot;

    if ((size_t)req->nnodes > c.nodes)
        return errorx_fail(error, ENOSPC, "the job asks for %d nodes, but there %s only %zu",
                           req->nnodes, are(c.nodes), c.nodes);
    if (gpus > 0 && c.gpus == 0)
        return errorx_fail(error, ENOSPC, "the job asks for gpus, but there are none");
    if (cores > c.max_cores)
        return errorx_fail(error, ENOSPC,
                           "the job asks for %zu cores in one slot, but the largest node has %zu",
                           cores, c.max_cores);
    if (gpus > c.max_gpus)
        return errorx_fail(error, ENOSPC,
                           "the job asks for %zu gpus in one slot, but the largest node has %zu",
                           gpus, c.max_gpus);
    if (nslots > c.cores / cores)
        return errorx_fail(error, ENOSPC, "the job asks for %zu cores, but there %s only %zu",
                           nslots * cores, are(c.cores), c.cores);
    if (gpus > 0 && nslots > c.gpus / gpus)
        return errorx_fail(error, ENOSPC, "the job asks for %zu gpus, but there %s only %zu",
                           nslots * gpus, are(c.gpus), c.gpus);
    if (req->nnodes > 0)
        return explain_nodes(pool, req, error);
    return errorx_fail(error, ENOSPC,
                       "the job asks for %zu slots of %zu cores and %zu gpus, but only %zu such "
                       "slots fit on the nodes",
                       nslots, cores, gpus, c.slots);
}

int pool_check(struct pool *pool, const struct pool_request *req, flux_error_t *error)
{
    if (!request_valid(req))
        return errorx_fail(error, EINVAL, "the job asks for no resources");
    if (pool_select(pool, req, true))
        return 0;
    return explain(pool, req, error);
}

/* --- looking */

uint64_t pool_generation(const struct pool *pool)
{
    return pool->generation;
}

const struct rset *pool_all(const struct pool *pool)
{
    return pool->all;
}

struct pool_usage pool_usage(const struct pool *pool)
{
    struct pool_usage u = { .nodes = pool->nranks };

    for (size_t i = 0; i < pool->nranks; i++) {
        const struct pool_rank *pr = &pool->ranks[i];
        size_t cores = pr->ncores - pr->nfree_cores, gpus = pr->ngpus - pr->nfree_gpus;

        u.cores += pr->ncores;
        u.gpus += pr->ngpus;
        u.busy_cores += cores;
        u.busy_gpus += gpus;
        u.busy_nodes += cores + gpus > 0;
        u.down_nodes += !pr->up;
    }
    return u;
}

int pool_allocated(const struct pool *pool, struct rset **ret)
{
    CLEANUP(rset_freep) struct rset *r = NULL;
    CLEANUP(rset_freep) struct rset *idle = NULL;

    if (rset_copy(pool->all, &r) < 0 || rset_new(&idle) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < pool->nranks; i++) {
        const struct pool_rank *pr = &pool->ranks[i];

        if (rset_add(idle, pr->rank, NULL, pr->free_cores, pr->free_gpus) < 0)
            return -ENOMEM;
    }
    if (rset_subtract(r, idle) < 0)
        return -ENOMEM;
    *ret = TAKE(r);
    return 0;
}

int pool_down(const struct pool *pool, struct rset **ret)
{
    CLEANUP(rset_freep) struct rset *r = NULL;

    if (rset_new(&r) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < pool->nranks; i++) {
        const struct rset_rank *rr = rset_nth(pool->all, i);

        if (!pool->ranks[i].up && rset_add(r, rr->rank, rr->hostname, rr->cores, rr->gpus) < 0)
            return -ENOMEM;
    }
    *ret = TAKE(r);
    return 0;
}
