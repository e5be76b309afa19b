/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Annotations of a job (RFC 27): of its scheduler, kept in memory and told to the journal while the
 * job waits, recorded with its `alloc` event; of its user, recorded by `memo` events unless they
 * are to be forgotten with this process. Refuses long memos, and those of others' jobs. */
#include <errno.h>

#include "base/errorx.h"
#include "base/jsonx.h"
#include "manager.h"

#define MEMO_MAX        4096 /* bytes */
#define ANNOTATIONS_MAX 65536

int annotate_job(struct job *job, const json_t *annotations)
{
    int rc;

    if (!json_is_object(annotations))
        return -EPROTO;
    if (!job->annotations)
        job->annotations = json_object();
    if (!job->annotations)
        return -ENOMEM;
    rc = jsonx_merge(job->annotations, annotations);
    if (json_object_size(job->annotations) == 0) {
        json_decref(job->annotations);
        job->annotations = NULL;
    }
    return rc;
}

static int memo_check(const struct job *job, const json_t *memo, bool fleeting, flux_error_t *error)
{
    const size_t size = json_dumpb(memo, NULL, 0, JSON_COMPACT);

    if (!json_is_object(memo) || json_object_size(memo) == 0)
        return errorx_fail(error, EINVAL, "memo: must be an object with keys and values");
    if (size > MEMO_MAX)
        return errorx_fail(error, EINVAL, "memo: longer than %d bytes", MEMO_MAX);
    if (json_dumpb(job->annotations, NULL, 0, JSON_COMPACT) + size > ANNOTATIONS_MAX)
        return errorx_fail(error, ENOSPC, "the job has as many annotations as it may have");
    if (!fleeting && job->nevents >= JOB_EVENTS_MAX)
        return errorx_fail(error, ENOSPC, "the job has %u events already", job->nevents);
    return 0;
}

int memo_job(struct manager *m, struct asker who, flux_jobid_t id, json_t *memo, bool fleeting,
             struct request *req, flux_error_t *error)
{
    struct event ev = { .type = EVENT_MEMO, .context = memo };
    struct job *job;
    int rc = manager_find_for(m, id, who, &job, error);

    if (rc == 0)
        rc = memo_check(job, memo, fleeting, error);
    if (rc < 0)
        return rc;
    if (!fleeting) {
        rc = event_post(m, job, &ev);
        if (rc == 0)
            commit_answer(m, req, NULL);
        return rc;
    }
    rc = event_apply(job, &ev);
    if (rc < 0)
        return rc;
    journal_annotations(m, job);
    m->ops->respond(m->arg, req, "{}");
    return 0;
}
