/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Directories (decoded) and values' blobs by digest. What is pinned stays: new objects until they
 * are stored, loaded ones until the operation that asked for them is through. The rest is least
 * recently used out first, bounded in bytes. */
#ifndef KVS_OBJCACHE_H
#define KVS_OBJCACHE_H

#include "kvs/dir.h"

enum obj_kind { OBJ_DIR, OBJ_BLOB };

struct blob {
    uint32_t refs;
    size_t size;
    uint8_t data[];
};
struct blob *blob_new(const void *data, size_t size);
struct blob *blob_ref(struct blob *b);
struct blob *blob_unref(struct blob *b);
DEFINE_CLEANUP(struct blob *, blob_unref)

struct objcache;
struct obj; /* an entry */

struct objcache_stats {
    size_t count, bytes, pinned;
    uint64_t hits, misses, evictions;
};

int objcache_new(size_t limit_bytes, struct objcache **ret);
struct objcache *objcache_free(struct objcache *c);
DEFINE_CLEANUP(struct objcache *, objcache_free)

/* NULL if it is not there. Lent until the next insert, unless pinned. */
struct obj *objcache_find(struct objcache *c, enum obj_kind kind,
                          const uint8_t digest[DIGEST_SIZE]);
/* Inserts and pins (once; an object already there is pinned once more: not new). Take a reference.
 * NULL: out of memory. */
struct obj *objcache_put_dir(struct objcache *c, struct dir *d, size_t size, bool *ret_new);
struct obj *objcache_put_blob(struct objcache *c, const uint8_t digest[DIGEST_SIZE], struct blob *b,
                              bool *ret_new);
struct dir *obj_dir(struct obj *o);
struct blob *obj_blob(struct obj *o);
/* Known to be in the content store. */
bool obj_stored(const struct obj *o);
void obj_set_stored(struct obj *o);
/* That an object is cached does not mean that it stays in the store: a collection (gc.h) may have
 * removed it. It is safe to refer to it without storing it again if it was stored, or marked, in
 * the present epoch; each collection begins another. */
uint64_t objcache_epoch(const struct objcache *c);
void objcache_next_epoch(struct objcache *c);
bool obj_trusted(const struct objcache *c, const struct obj *o);
void obj_trust(struct obj *o, uint64_t epoch);
/* True once for each group. */
bool obj_join_group(struct obj *o, uint64_t group);
/* As find, without making it the last to be dropped. */
struct obj *objcache_peek(struct objcache *c, enum obj_kind kind,
                          const uint8_t digest[DIGEST_SIZE]);
void obj_pin(struct objcache *c, struct obj *o);
/* An object that is unpinned without having been stored is forgotten. */
void obj_unpin(struct objcache *c, struct obj *o);
void objcache_set_limit(struct objcache *c, size_t limit_bytes);
/* Drops one, unless it is pinned: nobody is likely to need it again. */
void objcache_drop_one(struct objcache *c, enum obj_kind kind, const uint8_t digest[DIGEST_SIZE]);
void objcache_drop(struct objcache *c); /* everything that is not pinned */
const struct objcache_stats *objcache_stats(const struct objcache *c);
void objcache_stats_clear(struct objcache *c); /* hits, misses, evictions */

/* A list of pins. */
struct pins {
    struct obj **objs;
    size_t count, cap;
};
int pins_reserve(struct pins *p);             /* room for one more: 0 or -ENOMEM */
void pins_add(struct pins *p, struct obj *o); /* takes over one pin */
void pins_release(struct pins *p, struct objcache *c);

#endif
