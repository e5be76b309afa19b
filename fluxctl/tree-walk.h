/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* All keys below a root, read from the content store (RFC 11): the key-value store is not asked, so
 * it is not kept busy and the root does not change. */
#ifndef FLUXCTL_TREE_WALK_H
#define FLUXCTL_TREE_WALK_H

#include <flux/core.h>
#include <jansson.h>
#include <stdbool.h>

struct tree_walk {
    flux_t *h;
    int flags; /* of flux_content_load() */
    /* What is not readable is told and left out, instead of ending the walk. */
    bool skip_unreadable;
    /* A val, valref or symlink, or a dir if it is empty. Not 0: stop. */
    int (*fn)(const char *key, json_t *treeobj, void *arg);
    void *arg;
    size_t unreadable; /* blobs */
};

/* 0, what fn returned, or -1 after complaining. */
int tree_walk(struct tree_walk *w, const char *rootref);

/* A blob that the walk has led to, checked against its name; lent by the future. NULL: has
 * complained. key: what it belongs to. */
flux_future_t *load_blob(const struct tree_walk *w, const char *key, const char *blobref,
                         const void **ret_data, size_t *ret_size);

#endif
