/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The instance is being shut down: nothing new is started, what runs is cancelled, and whoever
 * asked is told when nothing runs any more. What is queued stays queued.
 *
 * This lasts as long as the request: if the router gives up or is started again, scheduling goes
 * on. It is no setting of the queue and is not stored. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "service/log.h"
#include "manager.h"

#define REASON "the instance is being shut down"

bool quiesce_is_on(const struct manager *m)
{
    return m->quiesce.req != NULL;
}

static bool is_idle(const struct manager *m)
{
    const size_t *n = m->counts;

    return n[JOB_STATE_RUN] + n[JOB_STATE_CLEANUP] + n[JOB_STATE_INACTIVE] == 0 &&
           queue_count(&m->alloc.outstanding) == 0;
}

/* What got its resources just before the scheduler was told to stop ends like the others. */
static void cancel_running(struct manager *m)
{
    struct job *job, *tmp;

    m->quiesce.outstanding = queue_count(&m->alloc.outstanding);
    HASH_ITER (hh, m->jobs, job, tmp) {
        if (job->state != JOB_STATE_RUN || job->failed)
            continue;
        if (event_post_exception(m, job, "cancel", 0, m->owner, REASON) < 0)
            manager_fatal(m, ENOMEM, "cannot cancel a job");
    }
}

/* How many still run, and the first of them by name. */
static void tell(struct manager *m)
{
    const size_t running = m->counts[JOB_STATE_RUN] + m->counts[JOB_STATE_CLEANUP];
    struct text t = { 0 };
    struct job *job, *tmp;
    int named = 0;

    m->quiesce.told = running;
    text_addf(&t, "{\"running\":%zu,\"ids\":[", running);
    HASH_ITER (hh, m->jobs, job, tmp) {
        if ((job->state == JOB_STATE_RUN || job->state == JOB_STATE_CLEANUP) && named < 8)
            text_addf(&t, "%s%" PRIu64, named++ > 0 ? "," : "", job->id);
    }
    text_addf(&t, "],\"idle\":%s}", is_idle(m) ? "true" : "false");
    if (t.failed)
        manager_fatal(m, ENOMEM, "cannot tell who runs");
    else
        m->ops->respond(m->arg, m->quiesce.req, t.s);
    text_deinit(&t);
}

int quiesce_begin(struct manager *m, struct request *req)
{
    if (m->quiesce.req)
        return -EBUSY;
    m->quiesce = (struct quiesce){ .req = m->ops->ref(m->arg, req), .told = SIZE_MAX };
    log_notice("nothing is started any more: " REASON);
    alloc_cancel_all(m);
    cancel_running(m);
    if (!is_idle(m))
        m->ops->announce(m->arg, NULL, "{\"enable\":false,\"disable_reason\":\"" REASON "\"}");
    return 0;
}

void quiesce_check(struct manager *m)
{
    struct quiesce *q = &m->quiesce;

    if (!q->req || q->idle)
        return;
    if (q->outstanding != queue_count(&m->alloc.outstanding))
        cancel_running(m);
    q->idle = is_idle(m);
    if (q->idle || q->told != m->counts[JOB_STATE_RUN] + m->counts[JOB_STATE_CLEANUP])
        tell(m);
}

void quiesce_deinit(struct manager *m)
{
    if (m->quiesce.req)
        m->ops->unref(m->arg, m->quiesce.req);
    m->quiesce = (struct quiesce){ .req = NULL };
}

void quiesce_end(struct manager *m)
{
    quiesce_deinit(m);
    log_notice("scheduling goes on: whoever wanted to shut the instance down is gone");
    control_announce(m);
}
