/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Events to the KVS. All events posted in one turn, over all jobs, become one commit: per job one
 * append with all its lines, with R, job-active and job-state beside them. One commit is in flight
 * at a time, so commits are ordered and a crash loses a suffix, never a hole. A job's log is one
 * text with two marks (see job.h); nothing is copied to be sent.
 *
 * A commit that failed for lack of space is known not to have happened and is tried again as it
 * was. After any other failure nobody knows: the daemon ends and reads what is true. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/fluid.h"
#include "service/log.h"
#include "manager.h"

#define COMMIT_JOBS_MAX  2048
#define COMMIT_BYTES_MAX (4u << 20)

static void commit_mark(struct manager *m, struct job *job)
{
    if (job->dirty)
        return;
    job->dirty = true;
    m->commit.ndirtied++;
    TAILQ_INSERT_TAIL(&m->commit.dirty, job, dirty_link);
    job_ref(job);
}

int event_post(struct manager *m, struct job *job, struct event *ev)
{
    enum job_state before = job->state;
    int rc;

    ev->timestamp = m->ops->now(m->arg);
    rc = event_apply(job, ev);
    if (rc == -ENOMEM) {
        manager_fatal(m, ENOMEM, "cannot apply an event");
        return rc;
    }
    if (rc < 0) {
        log_warning("job %" PRIu64 ": event %s cannot happen in state %s", job->id,
                    event_type_name(ev->type), job_state_name(before));
        return rc;
    }
    event_format(ev, &job->log);
    if (job->log.failed)
        manager_fatal(m, ENOMEM, "cannot record an event");
    job->nevents++;
    m->commit.nevents++;
    if (job->state != before) {
        m->counts[before]--;
        m->counts[job->state]++;
        if (job->state == JOB_STATE_RUN)
            job->effects |= JOB_EFFECT_STORE_R | JOB_EFFECT_START;
        if (job->state == JOB_STATE_INACTIVE)
            job->effects |= JOB_EFFECT_INACTIVE;
    }
    commit_mark(m, job);
    manager_mark(m, job);
    return 0;
}

int event_post_exception(struct manager *m, struct job *job, const char *type, int severity,
                         uint32_t userid, const char *note)
{
    struct event ev = {
        .type = EVENT_EXCEPTION, .etype = type, .severity = severity, .userid = userid, .note = note
    };

    return event_post(m, job, &ev);
}

void commit_answer(struct manager *m, struct request *req)
{
    struct job_answer *a;

    if (!req)
        return;
    a = calloc(1, sizeof(*a));
    if (!a) {
        m->ops->fail(m->arg, req, ENOMEM, NULL);
        return;
    }
    a->req = m->ops->ref(m->arg, req);
    a->ticket = m->commit.ndirtied;
    STAILQ_INSERT_TAIL(&m->commit.answers, a, link);
}

static void answer_all(struct manager *m, struct job_answers *answers)
{
    struct job_answer *a;

    while ((a = STAILQ_FIRST(answers))) {
        STAILQ_REMOVE_HEAD(answers, link);
        m->ops->respond(m->arg, a->req, "{}");
        m->ops->unref(m->arg, a->req);
        free(a);
    }
}

static int job_key(char *buf, size_t size, const char *prefix, flux_jobid_t jobid,
                   const char *suffix)
{
    /* Dots would make four levels of directories of it: job-active has one, to be listed. */
    bool flat = strcmp(prefix, "job-active") == 0;
    char id[32];
    int n;

    if (fluid_encode(id, sizeof(id), jobid, flat ? FLUID_DEC : FLUID_DOTHEX) < 0)
        return -EINVAL;
    n = snprintf(buf, size, "%s.%s%s", prefix, id, suffix);
    return n < 0 || (size_t)n >= size ? -EOVERFLOW : 0;
}

static int unlink_active(struct manager *m, flux_jobid_t id)
{
    char key[96];
    int rc = job_key(key, sizeof(key), "job-active", id, "");

    return rc < 0 ? rc : m->ops->kvs_unlink(m->arg, key);
}

static int commit_job(struct manager *m, struct job *job)
{
    char key[96];
    int rc = job_key(key, sizeof(key), "job", job->id, ".eventlog");

    if (rc == 0)
        rc = m->ops->kvs_append(m->arg, key, job->log.s + job->log_durable,
                                job->log_committing - job->log_durable);
    if (rc == 0 && (job->effects_committing & JOB_EFFECT_STORE_R)) {
        rc = job_key(key, sizeof(key), "job", job->id, ".R");
        if (rc == 0)
            rc = m->ops->kvs_put(m->arg, key, job->R);
    }
    if (rc == 0 && (job->effects_committing & JOB_EFFECT_INACTIVE) && !wait_keeps(job))
        rc = unlink_active(m, job->id);
    return rc;
}

/* Those that were waited for. The same ones if the commit is tried again. */
static int commit_told(struct manager *m)
{
    struct wait *w = &m->wait;
    int rc = 0;

    if (w->ntold_committing == 0)
        w->ntold_committing = w->ntold < COMMIT_JOBS_MAX ? w->ntold : COMMIT_JOBS_MAX;
    for (size_t i = 0; i < w->ntold_committing && rc == 0; i++)
        rc = unlink_active(m, w->told[i]);
    return rc;
}

