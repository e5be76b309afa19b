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
#include "base/errorx.h"
#include "content/lock.h"
#include "content/requests.h"
#include "content/startattr.h"
#include "service/lastgood.h"

#define RETRY_SECONDS 0.5 /* until a file is opened again for which there was no room */

static const struct rpc_method methods[] = {
    { .topic = "content.load",
      .roles = ROLE_OWNER,
      .flags = RPC_METHOD_RAW | RPC_METHOD_RESUME,
      .fn = rpc_load },
    { .topic = "content.validate",
      .roles = ROLE_OWNER,
      .flags = RPC_METHOD_RAW | RPC_METHOD_RESUME,
      .fn = rpc_validate },
    { .topic = "content.store",
      .roles = ROLE_OWNER,
      .flags = RPC_METHOD_RAW | RPC_METHOD_RESUME,
      .fn = rpc_store },
    { .topic = "content.backing-load",
      .roles = ROLE_OWNER,
      .flags = RPC_METHOD_RAW | RPC_METHOD_RESUME,
      .fn = rpc_backing_load },
    { .topic = "content.backing-store",
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
    { .topic = "content.info", .roles = ROLE_OWNER, .flags = RPC_METHOD_RESUME, .fn = rpc_info },
    { .topic = "content.dropcache", .roles = ROLE_OWNER, .fn = rpc_dropcache },
    { .topic = "content.attr-get", .roles = ROLE_OWNER, .in = "name:s", .fn = rpc_attr_get },
    { .topic = "content.attr-set",
      .roles = ROLE_OWNER,
      .in = "name:s value:s",
      .fn = rpc_attr_set },
    { .topic = "content.attr-list", .roles = ROLE_OWNER, .fn = rpc_attr_list },
    { .topic = "content.backup-begin", .roles = ROLE_OWNER, .fn = rpc_backup_begin },
    { .topic = "content.backup-read",
      .roles = ROLE_OWNER,
      .in = "id:I row:I",
      .fn = rpc_backup_read },
    { .topic = "content.check",
      .roles = ROLE_OWNER,
      .in = "limit:u remove?:b next?:*",
      .fn = rpc_check },
    { .topic = "content.repair", .roles = ROLE_OWNER, .fn = rpc_repair },
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
        "{s:s s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I}", "sync",
        store_sync_name(m->settings.sync), "cache-count", (json_int_t)cs->count, "cache-bytes",
        (json_int_t)cs->bytes, "cache-hits", (json_int_t)cs->hits, "cache-misses",
        (json_int_t)cs->misses, "loads", (json_int_t)ws.loads, "changes", (json_int_t)js.changes,
        "transactions", (json_int_t)js.transactions, "largest-batch", (json_int_t)js.largest_batch,
        "queued-bytes", (json_int_t)ws.queued_bytes, "blobs", (json_int_t)js.blobs, "blob-bytes",
        (json_int_t)js.bytes, "journal-files", (json_int_t)js.segments, "blobs-indexed",
        (json_int_t)js.folded, "journal-waits", (json_int_t)ws.waits, "journal-wait-usec",
        (json_int_t)ws.wait_usec);

    if (o)
        (void)json_object_update(stats, o);
    json_decref(o);
}

static void on_stats(json_t *stats, void *arg)
{
    struct manager *m = arg;

    if (m->upstream)
        on_upstream_stats(stats, m);
    else if (m->worker)
        on_store_stats(stats, m);
}

static void on_stats_clear(void *arg)
{
    struct manager *m = arg;

    cache_stats_clear(m->cache);
    if (m->upstream)
        upstream_stats_clear(m->upstream);
    else if (m->worker)
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
    m->settings.purge_old_entry = s.purge_old_entry;
    m->settings.loose_age = s.loose_age;
    lastgood_keep(json_object_get(config, "content"));
    if (m->misconfigured)
        service_exit(m->svc, SERVICE_EXIT_ROUTER);
    cache_set_limit(m->cache, s.purge_target_size);
    purge_age_changed(m);
    return 0;
}

static int on_stop(void *arg)
{
    struct manager *m = arg;

    m->stopping = true;
    if (m->upstream ? !upstream_busy(m->upstream) : !m->worker || worker_pending(m->worker) == 0)
        service_exit(m->svc, EXIT_SUCCESS);
    return 0;
}

static void begin_repair(struct manager *m);

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
    } else if (m->repair_req && worker_pending(m->worker) == 0) {
        begin_repair(m);
    }
}

static void log_scan(const struct manager *m, const struct segment_scan *scan)
{
    static const char *const fields[] = { "MESSAGE_ID=" LOG_ID_CORRUPT_BLOB, NULL };
    static const char *const cut[] = { "MESSAGE_ID=" LOG_ID_JOURNAL_CUT, NULL };

    if (scan->damaged > 0)
        log_fields(LOG_ERR, fields,
                   "%zu commits in the journal of %s are damaged: what they stored cannot be read; "
                   "restore it from a backup",
                   scan->damaged, m->path);
    if (scan->dropped > 0)
        log_fields(LOG_WARNING, cut,
                   "%" PRIu64 " bytes at the end of the journal of %s are no whole commit and "
                   "were never acknowledged as durable",
                   scan->dropped, m->path);
}

