/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The content store of a node that is not rank 0: what is not in memory is asked of the parent's,
 * and whatever is to be stored goes there. */
#ifndef CONTENT_UPSTREAM_H
#define CONTENT_UPSTREAM_H

#include "content/cache.h"
#include "service/service.h"

struct upstream;

struct upstream_stats {
    uint64_t loads;    /* asked of the parent */
    uint64_t joined;   /* loads that waited for one under way */
    uint64_t passed;   /* other requests */
    uint64_t rejected; /* answers that were not the blob asked for */
};

struct upstream_params {
    flux_t *h;
    uint32_t nodeid; /* FLUX_NODEID_UPSTREAM */
    enum digest_algorithm hash;
    struct cache *cache; /* lent */
    void (*idle)(void *arg);
    void *arg;
};

/* idle: each time that nothing is under way any more. */
int upstream_new(const struct upstream_params *params, struct upstream **ret);
struct upstream *upstream_free(struct upstream *up);

/* Answers req with the blob, which is put in the cache. */
int upstream_load(struct upstream *up, struct request *req, const uint8_t digest[DIGEST_SIZE]);
/* Asks the parent the same and answers what it answers. keep: the payload is a blob: keep it when
 * the parent has it. */
int upstream_pass(struct upstream *up, struct request *req, bool keep);
size_t upstream_passes(const struct upstream *up); /* under way */
bool upstream_busy(const struct upstream *up);
const struct upstream_stats *upstream_stats(const struct upstream *up);
void upstream_stats_clear(struct upstream *up);

#endif
