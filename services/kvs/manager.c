/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Wires requests, store and loop. The handlers are in requests-*.c.
 *
 * Transactions are submitted as they come and begun at the end of the loop's pass, so that whatever
 * arrived together is stored together.
 *
 * READY is said once the roots are read and the primary namespace exists; on other ranks than 0 at
 * once (follower.c).
 */
#include <errno.h>
#include <string.h>
#include "base/errorx.h"
#include "base/number.h"
#include "kvs/collect.h"
#include "kvs/commit.h"
#include "kvs/follow.h"
#include "kvs/follower.h"
#include "kvs/manager.h"
#include "kvs/relay.h"
#include "kvs/requests.h"
#include "kvs/watch.h"
#include "service/lastgood.h"
#include "service/log.h"

#define DROPCACHE_TOPIC     "kvs.dropcache" /* an event, for all ranks; also a method */
#define CACHE_SIZE_DEFAULT  (64u << 20)
#define CACHE_SIZE_MIN      (1u << 20)
#define CACHE_SIZE_FOLLOWER (2u << 20) /* default on other ranks than 0 */

/* Of the [content] table. */
static int parse_hash(const json_t *table, void *arg, flux_error_t *error)
{
    const json_t *o = json_object_get(table, "hash");
    enum digest_algorithm *ret = arg;

    *ret = DIGEST_BLAKE2B;
    if (o && (!json_is_string(o) || digest_algorithm_parse(json_string_value(o), ret) < 0))
        return errorx_fail(error, EINVAL, "content.hash: use blake2b or sha256");
    return 0;
}

/* *ret is set also if what is configured is none. */
static int read_cache_size(const json_t *config, uint32_t rank, size_t *ret, flux_error_t *error)
{
    const json_t *table = json_object_get(config, "kvs");
    const json_t *o = json_object_get(table, "cache-size");
    uint64_t n = rank > 0 ? CACHE_SIZE_FOLLOWER : CACHE_SIZE_DEFAULT;
    int rc = 0;

    if (json_is_integer(o) && json_integer_value(o) >= 0)
        n = (uint64_t)json_integer_value(o);
    else if (o && (!json_is_string(o) || number_parse_size(json_string_value(o), &n) < 0))
        rc = errorx_fail(error, EINVAL, "kvs.cache-size: not a number of bytes");
    if (table && !json_is_object(table))
        rc = errorx_fail(error, EINVAL, "kvs: not a table");
    *ret = n < CACHE_SIZE_MIN ? CACHE_SIZE_MIN : n;
    return rc;
}

static int rpc_dropcache(struct request *req, void *arg)
{
    struct manager *m = arg;

    objcache_drop(m->kvs->cache);
    return request_respond(req, "{}");
}

static const struct rpc_method methods[] = {
    { .topic = "kvs.lookup",
      .roles = ROLE_USER,
      .in = "key:s flags:i namespace?:s treeobj?:o",
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_lookup },
    { .topic = "kvs.commit",
      .roles = ROLE_USER,
      .in = "namespace:s flags:i ops:a",
      .fn = rpc_commit },
    { .topic = "kvs.fence",
      .roles = ROLE_USER,
      .in = "namespace:s flags:i name:s nprocs:i ops:a",
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_fence },
    { .topic = "kvs.getroot",
      .roles = ROLE_USER,
      .in = "namespace:s flags:i",
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_getroot },
    { .topic = "kvs.wait-version",
      .roles = ROLE_USER,
      .in = "namespace:s rootseq:I",
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_wait_version },
    { .topic = "kvs.namespace-create",
      .roles = ROLE_OWNER,
      .in = "namespace:s owner:I flags:i rootref?:s",
      .fn = rpc_namespace_create },
    { .topic = "kvs.namespace-remove",
      .roles = ROLE_OWNER,
      .in = "namespace:s",
      .fn = rpc_namespace_remove },
    { .topic = "kvs.namespace-list",
      .roles = ROLE_USER,
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_namespace_list },
    { .topic = "kvs.follow",
      .roles = ROLE_OWNER,
      .flags = RPC_METHOD_STREAMING | RPC_METHOD_RESUME,
      .fn = rpc_follow },
    { .topic = "kvs.gc", .roles = ROLE_OWNER, .in = "grace?:n", .fn = rpc_gc },
    { .topic = "kvs.hold",
      .roles = ROLE_OWNER,
      .in = "rootref:s",
      .flags = RPC_METHOD_STREAMING | RPC_METHOD_SESSION,
      .fn = rpc_hold },
    { .topic = "kvs.dropcache", .roles = ROLE_OWNER, .fn = rpc_dropcache },
    { .topic = "kvs-watch.lookup",
      .roles = ROLE_USER,
      .in = "key:s flags:i namespace?:s resume?:o",
      .flags = RPC_METHOD_STREAMING | RPC_METHOD_RESUME,
      .fn = rpc_watch },
    { .topic = "kvs-watch.cancel",
      .roles = ROLE_USER,
      .in = "matchtag:I",
      .flags = RPC_METHOD_NORESPONSE,
      .fn = rpc_watch_cancel },
};

