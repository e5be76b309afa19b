/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* job-manager.events-journal: durable events to whoever keeps an index of jobs (flux-job-list). A
 * new listener first gets history, in pieces of one per turn: the ring of inactive jobs, then the
 * active ones in order of arrival; a job it was not told of yet is kept back from its live stream,
 * so each listener sees each event once and in order.
 *
 * The ring is bounded by number and by bytes; what fell out of it is in the KVS. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "manager.h"

#define RING_MAX       10000
#define RING_BYTES_MAX (32u << 20)
#define PIECE_BYTES    (256u << 10)

enum listener_phase { LISTENER_RING, LISTENER_JOBS, LISTENER_LIVE };

struct journal_record {
    flux_jobid_t id;
    uint64_t seq;
    UT_hash_handle hh;
    TAILQ_ENTRY(journal_record) link;
    char *text;
    size_t len;
};

struct listener {
    struct request *req;
    enum listener_phase phase;
    uint64_t since;
    struct journal_record *next_record; /* of the ring phase */
    struct job *next_job;               /* of the jobs phase */
    uint64_t told;                      /* serial of the last job told of */
    struct text out;                    /* records, with commas between */
    struct text purged;                 /* ids, the same */
    TAILQ_ENTRY(listener) link;
};

static void listener_free(struct manager *m, struct listener *l)
{
    TAILQ_REMOVE(&m->journal.listeners, l, link);
    m->ops->unref(m->arg, l->req);
    text_deinit(&l->out);
    text_deinit(&l->purged);
    free(l);
}

static void record_free(struct journal *j, struct journal_record *r)
{
    struct listener *l;

    TAILQ_FOREACH (l, &j->listeners, link) {
        if (l->next_record == r)
            l->next_record = TAILQ_NEXT(r, link);
    }
    TAILQ_REMOVE(&j->ring, r, link);
    HASH_DEL(j->ring_by_id, r);
    j->ring_count--;
    j->ring_bytes -= r->len;
    free(r->text);
    free(r);
}

static void sync_answer(struct manager *m, struct request *req)
{
    char buf[48];

    (void)snprintf(buf, sizeof(buf), "{\"serial\":%" PRIu64 "}", m->journal.serial);
    m->ops->respond(m->arg, req, buf);
}

/* Who asks may have read in the KVS what is in flight before we know that it arrived. */
int journal_sync(struct manager *m, struct request *req)
{
    struct job_answer *a;

    if (!m->commit.in_flight) {
        sync_answer(m, req);
        return 0;
    }
    if (!(a = calloc(1, sizeof(*a))))
        return -ENOMEM;
    a->req = m->ops->ref(m->arg, req);
    STAILQ_INSERT_TAIL(&m->journal.syncs, a, link);
    return 0;
}

static void syncs_drop(struct manager *m, bool say)
{
    struct job_answer *a;

    while ((a = STAILQ_FIRST(&m->journal.syncs))) {
        STAILQ_REMOVE_HEAD(&m->journal.syncs, link);
        if (say)
            sync_answer(m, a->req);
        m->ops->unref(m->arg, a->req);
        free(a);
    }
}

void journal_durable(struct manager *m)
{
    syncs_drop(m, true);
}

void journal_deinit(struct manager *m)
{
    struct listener *l;
    struct journal_record *r;

    syncs_drop(m, false);
    while ((l = TAILQ_FIRST(&m->journal.listeners)))
        listener_free(m, l);
    while ((r = TAILQ_FIRST(&m->journal.ring)))
        record_free(&m->journal, r);
}

int journal_listen(struct manager *m, struct request *req, uint64_t since)
{
    struct listener *l = calloc(1, sizeof(*l));

    if (!l)
        return -ENOMEM;
    l->req = m->ops->ref(m->arg, req);
    l->since = since;
    l->next_record = TAILQ_FIRST(&m->journal.ring);
    TAILQ_INSERT_TAIL(&m->journal.listeners, l, link);
    return 0;
}

void journal_gone(struct manager *m, struct request *req)
{
    struct listener *l, *tmp;

    TAILQ_FOREACH_SAFE (l, &m->journal.listeners, link, tmp) {
        if (l->req == req)
            listener_free(m, l);
    }
}

size_t journal_nlisteners(const struct manager *m)
{
    const struct listener *l;
    size_t n = 0;

    TAILQ_FOREACH (l, &m->journal.listeners, link)
        n++;
    return n;
}

