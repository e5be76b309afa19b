/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Resource sets in memory: an array of ranks, sorted. Invariants: a rank is there once, and its
 * core and gpu sets are never NULL; union and add are the only operations that add ranks. At most
 * RSET_RANKS_MAX ranks and RSET_WORDS_MAX words of bitmaps, whatever is asked for. */
#include "base/rset-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

DEFINE_CLEANUP(struct rset *, rset_free)

int rset_new(struct rset **ret)
{
    struct rset *r = calloc(1, sizeof(*r));

    if (!r)
        return -ENOMEM;
    *ret = r;
    return 0;
}

static void rank_deinit(struct rset_rank *rank)
{
    free((char *)rank->hostname);
    idset_destroy(rank->cores);
    idset_destroy(rank->gpus);
}

struct rset *rset_free(struct rset *r)
{
    if (r) {
        for (size_t i = 0; i < r->count; i++)
            rank_deinit(&r->ranks[i]);
        free(r->ranks);
        free(r);
    }
    return NULL;
}

size_t rset_nnodes(const struct rset *r)
{
    return r->count;
}

const struct rset_rank *rset_nth(const struct rset *r, size_t n)
{
    return n < r->count ? &r->ranks[n] : NULL;
}

/* Index of the first rank that is not less than `rank`. */
static size_t lower_bound(const struct rset *r, uint32_t rank)
{
    size_t lo = 0, hi = r->count;

    if (r->count > 0 && r->ranks[r->count - 1].rank < rank)
        return r->count; /* the usual case: ranks arrive in order */
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (r->ranks[mid].rank < rank)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static struct rset_rank *find(const struct rset *r, uint32_t rank)
{
    size_t i = lower_bound(r, rank);

    return i < r->count && r->ranks[i].rank == rank ? &r->ranks[i] : NULL;
}

const struct rset_rank *rset_find(const struct rset *r, uint32_t rank)
{
    return find(r, rank);
}

static int reserve_one(struct rset *r)
{
    size_t allocated = r->allocated ? r->allocated * 2 : 4;
    struct rset_rank *ranks;

    if (r->count >= RSET_RANKS_MAX)
        return -EOVERFLOW;
    if (r->count < r->allocated)
        return 0;
    if (!(ranks = realloc(r->ranks, allocated * sizeof(*ranks))))
        return -ENOMEM;
    r->ranks = ranks;
    r->allocated = allocated;
    return 0;
}

static struct idset *copy_or_empty(const struct idset *set)
{
    return set ? idset_copy(set) : idset_create(0, IDSET_FLAG_AUTOGROW);
}

static int insert(struct rset *r, const struct rset_rank *from)
{
    struct rset_rank new = { .rank = from->rank };
    size_t i = lower_bound(r, from->rank);
    int rc;

    if ((rc = reserve_one(r)) < 0)
        return rc;
    new.cores = copy_or_empty(from->cores);
    new.gpus = copy_or_empty(from->gpus);
    new.hostname = from->hostname ? strdup(from->hostname) : NULL;
    if (!new.cores || !new.gpus || (from->hostname && !new.hostname)) {
        rank_deinit(&new);
        return -ENOMEM;
    }
    memmove(&r->ranks[i + 1], &r->ranks[i], (r->count - i) * sizeof(r->ranks[0]));
    r->ranks[i] = new;
    r->count++;
    return 0;
}

/* Through a new set, because the old one may be of fixed size. */
static int unite(struct idset **set, const struct idset *more)
{
    struct idset *both;

    if (!more)
        return 0;
    if (!(both = idset_union(*set, more)))
        return -errno;
    idset_destroy(*set);
    *set = both;
    return 0;
}

int rset_add(struct rset *r, uint32_t rank, const char *hostname, const struct idset *cores,
             const struct idset *gpus)
{
    struct rset_rank *old = find(r, rank);
    int rc;

    if (!old)
        return insert(r, &(struct rset_rank){ .rank = rank,
                                              .hostname = hostname,
                                              .cores = (struct idset *)cores,
                                              .gpus = (struct idset *)gpus });
    if (hostname && !old->hostname && !(old->hostname = strdup(hostname)))
        return -ENOMEM;
    if ((rc = unite(&old->cores, cores)) < 0)
        return rc;
    return unite(&old->gpus, gpus);
}

int rset_union(struct rset *a, const struct rset *b)
{
    int rc;

    for (size_t i = 0; i < b->count; i++) {
        const struct rset_rank *rank = &b->ranks[i];

        if ((rc = rset_add(a, rank->rank, rank->hostname, rank->cores, rank->gpus)) < 0)
            return rc;
    }
    return 0;
}

int rset_copy(const struct rset *r, struct rset **ret)
{
    CLEANUP(rset_freep) struct rset *copy = NULL;
    int rc;

    if ((rc = rset_new(&copy)) < 0 || (rc = rset_union(copy, r)) < 0)
        return rc;
    copy->starttime = r->starttime;
    copy->expiration = r->expiration;
    *ret = TAKE(copy);
    return 0;
}

int rset_subtract(struct rset *a, const struct rset *b)
{
    size_t kept = 0;

    for (size_t i = 0; i < a->count; i++) {
        struct rset_rank *rank = &a->ranks[i];
        const struct rset_rank *other = find(b, rank->rank);

        if (other) {
            (void)idset_subtract(rank->cores, other->cores);
            (void)idset_subtract(rank->gpus, other->gpus);
            if (idset_count(rank->cores) == 0 && idset_count(rank->gpus) == 0) {
                rank_deinit(rank);
                continue;
            }
        }
        a->ranks[kept++] = *rank;
    }
    a->count = kept;
    return 0;
}

static bool subset(const struct idset *small, const struct idset *large)
{
    for (unsigned int id = idset_first(small); id != IDSET_INVALID_ID; id = idset_next(small, id)) {
        if (!idset_test(large, id))
            return false;
    }
    return true;
}

bool rset_contains(const struct rset *a, const struct rset *b)
{
    for (size_t i = 0; i < b->count; i++) {
        const struct rset_rank *ours = find(a, b->ranks[i].rank);

        if (!ours || !subset(b->ranks[i].cores, ours->cores) ||
            !subset(b->ranks[i].gpus, ours->gpus))
            return false;
    }
    return true;
}

size_t rset_count(const struct rset *r, const char *type)
{
    size_t n = 0;

    if (strcmp(type, "node") == 0)
        return r->count;
    for (size_t i = 0; i < r->count; i++) {
        if (strcmp(type, "core") == 0)
            n += idset_count(r->ranks[i].cores);
        else if (strcmp(type, "gpu") == 0)
            n += idset_count(r->ranks[i].gpus);
    }
    return n;
}

struct idset *rset_ranks(const struct rset *r)
{
    struct idset *set = idset_create(0, IDSET_FLAG_AUTOGROW);

    for (size_t i = 0; set && i < r->count; i++) {
        if (idset_set(set, r->ranks[i].rank) < 0) {
            idset_destroy(set);
            return NULL;
        }
    }
    return set;
}

double rset_expiration(const struct rset *r)
{
    return r->expiration;
}

double rset_starttime(const struct rset *r)
{
    return r->starttime;
}

void rset_set_expiration(struct rset *r, double starttime, double expiration)
{
    r->starttime = starttime;
    r->expiration = expiration;
}
