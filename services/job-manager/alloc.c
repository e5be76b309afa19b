/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The scheduler's client side: RFC 27, with batches. Jobs are asked for in order of priority, then
 * id. With mode limited=N at most N requests are outstanding; a more important job then takes the
 * place of the least important outstanding one, by cancelling that.
 *
 * Losing the scheduler loses nothing: what was outstanding goes back to the queue, and is asked for
 * again after the next hello, which tells the scheduler what is allocated. Answers for jobs that
 * have no request outstanding are ignored. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/errorx.h"
#include "base/number.h"
#include "service/log.h"
#include "manager.h"

#define ALLOC_TURN_MAX  4096  /* requests sent in one turn */
#define ALLOC_BATCH_MAX 256   /* jobs in one message */
#define ALLOC_LIMIT_MAX 32768 /* outstanding, when they are messages of their own */

void alloc_hello(struct manager *m, struct request *req)
{
    struct job *job, *tmp;

    alloc_lost(m);
    HASH_ITER (hh, m->jobs, job, tmp) {
        struct text t = { 0 };

        if (!job->has_resources)
            continue;
        text_addf(&t, "{\"id\":%" PRIu64 ",\"priority\":%u,\"userid\":%u,\"t_submit\":%.6f,\"R\":",
                  job->id, job->priority, job->userid, job->t_submit);
        text_adds(&t, job->R);
        text_adds(&t, "}");
        if (t.failed)
            manager_fatal(m, ENOMEM, "cannot tell the scheduler what is allocated");
        else
            m->ops->respond(m->arg, req, t.s);
        text_deinit(&t);
    }
    m->alloc.greeted = true;
}

static void freed_clear(struct manager *m)
{
    for (size_t i = 0; i < m->alloc.nfreed; i++)
        job_unref(m->alloc.freed[i]);
    m->alloc.nfreed = 0;
}

static void freed_add(struct manager *m, struct job *job)
{
    struct alloc *a = &m->alloc;

    if (a->nfreed == a->freed_cap) {
        size_t cap = a->freed_cap ? a->freed_cap * 2 : 16;
        struct job **freed = reallocarray(a->freed, cap, sizeof(struct job *));

        if (!freed) {
            manager_fatal(m, ENOMEM, "cannot free resources");
            return;
        }
        a->freed = freed;
        a->freed_cap = cap;
    }
    a->freed[a->nfreed++] = job_ref(job);
}

/* What was asked for in a session that has ended may reach the scheduler of the next one. */
static void add_session(const struct manager *m, struct text *t)
{
    if (m->alloc.session[0])
        text_addf(t, ",\"session\":\"%s\"", m->alloc.session);
}

static void send_free(struct manager *m, struct job *job, const char *R)
{
    struct text t = { 0 };

    m->alloc.nfrees++;
    text_addf(&t, "{\"id\":%" PRIu64, job->id);
    if (!m->alloc.batch) { /* one that takes batches knows who holds what */
        text_adds(&t, ",\"R\":");
        text_adds(&t, R);
    }
    text_adds(&t, ",\"final\":true");
    add_session(m, &t);
    text_adds(&t, "}");
    if (!t.failed)
        (void)m->ops->send(m->arg, "sched.free", t.s, true);
    else
        manager_fatal(m, ENOMEM, "cannot free resources");
    text_deinit(&t);
}

int alloc_ready(struct manager *m, struct request *req, const char *mode, bool batch,
                const char *session, flux_error_t *error)
{
    uint64_t limit = SIZE_MAX;
    char buf[64];

    if (!strcmp(mode, "single"))
        limit = 1;
    else if (!strncmp(mode, "limited=", 8)) {
        if (number_parse_u64(mode + 8, ALLOC_LIMIT_MAX, &limit) < 0 || limit == 0)
            return errorx_fail(error, EPROTO, "mode %.40s: not a number from 1 to %d", mode,
                               ALLOC_LIMIT_MAX);
    } else if (strcmp(mode, "unlimited") != 0)
        return errorx_fail(error, EPROTO, "mode %.40s: must be single, limited=N or unlimited",
                           mode);
    if (strlen(session) >= sizeof(m->alloc.session) ||
        strspn(session, "0123456789abcdef") != strlen(session))
        return errorx_fail(error, EPROTO, "session: must be at most %zu hex digits",
                           sizeof(m->alloc.session) - 1);
    if (m->alloc.ready)
        alloc_lost(m);
    (void)snprintf(m->alloc.session, sizeof(m->alloc.session), "%s", session);
    m->alloc.ready = m->ops->ref(m->arg, req);
    m->alloc.limit = !batch && limit > ALLOC_LIMIT_MAX ? ALLOC_LIMIT_MAX : limit;
    m->alloc.batch = batch;
    m->alloc.nfrees = m->alloc.nfrees_seen = m->alloc.nfrees_late = 0;
    (void)snprintf(buf, sizeof(buf), "{\"count\":%zu}", queue_count(&m->alloc.pending));
    m->ops->respond(m->arg, req, buf);
    for (size_t i = 0; i < m->alloc.nfreed; i++)
        send_free(m, m->alloc.freed[i], m->alloc.freed[i]->R);
    freed_clear(m);
    m->alloc.greeted = false;
    log_info("scheduler is ready, mode %s, %zu jobs to schedule", mode,
             queue_count(&m->alloc.pending));
    return 0;
}

