/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Applying transactions to the working roots.
 *
 * A commit works on a copy of its namespace's root that belongs to it (dir.h), so a failure in the
 * middle leaves no trace. When a directory or blob is missing it asks for it and gives up with
 * -EAGAIN; the caller tries again from the start.
 *
 * Refuses: links into other namespaces on the way to a key (EINVAL), too many links (ELOOP),
 * appending to a directory (EISDIR) or a link (EINVAL).
 */
#include <errno.h>
#include <string.h>
#include "base/errorx.h"
#include "kvs/key.h"
#include "kvs/lookup.h"
#include "kvs/txn.h"

#define COMPACT_SIZE_MAX (16u << 20) /* bytes of a blob made by compaction */

void effects_deinit(struct effects *fx)
{
    for (size_t i = 0; i < fx->nmade; i++)
        blob_unref(fx->made[i].blob);
    free(fx->made);
    free(fx->blobs);
    touches_deinit(&fx->touches);
    fx->made = NULL;
    fx->blobs = NULL;
    fx->nmade = fx->made_cap = fx->nblobs = fx->blobs_cap = 0;
}

/* Room for one more element of size bytes. */
static int grow(void *items, size_t count, size_t *cap, size_t size)
{
    void **p = items;
    size_t n = *cap ? 2 * *cap : 8;
    void *q;

    if (count < *cap)
        return 0;
    if (!(q = realloc(*p, n * size)))
        return -ENOMEM;
    *p = q;
    *cap = n;
    return 0;
}

static int touch(struct effects *fx, const char *ns, const char *key)
{
    struct touches *t = &fx->touches;
    int rc = grow(&t->item, t->count, &t->cap, sizeof(t->item[0]));

    if (rc < 0)
        return rc;
    if (!(t->item[t->count].key = strdup(key)))
        return -ENOMEM;
    t->item[t->count++].ns = ns;
    return 0;
}

static int use_blob(struct effects *fx, struct op *op)
{
    int rc = grow(&fx->blobs, fx->nblobs, &fx->blobs_cap, sizeof(fx->blobs[0]));

    if (rc == 0)
        fx->blobs[fx->nblobs++] = op;
    return rc;
}

/* Keeps a new blob (takes the reference) and says its digest. */
static int make_blob(struct effects *fx, struct blob *b, struct blob_ref *ret)
{
    struct op *op;

    if (grow(&fx->made, fx->nmade, &fx->made_cap, sizeof(fx->made[0])) < 0) {
        blob_unref(b);
        return -ENOMEM;
    }
    op = &fx->made[fx->nmade++];
    op->blob = b;
    digest_compute(fx->k->params.hash, b->data, b->size, op->digest);
    memcpy(ret->digest, op->digest, DIGEST_SIZE);
    ret->size = b->size;
    return 0;
}

/* The rest of applying one operation: where it acts. */
struct place {
    struct dir *dir; /* changeable; lent */
    const char *name;
    size_t len;
};

static int need_dir(struct effects *fx, int rc)
{
    int rc2;

    if (rc != -EAGAIN)
        return rc;
    rc2 = load_group_add(fx->loads, OBJ_DIR, fx->k->source.missing);
    return rc2 < 0 ? rc2 : -EAGAIN;
}

/* Is name, in d on the way to a key, a link? Then *ret_key is the key that it leads to. */
static int step_link(struct node *n, const char *rest, char **ret_key)
{
    if (n->symlink.ns)
        return -EINVAL;
    return key_join(n->symlink.target, rest, ret_key);
}

/* Walks to the directory that holds the last name of key. Makes missing directories unless only is
 * set (then -ENOENT). *ret_link: a link was met, start over with that key. */
static int walk_to(struct effects *fx, struct dir *root, const char *key, bool only,
                   struct place *ret, char **ret_link)
{
    struct dir_source *src = &fx->k->source;
    const char *pos = key;
    struct dir *d = root;
    struct node *n;
    int rc;

    ret->dir = NULL;
    while (key_next(&pos, &ret->name, &ret->len)) {
        if (!*pos)
            break;
        rc = dir_find(src, d, ret->name, ret->len, &n);
        if (rc == 0 && n->type == NODE_SYMLINK)
            return step_link(n, pos, ret_link);
        if (only && rc == 0 && !node_is_dir(n))
            return -ENOENT;
        if (rc < 0 && (rc != -ENOENT || only))
            return rc;
        if ((rc = dir_enter(src, fx->owner, d, ret->name, ret->len, &d)) < 0)
            return rc;
    }
    ret->dir = d;
    return 0;
}

