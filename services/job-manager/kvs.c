/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Transactions of commit.c as KVS commits. At most one is open and one in flight. */
#include <errno.h>
#include <string.h>

#include "base/monotime.h"
#include "service/log.h"
#include "daemon.h"

#define RETRY_SECONDS 1.

static int txn_open(struct daemon *d)
{
    if (!d->txn)
        d->txn = flux_kvs_txn_create();
    return d->txn ? 0 : -errno;
}

int kvs_append(void *arg, const char *key, const char *data, size_t len)
{
    struct daemon *d = arg;

    if (txn_open(d) < 0 || flux_kvs_txn_put_raw(d->txn, FLUX_KVS_APPEND, key, data, (int)len) < 0)
        return -errno;
    return 0;
}

int kvs_put(void *arg, const char *key, const char *value)
{
    struct daemon *d = arg;

    return txn_open(d) < 0 || flux_kvs_txn_put(d->txn, 0, key, value) < 0 ? -errno : 0;
}

int kvs_unlink(void *arg, const char *key)
{
    struct daemon *d = arg;

    return txn_open(d) < 0 || flux_kvs_txn_unlink(d->txn, 0, key) < 0 ? -errno : 0;
}

static void on_commit(flux_future_t *f, void *arg)
{
    struct daemon *d = arg;
    int errnum = flux_future_get(f, NULL) < 0 ? errno : 0;

    if (errnum != 0)
        log_err("commit of job events: %s", flux_future_error_string(f));
    flux_future_destroy(f);
    d->commit = NULL;
    if (errnum == 0)
        counters_commit(&d->m, monotime_usec() - d->commit_begun_usec);
    if (errnum == ENOSPC)
        flux_timer_watcher_reset(d->retry, RETRY_SECONDS, 0.);
    if (errnum == ENOSPC)
        flux_watcher_start(d->retry);
    commit_done(&d->m, errnum);
}

int kvs_prune(void *arg, const char *key)
{
    struct daemon *d = arg;

    return txn_open(d) < 0 || flux_kvs_txn_prune(d->txn, 0, key) < 0 ? -errno : 0;
}

int kvs_make_namespace(void *arg, const char *key, const char *ns, uint32_t owner)
{
    struct daemon *d = arg;

    if (txn_open(d) < 0 || flux_kvs_txn_namespace(d->txn, 0, key, ns, owner) < 0)
        return -errno;
    return 0;
}

int kvs_archive(void *arg, const char *key, const char *ns, const char *log)
{
    struct daemon *d = arg;

    return txn_open(d) < 0 || flux_kvs_txn_archive_job(d->txn, 0, key, ns, log) < 0 ? -errno : 0;
}

int kvs_send(void *arg)
{
    struct daemon *d = arg;
    flux_future_t *f = NULL;
    int rc = txn_open(d);

    if (rc == 0) {
        f = flux_kvs_commit(d->h, KVS_PRIMARY_NAMESPACE, 0, d->txn);
        if (!f || flux_future_then(f, -1., on_commit, d) < 0)
            rc = -errno;
    }
    flux_kvs_txn_destroy(d->txn);
    d->txn = NULL;
    if (rc < 0) {
        flux_future_destroy(f);
        return rc;
    }
    d->commit = f;
    d->commit_begun_usec = monotime_usec();
    return 0;
}

static void on_retry(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct daemon *d = arg;

    commit_retry(&d->m);
}

static void on_late(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct daemon *d = arg;

    commit_late(&d->m);
}

void kvs_timer(void *arg, double seconds)
{
    struct daemon *d = arg;

    flux_watcher_stop(d->late);
    if (seconds <= 0.)
        return;
    flux_timer_watcher_reset(d->late, seconds, 0.);
    flux_watcher_start(d->late);
}

int kvs_open(struct daemon *d)
{
    flux_reactor_t *r = service_reactor(d->svc);

    d->retry = flux_timer_watcher_create(r, RETRY_SECONDS, 0., on_retry, d);
    d->late = flux_timer_watcher_create(r, 1., 0., on_late, d);
    return d->retry && d->late ? 0 : -errno;
}

void kvs_close(struct daemon *d)
{
    flux_watcher_destroy(d->late);
    flux_watcher_destroy(d->retry);
    flux_future_destroy(d->commit);
    flux_kvs_txn_destroy(d->txn);
}
