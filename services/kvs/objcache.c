/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Invariants: an entry is in the LRU list exactly if it is not pinned; stats.bytes counts unpinned
 * entries only and never exceeds the limit; an unpinned entry is in the content store. */
#include <errno.h>
#include <string.h>
#include "base/hash.h"
#include "base/list.h"
#include "kvs/objcache.h"

struct obj_key {
    uint8_t digest[DIGEST_SIZE];
    uint8_t kind;
};

struct obj {
    struct obj_key key;
    bool stored;
    uint32_t pins;
    uint64_t trusted; /* epoch */
    uint64_t group;   /* that it was last a part of */
    size_t cost;
    union {
        struct dir *dir;
        struct blob *blob;
    };
    TAILQ_ENTRY(obj) lru;
    UT_hash_handle hh;
};

struct objcache {
    size_t limit;
    uint64_t epoch;
    struct obj *table;
    TAILQ_HEAD(, obj) lru; /* oldest first */
    struct objcache_stats stats;
};

struct blob *blob_new(const void *data, size_t size)
{
    struct blob *b = malloc(sizeof(*b) + size);

    if (!b)
        return NULL;
    b->refs = 1;
    b->size = size;
    if (size > 0)
        memcpy(b->data, data, size);
    return b;
}

struct blob *blob_ref(struct blob *b)
{
    b->refs++;
    return b;
}

struct blob *blob_unref(struct blob *b)
{
    if (b && --b->refs == 0)
        free(b);
    return NULL;
}

int objcache_new(size_t limit_bytes, struct objcache **ret)
{
    struct objcache *c = calloc(1, sizeof(*c));

    if (!c)
        return -ENOMEM;
    c->limit = limit_bytes;
    c->epoch = 1;
    TAILQ_INIT(&c->lru);
    *ret = c;
    return 0;
}

static void obj_free(struct objcache *c, struct obj *o)
{
    HASH_DEL(c->table, o);
    if (o->key.kind == OBJ_DIR)
        dir_unref(o->dir);
    else
        blob_unref(o->blob);
    c->stats.count--;
    free(o);
}

static void lru_remove(struct objcache *c, struct obj *o)
{
    TAILQ_REMOVE(&c->lru, o, lru);
    c->stats.bytes -= o->cost;
}

static void shrink(struct objcache *c, size_t limit)
{
    while (c->stats.bytes > limit) {
        struct obj *o = TAILQ_FIRST(&c->lru);

        lru_remove(c, o);
        obj_free(c, o);
        c->stats.evictions++;
    }
}

struct objcache *objcache_free(struct objcache *c)
{
    struct obj *o, *tmp;

    if (!c)
        return NULL;
    HASH_ITER (hh, c->table, o, tmp)
        obj_free(c, o);
    free(c);
    return NULL;
}

static void key_set(struct obj_key *key, enum obj_kind kind, const uint8_t *digest)
{
    memcpy(key->digest, digest, DIGEST_SIZE);
    key->kind = (uint8_t)kind;
}

/* A digest is as good a hash as any. */
static unsigned int key_hash(const uint8_t *digest)
{
    unsigned int hash;

    memcpy(&hash, digest, sizeof(hash));
    return hash;
}

struct obj *objcache_peek(struct objcache *c, enum obj_kind kind, const uint8_t digest[DIGEST_SIZE])
{
    struct obj_key key;
    struct obj *o;

    key_set(&key, kind, digest);
    HASH_FIND_BYHASHVALUE(hh, c->table, &key, sizeof(key), key_hash(digest), o);
    return o;
}

struct obj *objcache_find(struct objcache *c, enum obj_kind kind, const uint8_t digest[DIGEST_SIZE])
{
    struct obj *o = objcache_peek(c, kind, digest);

    if (!o) {
        c->stats.misses++;
        return NULL;
    }
    c->stats.hits++;
    if (o->pins == 0) {
        TAILQ_REMOVE(&c->lru, o, lru);
        TAILQ_INSERT_TAIL(&c->lru, o, lru);
    }
    return o;
}

