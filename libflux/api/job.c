/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Submitting jobs and doing things to them. What a request means, and who may make it, is decided
 * by job-ingest and job-manager; their sentences come back with the future's error. */
#include <errno.h>
#include <string.h>

#include <flux/job.h>

#include "base/cleanup.h"
#include "base/sign_none.h"

static flux_future_t *invalid(void)
{
    errno = EINVAL;
    return NULL;
}

flux_future_t *flux_job_submit(flux_t *h, const char *jobspec, int urgency, int flags)
{
    CLEANUP(freep) char *J = NULL;

    if (!h || !jobspec)
        return invalid();
    J = sign_none_wrap(jobspec, strlen(jobspec), getuid());
    if (!J) {
        errno = ENOMEM;
        return NULL;
    }
    return flux_rpc_pack(h, "job-ingest.submit", FLUX_NODEID_ANY, 0, "{s:s s:i s:i}", "J", J,
                         "urgency", urgency, "flags", flags);
}

static int get_id(flux_future_t *f, flux_jobid_t *ret)
{
    int64_t id;

    if (flux_rpc_get_unpack(f, "{s:I}", "id", &id) < 0)
        return -1;
    if (ret)
        *ret = id;
    return 0;
}

int flux_job_submit_get_id(flux_future_t *f, flux_jobid_t *id)
{
    return get_id(f, id);
}

flux_future_t *flux_job_raise(flux_t *h, flux_jobid_t id, const char *type, int severity,
                              const char *note)
{
    if (!h || !type)
        return invalid();
    if (!note)
        return flux_rpc_pack(h, "job-manager.raise", FLUX_NODEID_ANY, 0, "{s:I s:i s:s}", "id",
                             (int64_t)id, "severity", severity, "type", type);
    return flux_rpc_pack(h, "job-manager.raise", FLUX_NODEID_ANY, 0, "{s:I s:i s:s s:s}", "id",
                         (int64_t)id, "severity", severity, "type", type, "note", note);
}

flux_future_t *flux_job_cancel(flux_t *h, flux_jobid_t id, const char *reason)
{
    return flux_job_raise(h, id, "cancel", 0, reason);
}

flux_future_t *flux_job_kill(flux_t *h, flux_jobid_t id, int signum)
{
    if (!h || signum <= 0)
        return invalid();
    return flux_rpc_pack(h, "job-manager.kill", FLUX_NODEID_ANY, 0, "{s:I s:i}", "id", (int64_t)id,
                         "signum", signum);
}

flux_future_t *flux_job_set_urgency(flux_t *h, flux_jobid_t id, int urgency)
{
    if (!h)
        return invalid();
    return flux_rpc_pack(h, "job-manager.urgency", FLUX_NODEID_ANY, 0, "{s:I s:i}", "id",
                         (int64_t)id, "urgency", urgency);
}

flux_future_t *flux_job_wait(flux_t *h, flux_jobid_t id)
{
    if (!h)
        return invalid();
    return flux_rpc_pack(h, "job-manager.wait", FLUX_NODEID_ANY, 0, "{s:I}", "id", (int64_t)id);
}

int flux_job_wait_get_id(flux_future_t *f, flux_jobid_t *id)
{
    return get_id(f, id);
}

int flux_job_wait_get_status(flux_future_t *f, bool *success, const char **errstr)
{
    const char *text = "";
    int ok;

    if (flux_rpc_get_unpack(f, "{s:b s?s}", "success", &ok, "errstr", &text) < 0)
        return -1;
    if (success)
        *success = ok;
    if (errstr)
        *errstr = text;
    return 0;
}