static int open_journal(struct manager *m, struct store *st, struct journal **ret,
                        flux_error_t *error)
{
    const struct journal_params params = { .path = m->path,
                                           .sync = m->settings.sync,
                                           .hash = m->settings.hash };
    struct segment_scan scan;
    int rc = journal_open(&params, st, &scan, ret, error);

    m->damaged_records = rc == 0 ? scan.damaged : 0;
    if (rc == 0)
        log_scan(m, &scan);
    return rc;
}

static int open_store(struct manager *m, flux_error_t *error)
{
    struct store_params params = { .path = m->path,
                                   .sync = m->settings.sync,
                                   .hash = m->settings.hash };
    struct store *st = NULL;
    struct journal *j;
    int rc;

    if (m->lock_fd < 0 && (rc = lock_take(m->path, true, &m->lock_fd, error)) < 0)
        return rc;
    if ((rc = lock_check(m->path, m->lock_fd, error)) < 0 ||
        (rc = store_open(&params, &st, error)) < 0)
        return rc;
    lock_mark(m->lock_fd);
    if ((rc = open_journal(m, st, &j, error)) < 0) {
        store_close(st);
        return rc;
    }
    if ((rc = worker_new(st, j, params.sync, &m->worker)) < 0)
        return errorx_fail(error, -rc, "%s", strerror(-rc));
    return 0;
}

static int manager_open(struct manager *m);

static void on_retry(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct manager *m = arg;

    flux_watcher_stop(w);
    if (m->worker || m->repair_req || m->stopping)
        return;
    if (manager_open(m) < 0)
        service_exit(m->svc, EXIT_FAILURE);
}

/* Without a timer the next process tries again. */
static void retry_later(struct manager *m)
{
    if (!m->retry_timer)
        m->retry_timer =
            flux_timer_watcher_create(service_reactor(m->svc), RETRY_SECONDS, 0., on_retry, m);
    if (!m->retry_timer) {
        service_exit(m->svc, EXIT_FAILURE);
        return;
    }
    flux_timer_watcher_reset(m->retry_timer, RETRY_SECONDS, 0.);
    flux_watcher_start(m->retry_timer);
}

/* A file that cannot be used does not end the process: it would only be started again. Whoever asks
 * is told why, and it can be repaired. */
static void refuse(struct manager *m, int errnum, const flux_error_t *error)
{
    static const char *const corrupt[] = { "MESSAGE_ID=" LOG_ID_CORRUPT_BLOB, NULL };
    static const char *const unused[] = { "MESSAGE_ID=" LOG_ID_STORE_UNUSED, NULL };
    bool damaged = errnum == EBADMSG || errnum == ENOENT;
    bool again = errnum == ENOSPC && m->refusal_errnum == ENOSPC;

    m->refusal_errnum = damaged ? EIO : errnum;
    if (errnum == EBADMSG)
        errorx_set(&m->refusal, "%.120s; see 'flux content repair'", error->text);
    else if (errnum == ENOSPC)
        errorx_set(&m->refusal, "%.120s: the disk is full, there is no room to begin", m->path);
    else
        m->refusal = *error;
    if (!again)
        log_fields(LOG_ERR, damaged ? corrupt : unused, "%s", m->refusal.text);
    service_status(m->svc, "Refusing: %s", m->refusal.text);
    if (errnum == ENOSPC)
        retry_later(m);
}

/* Can somebody who reads the sentence do something about it? */
static bool is_refusal(int rc)
{
    return rc == -EBADMSG || rc == -ENOENT || rc == -EPROTO || rc == -EINVAL || rc == -ENOSPC;
}

static int manager_open(struct manager *m)
{
    flux_error_t error = { .text = "" };
    int rc = open_store(m, &error);

    if (is_refusal(rc)) {
        refuse(m, -rc, &error);
        return 0;
    }
    if (rc < 0) {
        log_err("%s", error.text);
        return rc;
    }
    m->watcher = flux_fd_watcher_create(service_reactor(m->svc), worker_fd(m->worker), FLUX_POLLIN,
                                        on_worker, m);
    if (!m->watcher)
        return -ENOMEM;
    flux_watcher_start(m->watcher);
    service_status(m->svc, "Storing in %s, sync %s", m->path, store_sync_name(m->settings.sync));
    return 0;
}

static int manager_serve(struct manager *m, const char *dir)
{
    if (!(m->path = startattr_get(service_flux(m->svc), "content.backing-path")) &&
        asprintf(&m->path, "%s/content.sqlite", dir) < 0) {
        m->path = NULL;
        return -ENOMEM;
    }
    return manager_open(m);
}

/* --- content.repair: everything else is refused until it is done */

