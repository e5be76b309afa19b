/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A lookup is a function of the roots it starts from. When something it needs is not in memory it
 * waits for that and walks again from the start: paths are short, what was walked through is in the
 * cache, what it loaded is pinned until it is done. The roots are remembered from the first walk,
 * so a commit in between does not disturb it.
 *
 * Refuses: namespaces the caller may not read, also behind links (EPERM); more than
 * LOOKUP_LINKS_MAX links (ELOOP).
 */
#include <errno.h>
#include <string.h>
#include <flux/kvs.h>
#include "kvs/key.h"
#include "kvs/lookup.h"

#define MODE_FLAGS (FLUX_KVS_READDIR | FLUX_KVS_READLINK | FLUX_KVS_TREEOBJ)

static void on_loads_done(struct load_group *g)
{
    struct lookup *lk = container_of(g, struct lookup, loads);

    if (lookup_run(lk))
        lk->done(lk);
}

static int stage_set(struct lookup *lk, unsigned int i, const char *ns, const char *key)
{
    struct lookup_stage *st = &lk->stage[i];

    if (st->ns) /* walked before */
        return 0;
    if (!(st->ns = strdup(ns)))
        return -ENOMEM;
    return key_normalize(key, &st->key);
}

int lookup_new(struct kvs *k, const char *ns, const char *key, int flags, const struct caller *who,
               struct node *root, void (*done)(struct lookup *lk), struct lookup **ret)
{
    CLEANUP(lookup_freep) struct lookup *lk = calloc(1, sizeof(*lk));
    int rc;

    if (!lk)
        return -ENOMEM;
    load_group_init(&lk->loads, k, on_loads_done);
    lk->k = k;
    lk->who = *who;
    lk->flags = flags;
    lk->done = done;
    if ((flags & FLUX_KVS_READDIR) && (flags & FLUX_KVS_READLINK))
        return -EINVAL;
    if ((rc = stage_set(lk, 0, ns, key)) < 0)
        return rc;
    if (root)
        lk->stage[0].root = node_ref(root);
    *ret = TAKE(lk);
    return 0;
}

struct lookup *lookup_free(struct lookup *lk)
{
    if (lk) {
        load_group_deinit(&lk->loads);
        for (size_t i = 0; i < ARRAY_SIZE(lk->stage); i++) {
            free(lk->stage[i].ns);
            free(lk->stage[i].key);
            node_unref(lk->stage[i].root);
        }
        strbuf_deinit(&lk->out);
        free(lk);
    }
    return NULL;
}

static int stage_root(struct lookup *lk, struct lookup_stage *st)
{
    struct namespace *ns;
    int rc;

    if (st->root)
        return 0;
    if ((rc = kvs_access(lk->k, st->ns, &lk->who, &ns)) < 0)
        return rc;
    st->root = node_new_dirref("", 0, ns->root);
    return st->root ? 0 : -ENOMEM;
}

/* Walks one stage up to its end or to a link that must be followed. *ret_rest: what of the key lies
 * behind *ret_node ("" at the end). There are no keys below a value. */
static int stage_walk(struct lookup *lk, struct lookup_stage *st, struct node **ret_node,
                      const char **ret_rest)
{
    struct node *n = st->root;
    const char *pos = st->key;
    const char *name;
    size_t len;
    int rc;

    while (key_next(&pos, &name, &len)) {
        struct dir *d;

        if ((rc = dir_of_node(&lk->k->source, n, &d)) < 0 ||
            (rc = dir_find(&lk->k->source, d, name, len, &n)) < 0)
            return rc == -ENOTDIR ? -ENOENT : rc;
        if (n->type == NODE_SYMLINK)
            break;
    }
    *ret_node = n;
    *ret_rest = key_is_root(pos) ? "" : pos;
    return 0;
}

static bool follow(const struct lookup *lk, const struct node *n, const char *rest)
{
    if (n->type != NODE_SYMLINK)
        return false;
    return *rest || !(lk->flags & (FLUX_KVS_READLINK | FLUX_KVS_TREEOBJ));
}

/* The next stage: where a link leads. A link without a namespace stays in its own, and in the
 * snapshot that is being read. */
static int stage_follow(struct lookup *lk, struct node *link, const char *rest)
{
    struct lookup_stage *from = &lk->stage[lk->nstages - 1];
    struct lookup_stage *to = from + 1;
    CLEANUP(freep) char *key = NULL;
    int rc;

    if (lk->nstages > LOOKUP_LINKS_MAX)
        return -ELOOP;
    if ((rc = key_join(link->symlink.target, rest, &key)) < 0 ||
        (rc = stage_set(lk, lk->nstages, link->symlink.ns ? link->symlink.ns : from->ns, key)) < 0)
        return rc;
    if (!link->symlink.ns && !to->root)
        to->root = node_ref(from->root);
    lk->nstages++;
    return 0;
}

static int lookup_find(struct lookup *lk, struct node **ret)
{
    struct node *n;
    const char *rest;
    int rc;

    lk->nstages = 1;
    for (;;) {
        struct lookup_stage *st = &lk->stage[lk->nstages - 1];

        if ((rc = stage_root(lk, st)) < 0 || (rc = stage_walk(lk, st, &n, &rest)) < 0)
            return rc;
        if (!follow(lk, n, rest))
            break;
        if ((rc = stage_follow(lk, n, rest)) < 0)
            return rc;
    }
    *ret = n;
    return 0;
}

struct entries {
    struct node **nodes;
    size_t count, cap;
};

static int entries_add(struct node *n, void *arg)
{
    struct entries *e = arg;

    if (e->count == e->cap) {
        size_t cap = e->cap ? 2 * e->cap : 64;
        struct node **nodes = realloc(e->nodes, cap * sizeof(nodes[0]));

        if (!nodes)
            return -ENOMEM;
        e->nodes = nodes;
        e->cap = cap;
    }
    e->nodes[e->count++] = n;
    return 0;
}

