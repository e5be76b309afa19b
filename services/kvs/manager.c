/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Requests of kvs and kvs-watch.
 *
 * Every handler decodes, makes a transaction, lookup or watch, and keeps the request until that
 * answers. Transactions are submitted as they come and begun at the end of the loop's pass, so that
 * whatever arrived together is stored together.
 *
 * READY is said once the roots are read and the primary namespace exists.
 */
#include <errno.h>
#include <string.h>
#include "base/list.h"
#include "base/number.h"
#include "kvs/commit.h"
#include "kvs/fence.h"
#include "kvs/manager.h"
#include "kvs/remote.h"
#include "kvs/watch.h"
#include "service/log.h"

#define CACHE_SIZE_DEFAULT (64u << 20)
#define CACHE_SIZE_MIN     (1u << 20)

/* A watch and who asked for it. */
struct watcher {
    TAILQ_ENTRY(watcher) link;
    struct manager *manager;
    struct request *req;
    struct watch *watch;
};

struct version_wait {
    TAILQ_ENTRY(version_wait) link;
    struct request *req;
    char *ns;
    int64_t seq;
};

struct manager {
    struct service *svc;
    struct remote *remote;
    struct kvs *kvs;
    flux_watcher_t *prepare;
    TAILQ_HEAD(, watcher) watchers;
    TAILQ_HEAD(, version_wait) versions;
    uint64_t nlookups;
    bool stopping;
};

static struct caller caller_of(const struct request *req)
{
    return (struct caller){ .userid = request_userid(req), .is_owner = request_is_owner(req) };
}

static int get_hash(struct service *svc, enum digest_algorithm *ret)
{
    const json_t *o = service_config_get(svc, "content.hash");

    *ret = DIGEST_BLAKE2B;
    if (o && digest_algorithm_parse(json_string_value(o), ret) < 0) {
        log_err("content.hash: use blake2b or sha256");
        return -EINVAL;
    }
    return 0;
}

static size_t get_cache_size(const json_t *config)
{
    const json_t *o = json_object_get(json_object_get(config, "kvs"), "cache-size");
    uint64_t n = CACHE_SIZE_DEFAULT;

    if (json_is_integer(o))
        n = json_integer_value(o) > 0 ? (uint64_t)json_integer_value(o) : 0;
    else if (o && (!json_is_string(o) || number_parse_size(json_string_value(o), &n) < 0))
        log_warning("kvs.cache-size is not a number of bytes, using %u", CACHE_SIZE_DEFAULT);
    return n < CACHE_SIZE_MIN ? CACHE_SIZE_MIN : n;
}

/* --- lookups */

static const char *sentence(int errnum)
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
    case EIO:
        return "part of the value cannot be read from the content store";
    default:
        return NULL;
    }
}

static void fail_lookup(struct request *req, int errnum)
{
    const char *text = sentence(errnum);

    if (text)
        (void)request_fail(req, errnum, "%s", text);
    else
        (void)request_fail(req, errnum, NULL);
}

/* Answers and frees both. */
static void on_lookup_done(struct lookup *lk)
{
    struct request *req = lk->arg;
    const char *text = lk->err == 0 ? strbuf_text(&lk->out) : NULL;

    if (text)
        (void)request_respond(req, text);
    else
        fail_lookup(req, lk->err < 0 ? -lk->err : ENOMEM);
    lookup_free(lk);
    request_unref(req);
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

static int rpc_lookup(struct request *req, void *arg)
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
    if (flags & ~(FLUX_KVS_READDIR | FLUX_KVS_READLINK | FLUX_KVS_TREEOBJ))
        return request_explain(req, EINVAL, "unknown flags, or flags of kvs-watch.lookup");
    if (treeobj && (rc = get_snapshot(m, req, treeobj, &root)) < 0)
        return rc;
    if ((rc = lookup_new(m->kvs, ns, key, flags, &who, root, on_lookup_done, &lk)) < 0)
        return rc;
    m->nlookups++;
    lk->arg = request_ref(req);
    if (lookup_run(lk))
        on_lookup_done(lk);
    return 0;
}