static void on_repaired(int rc, const struct salvage_report *report, const char *error, void *arg)
{
    struct manager *m = arg;
    struct request *req = m->repair_req;
    CLEANUP(json_decrefp) json_t *o = NULL;

    m->repair_req = NULL;
    if (rc < 0) {
        errorx_set(&m->refusal, "the repair failed: %.120s", error);
        m->refusal_errnum = EIO;
        log_err("%s", m->refusal.text);
        (void)request_fail(req, -rc, "%s", error);
    } else {
        log_notice("repaired %s: %" PRIu64 " blobs are sound, %" PRIu64 " are not", m->path,
                   report->blobs, report->damaged);
        cache_drop(m->cache);
        if (manager_open(m) < 0)
            service_exit(m->svc, EXIT_FAILURE);
        o = report_salvage(report);
        (void)request_respond_json(req, o);
    }
    request_unref(req);
    m->repair = repair_free(m->repair);
}

/* Nothing is under way: the files are let go. */
static void begin_repair(struct manager *m)
{
    const struct store_params params = { .path = m->path,
                                         .sync = m->settings.sync,
                                         .hash = m->settings.hash };
    int rc;

    flux_watcher_destroy(m->watcher);
    m->watcher = NULL;
    m->worker = worker_free(m->worker);
    if ((rc = repair_new(service_reactor(m->svc), &params, on_repaired, m, &m->repair)) < 0)
        on_repaired(rc, NULL, strerror(-rc), m);
    else
        service_status(m->svc, "Repairing %s", m->path);
}

int rpc_repair(struct request *req, void *arg)
{
    struct manager *m = arg;

    if (m->upstream)
        return upstream_pass(m->upstream, req, false);
    if (m->repair_req || m->failed || m->stopping || m->lock_fd < 0)
        return request_explain(req, EBUSY, "%s is in use by a repair or by another process",
                               m->path);
    m->repair_req = request_ref(req);
    m->refusal_errnum = EAGAIN;
    errorx_set(&m->refusal, "%s is being repaired, try again later", m->path);
    if (!m->worker || worker_pending(m->worker) == 0)
        begin_repair(m);
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

/* --- the cache */

static double purge_interval(const struct manager *m)
{
    return m->settings.purge_old_entry < 1 ? 1 : m->settings.purge_old_entry;
}

static void on_excess(void *arg)
{
    struct manager *m = arg;

    if (flux_watcher_is_active(m->purge_timer))
        return;
    flux_timer_watcher_reset(m->purge_timer, purge_interval(m), 0);
    flux_watcher_start(m->purge_timer);
}

void purge_age_changed(struct manager *m)
{
    cache_set_old_entry(m->cache, m->settings.purge_old_entry);
    if (flux_watcher_is_active(m->purge_timer)) { /* it waits as long as was told before */
        flux_watcher_stop(m->purge_timer);
        on_excess(m);
    }
}

static void on_purge(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct manager *m = arg;

    if (cache_purge(m->cache))
        on_excess(m);
}

static int open_cache(struct manager *m)
{
    int rc = cache_new(m->settings.purge_target_size, &m->cache);

    if (rc < 0)
        return rc;
    m->purge_timer = flux_timer_watcher_create(service_reactor(m->svc), 0, 0, on_purge, m);
    if (!m->purge_timer)
        return -ENOMEM;
    cache_set_old_entry(m->cache, m->settings.purge_old_entry);
    cache_on_excess(m->cache, on_excess, m);
    return 0;
}

static int parse_table(const json_t *table, void *arg, flux_error_t *error)
{
    struct manager *m = arg;

    return settings_parse(table, service_statedir(m->svc) != NULL, &m->settings, error);
}

/* Settings that are refused end nobody: who asks is told, until there are better ones. */
static int read_settings(struct manager *m)
{
    flux_error_t error;
    int rc = lastgood_parse(m->svc, "content", parse_table, m, &error);

    if (rc == 0)
        rc = startattr_take(service_flux(m->svc), &m->settings, &error);
    if (rc == 0)
        return 0;
    m->misconfigured = true;
    service_misconfigured_serve(m->svc, error.text);
    return parse_table(NULL, m, &error);
}

int manager_new(struct service *svc, struct manager **ret)
{
    CLEANUP(manager_freep) struct manager *m = calloc(1, sizeof(*m));
    const char *dir = service_statedir(svc) ? service_statedir(svc) : service_rundir(svc);
    int rc;

    if (!m)
        return -ENOMEM;
    m->svc = svc;
    m->lock_fd = -EBADF;
    LIST_INIT(&m->pendings);
    if ((rc = read_settings(m)) < 0 || (rc = open_cache(m)) < 0)
        return rc;
    if (!m->misconfigured)
        rc = service_rank(svc) > 0 ? manager_follow(m) : manager_serve(m, dir);
    if (rc == 0)
        *ret = TAKE(m);
    return rc;
}

struct manager *manager_free(struct manager *m)
{
    if (m) {
        flux_watcher_destroy(m->retry_timer);
        repair_free(m->repair);
        request_unref(m->repair_req);
        flux_watcher_destroy(m->watcher);
        worker_free(m->worker);
        closep(&m->lock_fd);
        upstream_free(m->upstream);
        while (!LIST_EMPTY(&m->pendings))
            pending_free(LIST_FIRST(&m->pendings));
        flux_watcher_destroy(m->purge_timer);
        cache_free(m->cache);
        free(m->path);
        free(m);
    }
    return NULL;
}
