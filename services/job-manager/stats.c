/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Counters for job-manager.stats-get and getinfo. The totals under "since_clear" are of this
 * process; max_jobid, inactive and purged are of the instance. */
#include <string.h>

#include "manager.h"

void counters_ended(struct manager *m, const struct job *job)
{
    if (job_succeeded(job))
        m->stats.completed++;
    else if (job->canceled)
        m->stats.canceled++;
    else
        m->stats.failed++;
}

void counters_commit(struct manager *m, uint64_t usec)
{
    struct stats *s = &m->stats;

    s->ncommits++;
    s->commit_jobs += m->commit.nbatch;
    s->commit_usec += usec;
    if (m->commit.nbatch > s->commit_jobs_max)
        s->commit_jobs_max = m->commit.nbatch;
    if (usec > s->commit_usec_max)
        s->commit_usec_max = usec;
}

void counters_clear(struct manager *m)
{
    m->stats = (struct stats){ 0 };
}

static json_t *since_clear(const struct manager *m)
{
    const struct stats *s = &m->stats;
    const double n = s->ncommits ? (double)s->ncommits : 1.;

    return json_pack("{s:I s:I s:I s:I s:I s:f s:I s:f s:f}",               //
                     "submitted", (json_int_t)s->submitted,                 //
                     "completed", (json_int_t)s->completed,                 //
                     "failed", (json_int_t)s->failed,                       //
                     "canceled", (json_int_t)s->canceled,                   //
                     "commits", (json_int_t)s->ncommits,                    //
                     "jobs_per_commit", (double)s->commit_jobs / n,         //
                     "jobs_per_commit_max", (json_int_t)s->commit_jobs_max, //
                     "commit_seconds", (double)s->commit_usec / n / 1e6,    //
                     "commit_seconds_max", (double)s->commit_usec_max / 1e6);
}

static json_t *journal(const struct manager *m)
{
    return json_pack("{s:I s:I s:I}", "listeners", (json_int_t)journal_nlisteners(m), "past_jobs",
                     (json_int_t)m->journal.ring_count, "bytes", (json_int_t)m->journal.ring_bytes);
}

json_t *stats_json(const struct manager *m)
{
    json_t *o =
        json_pack("{s:I s:I s:I s:I s:I s:I s:I s:I s:b s:b}",                         //
                  "max_jobid", (json_int_t)m->max_jobid,                               //
                  "active", (json_int_t)HASH_COUNT(m->jobs),                           //
                  "inactive", (json_int_t)m->ninactive,                                //
                  "purged", (json_int_t)m->purge.npurged,                              //
                  "commits", (json_int_t)m->commit.ncommits,                           //
                  "events", (json_int_t)m->commit.nevents,                             //
                  "sched_pending", (json_int_t)queue_count(&m->alloc.pending),         //
                  "sched_outstanding", (json_int_t)queue_count(&m->alloc.outstanding), //
                  "sched_ready", m->alloc.ready != NULL, "exec_ready", m->start.hello != NULL);
    json_t *states = json_object();

    for (int i = 0; i < JOB_STATE_COUNT; i++)
        (void)json_object_set_new(states, job_state_name((enum job_state)i),
                                  json_integer((json_int_t)m->counts[i]));
    (void)json_object_set_new(o, "states", states);
    (void)json_object_set_new(o, "committing", json_integer((json_int_t)m->commit.nbatch));
    (void)json_object_set_new(o, "waitable_ended", json_integer((json_int_t)m->wait.nzombies));
    (void)json_object_set_new(o, "journal", journal(m));
    (void)json_object_set_new(o, "since_clear", since_clear(m));
    return o;
}
