/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Blobs that were loaded lately, least recently used out first. Above the limit only those go that
 * were not used for a while, above twice the limit any. Everything in it is on disk as well. */
#ifndef CONTENT_CACHE_H
#define CONTENT_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"
#include "base/digest.h"

struct cache;

struct cache_stats {
    size_t count, bytes; /* bytes: with what an entry costs */
    size_t size;         /* of the blobs alone */
    uint64_t hits, misses;
};

int cache_new(size_t limit_bytes, struct cache **ret);
struct cache *cache_free(struct cache *c);
DEFINE_CLEANUP(struct cache *, cache_free)

/* Lent until the next call that inserts or drops. 0 or -ENOENT. */
int cache_lookup(struct cache *c, const uint8_t digest[DIGEST_SIZE], const void **ret_data,
                 size_t *ret_size);
/* Copies; a blob larger than a quarter of the limit is not kept, nor is anything when memory is
 * short: the cache is a convenience. */
void cache_insert(struct cache *c, const uint8_t digest[DIGEST_SIZE], const void *data,
                  size_t size);
void cache_set_limit(struct cache *c, size_t limit_bytes);
/* Blobs used in the last so many seconds stay, up to twice the limit (default 0: none). */
void cache_set_old_entry(struct cache *c, double seconds);
/* Removes what is above the limit and old enough. True: some above the limit is not old enough. */
bool cache_purge(struct cache *c);
/* cb: there is more than the limit, purge again when it is old. */
void cache_on_excess(struct cache *c, void (*cb)(void *arg), void *arg);
void cache_set_clock(struct cache *c, double (*now)(void)); /* for tests */
void cache_drop(struct cache *c);
const struct cache_stats *cache_stats(const struct cache *c);
void cache_stats_clear(struct cache *c); /* hits, misses */

#endif