bool journal_is_inactive(struct manager *m, flux_jobid_t id)
{
    struct journal_record *r;

    HASH_FIND(hh, m->journal.ring_by_id, &id, sizeof(id), r);
    return r != NULL;
}

/* One record; the events from byte `from` to what is durable. */
static void record_format(struct text *t, const struct job *job, size_t from, unsigned int seq,
                          unsigned int effects)
{
    const char *s = job->log.s + from;
    const char *end = job->log.s + job->log_durable;

    text_addf(t, "{\"id\":%" PRIu64 ",\"seq\":%u,\"events\":[", job->id, seq);
    while (s < end) {
        const char *newline = memchr(s, '\n', (size_t)(end - s));
        size_t n = (size_t)((newline ? newline : end) - s);

        text_add(t, s, n);
        s += n + 1;
        if (s < end)
            text_adds(t, ",");
    }
    text_adds(t, "]");
    if ((effects & JOB_EFFECT_SUBMIT) && job->jobspec) {
        text_adds(t, ",\"jobspec\":");
        text_adds(t, job->jobspec);
    }
    if ((effects & JOB_EFFECT_STORE_R) && job->R) {
        text_adds(t, ",\"R\":");
        text_adds(t, job->R);
    }
    if (effects & JOB_EFFECT_INACTIVE)
        text_addf(t, ",\"inactive\":%" PRIu64, job->inactive_seq);
    text_adds(t, "}");
}

static void add_annotations(struct text *t, const struct job *job)
{
    char *s = job->annotations ? json_dumps(job->annotations, JSON_COMPACT) : strdup("{}");

    text_adds(t, ",\"annotations\":");
    text_adds(t, s ? s : "{}");
    free(s);
}

/* All that is durable of a job. R may be there before its event is. What is told of an active one
 * has its annotations, which need not be in its events. */
static void record_format_whole(struct text *t, const struct job *job, unsigned int effects)
{
    unsigned int undurable = job->effects | job->effects_committing;

    effects |= JOB_EFFECT_SUBMIT;
    if (job->R && !(undurable & JOB_EFFECT_STORE_R))
        effects |= JOB_EFFECT_STORE_R;
    record_format(t, job, 0, 0, effects);
    if (job->annotations && !(effects & JOB_EFFECT_INACTIVE) && t->len > 0) {
        t->len--; /* the closing brace */
        add_annotations(t, job);
        text_adds(t, "}");
    }
}

static void ring_add(struct manager *m, const struct job *job)
{
    struct journal *j = &m->journal;
    struct journal_record *r = calloc(1, sizeof(*r));
    struct text t = { 0 };
    struct listener *l;

    record_format_whole(&t, job, JOB_EFFECT_INACTIVE);
    if (!r || t.failed) {
        text_deinit(&t);
        free(r);
        manager_fatal(m, ENOMEM, "cannot remember an inactive job");
        return;
    }
    r->id = job->id;
    r->seq = job->inactive_seq;
    r->len = t.len;
    r->text = text_steal(&t);
    HASH_ADD(hh, j->ring_by_id, id, sizeof(r->id), r);
    TAILQ_INSERT_TAIL(&j->ring, r, link);
    j->ring_count++;
    j->ring_bytes += r->len;
    TAILQ_FOREACH (l, &j->listeners, link) {
        if (l->phase == LISTENER_RING && !l->next_record)
            l->next_record = r;
    }
    while (j->ring_count > RING_MAX || (j->ring_bytes > RING_BYTES_MAX && j->ring_count > 1))
        record_free(j, TAILQ_FIRST(&j->ring));
}

static void listener_add(struct listener *l, const char *record, size_t len)
{
    if (l->out.len > 0)
        text_adds(&l->out, ",");
    text_add(&l->out, record, len);
}

/* Was the listener told of this job already, so that it gets the job's live events? */
static bool listener_knows(const struct listener *l, const struct job *job)
{
    return l->phase == LISTENER_LIVE || (l->phase == LISTENER_JOBS && job->serial <= l->told);
}

void journal_add(struct manager *m, struct job *job, size_t from, unsigned int seq,
                 unsigned int effects)
{
    struct text t = { 0 };
    struct listener *l;

    m->journal.serial++;
    if (effects & JOB_EFFECT_INACTIVE)
        ring_add(m, job);
    TAILQ_FOREACH (l, &m->journal.listeners, link) {
        if (!listener_knows(l, job))
            continue;
        if (!t.s)
            record_format(&t, job, from, seq, effects);
        listener_add(l, t.s, t.len);
    }
    text_deinit(&t);
}