/* Sends commit.batch. */
static void commit_send(struct manager *m)
{
    struct commit *c = &m->commit;
    char ninactive[32];
    bool any_inactive = false;
    int rc = 0;

    for (size_t i = 0; i < c->nbatch && rc == 0; i++) {
        rc = commit_job(m, c->batch[i]);
        if (c->batch[i]->effects_committing & JOB_EFFECT_INACTIVE)
            any_inactive = true;
    }
    if (rc == 0)
        rc = commit_told(m);
    if (rc == 0 && m->control.committing)
        rc = control_commit(m);
    if (rc == 0)
        rc = purge_commit(m);
    if (rc == 0 && any_inactive) {
        (void)snprintf(ninactive, sizeof(ninactive), "%" PRIu64, m->ninactive);
        rc = m->ops->kvs_put(m->arg, "job-state.ninactive", ninactive);
    }
    c->in_flight = true;
    c->retry = false;
    if (rc == 0)
        rc = m->ops->kvs_commit(m->arg);
    if (rc < 0)
        manager_fatal(m, -rc, "cannot send a commit to the KVS");
}

static int batch_add(struct commit *c, struct job *job)
{
    if (c->nbatch == c->batch_cap) {
        size_t cap = c->batch_cap ? c->batch_cap * 2 : 64;
        struct job **batch = reallocarray(c->batch, cap, sizeof(struct job *));

        if (!batch)
            return -ENOMEM;
        c->batch = batch;
        c->batch_cap = cap;
    }
    c->batch[c->nbatch++] = job; /* the reference of the dirty list moves here */
    return 0;
}

void commit_flush(struct manager *m)
{
    struct commit *c = &m->commit;
    struct job_answer *a;
    size_t bytes = 0;
    struct job *job;

    if (c->in_flight || c->retry || m->fatal < 0)
        return;
    while (c->nbatch < COMMIT_JOBS_MAX && bytes < COMMIT_BYTES_MAX &&
           (job = TAILQ_FIRST(&c->dirty))) {
        if (batch_add(c, job) < 0) {
            manager_fatal(m, ENOMEM, "cannot build a commit");
            return;
        }
        TAILQ_REMOVE(&c->dirty, job, dirty_link);
        c->ntaken++;
        job->dirty = false;
        job->log_committing = job->log.len;
        job->nevents_committing = job->nevents;
        job->effects_committing = job->effects;
        job->effects = 0;
        if (job->effects_committing & JOB_EFFECT_INACTIVE) {
            job->inactive_seq = ++m->ninactive;
            c->ninactive++;
        }
        bytes += job->log_committing - job->log_durable;
        if (job->effects_committing & JOB_EFFECT_STORE_R)
            bytes += strlen(job->R);
    }
    /* An answer speaks of all that was posted before it. */
    while ((a = STAILQ_FIRST(&c->answers)) && a->ticket <= c->ntaken) {
        STAILQ_REMOVE_HEAD(&c->answers, link);
        STAILQ_INSERT_TAIL(&c->answers_batch, a, link);
    }
    m->control.committing |= m->control.dirty;
    if (c->nbatch > 0 || m->wait.ntold > 0 || m->control.committing || purge_due(m)) {
        c->ncommits++;
        commit_send(m);
    } else
        answer_all(m, &c->answers_batch);
}

static void job_durable(struct manager *m, struct job *job)
{
    size_t from = job->log_durable;
    unsigned int seq = job->nevents_durable;
    unsigned int effects = job->effects_committing;

    job->log_durable = job->log_committing;
    job->nevents_durable = job->nevents_committing;
    job->effects_committing = 0;
    if (effects & JOB_EFFECT_INACTIVE)
        m->commit.ninactive--;
    journal_add(m, job, from, seq, effects);
    if (effects & JOB_EFFECT_START)
        manager_mark(m, job);
    if (effects & JOB_EFFECT_INACTIVE) {
        wait_inactive(m, job);
        m->counts[JOB_STATE_INACTIVE]--;
        journal_forget(m, job);
        HASH_DEL(m->jobs, job);
        job_unref(job);
    }
}

void commit_done(struct manager *m, int errnum)
{
    struct commit *c = &m->commit;

    c->in_flight = false;
    if (errnum == ENOSPC) {
        c->retry = true;
        return;
    }
    if (errnum != 0) {
        manager_fatal(m, errnum, "a commit failed and its outcome is unknown");
        return;
    }
    for (size_t i = 0; i < c->nbatch; i++) {
        job_durable(m, c->batch[i]);
        job_unref(c->batch[i]);
    }
    c->nbatch = 0;
    wait_committed(m);
    answer_all(m, &c->answers_batch);
    if (m->control.committing)
        control_durable(m);
    purge_durable(m);
}

void commit_retry(struct manager *m)
{
    if (m->commit.retry)
        commit_send(m);
}
