/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Walks directories depth first, in the order that their blobs have. In memory are the directories
 * on the way to where it is. Nothing that a blob holds is believed: its hash is computed, its shape
 * checked, and how deep it may lead is limited. */
#include "tree-walk.h"

#include <errno.h>
#include <string.h>

#include "base/digest.h"
#include "client.h"

#define DEPTH_MAX 512 /* directories and levels of hashing */

flux_future_t *load_blob(const struct tree_walk *w, const char *key, const char *blobref,
                         const void **ret_data, size_t *ret_size)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = flux_content_load(w->h, blobref, w->flags);
    const char *what = *key ? key : ".";
    uint8_t wanted[DIGEST_SIZE], found[DIGEST_SIZE];
    enum digest_algorithm alg;

    if (!f || flux_content_load_get(f, ret_data, ret_size) < 0) {
        complain_future(f, "%s: cannot load %s", what, blobref);
        return NULL;
    }
    if (blobref_parse(blobref, &alg, wanted) < 0)
        return NULL;
    digest_compute(alg, *ret_data, *ret_size, found);
    if (memcmp(wanted, found, DIGEST_SIZE) != 0) {
        complain("%s: %s came with other content", what, blobref);
        return NULL;
    }
    return TAKE(f);
}

static int walk_object(struct tree_walk *w, json_t *o, const char *key, int depth);

static int walk_blob(struct tree_walk *w, const char *blobref, const char *key, int depth)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    const void *data;
    size_t size;

    if (!(f = load_blob(w, key, blobref, &data, &size))) {
        w->unreadable++;
        return w->skip_unreadable ? 0 : -1;
    }
    o = json_loadb(data, size, JSON_REJECT_DUPLICATES, NULL);
    flux_future_destroy(f);
    f = NULL;
    if (o)
        return walk_object(w, o, key, depth);
    complain("%s: %s is no directory", key, blobref);
    return -1;
}

static int walk_names(struct tree_walk *w, json_t *names, const char *key, int depth)
{
    const char *name;
    json_t *o;
    int rc;

    json_object_foreach (names, name, o) {
        CLEANUP(freep) char *below = NULL;

        if (asprintf(&below, "%s%s%s", key, *key ? "." : "", name) < 0)
            return complain("out of memory"), -1;
        if ((rc = walk_object(w, o, below, depth + 1)) != 0)
            return rc;
    }
    return 0;
}

static int walk_buckets(struct tree_walk *w, json_t *buckets, const char *key, int depth)
{
    json_t *o;
    size_t i;
    int rc;

    json_array_foreach (buckets, i, o) {
        if (!json_is_null(o) && (rc = walk_object(w, o, key, depth + 1)) != 0)
            return rc;
    }
    return 0;
}

static int walk_object(struct tree_walk *w, json_t *o, const char *key, int depth)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    json_t *data = json_object_get(o, "data");
    const char *ref = json_string_value(json_array_get(data, 0));

    if (!type || !data || depth > DEPTH_MAX ||
        (strcmp(type, "dirref") == 0 && (json_array_size(data) != 1 || !ref))) {
        complain("%s: not an object of RFC 11", *key ? key : "the root");
        return -1;
    }
    if (strcmp(type, "dirref") == 0)
        return walk_blob(w, ref, key, depth + 1);
    if (strcmp(type, "hdir") == 0)
        return walk_buckets(w, json_object_get(data, "bucket"), key, depth);
    if (strcmp(type, "dir") == 0 && (json_object_size(data) > 0 || !*key))
        return walk_names(w, data, key, depth);
    return w->fn(key, o, w->arg);
}

int tree_walk(struct tree_walk *w, const char *rootref)
{
    return walk_blob(w, rootref, "", 0);
}
