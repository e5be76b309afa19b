/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Requests become work for the worker, finished work becomes answers. On other ranks than 0 there
 * is no worker and no file: requests are answered from memory or by the node above (upstream.c).
 *
 * A request is held (request_ref) while its work is under way; its payload is what the work lends.
 * Nothing is answered before it is in the journal, as durably as content.sync says. When the file
 * is in an unknown state (EIO) every change under way is answered EIO and the process ends with
 * status 1: the service manager starts it anew, and what the file holds is the truth.
 * What is under way at the end of the process is finished by the worker, but not answered.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "base/jsonx.h"
#include "base/list.h"
#include "content/cache.h"
#include "content/manager.h"
#include "content/settings.h"
#include "content/upstream.h"
#include "content/worker.h"
#include "service/log.h"

struct manager {
    struct service *svc;
    struct settings settings;
    char *path;
    struct cache *cache;
    struct worker *worker;     /* rank 0 */
    struct upstream *upstream; /* other ranks */
    flux_watcher_t *watcher;
    LIST_HEAD(, pending) pendings;
    bool stopping;
    bool failed;
    struct log_ratelimit full_limit;
    struct log_ratelimit corrupt_limit;
    struct log_ratelimit fold_limit;
};

/* One request under way. */
struct pending {
    struct work work;
    LIST_ENTRY(pending) link;
    struct manager *manager;
    struct request *req;
    json_t *header; /* of content.commit */
    char *value;    /* of content.checkpoint-put */
};

static struct pending *pending_free(struct pending *p)
{
    if (p) {
        LIST_REMOVE(p, link);
        request_unref(p->req);
        json_decref(p->header);
        json_decref(p->work.json);
        free(p->value);
        free(p->work.value);
        free(p->work.data);
        free(p);
    }
    return NULL;
}
DEFINE_CLEANUP(struct pending *, pending_free)

static int pending_new(struct manager *m, struct request *req, enum work_type type,
                       void (*done)(struct work *w, void *arg), struct pending **ret)
{
    struct pending *p = calloc(1, sizeof(*p));

    if (!p)
        return -ENOMEM;
    p->manager = m;
    p->req = request_ref(req);
    p->work.type = type;
    p->work.done = done;
    p->work.arg = p;
    LIST_INSERT_HEAD(&m->pendings, p, link);
    *ret = p;
    return 0;
}

/* On success the work owns p until done is called, which may be at once. */
static int pending_submit(struct pending **p)
{
    struct work *w = &(*p)->work;
    int rc;

    if ((*p)->manager->failed)
        return -EIO;
    if ((rc = worker_submit((*p)->manager->worker, w)) < 0)
        return request_explain((*p)->req, -rc, "too much is waiting to be stored, try again");
    (void)TAKE(*p);
    if (rc == WORKER_DONE)
        w->done(w, w->arg);
    return 0;
}

static void log_failure(struct manager *m, const struct work *w)
{
    static const char *const fields[] = { "MESSAGE_ID=" LOG_ID_STORE_FAILED, NULL };

    if (!log_ratelimit(&m->full_limit, 5))
        return;
    if (w->err == -ENOSPC)
        log_fields(LOG_ERR, fields,
                   "cannot store: the disk of %s is full; nothing was acknowledged, make room",
                   m->path);
    else
        log_fields(LOG_ERR, fields, "cannot store in %s: %s", m->path, w->error.text);
}

static void fail_work(struct pending *p)
{
    struct work *w = &p->work;

    if (w->err == -ENOSPC)
        (void)request_fail(p->req, ENOSPC, "the disk of the content store is full");
    else
        (void)request_fail(p->req, -w->err, "%s", w->error.text);
}

static void fail_change(struct pending *p)
{
    log_failure(p->manager, &p->work);
    fail_work(p);
}

static void log_corrupt(struct manager *m, const uint8_t *digest)
{
    static const char *const fields[] = { "MESSAGE_ID=" LOG_ID_CORRUPT_BLOB, NULL };
    char ref[BLOBREF_STRING_SIZE];

    blobref_format(m->settings.hash, digest, ref);
    if (log_ratelimit(&m->corrupt_limit, 1))
        log_fields(LOG_ERR, fields,
                   "blob %s in %s is damaged: what refers to it cannot be read; restore it from a "
                   "backup",
                   ref, m->path);
}

static void on_loaded(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;

    if (w->err == -ENOENT) {
        (void)request_fail(p->req, ENOENT, "no such blob");
    } else if (w->err == -EBADMSG) {
        log_corrupt(p->manager, w->digest);
        (void)request_fail(p->req, EIO, "the blob on disk is damaged");
    } else if (w->err < 0) {
        fail_work(p);
    } else {
        cache_insert(p->manager->cache, w->digest, w->data, w->size);
        (void)request_respond_raw(p->req, w->size ? w->data : NULL, w->size);
    }
}

