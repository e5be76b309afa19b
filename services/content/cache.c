/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* LRU of blobs. Invariant: stats.bytes is the sum of the entries' cost and never above twice the
 * limit. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include "base/hash.h"
#include "base/list.h"
#include "content/cache.h"

struct entry {
    uint8_t digest[DIGEST_SIZE];
    UT_hash_handle hh;
    TAILQ_ENTRY(entry) lru;
    size_t size;
    double used;
    uint8_t data[];
};

struct cache {
    size_t limit;
    double old_entry; /* seconds */
    double (*now)(void);
    void (*on_excess)(void *arg);
    void *on_excess_arg;
    struct entry *table;
    TAILQ_HEAD(, entry) lru; /* oldest first */
    struct cache_stats stats;
};

static size_t cost(size_t size)
{
    return sizeof(struct entry) + size;
}

static double now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int cache_new(size_t limit_bytes, struct cache **ret)
{
    struct cache *c = calloc(1, sizeof(*c));

    if (!c)
        return -ENOMEM;
    c->limit = limit_bytes;
    c->now = now;
    TAILQ_INIT(&c->lru);
    *ret = c;
    return 0;
}

static void evict(struct cache *c, struct entry *e)
{
    TAILQ_REMOVE(&c->lru, e, lru);
    HASH_DEL(c->table, e);
    c->stats.bytes -= cost(e->size);
    c->stats.size -= e->size;
    c->stats.count--;
    free(e);
}

static void shrink(struct cache *c, size_t limit)
{
    while (c->stats.bytes > limit)
        evict(c, TAILQ_FIRST(&c->lru));
}

bool cache_purge(struct cache *c)
{
    double old = c->now() - c->old_entry;

    while (c->stats.bytes > c->limit) {
        struct entry *e = TAILQ_FIRST(&c->lru);

        if (c->stats.bytes <= 2 * c->limit && c->old_entry > 0 && e->used > old)
            return true;
        evict(c, e);
    }
    return false;
}

struct cache *cache_free(struct cache *c)
{
    if (c) {
        shrink(c, 0);
        free(c);
    }
    return NULL;
}

int cache_lookup(struct cache *c, const uint8_t digest[DIGEST_SIZE], const void **ret_data,
                 size_t *ret_size)
{
    struct entry *e;

    HASH_FIND(hh, c->table, digest, DIGEST_SIZE, e);
    if (!e) {
        c->stats.misses++;
        return -ENOENT;
    }
    c->stats.hits++;
    TAILQ_REMOVE(&c->lru, e, lru);
    TAILQ_INSERT_TAIL(&c->lru, e, lru);
    e->used = c->now();
    *ret_data = e->data;
    *ret_size = e->size;
    return 0;
}

void cache_insert(struct cache *c, const uint8_t digest[DIGEST_SIZE], const void *data, size_t size)
{
    struct entry *e;

    if (cost(size) > c->limit / 4)
        return;
    HASH_FIND(hh, c->table, digest, DIGEST_SIZE, e);
    if (e || !(e = malloc(cost(size))))
        return;
    memcpy(e->digest, digest, DIGEST_SIZE);
    e->size = size;
    if (size > 0)
        memcpy(e->data, data, size);
    HASH_ADD(hh, c->table, digest, DIGEST_SIZE, e);
    if (!e->hh.tbl) {
        free(e);
        return;
    }
    TAILQ_INSERT_TAIL(&c->lru, e, lru);
    c->stats.bytes += cost(size);
    c->stats.size += size;
    c->stats.count++;
    e->used = c->now();
    if (cache_purge(c) && c->on_excess)
        c->on_excess(c->on_excess_arg);
}

void cache_set_limit(struct cache *c, size_t limit_bytes)
{
    c->limit = limit_bytes;
    (void)cache_purge(c);
}

void cache_set_old_entry(struct cache *c, double seconds)
{
    c->old_entry = seconds;
    (void)cache_purge(c);
}

void cache_on_excess(struct cache *c, void (*cb)(void *arg), void *arg)
{
    c->on_excess = cb;
    c->on_excess_arg = arg;
}

void cache_set_clock(struct cache *c, double (*clock)(void))
{
    c->now = clock;
}

void cache_drop(struct cache *c)
{
    shrink(c, 0);
}

const struct cache_stats *cache_stats(const struct cache *c)
{
    return &c->stats;
}

void cache_stats_clear(struct cache *c)
{
    c->stats.hits = c->stats.misses = 0;
}
