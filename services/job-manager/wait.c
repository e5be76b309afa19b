/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* job-manager.wait: each waitable job that ends is told to exactly one waiter. One that ends with
 * nobody waiting is kept (a zombie) until somebody does; the oldest is dropped when there are too
 * many. Refuses (ECHILD) to wait for what cannot come.
 *
 * A restart forgets none: the job-active entry of a waitable job is not unlinked with its `clean`
 * event but with the commit after it was told, and a job that is found there and has ended is a
 * zombie. So a result may be told a second time if the process dies between answer and commit;
 * it is never lost with one that nobody received. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/errorx.h"
#include "manager.h"

#define ZOMBIES_MAX 65536

struct waiter {
    flux_jobid_t id; /* FLUX_JOBID_ANY: on the list */
    struct request *req;
    UT_hash_handle hh;     /* by id */
    UT_hash_handle hh_req; /* by request */
    TAILQ_ENTRY(waiter) link;
};

struct zombie {
    flux_jobid_t id;
    UT_hash_handle hh;
    TAILQ_ENTRY(zombie) link;
    char *answer;
};

static bool is_waitable(const struct job *job)
{
    return job->flags & FLUX_JOB_WAITABLE;
}

bool wait_keeps(const struct job *job)
{
    return is_waitable(job);
}

/* Have one of the next commits unlink its entry. */
static void forget(struct manager *m, flux_jobid_t id)
{
    struct wait *w = &m->wait;

    if (w->ntold == w->told_cap) {
        const size_t cap = w->told_cap ? w->told_cap * 2 : 64;
        flux_jobid_t *told = reallocarray(w->told, cap, sizeof(*told));

        if (!told)
            return; /* a restart will have it told again */
        w->told = told;
        w->told_cap = cap;
    }
    w->told[w->ntold++] = id;
}

void wait_committed(struct manager *m)
{
    struct wait *w = &m->wait;

    w->ntold -= w->ntold_committing;
    if (w->ntold > 0 && w->ntold_committing > 0)
        memmove(w->told, w->told + w->ntold_committing, w->ntold * sizeof(w->told[0]));
    w->ntold_committing = 0;
    if (w->ntold > 0)
        commit_soon(m);
}

bool wait_holds(struct manager *m, flux_jobid_t id)
{
    struct zombie *z;

    HASH_FIND(hh, m->wait.zombies, &id, sizeof(id), z);
    return z != NULL;
}

int wait_forget(struct manager *m, flux_jobid_t id)
{
    const struct wait *w = &m->wait;

    for (size_t i = w->ntold_committing; i < w->ntold; i++) /* those before are in it */
        if (w->told[i] == id)
            return commit_unlink_active(m, id);
    return 0;
}

static void waiter_free(struct manager *m, struct waiter *waiter)
{
    if (waiter->id == FLUX_JOBID_ANY) {
        TAILQ_REMOVE(&m->wait.any, waiter, link);
        m->wait.nany--;
    } else
        HASH_DEL(m->wait.by_id, waiter);
    HASH_DELETE(hh_req, m->wait.by_req, waiter);
    m->ops->unref(m->arg, waiter->req);
    free(waiter);
}

static void zombie_free(struct wait *w, struct zombie *z)
{
    TAILQ_REMOVE(&w->order, z, link);
    HASH_DEL(w->zombies, z);
    w->nzombies--;
    free(z->answer);
    free(z);
}

void wait_deinit(struct manager *m)
{
    struct waiter *waiter, *tmp;
    struct zombie *z;

    TAILQ_FOREACH_SAFE (waiter, &m->wait.any, link, tmp)
        waiter_free(m, waiter);
    HASH_ITER (hh, m->wait.by_id, waiter, tmp)
        waiter_free(m, waiter);
    while ((z = TAILQ_FIRST(&m->wait.order)))
        zombie_free(&m->wait, z);
    free(m->wait.told);
}

void wait_active(struct manager *m, struct job *job)
{
    if (is_waitable(job))
        m->wait.nwaitable++;
}

static char *wait_answer(const struct job *job)
{
    CLEANUP(freep) char *failure = job_failure(job);
    struct text t = { 0 };

    if (!failure)
        return NULL;
    text_addf(&t, "{\"id\":%" PRIu64 ",\"success\":%s,\"errstr\":", job->id,
              job_succeeded(job) ? "true" : "false");
    text_add_json_string(&t, failure);
    text_adds(&t, "}");
    return text_steal(&t);
}

