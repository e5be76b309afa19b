/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The table of active jobs and the turn of work. A job is here from its submission until its
 * `clean` event is durable. Invariant: m->jobs, the queues and the lists agree with the flags in
 * struct job; counts[] with the states. */
#include <errno.h>
#include <string.h>

#include "base/errorx.h"
#include "base/fluid.h"
#include "service/log.h"
#include "manager.h"

#define ADVANCE_MAX 8192 /* jobs looked at in one turn */

void manager_init(struct manager *m, const struct manager_ops *ops, void *arg, uint32_t owner)
{
    *m = (struct manager){ .ops = ops, .arg = arg, .owner = owner };
    TAILQ_INIT(&m->todo);
    TAILQ_INIT(&m->commit.dirty);
    STAILQ_INIT(&m->commit.answers);
    STAILQ_INIT(&m->commit.answers_batch);
    queue_init(&m->alloc.pending, false);
    queue_init(&m->alloc.outstanding, true);
    TAILQ_INIT(&m->wait.any);
    TAILQ_INIT(&m->wait.order);
    TAILQ_INIT(&m->journal.listeners);
    TAILQ_INIT(&m->journal.ring);
    STAILQ_INIT(&m->journal.syncs);
    LIST_INIT(&m->depend.begin_times);
    control_init(m);
}

static void answers_drop(struct manager *m, struct job_answers *answers)
{
    struct job_answer *a;

    while ((a = STAILQ_FIRST(answers))) {
        STAILQ_REMOVE_HEAD(answers, link);
        m->ops->unref(m->arg, a->req);
        free(a->json);
        free(a);
    }
}

void manager_deinit(struct manager *m)
{
    struct job *job, *tmp;

    purge_deinit(m);
    quiesce_deinit(m);
    control_deinit(m);
    journal_deinit(m);
    wait_deinit(m);
    if (m->start.hello)
        m->ops->unref(m->arg, m->start.hello);
    text_deinit(&m->start.out);
    text_deinit(&m->start.archived);
    free(m->start.service);
    if (m->alloc.ready)
        m->ops->unref(m->arg, m->alloc.ready);
    for (size_t i = 0; i < m->alloc.nfreed; i++)
        job_unref(m->alloc.freed[i]);
    free(m->alloc.freed);
    queue_deinit(&m->alloc.outstanding);
    queue_deinit(&m->alloc.pending);
    answers_drop(m, &m->commit.answers_batch);
    answers_drop(m, &m->commit.answers);
    for (size_t i = 0; i < m->commit.nbatch; i++)
        job_unref(m->commit.batch[i]);
    free(m->commit.batch);
    TAILQ_FOREACH_SAFE (job, &m->commit.dirty, dirty_link, tmp)
        job_unref(job);
    TAILQ_FOREACH_SAFE (job, &m->todo, todo_link, tmp)
        job_unref(job);
    HASH_ITER (hh, m->jobs, job, tmp)
        dependency_drop(job);
    HASH_ITER (hh, m->jobs, job, tmp) {
        HASH_DEL(m->jobs, job);
        job_unref(job);
    }
}

void manager_fatal(struct manager *m, int errnum, const char *what)
{
    if (m->fatal == 0) {
        log_err("%s: %s; ending, to start again from what the KVS holds", what, strerror(errnum));
        m->fatal = -errnum;
    }
}

struct job *manager_find(struct manager *m, flux_jobid_t id)
{
    struct job *job;

    HASH_FIND(hh, m->jobs, &id, sizeof(id), job);
    return job;
}

int manager_find_for(struct manager *m, flux_jobid_t id, struct asker who, struct job **ret,
                     flux_error_t *error)
{
    struct job *job = manager_find(m, id);

    if (!job) {
        if (journal_is_inactive(m, id))
            return errorx_fail(error, ENOENT, "the job has ended");
        return errorx_fail(error, ENOENT, "the job is unknown, or has ended");
    }
    if (!who.owner && who.userid != job->userid)
        return errorx_fail(error, EPERM, "the job belongs to another user");
    if (job->state == JOB_STATE_INACTIVE)
        return errorx_fail(error, ENOENT, "the job has ended");
    *ret = job;
    return 0;
}

int manager_insert(struct manager *m, struct job *job)
{
    HASH_ADD(hh, m->jobs, id, sizeof(job->id), job);
    if (!job->hh.tbl)
        return -ENOMEM;
    job_ref(job);
    job->serial = ++m->next_serial;
    if (job->id > m->max_jobid)
        m->max_jobid = job->id;
    m->counts[job->state]++;
    wait_active(m, job);
    return 0;
}

size_t manager_count(const struct manager *m)
{
    return HASH_COUNT(m->jobs);
}

void manager_mark(struct manager *m, struct job *job)
{
    if (job->todo || m->loading)
        return;
    job->todo = true;
    TAILQ_INSERT_TAIL(&m->todo, job, todo_link);
    job_ref(job);
}

bool manager_process(struct manager *m)
{
    bool more;
    struct job *job;

    for (int i = 0; i < ADVANCE_MAX && (job = TAILQ_FIRST(&m->todo)); i++) {
        TAILQ_REMOVE(&m->todo, job, todo_link);
        job->todo = false;
        job_advance(m, job);
        job_unref(job);
    }
    start_flush(m);
    more = alloc_pump(m);
    commit_flush(m);
    more |= journal_flush(m);
    control_check(m);
    quiesce_check(m);
    return more || !TAILQ_EMPTY(&m->todo);
}
