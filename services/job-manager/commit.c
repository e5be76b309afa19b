/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Events to the KVS. All events posted in one turn, over all jobs, become one commit: per job one
 * append with all its lines, with R, its namespace, job-active and job-state beside them. One
 * commit is in flight at a time, so commits are ordered and a crash loses a suffix, never a hole. A
 * job's log is one text with two marks (see job.h); nothing is copied to be sent.
 *
 * When: at once, unless one is in flight or all that was posted may wait (may_wait): then after
 * COMPANY_SECONDS at the latest, or with the next that may not. And when resources were freed that
 * other jobs wait for, the scheduler's answer is waited for, a message away: so the end of one job
 * and the `alloc` of the next that has its resources travel in one commit.
 *
 * Why that is safe: waiting makes the suffix that a crash loses longer, by time but not in kind.
 * What is acknowledged or done because of an event still waits for its commit: answers, the
 * journal, and job-exec.start, which needs `alloc` and R. And a `free` is never in a later commit
 * than an `alloc` that it made possible: it is posted first, and where a batch is cut short all
 * jobs with a `free` are in it. So what is durable never gives a core to two jobs.
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
#define COMPANY_SECONDS  0.01
#define SCHED_SECONDS    0.002

static void commit_mark(struct manager *m, struct job *job)
{
    if (job->dirty)
        return;
    job->dirty = true;
    job->dirty_ticket = ++m->commit.ndirtied;
    TAILQ_INSERT_TAIL(&m->commit.dirty, job, dirty_link);
    job_ref(job);
}

static void commit_arm(struct manager *m, enum commit_wait wait, double seconds)
{
    if (m->commit.wait < wait) {
        m->commit.wait = wait;
        m->ops->commit_timer(m->arg, seconds);
    }
}

static void commit_disarm(struct manager *m)
{
    if (m->commit.wait != COMMIT_WAIT_NONE)
        m->ops->commit_timer(m->arg, 0.);
    m->commit.wait = COMMIT_WAIT_NONE;
}

void commit_soon(struct manager *m)
{
    commit_arm(m, COMMIT_WAIT_COMPANY, COMPANY_SECONDS);
}

void commit_late(struct manager *m)
{
    m->commit.wait = COMMIT_WAIT_NONE;
    m->commit.urgent = true;
    alloc_late(m);
}

/* Nothing is done, and nobody answered, because of these; others of the job follow. */
static bool may_wait(const struct event *ev)
{
    return ev->type == EVENT_DEPEND || ev->type == EVENT_PRIORITY || ev->type == EVENT_START;
}