static bool op_removes(const struct op *op)
{
    return op->type == OP_UNLINK || op->type == OP_PRUNE;
}

/* As walk_to(), following links within the namespace. *ret_key: where the last one led, or NULL. */
static int find_place(struct effects *fx, struct dir *root, const struct op *op, struct place *ret,
                      char **ret_key)
{
    const char *key = op->key;
    bool only = op_removes(op);

    for (int links = 0; links <= LOOKUP_LINKS_MAX; links++) {
        char *link = NULL;
        int rc = walk_to(fx, root, key, only, ret, &link);

        if (rc < 0)
            return need_dir(fx, rc);
        if (!link)
            return 0;
        free(*ret_key);
        *ret_key = link;
        key = link;
        if (key_is_root(key))
            return -EINVAL;
    }
    return -ELOOP;
}

static int put_node(struct effects *fx, struct place *p, struct node *n)
{
    return need_dir(fx, dir_put(&fx->k->source, fx->owner, p->dir, n));
}

/* Puts a node that was made for an operation under the name of the place: they differ if a link was
 * followed. */
static int put_named(struct effects *fx, struct place *p, struct node *n)
{
    CLEANUP(node_unrefp) struct node *copy = NULL;

    if (n->name_len == p->len && memcmp(n->name, p->name, p->len) == 0)
        return put_node(fx, p, n);
    switch (n->type) {
    case NODE_VAL:
        copy = node_new_val(p->name, p->len, n->val.data, n->val.size);
        break;
    case NODE_VALREF:
        copy = node_new_valref(p->name, p->len, n->valref.refs, n->valref.count);
        break;
    case NODE_DIRREF:
        copy = node_new_dirref(p->name, p->len, n->dirref);
        break;
    case NODE_DIR:
        copy = node_new_dir(p->name, p->len, n->dir);
        break;
    case NODE_SYMLINK:
        copy = node_new_symlink(p->name, p->len, n->symlink.ns, n->symlink.target);
        break;
    }
    return copy ? put_node(fx, p, copy) : -ENOMEM;
}

/* --- appending */

/* The bytes of a blob: made by this transaction, by an operation of it, or in the cache. */
static const struct blob *blob_bytes(struct effects *fx, const uint8_t *digest)
{
    struct obj *o;

    for (size_t i = fx->nmade; i-- > 0;) {
        if (memcmp(fx->made[i].digest, digest, DIGEST_SIZE) == 0)
            return fx->made[i].blob;
    }
    for (size_t i = fx->nblobs; i-- > 0;) {
        if (memcmp(fx->blobs[i]->digest, digest, DIGEST_SIZE) == 0)
            return fx->blobs[i]->blob;
    }
    o = objcache_find(fx->k->cache, OBJ_BLOB, digest);
    return o ? obj_blob(o) : NULL;
}

/* Asks for the blobs of refs[from..] that are not in memory (unknown: only those whose size is not
 * known) and fills in sizes. */
static int need_blobs(struct effects *fx, struct blob_ref *refs, uint32_t from, uint32_t count,
                      bool unknown)
{
    bool missing = false;
    int rc;

    for (uint32_t i = from; i < count; i++) {
        const struct blob *b;

        if (unknown && refs[i].size != BLOB_SIZE_UNKNOWN)
            continue;
        if ((b = blob_bytes(fx, refs[i].digest))) {
            refs[i].size = b->size;
            continue;
        }
        if ((rc = load_group_add(fx->loads, OBJ_BLOB, refs[i].digest)) < 0)
            return rc;
        missing = true;
    }
    return missing ? -EAGAIN : 0;
}

/* Replaces refs[from..] by one blob. */
static int merge_blobs(struct effects *fx, struct blob_ref *refs, uint32_t from, uint32_t *count,
                       size_t total)
{
    struct blob *merged = malloc(sizeof(*merged) + total);
    size_t pos = 0;
    int rc;

    if (!merged)
        return -ENOMEM;
    merged->refs = 1;
    merged->size = total;
    for (uint32_t i = from; i < *count; i++) {
        const struct blob *b = blob_bytes(fx, refs[i].digest);

        memcpy(merged->data + pos, b->data, b->size);
        pos += b->size;
    }
    if ((rc = make_blob(fx, merged, &refs[from])) == 0)
        *count = from + 1;
    return rc;
}

/* Too many blobs: merges the newest ones, each older one too while it is at most twice as large as
 * all that follow. So sizes grow geometrically, and each byte is copied O(log n) times. */