static void add_follower_stats(json_t *stats, const struct manager *m)
{
    const struct follower_stats fs = follower_stats(m->follower);
    const struct relays_stats rs = relays_stats(m);
    json_t *o = json_pack("{s:I s:I s:I s:I}", "updates", (json_int_t)fs.updates, "gaps",
                          (json_int_t)fs.gaps, "relayed", (json_int_t)rs.sent, "relays",
                          (json_int_t)rs.count);

    if (o)
        (void)json_object_update(stats, o);
    json_decref(o);
}

static void on_stats(json_t *stats, void *arg)
{
    struct manager *m = arg;
    const struct objcache_stats *cs = objcache_stats(m->kvs->cache);
    const struct committer_stats *ms = commit_stats(m->kvs);
    json_t *o = json_pack(
        "{s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I}", "looks",
        (json_int_t)watch_looks(m->kvs), "followers", (json_int_t)followers_count(m->followers),
        "announced", (json_int_t)followers_announced(m->followers), "lookups",
        (json_int_t)m->nlookups, "transactions", (json_int_t)ms->transactions,
        "failed-transactions", (json_int_t)ms->failed, "commits", (json_int_t)ms->batches,
        "largest-commit", (json_int_t)ms->largest_batch, "queued", (json_int_t)ms->queued,
        "watches", (json_int_t)watch_count(m->kvs), "namespaces",
        (json_int_t)HASH_COUNT(m->kvs->namespaces->table), "cache-count", (json_int_t)cs->count,
        "cache-bytes", (json_int_t)cs->bytes, "cache-hits", (json_int_t)cs->hits, "cache-misses",
        (json_int_t)cs->misses, "cache-evictions", (json_int_t)cs->evictions);

    if (o)
        (void)json_object_update(stats, o);
    json_decref(o);
    if (m->follower)
        add_follower_stats(stats, m);
    if (m->collector && (o = collector_stats(m)))
        (void)json_object_set_new(stats, "gc", o);
}

static void on_stats_clear(void *arg)
{
    struct manager *m = arg;

    m->nlookups = 0;
    commit_stats_clear(m->kvs);
    objcache_stats_clear(m->kvs->cache);
}

static int on_config(const json_t *config, void *arg, flux_error_t *error)
{
    struct manager *m = arg;
    const json_t *table = json_object_get(config, "content");
    enum digest_algorithm hash;
    flux_error_t ignored; /* flux-content says so */
    size_t cache_size;
    int rc;

    if ((rc = read_cache_size(config, service_rank(m->svc), &cache_size, error)) < 0 ||
        (rc = collector_configure(m->collector, config, error)) < 0)
        return rc;
    if (parse_hash(table, &hash, &ignored) == 0) {
        lastgood_keep(table);
        if (m->misconfigured)
            service_exit(m->svc, SERVICE_EXIT_ROUTER);
    }
    objcache_set_limit(m->kvs->cache, cache_size);
    return 0;
}

/* Each commit is answered, and told to each watch: then the next process can go on from there. */
static bool has_finished(const struct manager *m)
{
    return commit_idle(m->kvs) && TAILQ_EMPTY(&m->syncing) &&
           (m->follower ? relays_idle(m) : watches_idle(m->kvs));
}

static int on_stop(void *arg)
{
    struct manager *m = arg;

    m->stopping = true;
    if (has_finished(m))
        service_exit(m->svc, EXIT_SUCCESS);
    return 0;
}

/* What rank 0 was asked for somebody must not be asked twice. */
static void on_end(void *arg)
{
    relays_end(arg);
}

static void on_event(const flux_msg_t *msg, void *arg)
{
    struct manager *m = arg;
    struct flux_msg_cred cred;
    const char *topic;

    if (flux_event_decode(msg, &topic, NULL) == 0 && strcmp(topic, DROPCACHE_TOPIC) == 0) {
        if (flux_msg_get_cred(msg, &cred) == 0 && (cred.rolemask & FLUX_ROLE_OWNER))
            objcache_drop(m->kvs->cache);
    } else if (m->follower) {
        follower_on_event(m->follower, msg);
    }
}

static json_t *on_handover(struct request *req, void *arg)
{
    return watcher_progress(req, arg);
}

const struct service_desc kvs_desc = {
    .name = "kvs",
    .methods = methods,
    .nmethods = ARRAY_SIZE(methods),
    .on_stats = on_stats,
    .on_stats_clear = on_stats_clear,
    .on_config = on_config,
    .on_event = on_event,
    .on_stop = on_stop,
    .on_end = on_end,
    .on_handover = on_handover,
};