static void note_effects(struct manager *m, struct job *job, enum job_state before,
                         const struct event *ev)
{
    if (ev->type == EVENT_FREE) {
        job->effects |= JOB_EFFECT_FREE;
        m->commit.nfreeing++;
    }
    if (job->state == before)
        return;
    m->counts[before]--;
    m->counts[job->state]++;
    if (job->state == JOB_STATE_RUN)
        job->effects |= JOB_EFFECT_STORE_R | JOB_EFFECT_START;
    if (job->state == JOB_STATE_INACTIVE)
        job->effects |= JOB_EFFECT_INACTIVE;
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
    note_effects(m, job, before, ev);
    commit_mark(m, job);
    if (may_wait(ev))
        commit_soon(m);
    else
        m->commit.urgent = true;
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

static void answer_free(struct manager *m, struct job_answer *a)
{
    m->ops->unref(m->arg, a->req);
    free(a->json);
    free(a);
}

void commit_answer(struct manager *m, struct request *req, const char *json)
{
    struct job_answer *a;

    if (!req)
        return;
    a = calloc(1, sizeof(*a));
    if (!a || (json && !(a->json = strdup(json)))) {
        free(a);
        m->ops->fail(m->arg, req, ENOMEM, NULL);
        return;
    }
    a->req = m->ops->ref(m->arg, req);
    a->ticket = m->commit.ndirtied;
    m->commit.urgent = true;
    STAILQ_INSERT_TAIL(&m->commit.answers, a, link);
}

static void answer_all(struct manager *m, struct job_answers *answers)
{
    struct job_answer *a;

    while ((a = STAILQ_FIRST(answers))) {
        STAILQ_REMOVE_HEAD(answers, link);
        m->ops->respond(m->arg, a->req, a->json ? a->json : "{}");
        answer_free(m, a);
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

int commit_unlink_active(struct manager *m, flux_jobid_t id)
{
    char key[96];
    int rc = job_key(key, sizeof(key), "job-active", id, "");

    return rc < 0 ? rc : m->ops->kvs_unlink(m->arg, key);
}

/* Archives its namespace, with the last lines of its log if it ran. */
static int commit_archive(struct manager *m, struct job *job, const char *key, const char *ns)
{
    const double now = m->ops->now(m->arg);
    char log[192] = "";

    if (job->effects_committing & JOB_EFFECT_ARCHIVE)
        (void)snprintf(log, sizeof(log),
                       "{\"timestamp\":%.6f,\"name\":\"complete\",\"context\":{\"status\":%d}}\n"
                       "{\"timestamp\":%.6f,\"name\":\"done\"}\n",
                       now, job->status, now);
    return m->ops->kvs_archive(m->arg, key, ns, log);
}

/* The namespace that the job's user may write, and job.X.guest, a link to it, come with `alloc`,
 * and the archive with `finish`: two commits less. The execution service says which jobs are to be
 * archived here: those that ended well. What is due for a job that it never heard of is done here,
 * too. */
static int commit_namespace(struct manager *m, struct job *job)
{
    const bool ends = job->effects_committing & JOB_EFFECT_INACTIVE;
    const bool begins = (job->effects_committing & JOB_EFFECT_START) && !ends && !job->simulated;
    char key[96], ns[64];
    int rc;

    if (!begins && !(job->effects_committing & JOB_EFFECT_ARCHIVE) &&
        !(ends && job->has_namespace && !job->start_sent))
        return 0;
    rc = job_key(key, sizeof(key), "job", job->id, ".guest");
    if (rc < 0 || flux_job_kvs_namespace(ns, sizeof(ns), job->id) < 0)
        return -EINVAL;
    job->has_namespace = true;
    return begins ? m->ops->kvs_namespace(m->arg, key, ns, job->userid)
                  : commit_archive(m, job, key, ns);
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
    if (rc == 0)
        rc = commit_namespace(m, job);
    if (rc == 0 && (job->effects_committing & JOB_EFFECT_INACTIVE) && !wait_keeps(job))
        rc = commit_unlink_active(m, job->id);
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
        rc = commit_unlink_active(m, w->told[i]);
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

/* Move a job from the dirty ones to the batch. Returns its bytes, about. */
static size_t batch_take(struct manager *m, struct job *job)
{
    struct commit *c = &m->commit;

    if (batch_add(c, job) < 0) {
        manager_fatal(m, ENOMEM, "cannot build a commit");
        return 0;
    }
    TAILQ_REMOVE(&c->dirty, job, dirty_link);
    job->dirty = false;
    job->log_committing = job->log.len;
    job->nevents_committing = job->nevents;
    job->effects_committing = job->effects;
    job->effects = 0;
    if (job->effects_committing & JOB_EFFECT_FREE)
        c->nfreeing--;
    if (job->effects_committing & JOB_EFFECT_INACTIVE) {
        job->inactive_seq = ++m->ninactive;
        c->ninactive++;
    }
    return job->log_committing - job->log_durable +
           (job->effects_committing & JOB_EFFECT_STORE_R ? strlen(job->R) : 0);
}

static void batch_fill(struct manager *m)
{
    struct commit *c = &m->commit;
    struct job *job, *tmp;
    size_t bytes = 0;

    while (c->nbatch < COMMIT_JOBS_MAX && bytes < COMMIT_BYTES_MAX && m->fatal == 0 &&
           (job = TAILQ_FIRST(&c->dirty)))
        bytes += batch_take(m, job);
    /* Who has their resources now may be in this batch: whatever is free must be, too. */
    TAILQ_FOREACH_SAFE (job, &c->dirty, dirty_link, tmp) {
        if (c->nfreeing == 0 || m->fatal < 0)
            break;
        if (job->effects & JOB_EFFECT_FREE)
            (void)batch_take(m, job);
    }
}

/* An answer speaks of all that was posted before it. */
static void batch_answers(struct commit *c)
{
    const struct job *left = TAILQ_FIRST(&c->dirty);
    struct job_answer *a;

    while ((a = STAILQ_FIRST(&c->answers)) && (!left || a->ticket < left->dirty_ticket)) {
        STAILQ_REMOVE_HEAD(&c->answers, link);
        STAILQ_INSERT_TAIL(&c->answers_batch, a, link);
    }
}

/* Shall what there is be committed now, without the company of what comes next? */
static bool commit_is_due(struct manager *m)
{
    if (!m->commit.urgent && !m->control.dirty && !purge_due(m))
        return false;
    if (!alloc_answers_soon(m))
        return true;
    commit_arm(m, COMMIT_WAIT_SCHED, SCHED_SECONDS);
    return false;
}

void commit_flush(struct manager *m)
{
    struct commit *c = &m->commit;

    if (c->in_flight || c->retry || m->fatal < 0 || !commit_is_due(m))
        return;
    batch_fill(m);
    if (m->fatal < 0)
        return;
    batch_answers(c);
    c->urgent = !TAILQ_EMPTY(&c->dirty);
    commit_disarm(m);
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
    if (effects & JOB_EFFECT_ARCHIVE)
        start_archived(m, job);
    if (effects & JOB_EFFECT_INACTIVE) {
        wait_inactive(m, job);
        counters_ended(m, job);
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
        journal_durable(m); /* what is durable was told: nothing of it is */
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
    journal_durable(m);
}

void commit_retry(struct manager *m)
{
    if (m->commit.retry)
        commit_send(m);
}