void journal_annotations(struct manager *m, struct job *job)
{
    struct text t = { 0 };
    struct listener *l;

    m->journal.serial++;
    text_addf(&t, "{\"id\":%" PRIu64 ",\"seq\":%u,\"events\":[]", job->id, job->nevents_durable);
    add_annotations(&t, job);
    text_adds(&t, "}");
    TAILQ_FOREACH (l, &m->journal.listeners, link) {
        if (!t.failed && listener_knows(l, job))
            listener_add(l, t.s, t.len);
    }
    text_deinit(&t);
}

void journal_forget(struct manager *m, struct job *job)
{
    struct listener *l;

    TAILQ_FOREACH (l, &m->journal.listeners, link) {
        if (l->phase != LISTENER_JOBS)
            continue;
        if (l->next_job == job)
            l->next_job = job->hh.next;
        if (!listener_knows(l, job)) {
            struct journal_record *r = TAILQ_LAST(&m->journal.ring, journal_record_list);

            if (r && r->id == job->id)
                listener_add(l, r->text, r->len);
        }
    }
}

void journal_purged(struct manager *m, const flux_jobid_t *ids, size_t n)
{
    struct journal_record *r;
    struct listener *l;

    m->journal.serial += n;
    for (size_t i = 0; i < n; i++) {
        HASH_FIND(hh, m->journal.ring_by_id, &ids[i], sizeof(ids[i]), r);
        if (r)
            record_free(&m->journal, r);
        TAILQ_FOREACH (l, &m->journal.listeners, link)
            text_addf(&l->purged, "%s%" PRIu64, l->purged.len > 0 ? "," : "", ids[i]);
    }
}

static void listener_send(struct manager *m, struct listener *l)
{
    struct text t = { 0 };

    text_adds(&t, "{\"jobs\":[");
    text_add(&t, l->out.s, l->out.len);
    /* Durable ones only, as are the records: a listener that heard everything has as many. */
    text_addf(&t, "],\"ninactive\":%" PRIu64 ",\"npurged\":%" PRIu64,
              m->ninactive - m->commit.ninactive, m->purge.npurged);
    if (l->purged.len > 0) {
        text_adds(&t, ",\"purged\":[");
        text_add(&t, l->purged.s, l->purged.len);
        text_adds(&t, "]");
    }
    text_addf(&t, ",\"serial\":%" PRIu64 "}", m->journal.serial);
    if (t.failed || l->out.failed || l->purged.failed)
        manager_fatal(m, ENOMEM, "cannot write the journal");
    else
        m->ops->respond(m->arg, l->req, t.s);
    text_deinit(&t);
    text_deinit(&l->out);
    text_deinit(&l->purged);
}

static void listener_history(struct manager *m, struct listener *l)
{
    struct journal_record *r;
    struct job *job;

    while (l->phase == LISTENER_RING && l->out.len < PIECE_BYTES) {
        r = l->next_record;
        if (!r) {
            l->phase = LISTENER_JOBS;
            l->next_job = m->jobs;
            break;
        }
        if (r->seq >= l->since)
            listener_add(l, r->text, r->len);
        l->next_record = TAILQ_NEXT(r, link);
    }
    while (l->phase == LISTENER_JOBS && l->out.len < PIECE_BYTES) {
        job = l->next_job;
        if (!job) {
            l->phase = LISTENER_LIVE;
            break;
        }
        if (l->out.len > 0)
            text_adds(&l->out, ",");
        record_format_whole(&l->out, job, 0);
        l->told = job->serial;
        l->next_job = job->hh.next;
    }
}

bool journal_flush(struct manager *m)
{
    struct listener *l, *tmp;
    bool more = false;

    TAILQ_FOREACH_SAFE (l, &m->journal.listeners, link, tmp) {
        if (l->phase != LISTENER_LIVE) {
            listener_history(m, l);
            if (l->out.len > 0 || l->purged.len > 0)
                listener_send(m, l);
            if (l->phase == LISTENER_LIVE)
                listener_send(m, l); /* no jobs: the end of history */
            else
                more = true;
        } else if (l->out.len > 0 || l->purged.len > 0)
            listener_send(m, l);
    }
    return more;
}