static int rpc_load(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    const void *digest, *data;
    size_t n, size;
    int rc;

    request_raw(req, &digest, &n);
    if (n != DIGEST_SIZE)
        return request_explain(req, EPROTO, "a digest has %d bytes, not %zu", DIGEST_SIZE, n);
    if (cache_lookup(m->cache, digest, &data, &size) == 0)
        return request_respond_raw(req, size ? data : NULL, size);
    if (m->upstream)
        return upstream_load(m->upstream, req, digest);
    if ((rc = pending_new(m, req, WORK_LOAD, on_loaded, &p)) < 0)
        return rc;
    memcpy(p->work.digest, digest, DIGEST_SIZE);
    return pending_submit(&p);
}

static void on_stored(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;

    if (w->err < 0)
        fail_change(p);
    else
        (void)request_respond_raw(p->req, w->change.digest, DIGEST_SIZE);
}

static int rpc_store(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    const void *data;
    size_t size;
    int rc;

    request_raw(req, &data, &size);
    if (size > m->settings.blob_size_limit)
        return request_explain(req, EFBIG, "a blob of %zu bytes is larger than the limit of %zu",
                               size, m->settings.blob_size_limit);
    if (m->upstream)
        return upstream_pass(m->upstream, req, true);
    if ((rc = pending_new(m, req, WORK_CHANGE, on_stored, &p)) < 0)
        return rc;
    p->work.change.data = data ? data : "";
    p->work.change.data_size = size;
    return pending_submit(&p);
}

static void on_changed(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;

    if (w->err < 0)
        fail_change(p);
    else
        (void)request_respond(p->req, "{}");
}

static int rpc_commit(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    flux_error_t error;
    const void *data;
    size_t size;
    int rc;

    if (m->upstream)
        return upstream_pass(m->upstream, req, false);
    request_raw(req, &data, &size);
    if ((rc = pending_new(m, req, WORK_CHANGE, on_changed, &p)) < 0)
        return rc;
    if ((rc = change_decode(data, size, m->settings.blob_size_limit, &p->work.change, &p->header,
                            &error)) < 0)
        return request_explain(req, -rc, "%s", error.text);
    return pending_submit(&p);
}

static void on_roots(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;

    if (w->err < 0)
        (void)request_fail(p->req, EIO, "%s", w->error.text);
    else
        (void)request_respond_pack(p->req, "{s:O}", "roots", w->json);
}

static int rpc_roots(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    int rc;

    if (m->upstream)
        return upstream_pass(m->upstream, req, false);
    rc = pending_new(m, req, WORK_ROOTS, on_roots, &p);
    return rc < 0 ? rc : pending_submit(&p);
}

static void on_checkpoint(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;
    CLEANUP(json_decrefp) json_t *value = NULL;

    if (w->err == -ENOENT)
        (void)request_fail(p->req, ENOENT, "no such checkpoint");
    else if (w->err < 0)
        fail_work(p);
    else if (!(value = json_loads(w->value, JSON_DECODE_ANY, NULL)))
        (void)request_fail(p->req, EIO, "the checkpoint on disk is damaged");
    else
        (void)request_respond_pack(p->req, "{s:O}", "value", value);
}

static int rpc_checkpoint_get(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    int rc;

    if (m->upstream)
        return upstream_pass(m->upstream, req, false);
    if ((rc = pending_new(m, req, WORK_CHECKPOINT_GET, on_checkpoint, &p)) < 0 ||
        (rc = request_unpack(req, "{s:s}", "key", &p->work.key)) < 0)
        return rc;
    return pending_submit(&p);
}

static int rpc_checkpoint_put(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    const char *key;
    json_t *value;
    int rc;

    if (m->upstream)
        return upstream_pass(m->upstream, req, false);
    if ((rc = request_unpack(req, "{s:s s:o}", "key", &key, "value", &value)) < 0 ||
        (rc = pending_new(m, req, WORK_CHANGE, on_changed, &p)) < 0)
        return rc;
    if (!(p->value = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY)))
        return -ENOMEM;
    p->work.change.checkpoint_key = key;
    p->work.change.checkpoint_value = p->value;
    return pending_submit(&p);
}

static int rpc_flush(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    int rc;

    if (m->upstream)
        return upstream_pass(m->upstream, req, false);
    rc = pending_new(m, req, WORK_SYNC, on_changed, &p);
    return rc < 0 ? rc : pending_submit(&p);
}

static int rpc_dropcache(struct request *req, void *arg)
{
    struct manager *m = arg;

    cache_drop(m->cache);
    return request_respond(req, "{}");
}

