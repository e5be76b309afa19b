/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Loads in flight, by kind and digest, each with those who wait for it.
 *
 * A blob that was asked for as a directory and does not decode is EIO for those who asked.
 */
#include <errno.h>
#include <string.h>
#include "base/hash.h"
#include "kvs/loader.h"

struct load_key {
    uint8_t digest[DIGEST_SIZE];
};

struct load_wait {
    TAILQ_ENTRY(load_wait) in_load;
    TAILQ_ENTRY(load_wait) in_group;
    struct load_group *group;
    struct load *load;
    enum obj_kind kind;
};

struct load {
    struct load_key key;
    UT_hash_handle hh;
    TAILQ_HEAD(, load_wait) waits;
};

struct loader {
    struct load *table;
};

int loader_new(struct loader **ret)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : -ENOMEM;
}

static void wait_free(struct load_wait *w)
{
    TAILQ_REMOVE(&w->load->waits, w, in_load);
    TAILQ_REMOVE(&w->group->waits, w, in_group);
    free(w);
}

struct loader *loader_free(struct loader *l, struct kvs *k)
{
    struct load *ld, *tmp;
    struct load_wait *w;

    if (!l)
        return NULL;
    HASH_ITER (hh, l->table, ld, tmp) {
        while ((w = TAILQ_FIRST(&ld->waits)))
            wait_free(w);
        HASH_DEL(l->table, ld);
        free(ld);
    }
    free(l);
    return NULL;
}

void load_group_init(struct load_group *g, struct kvs *k, void (*done)(struct load_group *g))
{
    memset(g, 0, sizeof(*g));
    g->k = k;
    g->done = done;
    TAILQ_INIT(&g->waits);
}

/* The load of a digest, begun if it is not under way. */
static int load_begin(struct kvs *k, const uint8_t *digest, struct load **ret)
{
    struct loader *l = k->loader;
    struct load_key key;
    struct load *ld;
    int rc;

    memcpy(key.digest, digest, DIGEST_SIZE);
    HASH_FIND(hh, l->table, &key, sizeof(key), ld);
    if (!ld) {
        if (!(ld = calloc(1, sizeof(*ld))))
            return -ENOMEM;
        ld->key = key;
        TAILQ_INIT(&ld->waits);
        HASH_ADD(hh, l->table, key, sizeof(ld->key), ld);
        if (!ld->hh.tbl) {
            free(ld);
            return -ENOMEM;
        }
        if ((rc = k->params.backend->load(digest, k->params.arg)) < 0) {
            HASH_DEL(l->table, ld);
            free(ld);
            return rc;
        }
    }
    *ret = ld;
    return 0;
}

int load_group_add(struct load_group *g, enum obj_kind kind, const uint8_t digest[DIGEST_SIZE])
{
    struct load_wait *w;
    struct load *ld;
    int rc;

    if ((rc = load_begin(g->k, digest, &ld)) < 0)
        return rc;
    if (!(w = calloc(1, sizeof(*w))))
        return -ENOMEM;
    w->group = g;
    w->load = ld;
    w->kind = kind;
    TAILQ_INSERT_TAIL(&ld->waits, w, in_load);
    TAILQ_INSERT_TAIL(&g->waits, w, in_group);
    return 0;
}

bool load_group_busy(const struct load_group *g)
{
    return !TAILQ_EMPTY(&g->waits);
}

void load_group_deinit(struct load_group *g)
{
    struct load_wait *w;

    while ((w = TAILQ_FIRST(&g->waits)))
        wait_free(w);
    pins_release(&g->pins, g->k->cache);
    g->err = 0;
}

/* Makes the object of the bytes that came, pinned. */
static int make_obj(struct kvs *k, enum obj_kind kind, const uint8_t *digest, const void *data,
                    size_t size, struct obj **ret)
{
    CLEANUP(dir_unrefp) struct dir *d = NULL;
    CLEANUP(blob_unrefp) struct blob *b = NULL;
    bool is_new;
    int rc;

    if ((*ret = objcache_find(k->cache, kind, digest))) {
        obj_pin(k->cache, *ret);
    } else if (kind == OBJ_DIR) {
        if ((rc = dir_decode(data, size, k->params.hash, &d)) < 0)
            return rc == -EPROTO ? -EIO : rc;
        memcpy(d->digest, digest, DIGEST_SIZE);
        d->sealed = true;
        *ret = objcache_put_dir(k->cache, d, size, &is_new);
    } else {
        if (!(b = blob_new(data, size)))
            return -ENOMEM;
        *ret = objcache_put_blob(k->cache, digest, b, &is_new);
    }
    if (!*ret)
        return -ENOMEM;
    obj_set_stored(*ret);
    return 0;
}

static void wait_free_and_tell(struct load_wait *w, int err, const void *data, size_t size)
{
    struct load_group *g = w->group;
    struct load_key key = w->load->key;

    wait_free(w);
    g->raw(g, key.digest, err, data, size);
    if (TAILQ_EMPTY(&g->waits))
        g->done(g);
}

/* Gives one waiter what came, and its group the word if it was the last. */
static void wait_finish(struct kvs *k, struct load_wait *w, int err, const void *data, size_t size)
{
    struct load_group *g = w->group;
    struct obj *o;
    int rc = err;

    if (g->raw) {
        wait_free_and_tell(w, err, data, size);
        return;
    }
    if (rc == 0 && (rc = pins_reserve(&g->pins)) == 0 &&
        (rc = make_obj(k, w->kind, w->load->key.digest, data, size, &o)) == 0)
        pins_add(&g->pins, o);
    if (rc < 0 && g->err == 0)
        g->err = rc == -ENOENT ? -EIO : rc;
    g->missing |= rc == -ENOENT;
    wait_free(w);
    if (TAILQ_EMPTY(&g->waits))
        g->done(g);
}

void kvs_loaded(struct kvs *k, const uint8_t digest[DIGEST_SIZE], int err, const void *data,
                size_t size)
{
    struct load_key key;
    struct load_wait *w;
    struct load *ld;

    memcpy(key.digest, digest, DIGEST_SIZE);
    HASH_FIND(hh, k->loader->table, &key, sizeof(key), ld);
    if (!ld)
        return;
    HASH_DEL(k->loader->table,
             ld); /* those who come from now on find it in the cache or ask anew */
    while ((w = TAILQ_FIRST(&ld->waits)))
        wait_finish(k, w, err, data, size);
    free(ld);
}