static int compact(struct effects *fx, struct blob_ref *refs, uint32_t *count)
{
    const uint32_t first = *count > VALREF_BLOBS_MAX ? *count - VALREF_BLOBS_MAX - 1 : 0;
    uint32_t from = *count - 1;
    size_t total;
    int rc = need_blobs(fx, refs, first, *count, true);

    if (rc < 0)
        return rc;
    total = refs[from].size;
    while (from > first && refs[from - 1].size <= 2 * total &&
           total + refs[from - 1].size <= COMPACT_SIZE_MAX)
        total += refs[--from].size;
    if (from == *count - 1)
        return 0;
    if ((rc = need_blobs(fx, refs, from, *count, false)) < 0)
        return rc;
    return merge_blobs(fx, refs, from, count, total);
}

static int append_to_valref(struct effects *fx, struct op *op, struct place *p,
                            const struct node *old)
{
    uint32_t count = old->valref.count;
    CLEANUP(freep) struct blob_ref *refs = malloc((count + 1) * sizeof(*refs));
    CLEANUP(node_unrefp) struct node *n = NULL;
    int rc;

    if (!refs)
        return -ENOMEM;
    memcpy(refs, old->valref.refs, count * sizeof(*refs));
    memcpy(refs[count].digest, op->digest, DIGEST_SIZE);
    refs[count++].size = op->blob->size;
    if ((rc = use_blob(fx, op)) < 0)
        return rc;
    if (count > VALREF_BLOBS_MAX && (rc = compact(fx, refs, &count)) < 0)
        return rc;
    if (!(n = node_new_valref(p->name, p->len, refs, count)))
        return -ENOMEM;
    if (n->valref.size == BLOB_SIZE_UNKNOWN && old->valref.size != BLOB_SIZE_UNKNOWN)
        n->valref.size = old->valref.size + op->blob->size;
    return put_node(fx, p, n);
}

/* Bytes that are inline, or nothing, become longer. */
static int append_to_bytes(struct effects *fx, struct op *op, struct place *p, const void *data,
                           size_t size)
{
    CLEANUP(node_unrefp) struct node *n = NULL;
    struct blob_ref ref;
    struct blob *b = malloc(sizeof(*b) + size + op->blob->size);
    int rc;

    if (!b)
        return -ENOMEM;
    b->refs = 1;
    b->size = size + op->blob->size;
    if (size > 0)
        memcpy(b->data, data, size);
    memcpy(b->data + size, op->blob->data, op->blob->size);
    if (b->size <= APPEND_INLINE_MAX) {
        n = node_new_val(p->name, p->len, b->data, b->size);
        blob_unref(b);
    } else if ((rc = make_blob(fx, b, &ref)) < 0) {
        return rc;
    } else {
        n = node_new_valref(p->name, p->len, &ref, 1);
    }
    return n ? put_node(fx, p, n) : -ENOMEM;
}

static int op_append(struct effects *fx, struct op *op, struct place *p)
{
    struct node *old = NULL;
    int rc = dir_find(&fx->k->source, p->dir, p->name, p->len, &old);

    if (rc < 0 && rc != -ENOENT)
        return need_dir(fx, rc);
    if (!old)
        return append_to_bytes(fx, op, p, NULL, 0);
    if (op->blob->size == 0 && (old->type == NODE_VAL || old->type == NODE_VALREF))
        return 0;
    switch (old->type) {
    case NODE_VAL:
        return append_to_bytes(fx, op, p, old->val.data, old->val.size);
    case NODE_VALREF:
        return append_to_valref(fx, op, p, old);
    case NODE_SYMLINK:
        return -EINVAL;
    default:
        return -EISDIR;
    }
}

/* --- operations */

static int op_unlink(struct effects *fx, struct place *p)
{
    int rc = dir_remove(&fx->k->source, fx->owner, p->dir, p->name, p->len);

    return rc == -ENOENT ? 0 : need_dir(fx, rc);
}

/* Unlinks the directories on the way to key, from the last one up, as long as they are empty. Key
 * holds no link, its directories are loaded and belong to the transaction. */
static int unlink_empty(struct effects *fx, struct dir *root, const char *key)
{
    CLEANUP(freep) char *path = strdup(key);
    char *dot;

    if (!path)
        return -ENOMEM;
    while ((dot = strrchr(path, '.'))) {
        char *link = NULL;
        struct place p;
        struct node *n;
        struct dir *d;
        int rc;

        *dot = '\0';
        if ((rc = need_dir(fx, walk_to(fx, root, path, true, &p, &link))) < 0)
            return rc;
        free(link);
        if (link || (rc = dir_find(&fx->k->source, p.dir, p.name, p.len, &n)) < 0 ||
            (rc = dir_of_node(&fx->k->source, n, &d)) < 0)
            return 0;
        if (d->count > 0)
            return 0;
        if ((rc = op_unlink(fx, &p)) < 0)
            return rc;
    }
    return 0;
}