/* The end of a pass of the loop: everything at hand has been submitted. */
static void on_prepare(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct manager *m = arg;

    commit_pump(m->kvs);
    if (m->stopping && has_finished(m))
        service_exit(m->svc, EXIT_SUCCESS);
}

static void on_stored(void *arg)
{
    struct manager *m = arg;

    versions_check(m);
    collector_check(m);
}

static void on_announce(const char *update, void *arg)
{
    followers_announce(arg, update);
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
    if ((rc = create_primary(m)) < 0 || (rc = collector_new(m, &m->collector)) < 0)
        return rc;
    service_status(m->svc, "Namespaces served: %u", HASH_COUNT(m->kvs->namespaces->table));
    log_info("started: serving %u namespaces", HASH_COUNT(m->kvs->namespaces->table));
    return service_size(m->svc) > 1 ? followers_new(m, &m->followers) : 0;
}

/* --- a content store that refuses: whoever asks is told what it said, and nothing else is done
 * until it takes something again. Then the next process begins. */

#define PROBE_SECONDS 0.5

static bool is_refusal(int rc)
{
    return rc == -ENOSPC || rc == -EIO || rc == -EPROTO || rc == -EINVAL || rc == -EAGAIN;
}

static void on_writable(void *arg)
{
    struct manager *m = arg;

    log_notice("the content store takes commits again: starting anew");
    service_exit(m->svc, EXIT_FAILURE);
}

static void on_probe_timer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct manager *m = arg;

    remote_probe(m->remote, on_writable);
}

static int manager_refuse(struct manager *m, int errnum)
{
    const char *text = remote_refusal(m->remote);
    const char *why = text[0] ? text : strerror(errnum);

    m->probe_timer = flux_timer_watcher_create(service_reactor(m->svc), PROBE_SECONDS,
                                               PROBE_SECONDS, on_probe_timer, m);
    if (!m->probe_timer)
        return -ENOMEM;
    flux_watcher_start(m->probe_timer);
    service_refuse(m->svc, errnum, why);
    service_status(m->svc, "Refusing: %s", why);
    return 0;
}

static int manager_lead(struct manager *m)
{
    int rc = manager_load(m);

    return is_refusal(rc) ? manager_refuse(m, -rc) : rc;
}

static int manager_follow(struct manager *m)
{
    int rc = relays_new(m, &m->relays);

    if (rc < 0 || (rc = follower_new(m, &m->follower)) < 0)
        return rc;
    service_status(m->svc, "Following rank 0");
    return 0;
}

int manager_new(struct service *svc, struct manager **ret)
{
    static const struct remote_events events = { on_stored, on_announce };
    CLEANUP(manager_freep) struct manager *m = calloc(1, sizeof(*m));
    struct kvs_params params = {
        .owner = service_owner(svc),
        .backend = &remote_backend,
    };
    flux_error_t error;
    int rc;

    if (!m)
        return -ENOMEM;
    m->svc = svc;
    LIST_INIT(&m->lookups);
    TAILQ_INIT(&m->versions_due);
    TAILQ_INIT(&m->syncing);
    if (lastgood_parse(svc, "content", parse_hash, &params.hash, &error) < 0) {
        m->misconfigured = true;
        service_misconfigured_serve(svc, error.text);
    }
    if ((rc = remote_new(svc, &events, m, &m->remote)) < 0)
        return rc;
    if (read_cache_size(service_config(svc), service_rank(svc), &params.cache_size, &error) < 0)
        log_warning("%s; the cache has %zu", error.text, params.cache_size);
    params.arg = m->remote;
    if ((rc = kvs_new(&params, &m->kvs)) < 0)
        return rc;
    remote_set_kvs(m->remote, m->kvs);
    namespaces_on_settled(m->kvs->namespaces, versions_settled, m);
    if (!m->misconfigured && (rc = service_rank(svc) > 0 ? manager_follow(m) : manager_lead(m)) < 0)
        return rc;
    if (flux_event_subscribe(service_flux(svc), DROPCACHE_TOPIC) < 0)
        return -errno;
    if (!(m->prepare = flux_prepare_watcher_create(service_reactor(svc), on_prepare, m)))
        return -ENOMEM;
    flux_watcher_start(m->prepare);
    *ret = TAKE(m);
    return 0;
}

struct manager *manager_free(struct manager *m)
{
    if (m) {
        flux_watcher_destroy(m->probe_timer);
        flux_watcher_destroy(m->prepare);
        m->collector = collector_free(m->collector);
        followers_free(m->followers);
        follower_free(m->follower);
        relays_free(m->relays);
        watchers_free(m);
        versions_free(m);
        lookups_free(m);
        syncing_free(m);
        kvs_free(m->kvs);
        remote_free(m->remote);
        free(m);
    }
    return NULL;
}