static void zombie_add(struct manager *m, flux_jobid_t id, char **answer)
{
    struct wait *w = &m->wait;
    struct zombie *z = calloc(1, sizeof(*z));

    if (!z)
        return;
    z->id = id;
    HASH_ADD(hh, w->zombies, id, sizeof(z->id), z);
    if (!z->hh.tbl) {
        free(z);
        return;
    }
    z->answer = TAKE(*answer);
    TAILQ_INSERT_TAIL(&w->order, z, link);
    if (++w->nzombies > ZOMBIES_MAX) {
        forget(m, TAILQ_FIRST(&w->order)->id);
        zombie_free(w, TAILQ_FIRST(&w->order));
    }
}

void wait_resume(struct manager *m, const struct job *job)
{
    CLEANUP(freep) char *answer = NULL;
    struct zombie *z;

    HASH_FIND(hh, m->wait.zombies, &job->id, sizeof(job->id), z);
    if (z || !is_waitable(job))
        return;
    answer = wait_answer(job);
    if (answer)
        zombie_add(m, job->id, &answer);
    else
        manager_fatal(m, ENOMEM, "cannot take up a job that ended");
}

void wait_inactive(struct manager *m, struct job *job)
{
    CLEANUP(freep) char *answer = NULL;
    struct waiter *waiter;

    if (!is_waitable(job))
        return;
    m->wait.nwaitable--;
    answer = wait_answer(job);
    if (!answer) {
        manager_fatal(m, ENOMEM, "cannot tell that a job ended");
        return;
    }
    HASH_FIND(hh, m->wait.by_id, &job->id, sizeof(job->id), waiter);
    if (!waiter)
        waiter = TAILQ_FIRST(&m->wait.any);
    if (waiter) {
        m->ops->respond(m->arg, waiter->req, answer);
        waiter_free(m, waiter);
        forget(m, job->id);
        commit_soon(m); /* its end was committed just now: share the next one */
    } else
        zombie_add(m, job->id, &answer);
}

void wait_gone(struct manager *m, struct request *req)
{
    struct waiter *waiter;

    HASH_FIND(hh_req, m->wait.by_req, &req, sizeof(req), waiter);
    if (waiter)
        waiter_free(m, waiter);
}

static int wait_enqueue(struct manager *m, flux_jobid_t id, struct request *req)
{
    struct waiter *waiter = calloc(1, sizeof(*waiter));

    if (!waiter)
        return -ENOMEM;
    waiter->id = id;
    waiter->req = req;
    HASH_ADD(hh_req, m->wait.by_req, req, sizeof(waiter->req), waiter);
    if (!waiter->hh_req.tbl) {
        free(waiter);
        return -ENOMEM;
    }
    if (id == FLUX_JOBID_ANY) {
        TAILQ_INSERT_TAIL(&m->wait.any, waiter, link);
        m->wait.nany++;
    } else {
        HASH_ADD(hh, m->wait.by_id, id, sizeof(waiter->id), waiter);
        if (!waiter->hh.tbl) {
            HASH_DELETE(hh_req, m->wait.by_req, waiter);
            free(waiter);
            return -ENOMEM;
        }
    }
    (void)m->ops->ref(m->arg, req);
    return 0;
}

static int wait_check(struct manager *m, flux_jobid_t id, flux_error_t *error)
{
    struct waiter *waiter;
    struct job *job;

    if (id == FLUX_JOBID_ANY) {
        if (m->wait.nwaitable <= HASH_COUNT(m->wait.by_id) + m->wait.nany)
            return errorx_fail(error, ECHILD, "there are no more waitable jobs");
        return 0;
    }
    job = manager_find(m, id);
    if (!job)
        return errorx_fail(error, ECHILD,
                           "the job is unknown, or has ended and was not waitable or waited for");
    if (!is_waitable(job))
        return errorx_fail(error, ECHILD, "the job was not submitted with the waitable flag");
    HASH_FIND(hh, m->wait.by_id, &id, sizeof(id), waiter);
    if (waiter)
        return errorx_fail(error, ECHILD, "somebody waits for this job already");
    return 0;
}

int wait_job(struct manager *m, struct asker who, flux_jobid_t id, struct request *req,
             flux_error_t *error)
{
    struct zombie *z;
    int rc;

    if (!who.owner)
        return errorx_fail(error, EPERM, "only the instance owner can wait for jobs");
    if (id == FLUX_JOBID_ANY)
        z = TAILQ_FIRST(&m->wait.order);
    else
        HASH_FIND(hh, m->wait.zombies, &id, sizeof(id), z);
    if (z) {
        m->ops->respond(m->arg, req, z->answer);
        forget(m, z->id);
        m->commit.urgent = true;
        zombie_free(&m->wait, z);
        return 0;
    }
    rc = wait_check(m, id, error);
    return rc < 0 ? rc : wait_enqueue(m, id, req);
}
