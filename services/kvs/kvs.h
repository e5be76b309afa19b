/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The key value store of one instance: the parts and how they find each other. Knows no sockets:
 * the content store is behind struct kvs_backend, answers leave by callbacks. */
#ifndef KVS_KVS_H
#define KVS_KVS_H

#include <flux/types.h>
#include "kvs/namespace.h"
#include "kvs/objcache.h"

struct loader;
struct committer;
struct watches;
struct fences;
struct gc;

/* Both return 0 or -errno, and are answered later, never from within: by kvs_loaded() and
 * kvs_stored(). */
struct kvs_backend {
    int (*load)(const uint8_t digest[DIGEST_SIZE], void *arg);
    /* The payload of content.commit. One at a time. */
    int (*commit)(const void *payload, size_t size, void *arg);
    /* The outcome of a commit is unknown: the process must start anew. */
    void (*fatal)(const char *why, void *arg);
    /* Optional: a commit has changed the primary namespace (update.h). Called while
     * kvs.announcing is set. */
    void (*announce)(const char *update, void *arg);
    /* For collections (gc.h); answered by gc_began(), gc_marked(), gc_stepped(). Each one at a
     * time; digests are lent. */
    int (*sweep_begin)(void *arg);
    int (*mark)(uint64_t generation, const void *digests, size_t count, void *arg);
    int (*sweep_step)(uint64_t generation, uint32_t limit, void *arg);
    void (*sweep_end)(uint64_t generation, void *arg); /* not answered */
};

struct kvs_params {
    enum digest_algorithm hash;
    size_t cache_size;
    uint32_t owner; /* of the instance */
    const struct kvs_backend *backend;
    void *arg;
};

struct kvs {
    struct dir_source source;
    struct kvs_params params;
    struct objcache *cache;
    struct namespaces *namespaces;
    struct loader *loader;
    struct watches *watches;
    struct committer *committer;
    struct fences *fences;
    struct gc *gc;
    bool announcing; /* somebody follows */
};

/* Who asks. */
struct caller {
    uint32_t userid;
    bool is_owner; /* has the owner role */
};

int kvs_new(const struct kvs_params *params, struct kvs **ret);
struct kvs *kvs_free(struct kvs *k);
DEFINE_CLEANUP(struct kvs *, kvs_free)

/* The answer of content.roots: namespaces as they were left. -EPROTO with a sentence. The caller
 * then creates the primary namespace if it is not among them. */
int kvs_set_roots(struct kvs *k, const json_t *roots, flux_error_t *error);

/* Answers of the backend. err: 0 or -errno. */
void kvs_loaded(struct kvs *k, const uint8_t digest[DIGEST_SIZE], int err, const void *data,
                size_t size);
void kvs_stored(struct kvs *k, int err);

/* 0, -ENOTSUP (no such namespace), -EPERM. */
int kvs_access(struct kvs *k, const char *ns, const struct caller *who, struct namespace **ret);

#endif
