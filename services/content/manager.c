/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Requests become work for the worker, finished work becomes answers. On other ranks than 0 there
 * is no worker and no file: requests are answered from memory or by the node above (upstream.c).
 *
 * When the file is in an unknown state (EIO) every change under way is answered EIO and the process
 * ends with status 1: the service manager starts it anew, and what the file holds is the truth.
 * What is under way at the end of the process is finished by the worker, but not answered.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "base/jsonx.h"
#include "content/requests.h"

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
    { .topic = "content.sweep-begin", .roles = ROLE_OWNER, .fn = rpc_sweep_begin },
    { .topic = "content.mark", .roles = ROLE_OWNER, .flags = RPC_METHOD_RAW, .fn = rpc_mark },
    { .topic = "content.sweep-step",
      .roles = ROLE_OWNER,
      .in = "generation:I limit:u",
      .fn = rpc_sweep_step },
    { .topic = "content.sweep-end",
      .roles = ROLE_OWNER,
      .in = "generation:I",
      .fn = rpc_sweep_end },
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