static int entries_cmp(const void *a, const void *b)
{
    return strcmp((*(struct node *const *)a)->name, (*(struct node *const *)b)->name);
}

/* A dir object with all names in order, whether it is hashed or not. */
static int write_dir(struct lookup *lk, struct dir *d)
{
    struct entries e = { 0 };
    struct strbuf *sb = &lk->out;
    int rc = dir_walk(&lk->k->source, d, entries_add, &e);

    if (rc == 0) {
        if (e.count > 0)
            qsort(e.nodes, e.count, sizeof(e.nodes[0]), entries_cmp);
        strbuf_puts(sb, "{\"ver\":1,\"type\":\"dir\",\"data\":{");
        for (size_t i = 0; i < e.count; i++) {
            if (i > 0)
                strbuf_puts(sb, ",");
            strbuf_json_string(sb, e.nodes[i]->name);
            strbuf_puts(sb, ":");
            node_encode(e.nodes[i], lk->k->params.hash, sb);
        }
        strbuf_puts(sb, "}}");
    }
    free(e.nodes);
    return rc;
}

/* Asks for the blobs of a value that are missing. 0: all are there; -EAGAIN: wait. */
static int need_blobs(struct lookup *lk, const struct node *n, uint32_t first)
{
    bool missing = false;
    int rc;

    for (uint32_t i = first; i < n->valref.count; i++) {
        const uint8_t *digest = n->valref.refs[i].digest;

        if (objcache_find(lk->k->cache, OBJ_BLOB, digest))
            continue;
        if ((rc = load_group_add(&lk->loads, OBJ_BLOB, digest)) < 0)
            return rc;
        missing = true;
    }
    return missing ? -EAGAIN : 0;
}

/* The first blob that has something behind offset, and where that blob begins. */
static uint32_t skip_blobs(const struct node *n, uint64_t offset, uint64_t *ret_start)
{
    uint64_t start = 0;
    uint32_t i;

    for (i = 0; i < n->valref.count; i++) {
        uint64_t size = n->valref.refs[i].size;

        if (size == BLOB_SIZE_UNKNOWN || start + size > offset)
            break;
        start += size;
    }
    *ret_start = start;
    return i;
}

static int write_valref(struct lookup *lk, const struct node *n)
{
    struct strbuf bytes = { 0 };
    uint64_t pos;
    uint32_t first = skip_blobs(n, lk->offset, &pos);
    int rc = need_blobs(lk, n, first);

    if (rc < 0)
        return rc;
    for (uint32_t i = first; i < n->valref.count; i++) {
        struct obj *o = objcache_find(lk->k->cache, OBJ_BLOB, n->valref.refs[i].digest);
        const struct blob *b = obj_blob(o);
        size_t skip = lk->offset > pos ? lk->offset - pos : 0;

        if (skip < b->size)
            strbuf_add(&bytes, b->data + skip, b->size - skip);
        pos += b->size;
    }
    lk->size = pos;
    if ((rc = strbuf_error(&bytes)) == 0)
        node_encode_val(bytes.data, bytes.len, &lk->out);
    strbuf_deinit(&bytes);
    return rc;
}

static int write_value(struct lookup *lk, const struct node *n)
{
    size_t skip;

    if (n->type == NODE_VALREF)
        return write_valref(lk, n);
    skip = lk->offset < n->val.size ? lk->offset : n->val.size;
    node_encode_val((const char *)n->val.data + skip, n->val.size - skip, &lk->out);
    lk->size = n->val.size;
    return 0;
}

static int lookup_write(struct lookup *lk, struct node *n)
{
    struct dir *d;
    int rc;

    if ((lk->flags & FLUX_KVS_READLINK) && n->type != NODE_SYMLINK)
        return -EINVAL;
    if ((lk->flags & FLUX_KVS_READDIR) && !node_is_dir(n))
        return -ENOTDIR;
    if (!(lk->flags & MODE_FLAGS) && node_is_dir(n))
        return -EISDIR;
    if (node_is_dir(n) && ((lk->flags & FLUX_KVS_READDIR) || n->type == NODE_DIR) &&
        !((lk->flags & FLUX_KVS_TREEOBJ) && n->type == NODE_DIRREF)) {
        if ((rc = dir_of_node(&lk->k->source, n, &d)) < 0)
            return rc;
        return write_dir(lk, d);
    }
    if ((lk->flags & FLUX_KVS_TREEOBJ) || n->type == NODE_SYMLINK) {
        node_encode(n, lk->k->params.hash, &lk->out);
        return 0;
    }
    return write_value(lk, n);
}

static int lookup_try(struct lookup *lk)
{
    struct node *n;
    int rc;

    if (lk->loads.err < 0)
        return lk->loads.err;
    lk->out.len = 0;
    lk->size = 0;
    if ((rc = lookup_find(lk, &n)) < 0)
        return rc;
    strbuf_puts(&lk->out, "{\"val\":");
    if ((rc = lookup_write(lk, n)) < 0)
        return rc;
    strbuf_puts(&lk->out, "}");
    return strbuf_error(&lk->out);
}

bool lookup_run(struct lookup *lk)
{
    int rc = lookup_try(lk);

    if (rc == -EAGAIN) {
        /* Either blobs were asked for already, or a directory is missing. */
        if (load_group_busy(&lk->loads))
            return false;
        if ((rc = load_group_add(&lk->loads, OBJ_DIR, lk->k->source.missing)) == 0)
            return false;
    }
    lk->err = rc;
    return true;
}

bool lookup_is_gone(const struct lookup *lk)
{
    return lk->loads.missing;
}
