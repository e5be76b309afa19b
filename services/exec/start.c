/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The requests about jobs: job-exec.start, .kill, .cancel from the job manager, rexec.shell-info
 * from shells. Nothing is decided here. */
#include <signal.h>

#include "base/monotime.h"
#include "manager.h"
#include "service/log.h"

/* One job of a start request: 0 or -EPROTO. Borrowed from o. */
static int read_job(json_t *o, struct job_request *ret)
{
    json_int_t id, userid;
    int reattach = 0, started = 0, cleanup = 0, guest = 0;

    if (json_unpack(o, "{s:I s:I s:o s?b s?b s?b s?b s?o}", "id", &id, "userid", &userid, "R",
                    &ret->R, "reattach", &reattach, "started", &started, "cleanup", &cleanup,
                    "guest", &guest, "jobspec", &ret->jobspec) < 0)
        return -EPROTO;
    ret->id = (flux_jobid_t)id;
    ret->userid = (uint32_t)userid;
    ret->reattach = reattach;
    ret->started = started;
    ret->cleanup = cleanup;
    ret->guest = guest;
    return 0;
}

static int start_one(struct manager *m, json_t *o)
{
    struct job_request jr = { .jobspec = NULL };
    int rc = read_job(o, &jr);

    if (rc == 0)
        jobs_start(&m->jobs, &jr);
    return rc;
}

/* Jobs that the job manager archived: their records may go. */
static void forget(struct manager *m, const json_t *ids)
{
    json_t *id;
    size_t i;

    json_array_foreach (ids, i, id) {
        const flux_jobid_t jobid = (flux_jobid_t)json_integer_value(id);

        if (jobid > 0 && !jobs_find(&m->jobs, jobid))
            (void)record_remove(launcher_records(m->launcher), jobid);
    }
}

int rpc_forget(struct request *req, void *arg)
{
    json_t *ids;

    if (request_unpack(req, "{s:o}", "ids", &ids) == 0)
        forget(arg, ids);
    return 0;
}

/* One job, or many in `jobs`. */
int rpc_start(struct request *req, void *arg)
{
    struct manager *m = arg;
    json_t *o, *jobs;
    size_t i;
    int rc = 0;

    if (request_unpack(req, "o", &o) < 0)
        return -EPROTO;
    if (!m->leader)
        return request_explain(req, ENOSYS, "job-exec is served by the leader only");
    if (answers_set_carrier(m->answers, req) < 0)
        return request_explain(req, EBUSY, "jobs are started for another client, the job manager");
    jobs = json_object_get(o, "jobs");
    forget(m, json_object_get(o, "forget"));
    if (!jobs)
        rc = start_one(m, o);
    json_array_foreach (jobs, i, o) {
        if (rc == 0)
            rc = start_one(m, o);
    }
    return rc < 0 ? request_explain(req, EPROTO, "job-exec.start: needs id, userid and R") : 0;
}

int rpc_job_kill(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct job *job;
    json_int_t id;
    int signum;

    if (request_unpack(req, "{s:I s:i}", "id", &id, "signum", &signum) < 0)
        return -EPROTO;
    job = jobs_find(&m->jobs, (flux_jobid_t)id);
    if (job && signum > 0 && signum < NSIG)
        job_kill(job, signum);
    return 0;
}

int rpc_job_cancel(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct job *job;
    json_int_t id;

    if (request_unpack(req, "{s:I}", "id", &id) < 0)
        return -EPROTO;
    job = jobs_find(&m->jobs, (flux_jobid_t)id);
    if (job)
        job_cancel(job);
    return 0;
}

/* A job may have a shell here, which a flux-exec before this one asked for and did not live to
 * record, although we have not been told of the job yet. */
static bool may_come(const struct manager *m)
{
    if (m->leader)
        return !m->jobs.complete;
    return (double)(monotime_usec() - m->begun_usec) < m->config.reconcile * 1e6;
}

static int explain_unknown(const struct manager *m, struct request *req, flux_jobid_t id)
{
    struct record rec;

    if (may_come(m) || record_read(launcher_records(m->launcher), id, &rec) == 0)
        return request_explain(req, EAGAIN,
                               "flux-exec was restarted and has not taken up job "
                               "%" PRIu64 " yet",
                               id);
    return request_explain(req, ENOENT, "no job %" PRIu64 " runs on this node", id);
}

int rpc_shell_info(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct job *job;
    json_int_t id;
    int pid;

    if (request_unpack(req, "{s:I s:i}", "id", &id, "pid", &pid) < 0)
        return -EPROTO;
    job = jobs_find(&m->jobs, (flux_jobid_t)id);
    if (!job)
        return explain_unknown(m, req, (flux_jobid_t)id);
    if (!request_is_owner(req) && request_userid(req) != job->userid)
        return request_explain(req, EPERM, "that is a job of another user");
    if (job->launch && launch_pid(job->launch) > 0 && launch_pid(job->launch) != pid)
        return request_explain(req, EPERM, "process %d is not the shell of this job", pid);
    if (job->info) {
        (void)request_fail(job->info, ECANCELED, "asked again");
        request_unref(job->info);
    }
    job->info = request_ref(req);
    job->info_pid = pid;
    job_want_jobspec(job);
    job_inform(job);
    return 0;
}