/* A new entry, pinned, or the one that is there with a pin more. */
static struct obj *objcache_put(struct objcache *c, enum obj_kind kind, const uint8_t *digest,
                                bool *ret_new)
{
    struct obj *o = objcache_find(c, kind, digest);

    *ret_new = !o;
    if (o) {
        obj_pin(c, o);
        return o;
    }
    if (!(o = calloc(1, sizeof(*o))))
        return NULL;
    key_set(&o->key, kind, digest);
    HASH_ADD_BYHASHVALUE(hh, c->table, key, sizeof(o->key), key_hash(digest), o);
    if (!o->hh.tbl) {
        free(o);
        return NULL;
    }
    o->pins = 1;
    c->stats.count++;
    c->stats.pinned++;
    return o;
}

struct obj *objcache_put_dir(struct objcache *c, struct dir *d, size_t size, bool *ret_new)
{
    struct obj *o = objcache_put(c, OBJ_DIR, d->digest, ret_new);

    if (o && *ret_new) {
        o->dir = dir_ref(d);
        o->cost = sizeof(*o) + sizeof(*d) + size + d->count * sizeof(struct node);
    }
    return o;
}

struct obj *objcache_put_blob(struct objcache *c, const uint8_t digest[DIGEST_SIZE], struct blob *b,
                              bool *ret_new)
{
    struct obj *o = objcache_put(c, OBJ_BLOB, digest, ret_new);

    if (o && *ret_new) {
        o->blob = blob_ref(b);
        o->cost = sizeof(*o) + sizeof(*b) + b->size;
    }
    return o;
}

struct dir *obj_dir(struct obj *o)
{
    return o->dir;
}

struct blob *obj_blob(struct obj *o)
{
    return o->blob;
}

bool obj_stored(const struct obj *o)
{
    return o->stored;
}

void obj_set_stored(struct obj *o)
{
    o->stored = true;
}

uint64_t objcache_epoch(const struct objcache *c)
{
    return c->epoch;
}

void objcache_next_epoch(struct objcache *c)
{
    c->epoch++;
}

bool obj_trusted(const struct objcache *c, const struct obj *o)
{
    return o->trusted == c->epoch;
}

void obj_trust(struct obj *o, uint64_t epoch)
{
    o->trusted = epoch;
}

bool obj_join_group(struct obj *o, uint64_t group)
{
    bool joins = o->group != group;

    o->group = group;
    return joins;
}

void obj_pin(struct objcache *c, struct obj *o)
{
    if (o->pins++ == 0) {
        lru_remove(c, o);
        c->stats.pinned++;
    }
}

void obj_unpin(struct objcache *c, struct obj *o)
{
    if (--o->pins > 0)
        return;
    c->stats.pinned--;
    if (!o->stored) {
        obj_free(c, o);
        return;
    }
    TAILQ_INSERT_TAIL(&c->lru, o, lru);
    c->stats.bytes += o->cost;
    shrink(c, c->limit);
}

void objcache_set_limit(struct objcache *c, size_t limit_bytes)
{
    c->limit = limit_bytes;
    shrink(c, limit_bytes);
}

void objcache_drop_one(struct objcache *c, enum obj_kind kind, const uint8_t digest[DIGEST_SIZE])
{
    struct obj *o = objcache_peek(c, kind, digest);

    if (!o || o->pins > 0)
        return;
    lru_remove(c, o);
    obj_free(c, o);
}

void objcache_drop(struct objcache *c)
{
    shrink(c, 0);
}

const struct objcache_stats *objcache_stats(const struct objcache *c)
{
    return &c->stats;
}

void objcache_stats_clear(struct objcache *c)
{
    c->stats.hits = c->stats.misses = c->stats.evictions = 0;
}

int pins_reserve(struct pins *p)
{
    if (p->count == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 8;
        struct obj **objs = realloc(p->objs, cap * sizeof(objs[0]));

        if (!objs)
            return -ENOMEM;
        p->objs = objs;
        p->cap = cap;
    }
    return 0;
}

void pins_add(struct pins *p, struct obj *o)
{
    p->objs[p->count++] = o;
}

void pins_release(struct pins *p, struct objcache *c)
{
    for (size_t i = 0; i < p->count; i++)
        obj_unpin(c, p->objs[i]);
    free(p->objs);
    memset(p, 0, sizeof(*p));
}
