/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Jobs that ingest has stored. Their `submit` and `validate` events are in the KVS already, so they
 * are replayed here, not posted. Refuses nothing: what ingest acknowledged is a job. A known id is
 * ignored, so that ingest may repeat itself. */
#include <errno.h>

#include "manager.h"

static int submit_events(struct job *job, const struct submission *s)
{
    struct event submit = { .type = EVENT_SUBMIT,
                            .timestamp = s->t_submit,
                            .userid = s->userid,
                            .urgency = s->urgency,
                            .flags = s->flags };
    struct event validate = { .type = EVENT_VALIDATE, .timestamp = s->t_submit };
    int rc = event_apply(job, &submit);

    if (rc == 0)
        rc = event_apply(job, &validate);
    if (rc < 0)
        return rc;
    event_format(&submit, &job->log);
    event_format(&validate, &job->log);
    if (job->log.failed)
        return -ENOMEM;
    job->log_committing = job->log_durable = job->log.len;
    job->nevents = job->nevents_committing = job->nevents_durable = 2;
    return 0;
}

int submit_job(struct manager *m, const struct submission *s)
{
    CLEANUP(job_unrefp) struct job *job = NULL;
    int rc;

    if (manager_find(m, s->id) || journal_is_inactive(m, s->id))
        return 0;
    if (s->urgency < FLUX_JOB_URGENCY_MIN || s->urgency > FLUX_JOB_URGENCY_MAX || s->t_submit <= 0)
        return -EPROTO;
    rc = job_new(s->id, &job);
    if (rc < 0)
        return rc;
    rc = submit_events(job, s);
    if (rc < 0)
        return rc;
    rc = job_set_jobspec(job, s->jobspec);
    if (rc == 0)
        rc = manager_insert(m, job);
    if (rc < 0)
        return rc;
    m->stats.submitted++;
    journal_add(m, job, 0, 0, JOB_EFFECT_SUBMIT);
    manager_mark(m, job);
    return 0;
}
