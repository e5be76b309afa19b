/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A lost stream is opened again after RETRY_MIN seconds, each time twice as late, up to RETRY_MAX:
 * asking is what starts the job manager again. */
#include <string.h>

#include "job-list/journal.h"
#include "service/log.h"

#define RETRY_MIN 0.05
#define RETRY_MAX 2.

struct journal {
    flux_t *h;
    struct journal_ops ops;
    void *arg;
    flux_future_t *f;
    flux_watcher_t *retry;
    double delay;
    struct log_ratelimit lost_limit;
};

static int journal_open(struct journal *j);

static void journal_lost(struct journal *j, const char *why)
{
    flux_future_destroy(j->f);
    j->f = NULL;
    if (log_ratelimit(&j->lost_limit, 5.))
        log_notice("the journal of the job manager ended (%s): opening it again", why);
    flux_timer_watcher_reset(j->retry, j->delay, 0.);
    flux_watcher_start(j->retry);
    j->delay = j->delay * 2 > RETRY_MAX ? RETRY_MAX : j->delay * 2;
    j->ops.lost(j->arg);
}

static int read_page(struct journal *j, flux_future_t *f)
{
    json_t *jobs, *purged = NULL;
    json_int_t ninactive, npurged, serial;

    if (flux_rpc_get_unpack(f, "{s:o s?o s:I s:I s:I}", "jobs", &jobs, "purged", &purged,
                            "ninactive", &ninactive, "npurged", &npurged, "serial", &serial) < 0)
        return -errno;
    j->delay = RETRY_MIN;
    return j->ops.page(&(struct journal_page){ .jobs = jobs,
                                               .purged = purged,
                                               .ninactive = (uint64_t)ninactive,
                                               .npurged = (uint64_t)npurged,
                                               .serial = (uint64_t)serial },
                       j->arg);
}

static void on_response(flux_future_t *f, void *arg)
{
    struct journal *j = arg;
    int rc = read_page(j, f);

    if (rc < 0)
        journal_lost(j, strerror(-rc));
    else
        flux_future_reset(f);
}

static int journal_open(struct journal *j)
{
    j->f = flux_rpc_pack(j->h, "job-manager.events-journal", FLUX_NODEID_ANY, FLUX_RPC_STREAMING,
                         "{s:I}", "since", (json_int_t)j->ops.since(j->arg));
    return j->f && flux_future_then(j->f, -1., on_response, j) == 0 ? 0 : -errno;
}

static void on_retry(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct journal *j = arg;
    int rc = journal_open(j);

    if (rc < 0)
        journal_lost(j, strerror(-rc));
}

int journal_new(flux_t *h, const struct journal_ops *ops, void *arg, struct journal **ret)
{
    CLEANUP(journal_freep) struct journal *j = calloc(1, sizeof(*j));
    int rc;

    if (!j)
        return -ENOMEM;
    j->h = h;
    j->ops = *ops;
    j->arg = arg;
    j->delay = RETRY_MIN;
    j->retry = flux_timer_watcher_create(flux_get_reactor(h), 0., 0., on_retry, j);
    if (!j->retry)
        return -ENOMEM;
    if ((rc = journal_open(j)) < 0)
        return rc;
    *ret = TAKE(j);
    return 0;
}

struct journal *journal_free(struct journal *j)
{
    if (!j)
        return NULL;
    flux_watcher_destroy(j->retry);
    flux_future_destroy(j->f);
    free(j);
    return NULL;
}