static int op_archive(struct effects *fx, struct txn *t, struct op *op, struct place *p)
{
    struct namespace *ns = namespace_find(fx->k->namespaces, op->ns);

    op->archived = false;
    if (op->of_job && (!ns || !ns->work.exists))
        return 0;
    if (!ns || !ns->work.exists || strcmp(op->ns, t->ns) == 0 || strcmp(op->ns, "primary") == 0)
        return -ENOTSUP;
    for (const struct op *o = t->ops; o < op; o++) { /* it can be archived once */
        if (o->type == OP_ARCHIVE && strcmp(o->ns, op->ns) == 0)
            return -ENOTSUP;
    }
    op->archived = true;
    return put_named(fx, p, ns->work.root);
}

/* The last lines of a job's log. Its user may have put something else in the way. */
static int archive_log(struct effects *fx, struct dir *root, struct op *op)
{
    CLEANUP(freep) char *resolved = NULL;
    struct place p;
    int rc = find_place(fx, root, op, &p, &resolved);

    if (rc == 0)
        rc = op_append(fx, op, &p);
    return rc == -EISDIR || rc == -EINVAL || rc == -ELOOP ? 0 : rc;
}

/* The link is put now, the namespace exists once all of the transaction has succeeded. */
static int op_create(struct effects *fx, struct op *op, struct place *p)
{
    CLEANUP(dir_unrefp) struct dir *empty = NULL;
    struct namespace *ns;
    int rc = namespace_add(fx->k->namespaces, op->ns, &ns);

    if (rc < 0)
        return rc;
    if (!op->root && (!(empty = dir_new(0, 0)) || !(op->root = node_new_dir("", 0, empty))))
        return -ENOMEM;
    return put_named(fx, p, op->node);
}

/* Does the key of an unlink exist at all? Nothing is copied to find out. */
static int unlink_needed(struct effects *fx, struct dir *d, const char *key)
{
    const char *pos = key;
    const char *name;
    size_t len;
    struct node *n;
    int rc;

    while (key_next(&pos, &name, &len)) {
        if ((rc = dir_find(&fx->k->source, d, name, len, &n)) < 0)
            return rc;
        if (!*pos || n->type == NODE_SYMLINK)
            return 0;
        if ((rc = dir_of_node(&fx->k->source, n, &d)) < 0)
            return rc == -ENOTDIR ? -ENOENT : rc;
    }
    return 0;
}

static int op_replace_root(struct effects *fx, const struct op *op, struct dir **root)
{
    struct dir *d, *copy;
    int rc = need_dir(fx, dir_of_node(&fx->k->source, op->node, &d));

    if (rc < 0 || (rc = dir_writable(fx->owner, d, &copy)) < 0)
        return rc;
    dir_unref(*root);
    *root = copy;
    return 0;
}

static int op_act(struct effects *fx, struct txn *t, struct op *op, struct place *p)
{
    int rc;

    switch (op->type) {
    case OP_PUT:
        for (uint32_t i = 0; i < op->nparts; i++) {
            if ((rc = use_blob(fx, &op->parts[i])) < 0)
                return rc;
        }
        return put_named(fx, p, op->node);
    case OP_APPEND:
        return op_append(fx, op, p);
    case OP_UNLINK:
    case OP_PRUNE:
        return op_unlink(fx, p);
    case OP_ARCHIVE:
        return op_archive(fx, t, op, p);
    case OP_CREATE:
        return op_create(fx, op, p);
    }
    return -EINVAL;
}

static int op_apply(struct effects *fx, struct txn *t, struct op *op, struct dir **root)
{
    CLEANUP(freep) char *resolved = NULL;
    struct place p;
    int rc;

    if ((rc = touch(fx, t->ns, op->key)) < 0)
        return rc;
    if (key_is_root(op->key))
        return op_replace_root(fx, op, root);
    if (op_removes(op) && (rc = need_dir(fx, unlink_needed(fx, *root, op->key))) < 0)
        return rc == -ENOENT ? 0 : rc;
    if ((rc = find_place(fx, *root, op, &p, &resolved)) < 0)
        return rc == -ENOENT && op_removes(op) ? 0 : rc;
    if (resolved && (rc = touch(fx, t->ns, resolved)) < 0)
        return rc;
    rc = op_act(fx, t, op, &p);
    if (rc == 0 && op->type == OP_ARCHIVE && op->archived && op->nparts > 0)
        rc = archive_log(fx, *root, &op->parts[0]);
    if (rc == 0 && op->type == OP_PRUNE && !resolved)
        rc = unlink_empty(fx, *root, op->key);
    return rc;
}