static const struct rpc_method methods[] = {
    { .topic = "content.load",
      .roles = ROLE_OWNER,
      .flags = RPC_METHOD_RAW | RPC_METHOD_RESUME,
      .fn = rpc_load },
    { .topic = "content.store",
      .roles = ROLE_OWNER,
      .flags = RPC_METHOD_RAW | RPC_METHOD_RESUME,
      .fn = rpc_store },
    { .topic = "content.commit",
      .roles = ROLE_OWNER,
      .flags = RPC_METHOD_RAW | RPC_METHOD_RESUME,
      .fn = rpc_commit },
    { .topic = "content.roots", .roles = ROLE_OWNER, .flags = RPC_METHOD_RESUME, .fn = rpc_roots },
    { .topic = "content.checkpoint-get",
      .roles = ROLE_OWNER,
      .in = "key:s",
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_checkpoint_get },
    { .topic = "content.checkpoint-put",
      .roles = ROLE_OWNER,
      .in = "key:s value:*",
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_checkpoint_put },
    { .topic = "content.flush", .roles = ROLE_OWNER, .flags = RPC_METHOD_RESUME, .fn = rpc_flush },
    { .topic = "content.dropcache", .roles = ROLE_OWNER, .fn = rpc_dropcache },
};

static void on_upstream_stats(json_t *stats, struct manager *m)
{
    const struct cache_stats *cs = cache_stats(m->cache);
    const struct upstream_stats *us = upstream_stats(m->upstream);
    json_t *o = json_pack("{s:I s:I s:I s:I s:I s:I s:I s:I}", "cache-count", (json_int_t)cs->count,
                          "cache-bytes", (json_int_t)cs->bytes, "cache-hits", (json_int_t)cs->hits,
                          "cache-misses", (json_int_t)cs->misses, "loads", (json_int_t)us->loads,
                          "loads-joined", (json_int_t)us->joined, "passed", (json_int_t)us->passed,
                          "rejected", (json_int_t)us->rejected);

    if (o)
        (void)json_object_update(stats, o);
    json_decref(o);
}

static void on_store_stats(json_t *stats, struct manager *m)
{
    const struct cache_stats *cs = cache_stats(m->cache);
    struct worker_stats ws = worker_stats(m->worker);
    struct journal_stats js = journal_stats(worker_journal(m->worker));
    json_t *o = json_pack(
        "{s:s s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I}", "sync",
        store_sync_name(m->settings.sync), "cache-count", (json_int_t)cs->count, "cache-bytes",
        (json_int_t)cs->bytes, "cache-hits", (json_int_t)cs->hits, "cache-misses",
        (json_int_t)cs->misses, "loads", (json_int_t)ws.loads, "changes", (json_int_t)js.changes,
        "transactions", (json_int_t)js.transactions, "largest-batch", (json_int_t)js.largest_batch,
        "queued-bytes", (json_int_t)ws.queued_bytes, "blobs", (json_int_t)js.blobs, "blob-bytes",
        (json_int_t)js.bytes, "journal-files", (json_int_t)js.segments, "blobs-indexed",
        (json_int_t)js.folded);

    if (o)
        (void)json_object_update(stats, o);
    json_decref(o);
}

static void on_stats(json_t *stats, void *arg)
{
    struct manager *m = arg;

    if (m->upstream)
        on_upstream_stats(stats, m);
    else
        on_store_stats(stats, m);
}

static void on_stats_clear(void *arg)
{
    struct manager *m = arg;

    cache_stats_clear(m->cache);
    if (m->upstream)
        upstream_stats_clear(m->upstream);
    else
        worker_stats_clear(m->worker);
}

static int on_config(const json_t *config, void *arg, flux_error_t *error)
{
    struct manager *m = arg;
    struct settings s;
    int rc = settings_parse(json_object_get(config, "content"), service_statedir(m->svc) != NULL,
                            &s, error);

    if (rc < 0)
        return rc;
    /* sync and hash belong to the open file: they change with the next start. */
    m->settings.blob_size_limit = s.blob_size_limit;
    m->settings.purge_target_size = s.purge_target_size;
    cache_set_limit(m->cache, s.purge_target_size);
    return 0;
}

static int on_stop(void *arg)
{
    struct manager *m = arg;

    m->stopping = true;
    if (m->upstream ? !upstream_busy(m->upstream) : worker_pending(m->worker) == 0)
        service_exit(m->svc, EXIT_SUCCESS);
    return 0;
}

const struct service_desc content_desc = {
    .name = "content",
    .methods = methods,
    .nmethods = ARRAY_SIZE(methods),
    .on_stats = on_stats,
    .on_stats_clear = on_stats_clear,
    .on_config = on_config,
    .on_stop = on_stop,
};

