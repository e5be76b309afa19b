/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Sealing: what of a changed tree becomes a blob, and what becomes part of one.
 *
 * Storing a blob costs far more than a few hundred bytes more in another one, so small directories
 * are written inside the directory that holds them, as long as that stays below DIR_TEXT_MAX.
 * Beyond, its directories get blobs of their own, in the order of their names, and if that is not
 * enough its longer values. So the blob of an unhashed directory is bounded, whatever is in it,
 * by the references to DIR_MAX things.
 *
 * Invariants: a directory inside another belongs to nobody (owner 0), so whoever changes it copies
 * it; all that is below it is sealed or inside too. DIR_INLINE_MAX keeps directories within
 * directories far from DIR_NESTING_MAX levels. Buckets of a hashed directory are never inside.
 */
#include <errno.h>
#include "kvs/dir.h"

#define TEXT_DIRREF (40 + 75) /* {"ver":1,"type":"dirref","data":["blake2b-..."]} */
_Static_assert(DIR_INLINE_MAX / 40 < DIR_NESTING_MAX, "what was sealed can be decoded");

static size_t dir_text_size(const struct dir *d);

/* About the length of what node_encode() writes, never much less. */
static size_t node_text_size(const struct node *n)
{
    switch (n->type) {
    case NODE_VAL:
        return 36 + (n->val.size + 2) / 3 * 4;
    case NODE_VALREF:
        return 60 + (size_t)n->valref.count * 76;
    case NODE_DIR:
        return n->dir->hashed || n->dir->sealed ? TEXT_DIRREF : dir_text_size(n->dir);
    default: /* a link has a key, shorter than many references: no need to be exact */
        return TEXT_DIRREF;
    }
}

static size_t dir_text_size(const struct dir *d)
{
    size_t size = 34;

    for (uint32_t i = 0; i < d->count; i++)
        size += d->ents[i]->name_len + 4 + node_text_size(d->ents[i]);
    return size;
}

static int settle(struct dir *d, enum digest_algorithm alg, const struct seal_sink *sink);

static int emit_dir(struct dir *d, enum digest_algorithm alg, const struct seal_sink *sink)
{
    struct strbuf *sb = sink->scratch;
    int rc;

    sb->len = 0;
    dir_encode(d, alg, sb);
    if ((rc = strbuf_error(sb)) < 0)
        return rc;
    digest_compute(alg, sb->data, sb->len, d->digest);
    d->sealed = true;
    rc = sink->dir(d, sb->data, sb->len, sink->arg);
    d->origin = dir_unref(d->origin);
    return rc;
}

static int replace(struct node **slot, struct node *n)
{
    if (!n)
        return -ENOMEM;
    node_unref(*slot);
    *slot = n;
    return 0;
}

/* The directory in a slot of d gets a blob of its own. */
static int outline_dir(struct dir *d, struct node **slot, enum digest_algorithm alg,
                       const struct seal_sink *sink)
{
    struct node *child = *slot;
    CLEANUP(dir_unrefp) struct dir *sub = NULL;
    int rc;

    /* A directory of nobody's may be part of an object in the cache: seal a copy. */
    if (child->dir->owner || child->dir->sealed)
        sub = dir_ref(child->dir);
    else if (!(sub = dir_copy(child->dir, d->owner)) || (rc = settle(sub, alg, sink)) < 0)
        return sub ? rc : -ENOMEM;
    if (!sub->sealed && (rc = emit_dir(sub, alg, sink)) < 0)
        return rc;
    return replace(slot, node_new_dirref(child->name, child->name_len, sub->digest));
}

static int outline_value(struct node **slot, enum digest_algorithm alg,
                         const struct seal_sink *sink)
{
    const struct node *n = *slot;
    struct blob_ref ref = { .size = n->val.size };
    int rc;

    digest_compute(alg, n->val.data, n->val.size, ref.digest);
    if ((rc = sink->value(ref.digest, n->val.data, n->val.size, sink->arg)) < 0)
        return rc;
    return replace(slot, node_new_valref(n->name, n->name_len, &ref, 1));
}

static bool may_be_inside(const struct dir *parent, const struct dir *d)
{
    return !parent->hashed && !d->hashed && !d->sealed && dir_text_size(d) <= DIR_INLINE_MAX;
}

/* Decides for each directory in d whether it stays inside. total: length of d's text if all did. */
static int settle_dirs(struct dir *d, size_t *total, enum digest_algorithm alg,
                       const struct seal_sink *sink)
{
    for (uint32_t i = 0; i < dir_slots(d); i++) {
        struct node *child = d->ents[i];
        int rc;

        if (!child || child->type != NODE_DIR)
            continue;
        if (*total <= DIR_TEXT_MAX && may_be_inside(d, child->dir)) {
            child->dir->owner = 0;
            child->dir->origin = dir_unref(child->dir->origin);
            continue;
        }
        if (!d->hashed)
            *total -= node_text_size(child) - TEXT_DIRREF;
        if ((rc = outline_dir(d, &d->ents[i], alg, sink)) < 0)
            return rc;
    }
    return 0;
}

static int settle_values(struct dir *d, enum digest_algorithm alg, const struct seal_sink *sink)
{
    for (uint32_t i = 0; i < d->count; i++) {
        const struct node *n = d->ents[i];
        int rc;

        if (n->type == NODE_VAL && n->val.size > DIR_VALUE_SMALL &&
            (rc = outline_value(&d->ents[i], alg, sink)) < 0)
            return rc;
    }
    return 0;
}

/* Brings what is below d into its final form, but not d itself. */
static int settle(struct dir *d, enum digest_algorithm alg, const struct seal_sink *sink)
{
    size_t total;
    int rc;

    for (uint32_t i = 0; i < dir_slots(d); i++) {
        const struct node *child = d->ents[i];

        if (child && child->type == NODE_DIR && child->dir->owner && !child->dir->sealed &&
            (rc = settle(child->dir, alg, sink)) < 0)
            return rc;
    }
    total = d->hashed ? 0 : dir_text_size(d);
    if ((rc = settle_dirs(d, &total, alg, sink)) < 0)
        return rc;
    return !d->hashed && total > DIR_TEXT_MAX ? settle_values(d, alg, sink) : 0;
}

int dir_seal(struct dir *d, enum digest_algorithm alg, const struct seal_sink *sink)
{
    int rc;

    if (d->sealed)
        return 0;
    if ((rc = settle(d, alg, sink)) < 0)
        return rc;
    return emit_dir(d, alg, sink);
}
