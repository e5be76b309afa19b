/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* kvs.lookup, kvs.getroot, kvs.namespace-list: what is read, and the sentences for what cannot be.
 */
#include <errno.h>
#include <string.h>
#include "kvs/follower.h"
#include "kvs/lookup.h"
#include "kvs/relay.h"

const char *errnum_sentence(int errnum)
{
    switch (errnum) {
    case ENOTSUP:
        return "no such namespace, or it was removed";
    case EPERM:
        return "the namespace belongs to another user";
    case EISDIR:
        return "the key is a directory";
    case ENOTDIR:
        return "not a directory";
    case ELOOP:
        return "too many symbolic links";
    case EINVAL:
        return "the key is empty, too long or too deep, or no symbolic link";
    case EIO:
        return "part of the value cannot be read from the content store";
    case EHOSTUNREACH:
        return "not in the memory of this node, and the node above cannot be reached";
    default:
        return NULL;
    }
}

void fail_lookup(struct request *req, int errnum)
{
    const char *text = errnum_sentence(errnum);

    if (text)
        (void)request_fail(req, errnum, "%s", text);
    else
        (void)request_fail(req, errnum, NULL);
}

static void drop_lookup(struct lookup *lk)
{
    LIST_REMOVE(lk, link);
    request_unref(lk->arg);
    lookup_free(lk);
}

void lookups_free(struct manager *m)
{
    while (!LIST_EMPTY(&m->lookups))
        drop_lookup(LIST_FIRST(&m->lookups));
}

/* A follower knows the primary namespace only: a link may have led to another. And it may have
 * fallen so far behind that what it knows was collected. Rank 0 knows better. */
bool rank_0_knows_better(int errnum)
{
    return errnum == ENOTSUP || errnum == EIO;
}

static bool relay_elsewhere(const struct lookup *lk)
{
    struct manager *m = remote_arg(lk->k->params.arg);

    return m->follower && rank_0_knows_better(-lk->err) && relay_request(m, lk->arg) == 0;
}

static void explain_lookup(const struct lookup *lk)
{
    int errnum = lk->err < 0 ? -lk->err : ENOMEM;

    if (errnum == EIO && lookup_is_gone(lk))
        (void)request_fail(lk->arg, errnum, "part of it is not in the content store any more%s",
                           lk->snapshot ? ": the snapshot is older than the last collection, see "
                                          "gc-grace in flux-config-kvs(5)"
                                        : "");
    else
        fail_lookup(lk->arg, errnum);
}

/* Answers and frees both. */
static void on_lookup_done(struct lookup *lk)
{
    struct request *req = lk->arg;
    const char *text = lk->err == 0 ? strbuf_text(&lk->out) : NULL;

    if (text)
        (void)request_respond(req, text);
    else if (!relay_elsewhere(lk))
        explain_lookup(lk);
    drop_lookup(lk);
}

/* The snapshot that a lookup is relative to. */
static int get_snapshot(struct manager *m, struct request *req, const json_t *treeobj,
                        struct node **ret)
{
    int rc;

    if (!request_is_owner(req))
        return request_explain(req, EPERM, "only the instance owner may look up in a snapshot");
    if ((rc = node_decode(treeobj, "", 0, m->kvs->params.hash, ret)) < 0)
        return request_explain(req, rc == -EPROTO ? EINVAL : -rc, "treeobj is not usable");
    return node_is_dir(*ret) ? 0 : request_explain(req, ENOTDIR, "treeobj is no directory");
}

int rpc_lookup(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct caller who = caller_of(req);
    CLEANUP(node_unrefp) struct node *root = NULL;
    const char *ns = KVS_PRIMARY_NAMESPACE;
    json_t *treeobj = NULL;
    struct lookup *lk;
    const char *key;
    int flags;
    int rc;

    if ((rc = request_unpack(req, "{s:s s:i s?s s?o}", "key", &key, "flags", &flags, "namespace",
                             &ns, "treeobj", &treeobj)) < 0)
        return rc;
    if (m->follower && strcmp(ns, KVS_PRIMARY_NAMESPACE) != 0)
        return relay_request(m, req);
    if (m->follower && follower_hold(m->follower, req, rpc_lookup))
        return 0;
    if (flags & ~(FLUX_KVS_READDIR | FLUX_KVS_READLINK | FLUX_KVS_TREEOBJ))
        return request_explain(req, EINVAL, "unknown flags, or flags of kvs-watch.lookup");
    if (treeobj && (rc = get_snapshot(m, req, treeobj, &root)) < 0)
        return rc;
    if ((rc = lookup_new(m->kvs, ns, key, flags, &who, root, on_lookup_done, &lk)) < 0)
        return errnum_sentence(-rc) ? request_explain(req, -rc, "%s", errnum_sentence(-rc)) : rc;
    m->nlookups++;
    lk->arg = request_ref(req);
    lk->snapshot = treeobj != NULL;
    LIST_INSERT_HEAD(&m->lookups, lk, link);
    if (lookup_run(lk))
        on_lookup_done(lk);
    return 0;
}

int rpc_getroot(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct caller who = caller_of(req);
    char ref[BLOBREF_STRING_SIZE];
    struct namespace *ns;
    const char *name;
    int rc;

    if ((rc = request_unpack(req, "{s:s}", "namespace", &name)) < 0)
        return rc;
    if (m->follower && strcmp(name, KVS_PRIMARY_NAMESPACE) != 0)
        return relay_request(m, req);
    if (m->follower && follower_hold(m->follower, req, rpc_getroot))
        return 0;
    if ((rc = kvs_access(m->kvs, name, &who, &ns)) < 0)
        return request_explain(req, -rc, "%s: %s", name, errnum_sentence(-rc));
    blobref_format(m->kvs->params.hash, ns->root, ref);
    return request_respond_pack(req, "{s:I s:s s:I s:i}", "owner", (json_int_t)ns->owner, "rootref",
                                ref, "rootseq", (json_int_t)ns->seq, "flags", ns->flags);
}

int rpc_namespace_list(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct caller who = caller_of(req);
    CLEANUP(json_decrefp) json_t *list = json_array();
    struct namespace *ns, *tmp;

    if (m->follower)
        return relay_request(m, req);
    HASH_ITER (hh, m->kvs->namespaces->table, ns, tmp) {
        if (!ns->exists || (!who.is_owner && who.userid != ns->owner))
            continue;
        if (json_array_append_new(list, json_pack("{s:s s:I s:i s:I}", "namespace", ns->name,
                                                  "owner", (json_int_t)ns->owner, "flags",
                                                  ns->flags, "rootseq", (json_int_t)ns->seq)) < 0)
            return -ENOMEM;
    }
    return request_respond_pack(req, "{s:O}", "namespaces", list);
}