static void on_worker(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    static const char *const fields[] = { "MESSAGE_ID=" LOG_ID_STORE_FAILED, NULL };
    struct manager *m = arg;
    flux_error_t error;

    if (worker_fold_failed(m->worker, &error) && log_ratelimit(&m->fold_limit, 1))
        log_fields(LOG_ERR, fields, "cannot move the journal into %s: %s; trying again", m->path,
                   error.text);
    if (worker_dispatch(m->worker) < 0 && !m->failed) {
        m->failed = true;
        log_fields(LOG_CRIT, fields,
                   "writing %s failed, what it holds is unknown until it is opened again: "
                   "restarting",
                   m->path);
        service_exit(m->svc, EXIT_FAILURE);
    } else if (m->stopping && worker_pending(m->worker) == 0) {
        service_exit(m->svc, EXIT_SUCCESS);
    }
}

static void log_scan(const struct manager *m, const struct segment_scan *scan)
{
    static const char *const fields[] = { "MESSAGE_ID=" LOG_ID_CORRUPT_BLOB, NULL };

    if (scan->damaged > 0)
        log_fields(LOG_ERR, fields,
                   "%zu commits in the journal of %s are damaged: what they stored cannot be read; "
                   "restore it from a backup",
                   scan->damaged, m->path);
    if (scan->dropped > 0)
        log_warning("%" PRIu64 " bytes at the end of the journal of %s are no whole commit and "
                    "were never acknowledged as durable",
                    scan->dropped, m->path);
}

static int open_journal(struct manager *m, struct store *st, struct journal **ret)
{
    const struct journal_params params = { .path = m->path,
                                           .sync = m->settings.sync,
                                           .hash = m->settings.hash };
    struct segment_scan scan;
    flux_error_t error;
    int rc = journal_open(&params, st, &scan, ret, &error);

    if (rc < 0)
        log_err("%s", error.text);
    else
        log_scan(m, &scan);
    return rc;
}

static int manager_open(struct manager *m, const char *dir)
{
    struct store_params params = { .sync = m->settings.sync, .hash = m->settings.hash };
    struct store *st = NULL;
    struct journal *j;
    flux_error_t error;
    int rc;

    if (asprintf(&m->path, "%s/content.sqlite", dir) < 0) {
        m->path = NULL;
        return -ENOMEM;
    }
    params.path = m->path;
    if ((rc = store_open(&params, &st, &error)) < 0) {
        log_err("%s", error.text);
        return rc;
    }
    if ((rc = open_journal(m, st, &j)) < 0) {
        store_close(st);
        return rc;
    }
    return worker_new(st, j, params.sync, &m->worker);
}

static int manager_serve(struct manager *m, const char *dir)
{
    int rc = manager_open(m, dir);

    if (rc < 0)
        return rc;
    m->watcher = flux_fd_watcher_create(service_reactor(m->svc), worker_fd(m->worker), FLUX_POLLIN,
                                        on_worker, m);
    if (!m->watcher)
        return -ENOMEM;
    flux_watcher_start(m->watcher);
    service_status(m->svc, "Storing in %s, sync %s", m->path, store_sync_name(m->settings.sync));
    return 0;
}

static void on_upstream_idle(void *arg)
{
    struct manager *m = arg;

    if (m->stopping)
        service_exit(m->svc, EXIT_SUCCESS);
}

static int manager_follow(struct manager *m)
{
    const struct upstream_params params = { .h = service_flux(m->svc),
                                            .nodeid = FLUX_NODEID_UPSTREAM,
                                            .hash = m->settings.hash,
                                            .cache = m->cache,
                                            .idle = on_upstream_idle,
                                            .arg = m };
    int rc = upstream_new(&params, &m->upstream);

    if (rc == 0)
        service_status(m->svc, "Answering from memory, and from the node above");
    return rc;
}

int manager_new(struct service *svc, struct manager **ret)
{
    CLEANUP(manager_freep) struct manager *m = calloc(1, sizeof(*m));
    const char *dir = service_statedir(svc) ? service_statedir(svc) : service_rundir(svc);
    flux_error_t error;
    int rc;

    if (!m)
        return -ENOMEM;
    m->svc = svc;
    LIST_INIT(&m->pendings);
    if ((rc = settings_parse(service_config_get(svc, "content"), service_statedir(svc) != NULL,
                             &m->settings, &error)) < 0) {
        log_err("%s", error.text);
        return rc;
    }
    if ((rc = cache_new(m->settings.purge_target_size, &m->cache)) < 0)
        return rc;
    rc = service_rank(svc) > 0 ? manager_follow(m) : manager_serve(m, dir);
    if (rc == 0)
        *ret = TAKE(m);
    return rc;
}

struct manager *manager_free(struct manager *m)
{
    if (m) {
        flux_watcher_destroy(m->watcher);
        worker_free(m->worker);
        upstream_free(m->upstream);
        while (!LIST_EMPTY(&m->pendings))
            pending_free(LIST_FIRST(&m->pendings));
        cache_free(m->cache);
        free(m->path);
        free(m);
    }
    return NULL;
}
