/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Decoding transactions. Everything that can be wrong with a request by itself is found here,
 * before it is queued.
 *
 * Refuses guests who name blobs (dirref, valref, snapshots): a digest is not a secret, and knowing
 * one must not give access; guests who make links: others follow them, with more rights than the
 * guest has; guests who replace the root of a namespace; archives, new namespaces and syncs by
 * anybody but the owner of the instance.
 */
#include <errno.h>
#include <string.h>
#include <flux/kvs.h>
#include "base/errorx.h"
#include "kvs/key.h"
#include "kvs/txn.h"

void touches_deinit(struct touches *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->item[i].key);
    free(t->item);
    memset(t, 0, sizeof(*t));
}

static void op_deinit(struct op *op)
{
    free(op->key);
    for (uint32_t i = 0; i < op->nparts; i++) {
        blob_unref(op->parts[i].blob);
        free(op->parts[i].key);
    }
    free(op->parts);
    node_unref(op->node);
    node_unref(op->root);
    blob_unref(op->blob);
    free(op->ns);
}

struct txn *txn_free(struct txn *t)
{
    if (t) {
        for (size_t i = 0; i < t->nops; i++)
            op_deinit(&t->ops[i]);
        if (t->release)
            t->release(t->arg);
        free(t->ops);
        free(t->ns);
        free(t);
    }
    return NULL;
}

static int txn_new(enum txn_type type, const char *ns, struct txn **ret)
{
    CLEANUP(txn_freep) struct txn *t = calloc(1, sizeof(*t));

    if (!t || !(t->ns = strdup(ns)))
        return -ENOMEM;
    t->type = type;
    *ret = TAKE(t);
    return 0;
}

static const char *last_name(const char *key)
{
    const char *dot = strrchr(key, '.');

    return dot ? dot + 1 : key;
}

/* Does the object, or anything in it, lead to something else: blobs, or what a link names? */
static bool leads_elsewhere(const struct node *n)
{
    if (n->type == NODE_VALREF || n->type == NODE_DIRREF || n->type == NODE_SYMLINK)
        return true;
    if (n->type != NODE_DIR)
        return false;
    for (uint32_t i = 0; i < dir_slots(n->dir); i++) {
        if (n->dir->ents[i] && leads_elsewhere(n->dir->ents[i]))
            return true;
    }
    return false;
}

static int op_set_blob(struct kvs *k, struct op *op, const void *data, size_t size)
{
    if (!(op->blob = blob_new(data, size)))
        return -ENOMEM;
    digest_compute(k->params.hash, op->blob->data, size, op->digest);
    return 0;
}

/* A long value goes into blobs of its own, none too large to be handled as a whole. */
static int op_outline(struct kvs *k, struct op *op)
{
    const char *data = op->node->val.data;
    const size_t size = op->node->val.size;
    const size_t count = (size + VALUE_BLOB_MAX - 1) / VALUE_BLOB_MAX;
    CLEANUP(freep) struct blob_ref *refs = calloc(count, sizeof(*refs));
    struct node *n;
    int rc;

    if (!refs || !(op->parts = calloc(count, sizeof(op->parts[0]))))
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        const size_t pos = (size_t)i * VALUE_BLOB_MAX;
        struct op *part = &op->parts[i];

        refs[i].size = size - pos < VALUE_BLOB_MAX ? size - pos : VALUE_BLOB_MAX;
        if ((rc = op_set_blob(k, part, data + pos, refs[i].size)) < 0)
            return rc;
        op->nparts++;
        memcpy(refs[i].digest, part->digest, DIGEST_SIZE);
    }
    if (!(n = node_new_valref(op->node->name, op->node->name_len, refs, (uint32_t)count)))
        return -ENOMEM;
    node_unref(op->node);
    op->node = n;
    return 0;
}

static int op_decode_dirent(struct kvs *k, struct op *op, const json_t *dirent, int flags,
                            const struct caller *who, flux_error_t *error)
{
    const char *name = key_is_root(op->key) ? "" : last_name(op->key);
    int rc;

    if (json_is_null(dirent)) {
        op->type = OP_UNLINK;
        return 0;
    }
    if ((rc = node_decode(dirent, name, strlen(name), k->params.hash, &op->node)) < 0)
        return errorx_fail(error, rc == -EPROTO ? EINVAL : -rc,
                           "%s: not an object of RFC 11, or of another hash than this instance's",
                           op->key);
    if (!who->is_owner && leads_elsewhere(op->node))
        return errorx_fail(error, EPERM,
                           "%s: only the instance owner may commit references and links", op->key);
    if (flags & FLUX_KVS_APPEND) {
        if (op->node->type != NODE_VAL)
            return errorx_fail(error, EINVAL, "%s: only a val can be appended", op->key);
        op->type = OP_APPEND;
        return op_set_blob(k, op, op->node->val.data, op->node->val.size);
    }
    op->type = OP_PUT;
    return op->node->type == NODE_VAL && op->node->val.size > VALUE_INLINE_MAX ? op_outline(k, op)
                                                                               : 0;
}

static int op_check_root(const struct op *op, const struct caller *who, flux_error_t *error)
{
    if (!key_is_root(op->key))
        return 0;
    if (!who->is_owner)
        return errorx_fail(error, EPERM, "only the instance owner may replace a root");
    if (op->type != OP_PUT || !node_is_dir(op->node))
        return errorx_fail(error, EINVAL, "the root can only be replaced by a directory");
    return 0;
}

