/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Submissions to the KVS, one commit in flight. What arrives meanwhile makes the next one.
 * A commit that found no space refuses its submissions. After any other failure nobody knows what
 * was stored: the daemon ends (clients see ECONNRESET, nothing was acknowledged), and the next one
 * names what is in the KVS to the job manager. */
#include <errno.h>
#include <string.h>

#include "service/log.h"
#include "ingest.h"

static void on_commit(flux_future_t *f, void *arg)
{
    struct ingest *in = arg;
    struct submission *s;
    int errnum = flux_future_get(f, NULL) < 0 ? errno : 0;

    if (errnum != 0)
        log_err("commit of submitted jobs: %s", flux_future_error_string(f));
    flux_future_destroy(f);
    in->commit = NULL;
    if (errnum == ENOSPC) {
        while ((s = batch_pop(&in->committing)))
            ingest_refuse(in, s, ENOSPC, "no space left to store the job");
        return;
    }
    if (errnum != 0 || announce(in, &in->committing) < 0)
        service_exit(in->svc, SERVICE_EXIT_ROUTER);
}

static int commit_send(struct ingest *in)
{
    flux_kvs_txn_t *txn;
    flux_future_t *f;
    int rc = 0;

    batch_take(&in->waiting, &in->committing);
    txn = batch_txn(&in->committing);
    if (!txn)
        return -errno;
    f = flux_kvs_commit(in->h, KVS_PRIMARY_NAMESPACE, 0, txn);
    if (!f || flux_future_then(f, -1., on_commit, in) < 0) {
        rc = -errno;
        flux_future_destroy(f);
        f = NULL;
    }
    flux_kvs_txn_destroy(txn);
    in->commit = f;
    in->ncommits++;
    return rc;
}

static void on_prepare(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct ingest *in = arg;

    if (!in->commit && in->waiting.n > 0) {
        int rc = commit_send(in);

        if (rc < 0) {
            log_err("cannot send a commit to the KVS: %s", strerror(-rc));
            service_exit(in->svc, SERVICE_EXIT_ROUTER);
        }
    }
    if (in->stopping && in->naccepted == 0)
        service_exit(in->svc, 0);
}

int commit_open(struct ingest *in)
{
    in->prepare = flux_prepare_watcher_create(service_reactor(in->svc), on_prepare, in);
    if (!in->prepare)
        return -errno;
    flux_watcher_start(in->prepare);
    return 0;
}

void commit_close(struct ingest *in)
{
    flux_watcher_destroy(in->prepare);
    flux_future_destroy(in->commit);
}