/* The request is no longer with the scheduler. */
static void alloc_retire(struct manager *m, struct job *job)
{
    queue_remove(&m->alloc.outstanding, job);
    job->alloc_pending = false;
    if (job->alloc_canceling)
        m->alloc.ncanceling--;
    job->alloc_canceling = false;
}

void alloc_lost(struct manager *m)
{
    struct job *job;

    freed_clear(m);
    m->alloc.greeted = false;
    if (m->alloc.ready) {
        if (queue_count(&m->alloc.outstanding) > 0)
            log_notice("the scheduler went away; requests that wait for the next one: %zu",
                       queue_count(&m->alloc.outstanding));
        else
            log_info("the scheduler went away");
        m->ops->fail(m->arg, m->alloc.ready, ECONNRESET, "begin again with sched-hello");
        m->ops->unref(m->arg, m->alloc.ready);
        m->alloc.ready = NULL;
        m->ops->wake(m->arg, PEER_SCHED);
    }
    while ((job = queue_first(&m->alloc.outstanding))) {
        alloc_retire(m, job);
        manager_mark(m, job);
    }
}

void alloc_want(struct manager *m, struct job *job)
{
    if (job->alloc_pending || heap_has(&job->queued) || job_is_held(job))
        return;
    if (queue_add(&m->alloc.pending, job) < 0)
        manager_fatal(m, ENOMEM, "cannot queue a job");
}

static void alloc_cancel(struct manager *m, struct job *job)
{
    char buf[64];

    if (job->alloc_canceling)
        return;
    job->alloc_canceling = true;
    m->alloc.ncanceling++;
    (void)snprintf(buf, sizeof(buf), "{\"id\":%" PRIu64 "}", job->id);
    (void)m->ops->send(m->arg, "sched.cancel", buf, true);
}

bool alloc_drop(struct manager *m, struct job *job)
{
    if (job->alloc_pending) {
        alloc_cancel(m, job);
        return true;
    }
    if (heap_has(&job->queued))
        queue_remove(&m->alloc.pending, job);
    return false;
}

void alloc_priority(struct manager *m, struct job *job)
{
    char buf[96];

    if (!job->alloc_pending) {
        if (!heap_has(&job->queued))
            alloc_want(m, job);
        else if (job_is_held(job))
            queue_remove(&m->alloc.pending, job);
        else
            queue_update(&m->alloc.pending, job);
        return;
    }
    queue_update(&m->alloc.outstanding, job);
    if (job_is_held(job)) {
        alloc_cancel(m, job);
        return;
    }
    (void)snprintf(buf, sizeof(buf), "{\"jobs\":[[%" PRIu64 ",%u]]}", job->id, job->priority);
    (void)m->ops->send(m->arg, "sched.prioritize", buf, true);
}

void alloc_free(struct manager *m, struct job *job)
{
    if (m->alloc.ready)
        send_free(m, job, job->R);
    else if (m->alloc.greeted)
        freed_add(m, job);
}

static int alloc_success(struct manager *m, struct job *job, json_t *R, json_t *annotations)
{
    CLEANUP(json_decrefp) json_t *context = NULL;
    CLEANUP(freep) char *s = R && json_is_object(R) ? json_dumps(R, JSON_COMPACT) : NULL;

    if (!s)
        return -EPROTO;
    alloc_retire(m, job);
    if (job->state != JOB_STATE_SCHED) {
        /* It was cancelled while the answer was under way: never part of the eventlog. */
        if (m->alloc.ready)
            send_free(m, job, s);
        manager_mark(m, job);
        return 0;
    }
    if (annotations && annotate_job(job, annotations) < 0)
        return -ENOMEM;
    if (job->annotations) {
        context = json_pack("{s:O}", "annotations", job->annotations);
        if (!context)
            return -ENOMEM;
    }
    free(job->R);
    job->R = TAKE(s);
    return event_post(m, job, &(struct event){ .type = EVENT_ALLOC, .context = context });
}

