/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Forgetting jobs that ended. What is to be purged comes in batches (purge-run.c decides which and
 * how often); the directories of a batch and the new total, job-state.npurged, are one commit, with
 * whatever else is due. When it is durable the journal tells the ids.
 *
 * Refuses active jobs, and waitable ones that nobody waited for yet: their result was promised. The
 * job-active entry of one that was waited for goes with its directory at the latest. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/fluid.h"
#include "manager.h"

void purge_deinit(struct manager *m)
{
    free(m->purge.ids);
    m->purge.ids = NULL;
}

bool purge_may(struct manager *m, flux_jobid_t id)
{
    return !manager_find(m, id) && !wait_holds(m, id);
}

uint64_t purge_held(const struct manager *m)
{
    return m->ninactive - m->commit.ninactive - m->purge.npurged;
}

int purge_post(struct manager *m, const flux_jobid_t *ids, size_t n, size_t ngone)
{
    struct purge *p = &m->purge;

    if (p->n > 0)
        return -EBUSY;
    if (!(p->ids = calloc(n ? n : 1, sizeof(*ids))))
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (purge_may(m, ids[i]))
            p->ids[p->n++] = ids[i];
    p->ngone = ngone < p->n ? ngone : p->n;
    if (p->n == 0)
        purge_deinit(m);
    return (int)p->n;
}

bool purge_due(const struct manager *m)
{
    return m->purge.n > 0;
}

int purge_commit(struct manager *m)
{
    struct purge *p = &m->purge;
    char key[96] = "job.", text[32];
    int rc = 0;

    p->committing = p->n > 0;
    if (!p->committing)
        return 0;
    for (size_t i = 0; i < p->n && rc == 0; i++) {
        if (fluid_encode(key + 4, sizeof(key) - 4, p->ids[i], FLUID_DOTHEX) < 0)
            return -EINVAL;
        rc = m->ops->kvs_prune(m->arg, key);
        if (rc == 0)
            rc = wait_forget(m, p->ids[i]);
    }
    (void)snprintf(text, sizeof(text), "%" PRIu64, p->npurged + p->n - p->ngone);
    return rc < 0 ? rc : m->ops->kvs_put(m->arg, "job-state.npurged", text);
}

void purge_durable(struct manager *m)
{
    struct purge *p = &m->purge;
    const size_t n = p->n;

    if (!p->committing)
        return;
    p->committing = false;
    p->npurged += n - p->ngone;
    journal_purged(m, p->ids, n);
    p->n = 0;
    purge_deinit(m);
    if (p->done)
        p->done(p->arg, n);
}