/* log: NULL, or what is appended to exec.eventlog of the archive. */
static int op_decode_archive(struct kvs *k, struct op *op, const char *ns, const char *log,
                             const struct caller *who, flux_error_t *error)
{
    struct op *append;

    if (!who->is_owner)
        return errorx_fail(error, EPERM, "only the instance owner may archive a namespace");
    op->type = OP_ARCHIVE;
    op->of_job = log != NULL;
    if (!(op->ns = strdup(ns)))
        return -ENOMEM;
    if (!log || !*log)
        return 0;
    if (!(append = op->parts = calloc(1, sizeof(*append))))
        return -ENOMEM;
    op->nparts = 1;
    append->type = OP_APPEND;
    if (asprintf(&append->key, "%s.exec.eventlog", op->key) < 0) {
        append->key = NULL;
        return -ENOMEM;
    }
    return op_set_blob(k, append, log, strlen(log));
}

/* A namespace that is created along with the link to it. */
static int op_decode_create(struct op *op, const char *ns, const json_t *o, int flags,
                            const struct caller *who, flux_error_t *error)
{
    json_int_t owner;
    const char *name = last_name(op->key);

    if (!who->is_owner)
        return errorx_fail(error, EPERM, "only the instance owner may create a namespace");
    if (flags || !*ns || strlen(ns) > NAMESPACE_NAME_MAX ||
        json_unpack((json_t *)o, "{s:I}", "owner", &owner) < 0 || owner < 0 || owner > UINT32_MAX)
        return errorx_fail(error, EINVAL,
                           "%s: create needs the name of a namespace and the user id of its owner",
                           op->key);
    op->type = OP_CREATE;
    op->owner = (uint32_t)owner;
    op->ns = strdup(ns);
    op->node = node_new_symlink(name, strlen(name), ns, ".");
    return op->ns && op->node ? 0 : -ENOMEM;
}

static int op_decode(struct kvs *k, struct op *op, const json_t *o, const struct caller *who,
                     flux_error_t *error)
{
    const char *key;
    const char *archive, *create;
    json_t *dirent;
    int flags;
    int rc;

    if (json_unpack((json_t *)o, "{s:s s:i}", "key", &key, "flags", &flags) < 0 ||
        (flags & ~FLUX_KVS_APPEND))
        return errorx_fail(error, EPROTO, "an operation lacks its key or flags");
    if ((rc = key_normalize(key, &op->key)) < 0)
        return errorx_fail(error, -rc, "the key \"%.60s\" is empty, too long or too deep", key);
    if ((archive = json_string_value(json_object_get(o, "archive")))) {
        const char *log = json_string_value(json_object_get(o, "log"));

        rc = op_decode_archive(k, op, archive, log, who, error);
    } else if ((create = json_string_value(json_object_get(o, "create")))) {
        rc = op_decode_create(op, create, o, flags, who, error);
    } else if (json_is_true(json_object_get(o, "prune"))) {
        op->type = OP_PRUNE;
        rc = flags ? -EINVAL : 0;
    } else if ((dirent = json_object_get(o, "dirent"))) {
        rc = op_decode_dirent(k, op, dirent, flags, who, error);
    } else {
        return errorx_fail(error, EPROTO, "%s: neither dirent, prune, archive nor create", op->key);
    }
    return rc < 0 ? rc : op_check_root(op, who, error);
}

int txn_new_commit(struct kvs *k, const char *ns, int flags, const json_t *ops,
                   const struct caller *who, struct txn **ret, flux_error_t *error)
{
    CLEANUP(txn_freep) struct txn *t = NULL;
    const json_t *o;
    size_t i;
    int rc;

    errorx_set(error, "out of memory");
    if (!json_is_array(ops) || (flags & ~(FLUX_KVS_NO_MERGE | FLUX_KVS_SYNC)))
        return errorx_fail(error, EPROTO, "ops is not an array, or unknown flags");
    if ((flags & FLUX_KVS_SYNC) && !who->is_owner)
        return errorx_fail(error, EPERM,
                           "only the instance owner may have the database synced with a commit");
    if ((rc = txn_new(TXN_COMMIT, ns, &t)) < 0)
        return rc;
    t->flags = flags;
    t->who = *who;
    if (json_array_size(ops) > 0 && !(t->ops = calloc(json_array_size(ops), sizeof(t->ops[0]))))
        return -ENOMEM;
    json_array_foreach (ops, i, o) {
        t->nops = i + 1;
        if ((rc = op_decode(k, &t->ops[i], o, who, error)) < 0)
            return rc;
    }
    *ret = TAKE(t);
    return 0;
}

int txn_new_create(struct kvs *k, const char *ns, uint32_t owner, int flags, const char *rootref,
                   struct txn **ret, flux_error_t *error)
{
    CLEANUP(txn_freep) struct txn *t = NULL;
    enum digest_algorithm alg;
    int rc;

    errorx_set(error, "out of memory");
    if (!*ns || strlen(ns) > NAMESPACE_NAME_MAX)
        return errorx_fail(error, EINVAL, "not a name for a namespace");
    if (flags != 0)
        return errorx_fail(error, EINVAL, "flags: none is known for a namespace");
    if ((rc = txn_new(TXN_NAMESPACE_CREATE, ns, &t)) < 0)
        return rc;
    t->create.owner = owner;
    t->create.flags = flags;
    if (rootref) {
        if (blobref_parse(rootref, &alg, t->create.root) < 0 || alg != k->params.hash)
            return errorx_fail(error, EINVAL, "rootref is not a blobref of this instance's hash");
        t->create.have_root = true;
    }
    *ret = TAKE(t);
    return 0;
}

int txn_new_remove(struct kvs *k, const char *ns, struct txn **ret, flux_error_t *error)
{
    if (strcmp(ns, KVS_PRIMARY_NAMESPACE) == 0)
        return errorx_fail(error, ENOTSUP, "the primary namespace cannot be removed");
    errorx_set(error, "out of memory");
    return txn_new(TXN_NAMESPACE_REMOVE, ns, ret);
}
