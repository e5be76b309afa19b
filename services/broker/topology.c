/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Parents in an array, children as runs of a second one (counting sort by parent). Invariant: every
 * way upwards ends at rank 0 within TOPOLOGY_LEVEL_MAX steps. */
#include <math.h>
#include <string.h>

#include "base/errorx.h"
#include "base/number.h"
#include "broker/topology.h"

struct topology {
    uint32_t size;
    uint32_t maxlevel;
    uint32_t *parents;
    uint32_t *first; /* [size + 1]: children of r are children[first[r]..first[r + 1] - 1] */
    uint32_t *children;
};

struct topology *topology_free(struct topology *t)
{
    if (t) {
        free(t->parents);
        free(t->first);
        free(t->children);
        free(t);
    }
    return NULL;
}

/* --- shapes */

static void shape_kary(struct topology *t, uint32_t k)
{
    for (uint32_t r = 1; r < t->size; r++)
        t->parents[r] = k == 0 ? 0 : (r - 1) / k;
}

/* Ranks 1..n below rank 0, the others below them in equal runs. */
static void shape_mincrit(struct topology *t, uint32_t n)
{
    const uint32_t rest = t->size > n + 1 ? t->size - n - 1 : 0;

    for (uint32_t r = 1; r < t->size; r++)
        t->parents[r] = r <= n ? 0 : 1 + (uint32_t)((uint64_t)(r - n - 1) * n / rest);
}

static int number_after(const char *spec, const char *name, int least, uint32_t *ret,
                        flux_error_t *error)
{
    const char *p = spec + strlen(name);
    int n;

    if (*p != ':' || number_parse_int(p + 1, least, 1 << 24, &n) < 0)
        return errorx_fail(error, EINVAL, "tree shape '%s': expected %s:N with N at least %d", spec,
                           name, least);
    *ret = (uint32_t)n;
    return 0;
}

static int shape_custom(struct topology *t, const uint32_t *parents, flux_error_t *error)
{
    if (!parents)
        return errorx_fail(error, EINVAL, "tree shape 'custom' needs bootstrap.hosts with parent=");
    for (uint32_t r = 1; r < t->size; r++) {
        t->parents[r] = parents[r] == FLUX_NODEID_ANY ? 0 : parents[r];
        if (t->parents[r] >= t->size)
            return errorx_fail(error, EINVAL, "rank %u has rank %u as its parent: there is none", r,
                               parents[r]);
    }
    return 0;
}

static int shape(struct topology *t, const char *spec, const uint32_t *parents, flux_error_t *error)
{
    uint32_t n = 0;
    int rc;

    if (strcmp(spec, "custom") == 0)
        return shape_custom(t, parents, error);
    if (strcmp(spec, "mincrit") == 0) {
        n = (uint32_t)ceil(sqrt((double)t->size));
        shape_mincrit(t, n);
        return 0;
    }
    if (strncmp(spec, "mincrit", 7) == 0) {
        rc = number_after(spec, "mincrit", 1, &n, error);
        if (rc == 0)
            shape_mincrit(t, n);
        return rc;
    }
    if (strncmp(spec, "kary", 4) == 0) {
        rc = number_after(spec, "kary", 0, &n, error);
        if (rc == 0)
            shape_kary(t, n);
        return rc;
    }
    return errorx_fail(error, EINVAL,
                       "tree shape '%s': expected kary:K, mincrit, mincrit:N or custom", spec);
}

/* --- */

static int index_children(struct topology *t)
{
    CLEANUP(freep) uint32_t *at = NULL;

    t->first = calloc((size_t)t->size + 1, sizeof(*t->first));
    t->children = calloc(t->size, sizeof(*t->children));
    at = calloc((size_t)t->size + 1, sizeof(*at));
    if (!t->first || !t->children || !at)
        return -ENOMEM;
    for (uint32_t r = 1; r < t->size; r++)
        t->first[t->parents[r] + 1]++;
    for (uint32_t r = 0; r < t->size; r++)
        t->first[r + 1] += t->first[r];
    memcpy(at, t->first, ((size_t)t->size + 1) * sizeof(*at));
    for (uint32_t r = 1; r < t->size; r++)
        t->children[at[t->parents[r]]++] = r;
    return 0;
}

static int measure(struct topology *t, flux_error_t *error)
{
    for (uint32_t r = 1; r < t->size; r++) {
        uint32_t level = 0;

        for (uint32_t p = r; p != 0; p = t->parents[p])
            if (++level > TOPOLOGY_LEVEL_MAX)
                return errorx_fail(error, EINVAL,
                                   "rank %u is more than %d levels below rank 0, or below itself: "
                                   "choose a larger fan-out",
                                   r, TOPOLOGY_LEVEL_MAX);
        if (level > t->maxlevel)
            t->maxlevel = level;
    }
    return 0;
}

int topology_new(const char *spec, uint32_t size, const uint32_t *parents, struct topology **ret,
                 flux_error_t *error)
{
    CLEANUP(topology_freep) struct topology *t = calloc(1, sizeof(*t));
    int rc;

    if (!t)
        return -ENOMEM;
    t->size = size;
    t->parents = calloc(size, sizeof(*t->parents));
    if (!t->parents)
        return -ENOMEM;
    if ((rc = shape(t, spec, parents, error)) < 0 || (rc = measure(t, error)) < 0 ||
        (rc = index_children(t)) < 0)
        return rc;
    *ret = TAKE(t);
    return 0;
}

uint32_t topology_size(const struct topology *t)
{
    return t->size;
}

uint32_t topology_parent(const struct topology *t, uint32_t rank)
{
    return rank == 0 || rank >= t->size ? FLUX_NODEID_ANY : t->parents[rank];
}

size_t topology_children(const struct topology *t, uint32_t rank, const uint32_t **ret)
{
    if (rank >= t->size)
        return 0;
    *ret = t->children + t->first[rank];
    return t->first[rank + 1] - t->first[rank];
}

uint32_t topology_next_hop(const struct topology *t, uint32_t from, uint32_t to)
{
    if (to >= t->size || to == from)
        return FLUX_NODEID_UPSTREAM;
    while (to != 0) {
        const uint32_t parent = t->parents[to];

        if (parent == from)
            return to;
        to = parent;
    }
    return FLUX_NODEID_UPSTREAM;
}

uint32_t topology_level(const struct topology *t, uint32_t rank)
{
    uint32_t level = 0;

    for (; rank != 0; rank = t->parents[rank])
        level++;
    return level;
}

uint32_t topology_maxlevel(const struct topology *t)
{
    return t->maxlevel;
}

uint32_t topology_descendants(const struct topology *t, uint32_t rank)
{
    const uint32_t *children;
    const size_t n = topology_children(t, rank, &children);
    uint32_t count = (uint32_t)n;

    for (size_t i = 0; i < n; i++)
        count += topology_descendants(t, children[i]);
    return count;
}

int topology_subtree(const struct topology *t, uint32_t rank, struct idset *out)
{
    const uint32_t *children;
    const size_t n = topology_children(t, rank, &children);
    int rc = idset_set(out, rank) < 0 ? -ENOMEM : 0;

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = topology_subtree(t, children[i], out);
    return rc;
}