static void remove_namespace(struct kvs *k, struct namespace *ns)
{
    node_unref(ns->work.last_root);
    ns->work.last_root = TAKE(ns->work.root);
    ns->work.exists = false;
    namespace_set_changed(k->namespaces, ns);
    ns->work.replaced = true;
}

/* Takes the root over. */
static void make_namespace(struct kvs *k, struct namespace *ns, struct node *root, uint32_t owner,
                           int flags)
{
    ns->work.root = root;
    ns->work.exists = true;
    namespace_set_changed(k->namespaces, ns);
    ns->work.owner = owner;
    ns->work.flags = flags;
    ns->work.seq = -1; /* the commit makes it 0 */
}

/* What a transaction that has succeeded does to other namespaces. */
static void apply_to_namespaces(struct kvs *k, struct op *op)
{
    struct namespace *ns;

    if (op->type != OP_CREATE && !(op->type == OP_ARCHIVE && op->archived))
        return;
    ns = namespace_find(k->namespaces, op->ns);
    if (op->type == OP_ARCHIVE)
        remove_namespace(k, ns);
    else if (!ns->work.exists)
        make_namespace(k, ns, TAKE(op->root), op->owner, 0);
}

/* Why an operation failed. */
static const char *op_sentence(const struct op *op, int rc)
{
    if (rc == -EINVAL && op->type == OP_APPEND)
        return "a link cannot be appended to, nor what a link to another namespace leads to";
    if (rc == -EINVAL)
        return "a link on the way leads to another namespace, which this commit cannot change";
    return rc == -ELOOP ? "too many symbolic links" : strerror(-rc);
}

static int apply_commit(struct txn *t, struct effects *fx, struct namespace *ns)
{
    CLEANUP(dir_unrefp) struct dir *root = NULL;
    struct node *n;
    struct dir *d;
    int rc = need_dir(fx, dir_of_node(&fx->k->source, ns->work.root, &d));

    if (rc < 0 || (rc = dir_writable(fx->owner, d, &root)) < 0)
        return rc;
    for (size_t i = 0; i < t->nops; i++) {
        if ((rc = op_apply(fx, t, &t->ops[i], &root)) < 0) {
            if (rc != -EAGAIN)
                errorx_set(&t->error, "%s: %s", t->ops[i].key, op_sentence(&t->ops[i], rc));
            return rc;
        }
    }
    if (t->nops == 0)
        return 0;
    if (!(n = node_new_dir("", 0, root)))
        return -ENOMEM;
    node_unref(ns->work.root);
    ns->work.root = n;
    namespace_set_changed(fx->k->namespaces, ns);
    for (size_t i = 0; i < t->nops; i++)
        apply_to_namespaces(fx->k, &t->ops[i]);
    return 0;
}

static int apply_create(struct txn *t, struct effects *fx)
{
    CLEANUP(dir_unrefp) struct dir *empty = NULL;
    CLEANUP(node_unrefp) struct node *root = NULL;
    struct namespace *ns;
    struct dir *d;
    int rc;

    if ((rc = namespace_add(fx->k->namespaces, t->ns, &ns)) < 0)
        return rc;
    if (ns->work.exists)
        return -EEXIST;
    if (t->create.have_root)
        root = node_new_dirref("", 0, t->create.root);
    else
        root = (empty = dir_new(0, 0)) ? node_new_dir("", 0, empty) : NULL;
    if (!root)
        return -ENOMEM;
    if ((rc = need_dir(fx, dir_of_node(&fx->k->source, root, &d))) < 0)
        return rc; /* what it begins with is not there, or not yet */
    make_namespace(fx->k, ns, TAKE(root), t->create.owner, t->create.flags);
    return 0;
}

int txn_apply(struct txn *t, struct effects *fx)
{
    struct namespace *ns;

    if (t->type == TXN_NAMESPACE_CREATE)
        return apply_create(t, fx);
    ns = namespace_find(fx->k->namespaces, t->ns);
    if (!ns || !ns->work.exists) {
        errorx_set(&t->error, "%s: no such namespace", t->ns);
        return -ENOTSUP;
    }
    if (t->type == TXN_NAMESPACE_REMOVE) {
        remove_namespace(fx->k, ns);
        return 0;
    }
    if (!t->who.is_owner && t->who.userid != ns->work.owner) {
        errorx_set(&t->error, "%s: belongs to another user", t->ns);
        return -EPERM;
    }
    return apply_commit(t, fx, ns);
}