static int alloc_response_one(struct manager *m, json_t *o)
{
    json_t *R = NULL, *annotations = NULL;
    const char *note = "";
    struct job *job;
    json_int_t id;
    int type;

    if (json_unpack(o, "{s:I s:i s?o s?o s?s}", "id", &id, "type", &type, "R", &R, "annotations",
                    &annotations, "note", &note) < 0)
        return -EPROTO;
    job = manager_find(m, (flux_jobid_t)id);
    if (!job || !job->alloc_pending) {
        log_warning("scheduler answered for job %" JSON_INTEGER_FORMAT
                    ", which has no request outstanding",
                    id);
        return 0;
    }
    switch (type) {
    case 0:
        return alloc_success(m, job, R, annotations);
    case 1:
        if (job->state == JOB_STATE_SCHED && annotations) {
            int rc = annotate_job(job, annotations);

            if (rc == 0)
                journal_annotations(m, job);
            return rc;
        }
        return 0;
    case 2:
        alloc_retire(m, job);
        if (job->state == JOB_STATE_SCHED)
            return event_post_exception(m, job, "alloc", 0, m->owner, note);
        manager_mark(m, job);
        return 0;
    case 3:
        alloc_retire(m, job);
        manager_mark(m, job);
        return 0;
    default:
        return -EPROTO;
    }
}

int alloc_response(struct manager *m, json_t *response)
{
    json_t *jobs = json_object_get(response, "jobs");
    json_t *freed = json_object_get(response, "freed");
    json_t *o;
    size_t i;

    if (!jobs)
        return alloc_response_one(m, response);
    if (json_integer_value(freed) > 0)
        m->alloc.nfrees_seen = (uint64_t)json_integer_value(freed);
    json_array_foreach (jobs, i, o) {
        int rc = alloc_response_one(m, o);

        if (rc < 0)
            return rc;
    }
    return 0;
}

bool alloc_answers_soon(const struct manager *m)
{
    const struct alloc *a = &m->alloc;

    /* One that never said what it has seen is not waited for. */
    return a->ready && queue_count(&a->outstanding) > 0 && a->nfrees_seen > 0 &&
           a->nfrees_seen < a->nfrees && a->nfrees_late < a->nfrees;
}

void alloc_late(struct manager *m)
{
    m->alloc.nfrees_late = m->alloc.nfrees;
}

static void request_format(const struct manager *m, const struct job *job, struct text *t)
{
    text_addf(t, "{\"id\":%" PRIu64 ",\"priority\":%u,\"userid\":%u,\"t_submit\":%.6f,\"jobspec\":",
              job->id, job->priority, job->userid, job->t_submit);
    text_adds(t, job->jobspec);
    if (!m->alloc.batch)
        add_session(m, t);
    text_adds(t, "}");
}

/* Send the first of the queue, several when the scheduler takes batches; returns how many. */
static size_t alloc_send(struct manager *m, size_t max)
{
    struct text t = { 0 };
    struct job *job;
    size_t n = 0;
    int rc;

    if (m->alloc.batch)
        text_adds(&t, "{\"jobs\":[");
    while (n < max && (job = queue_first(&m->alloc.pending))) {
        queue_remove(&m->alloc.pending, job);
        job->alloc_pending = true;
        if (queue_add(&m->alloc.outstanding, job) < 0)
            t.failed = true;
        if (n++ > 0)
            text_adds(&t, ",");
        request_format(m, job, &t);
        if (!m->alloc.batch)
            break;
    }
    if (m->alloc.batch) {
        text_adds(&t, "]");
        add_session(m, &t);
        text_adds(&t, "}");
    }
    rc = t.failed ? -ENOMEM
                  : m->ops->send(m->arg, m->alloc.batch ? "sched.alloc-batch" : "sched.alloc", t.s,
                                 false);
    text_deinit(&t);
    if (rc < 0)
        manager_fatal(m, -rc, "cannot ask the scheduler");
    return n;
}

static void alloc_preempt(struct manager *m)
{
    struct job *wanting = queue_first(&m->alloc.pending);
    struct job *last = queue_first(&m->alloc.outstanding);

    if (wanting && last && m->alloc.ncanceling == 0 && job_order(wanting, last) < 0)
        alloc_cancel(m, last);
}

void alloc_cancel_all(struct manager *m)
{
    struct job *job, *tmp;

    HASH_ITER (hh, m->jobs, job, tmp) {
        if (job->alloc_pending)
            alloc_cancel(m, job);
    }
}

bool alloc_pump(struct manager *m)
{
    size_t sent = 0;

    if (!m->alloc.ready || m->control.stopped || quiesce_is_on(m))
        return false;
    while (queue_count(&m->alloc.pending) > 0 &&
           queue_count(&m->alloc.outstanding) < m->alloc.limit && m->fatal == 0) {
        size_t room = m->alloc.limit - queue_count(&m->alloc.outstanding);

        if (sent >= ALLOC_TURN_MAX)
            return true;
        sent += alloc_send(m, room < ALLOC_BATCH_MAX ? room : ALLOC_BATCH_MAX);
    }
    alloc_preempt(m);
    return false;
}