static int rpc_getroot(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct caller who = caller_of(req);
    char ref[BLOBREF_STRING_SIZE];
    struct namespace *ns;
    const char *name;
    int rc;

    if ((rc = request_unpack(req, "{s:s}", "namespace", &name)) < 0)
        return rc;
    if ((rc = kvs_access(m->kvs, name, &who, &ns)) < 0)
        return request_explain(req, -rc, "%s: %s", name, sentence(-rc));
    blobref_format(m->kvs->params.hash, ns->root, ref);
    return request_respond_pack(req, "{s:I s:s s:I s:i}", "owner", (json_int_t)ns->owner, "rootref",
                                ref, "rootseq", (json_int_t)ns->seq, "flags", ns->flags);
}

static int rpc_namespace_list(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct caller who = caller_of(req);
    CLEANUP(json_decrefp) json_t *list = json_array();
    struct namespace *ns, *tmp;

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

/* --- transactions */

/* A transaction and who asked for it. */
struct asker {
    struct manager *manager;
    struct request *req;
};

static void on_txn_done(struct txn *t, void *arg)
{
    struct asker *a = arg;
    char text[BLOBREF_STRING_SIZE + 64];
    char ref[BLOBREF_STRING_SIZE];

    if (t->err < 0) {
        (void)request_fail(a->req, -t->err, "%s", t->error.text);
    } else {
        blobref_format(a->manager->kvs->params.hash, t->rootref, ref);
        (void)snprintf(text, sizeof(text), "{\"rootref\":\"%s\",\"rootseq\":%lld}", ref,
                       (long long)t->rootseq);
        (void)request_respond(a->req, text);
    }
    txn_free(t);
}

static void on_namespace_done(struct txn *t, void *arg)
{
    struct asker *a = arg;

    if (t->err < 0)
        (void)request_fail(a->req, -t->err, "%s", t->error.text);
    else
        (void)request_respond(a->req, "{}");
    txn_free(t);
}

static void asker_release(void *arg)
{
    struct asker *a = arg;

    request_unref(a->req);
    free(a);
}

/* Ties a transaction to its request, which is let go with it. */
static int txn_attach(struct manager *m, struct txn *t, struct request *req,
                      void (*done)(struct txn *t, void *arg))
{
    struct asker *a = malloc(sizeof(*a));

    if (!a)
        return -ENOMEM;
    a->manager = m;
    a->req = request_ref(req);
    t->done = done;
    t->arg = a;
    t->release = asker_release;
    return 0;
}

static int rpc_commit(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct caller who = caller_of(req);
    CLEANUP(txn_freep) struct txn *t = NULL;
    flux_error_t error;
    const char *ns;
    json_t *ops;
    int flags;
    int rc;

    if ((rc = request_unpack(req, "{s:s s:i s:o}", "namespace", &ns, "flags", &flags, "ops",
                             &ops)) < 0)
        return rc;
    if ((rc = txn_new_commit(m->kvs, ns, flags, ops, &who, &t, &error)) < 0)
        return request_explain(req, -rc, "%s", error.text);
    if ((rc = txn_attach(m, t, req, on_txn_done)) < 0)
        return rc;
    commit_submit(m->kvs, TAKE(t));
    return 0;
}

static int rpc_fence(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct caller who = caller_of(req);
    CLEANUP(txn_freep) struct txn *t = NULL;
    const char *ns, *name;
    flux_error_t error;
    struct namespace *found;
    json_t *ops;
    int flags, nprocs;
    int rc;

    if ((rc = request_unpack(req, "{s:s s:i s:s s:i s:o}", "namespace", &ns, "flags", &flags,
                             "name", &name, "nprocs", &nprocs, "ops", &ops)) < 0)
        return rc;
    if ((rc = kvs_access(m->kvs, ns, &who, &found)) < 0)
        return request_explain(req, -rc, "%s: %s", ns, sentence(-rc));
    if ((rc = txn_new_commit(m->kvs, ns, flags, ops, &who, &t, &error)) < 0)
        return request_explain(req, -rc, "%s", error.text);
    if ((rc = txn_attach(m, t, req, on_txn_done)) < 0)
        return rc;
    if ((rc = fence_submit(m->kvs, name, nprocs, t, &error)) < 0)
        return request_explain(req, -rc, "%s", error.text);
    (void)TAKE(t);
    return 0;
}

static int rpc_namespace_create(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(txn_freep) struct txn *t = NULL;
    const char *ns, *rootref = NULL;
    flux_error_t error;
    json_int_t owner;
    int flags;
    int rc;

    if ((rc = request_unpack(req, "{s:s s:I s:i s?s}", "namespace", &ns, "owner", &owner, "flags",
                             &flags, "rootref", &rootref)) < 0)
        return rc;
    if (owner < -1 || owner > UINT32_MAX)
        return request_explain(req, EINVAL, "owner is not a user id");
    if (owner == -1 || owner == FLUX_USERID_UNKNOWN)
        owner = service_owner(m->svc);
    if ((rc = txn_new_create(m->kvs, ns, (uint32_t)owner, flags, rootref, &t, &error)) < 0)
        return request_explain(req, -rc, "%s", error.text);
    if ((rc = txn_attach(m, t, req, on_namespace_done)) < 0)
        return rc;
    commit_submit(m->kvs, TAKE(t));
    return 0;
}

static int rpc_namespace_remove(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(txn_freep) struct txn *t = NULL;
    flux_error_t error;
    const char *ns;
    int rc;

    if ((rc = request_unpack(req, "{s:s}", "namespace", &ns)) < 0)
        return rc;
    if ((rc = txn_new_remove(m->kvs, ns, &t, &error)) < 0)
        return request_explain(req, -rc, "%s", error.text);
    if ((rc = txn_attach(m, t, req, on_namespace_done)) < 0)
        return rc;
    commit_submit(m->kvs, TAKE(t));
    return 0;
}

static int rpc_dropcache(struct request *req, void *arg)
{
    struct manager *m = arg;

    objcache_drop(m->kvs->cache);
    return request_respond(req, "{}");
}

/* --- waiting for a version */

static void version_free(struct manager *m, struct version_wait *v)
{
    TAILQ_REMOVE(&m->versions, v, link);
    request_on_gone(v->req, NULL, NULL);
    request_unref(v->req);
    free(v->ns);
    free(v);
}

static void on_version_gone(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct version_wait *v;

    TAILQ_FOREACH (v, &m->versions, link) {
        if (v->req == req) {
            version_free(m, v);
            return;
        }
    }
}

/* Answers if the namespace is there already, or gone. */
static bool version_reached(struct manager *m, struct request *req, const char *name, int64_t seq)
{
    struct caller who = caller_of(req);
    struct namespace *ns;
    int rc = kvs_access(m->kvs, name, &who, &ns);

    if (rc == 0 && ns->seq < seq)
        return false;
    if (rc < 0)
        fail_lookup(req, -rc);
    else
        (void)rpc_getroot(req, m);
    return true;
}

static int rpc_wait_version(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct version_wait *v;
    json_int_t seq;
    const char *ns;
    int rc;

    if ((rc = request_unpack(req, "{s:s s:I}", "namespace", &ns, "rootseq", &seq)) < 0)
        return rc;
    if (version_reached(m, req, ns, seq))
        return 0;
    if (!(v = calloc(1, sizeof(*v))) || !(v->ns = strdup(ns))) {
        free(v);
        return -ENOMEM;
    }
    v->req = request_ref(req);
    v->seq = seq;
    TAILQ_INSERT_TAIL(&m->versions, v, link);
    request_on_gone(req, on_version_gone, m);
    return 0;
}

/* --- watches */

static void watcher_free(struct watcher *wr)
{
    TAILQ_REMOVE(&wr->manager->watchers, wr, link);
    request_on_gone(wr->req, NULL, NULL);
    request_unref(wr->req);
    free(wr);
}

static void on_watch_deliver(struct watch *w, const char *text, void *arg)
{
    struct watcher *wr = arg;

    (void)request_respond(wr->req, text);
}

static void on_watch_end(struct watch *w, int errnum, void *arg)
{
    struct watcher *wr = arg;

    fail_lookup(wr->req, errnum);
    watcher_free(wr);
}

static void on_watcher_gone(struct request *req, void *arg)
{
    struct watcher *wr = arg;

    watch_cancel(wr->watch);
    watcher_free(wr);
}

static int rpc_watch(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct watch_args args = {
        .ns = KVS_PRIMARY_NAMESPACE,
        .who = caller_of(req),
        .deliver = on_watch_deliver,
        .end = on_watch_end,
    };
    struct watcher *wr;
    int rc;

    if ((rc = request_unpack(req, "{s:s s:i s?s}", "key", &args.key, "flags", &args.flags,
                             "namespace", &args.ns)) < 0)
        return rc;
    if (!(wr = calloc(1, sizeof(*wr))))
        return -ENOMEM;
    wr->manager = m;
    wr->req = request_ref(req);
    TAILQ_INSERT_TAIL(&m->watchers, wr, link);
    request_on_gone(req, on_watcher_gone, wr);
    args.arg = wr;
    if ((rc = watch_new(m->kvs, &args, &wr->watch)) < 0) {
        watcher_free(wr);
        return sentence(-rc) ? request_explain(req, -rc, "%s", sentence(-rc)) : rc;
    }
    return 0;
}

static uint32_t matchtag_of(const struct request *req)
{
    uint32_t matchtag = FLUX_MATCHTAG_NONE;

    (void)flux_msg_get_matchtag(request_msg(req), &matchtag);
    return matchtag;
}

static int rpc_watch_cancel(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct watcher *wr;
    json_int_t matchtag;
    int rc;

    if ((rc = request_unpack(req, "{s:I}", "matchtag", &matchtag)) < 0)
        return rc;
    TAILQ_FOREACH (wr, &m->watchers, link) {
        if (matchtag_of(wr->req) == matchtag && request_same_client(wr->req, req)) {
            watch_cancel(wr->watch);
            (void)request_end(wr->req);
            watcher_free(wr);
            break;
        }
    }
    return 0;
}

/* --- the service */

static const struct rpc_method methods[] = {
    { .topic = "kvs.lookup",
      .roles = ROLE_USER,
      .in = "key:s flags:i namespace?:s treeobj?:o",
      .fn = rpc_lookup },
    { .topic = "kvs.commit",
      .roles = ROLE_USER,
      .in = "namespace:s flags:i ops:a",
      .fn = rpc_commit },
    { .topic = "kvs.fence",
      .roles = ROLE_USER,
      .in = "namespace:s flags:i name:s nprocs:i ops:a",
      .fn = rpc_fence },
    { .topic = "kvs.getroot", .roles = ROLE_USER, .in = "namespace:s flags:i", .fn = rpc_getroot },
    { .topic = "kvs.wait-version",
      .roles = ROLE_USER,
      .in = "namespace:s rootseq:I",
      .fn = rpc_wait_version },
    { .topic = "kvs.namespace-create",
      .roles = ROLE_OWNER,
      .in = "namespace:s owner:I flags:i rootref?:s",
      .fn = rpc_namespace_create },
    { .topic = "kvs.namespace-remove",
      .roles = ROLE_OWNER,
      .in = "namespace:s",
      .fn = rpc_namespace_remove },
    { .topic = "kvs.namespace-list", .roles = ROLE_USER, .fn = rpc_namespace_list },
    { .topic = "kvs.dropcache", .roles = ROLE_OWNER, .fn = rpc_dropcache },
    { .topic = "kvs-watch.lookup",
      .roles = ROLE_USER,
      .in = "key:s flags:i namespace?:s",
      .flags = RPC_METHOD_STREAMING,
      .fn = rpc_watch },
    { .topic = "kvs-watch.cancel",
      .roles = ROLE_USER,
      .in = "matchtag:I",
      .flags = RPC_METHOD_NORESPONSE,
      .fn = rpc_watch_cancel },
};

static void on_stats(json_t *stats, void *arg)
{
    struct manager *m = arg;
    const struct objcache_stats *cs = objcache_stats(m->kvs->cache);
    const struct committer_stats *ms = commit_stats(m->kvs);
    json_t *o = json_pack(
        "{s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I}", "lookups", (json_int_t)m->nlookups,
        "transactions", (json_int_t)ms->transactions, "failed-transactions", (json_int_t)ms->failed,
        "commits", (json_int_t)ms->batches, "largest-commit", (json_int_t)ms->largest_batch,
        "queued", (json_int_t)ms->queued, "watches", (json_int_t)watch_count(m->kvs), "namespaces",
        (json_int_t)HASH_COUNT(m->kvs->namespaces->table), "cache-count", (json_int_t)cs->count,
        "cache-bytes", (json_int_t)cs->bytes, "cache-hits", (json_int_t)cs->hits, "cache-misses",
        (json_int_t)cs->misses, "cache-evictions", (json_int_t)cs->evictions);

    if (o)
        (void)json_object_update(stats, o);
    json_decref(o);
}

static int on_config(const json_t *config, void *arg, flux_error_t *error)
{
    struct manager *m = arg;

    objcache_set_limit(m->kvs->cache, get_cache_size(config));
    return 0;
}

static int on_stop(void *arg)
{
    struct manager *m = arg;

    m->stopping = true;
    if (commit_idle(m->kvs))
        service_exit(m->svc, EXIT_SUCCESS);
    return 0;
}

const struct service_desc kvs_desc = {
    .name = "kvs",
    .methods = methods,
    .nmethods = ARRAY_SIZE(methods),
    .on_stats = on_stats,
    .on_config = on_config,
    .on_stop = on_stop,
};

/* The end of a pass of the loop: everything at hand has been submitted. */
static void on_prepare(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct manager *m = arg;

    commit_pump(m->kvs);
}

static void on_stored(void *arg)
{
    struct manager *m = arg;
    struct version_wait *v, *tmp;

    TAILQ_FOREACH_SAFE (v, &m->versions, link, tmp) {
        if (version_reached(m, v->req, v->ns, v->seq))
            version_free(m, v);
    }
    if (m->stopping && commit_idle(m->kvs))
        service_exit(m->svc, EXIT_SUCCESS);
}

/* --- start */

static void on_primary_done(struct txn *t, void *arg)
{
    *(int *)arg = t->err;
    txn_free(t);
}

static int create_primary(struct manager *m)
{
    flux_error_t error;
    struct txn *t;
    int result = -EIO;
    int rc;

    if (namespace_find(m->kvs->namespaces, KVS_PRIMARY_NAMESPACE))
        return remote_wait_commit(m->remote);
    if ((rc = txn_new_create(m->kvs, KVS_PRIMARY_NAMESPACE, service_owner(m->svc), 0, NULL, &t,
                             &error)) < 0) {
        log_err("%s", error.text);
        return rc;
    }
    t->done = on_primary_done;
    t->arg = &result;
    commit_submit(m->kvs, t);
    commit_pump(m->kvs);
    rc = remote_wait_commit(m->remote);
    return rc < 0 ? rc : result;
}

static int manager_load(struct manager *m)
{
    CLEANUP(json_decrefp) json_t *roots = NULL;
    flux_error_t error;
    int rc;

    if ((rc = remote_get_roots(m->remote, &roots)) < 0)
        return rc;
    if ((rc = kvs_set_roots(m->kvs, roots, &error)) < 0) {
        log_err("%s", error.text);
        return rc;
    }
    return create_primary(m);
}

int manager_new(struct service *svc, struct manager **ret)
{
    CLEANUP(manager_freep) struct manager *m = calloc(1, sizeof(*m));
    struct kvs_params params = {
        .cache_size = get_cache_size(service_config(svc)),
        .owner = service_owner(svc),
        .backend = &remote_backend,
    };
    int rc;

    if (!m)
        return -ENOMEM;
    m->svc = svc;
    TAILQ_INIT(&m->watchers);
    TAILQ_INIT(&m->versions);
    if ((rc = get_hash(svc, &params.hash)) < 0 ||
        (rc = remote_new(svc, on_stored, m, &m->remote)) < 0)
        return rc;
    params.arg = m->remote;
    if ((rc = kvs_new(&params, &m->kvs)) < 0)
        return rc;
    remote_set_kvs(m->remote, m->kvs);
    if ((rc = manager_load(m)) < 0)
        return rc;
    if (!(m->prepare = flux_prepare_watcher_create(service_reactor(svc), on_prepare, m)))
        return -ENOMEM;
    flux_watcher_start(m->prepare);
    service_status(svc, "Serving %u namespaces", HASH_COUNT(m->kvs->namespaces->table));
    log_info("started: serving %u namespaces", HASH_COUNT(m->kvs->namespaces->table));
    *ret = TAKE(m);
    return 0;
}

struct manager *manager_free(struct manager *m)
{
    if (m) {
        flux_watcher_destroy(m->prepare);
        while (!TAILQ_EMPTY(&m->versions))
            version_free(m, TAILQ_FIRST(&m->versions));
        while (!TAILQ_EMPTY(&m->watchers))
            watcher_free(TAILQ_FIRST(&m->watchers));
        kvs_free(m->kvs);
        remote_free(m->remote);
        free(m);
    }
    return NULL;
}
