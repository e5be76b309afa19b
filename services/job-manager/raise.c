/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Exceptions asked for by users: job-manager.raise and raiseall. The answer waits until the event
 * is durable. Refuses jobs of others, severities outside 0-7, types that are no word, long notes.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/errorx.h"
#include "manager.h"

#define TYPE_MAX 64
#define NOTE_MAX 4096

static int raise_check(int severity, const char *type, const char *note, flux_error_t *error)
{
    size_t n = strlen(type);

    if (severity < 0 || severity > 7)
        return errorx_fail(error, EINVAL, "severity %d: must be from 0 to 7", severity);
    if (n == 0 || n > TYPE_MAX)
        return errorx_fail(error, EINVAL, "exception type: must have 1 to %d characters", TYPE_MAX);
    for (size_t i = 0; i < n; i++) {
        if (!isgraph((unsigned char)type[i]))
            return errorx_fail(error, EINVAL, "exception type: must be one printable word");
    }
    if (note && strlen(note) > NOTE_MAX)
        return errorx_fail(error, EINVAL, "note: longer than %d bytes", NOTE_MAX);
    return 0;
}

int raise_job(struct manager *m, struct asker who, flux_jobid_t id, int severity, const char *type,
              const char *note, struct request *req, flux_error_t *error)
{
    struct job *job;
    int rc = raise_check(severity, type, note, error);

    if (rc == 0)
        rc = manager_find_for(m, id, who, &job, error);
    if (rc == 0 && job->nevents >= JOB_EVENTS_MAX && (severity > 0 || job->failed))
        return errorx_fail(error, ENOSPC, "the job has %u events already", job->nevents);
    if (rc == 0)
        rc = event_post_exception(m, job, type, severity, who.userid, note);
    if (rc == 0)
        commit_answer(m, req, NULL);
    return rc;
}

int raise_all(struct manager *m, struct asker who, uint32_t userid, int states, int severity,
              const char *type, const char *note, bool dry_run, struct request *req)
{
    struct job *job, *tmp;
    char answer[64];
    int count = 0;
    int rc = raise_check(severity, type, note, NULL);

    if (rc < 0)
        return rc;
    if (!who.owner && userid != who.userid)
        return -EPERM;
    HASH_ITER (hh, m->jobs, job, tmp) {
        if ((userid != FLUX_USERID_UNKNOWN && job->userid != userid) ||
            !(job_state_mask(job->state) & states) || job->state == JOB_STATE_INACTIVE ||
            (job->nevents >= JOB_EVENTS_MAX && (severity > 0 || job->failed)))
            continue;
        if (!dry_run && event_post_exception(m, job, type, severity, who.userid, note) < 0)
            continue;
        count++;
    }
    (void)snprintf(answer, sizeof(answer), "{\"count\":%d,\"errors\":0}", count);
    if (dry_run)
        m->ops->respond(m->arg, req, answer);
    else
        commit_answer(m, req, answer);
    return 0;
}
