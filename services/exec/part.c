/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The node's side of a job whose leader is flux-exec of rank 0: rexec.job-start is a stream that
 * tells "start" and "end" of the shell here; .job-kill signals it; .job-forget drops the record of
 * one that has ended. When the stream breaks the shell goes on, and the next job-start takes it up.
 *
 * What nobody takes up, because its job has ended while this node was away, is ended by orphans.c,
 * to which rank 0 answers .job-over. */
#include <signal.h>

#include "base/jsonx.h"
#include "manager.h"
#include "service/log.h"

/* The stream of a part, told something. */
void part_answer(struct job *job, const char *type, int status, const char *note)
{
    CLEANUP(json_decrefp) json_t *o = json_pack("{s:s s:s*}", "type", type, "note", note);

    if (!job->carrier || !o)
        return;
    if (status >= 0)
        (void)json_object_set_new(o, "status", json_integer(status));
    (void)request_respond_json(job->carrier, o);
}

static void on_carrier_gone(struct request *req, void *arg)
{
    struct jobs *jobs = arg;

    orphans_look(jobs->orphans);
}

void part_carry(struct job *job, struct request *carrier)
{
    if (job->carrier)
        request_on_gone(job->carrier, NULL, NULL);
    request_unref(job->carrier);
    job->carrier = request_ref(carrier);
    request_on_gone(carrier, on_carrier_gone, job->jobs);
}

void part_end(struct job *job)
{
    part_answer(job, "end", job->has_status ? job->status : -1, NULL);
    if (job->carrier) {
        request_on_gone(job->carrier, NULL, NULL);
        (void)request_end(job->carrier);
    }
    job->carrier = request_unref(job->carrier);
}

int rpc_part_start(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct job_request jr = { .jobspec = NULL };
    const char *R = "", *jobspec = "";
    json_int_t id = 0, userid = 0;
    int reattach = 0, started = 0, cleanup = 0;
    struct job *job;

    (void)request_unpack(req, "{s:I s:I s:s s:s s:b s?b s:b}", "id", &id, "userid", &userid, "R",
                         &R, "jobspec", &jobspec, "reattach", &reattach, "started", &started,
                         "cleanup", &cleanup);
    if (m->leader)
        return request_explain(req, EINVAL, "rank 0 starts its shells itself");
    job = jobs_find(&m->jobs, (flux_jobid_t)id);
    if (job) {
        part_carry(job, req);
        if (job->launched)
            part_answer(job, "start", -1, NULL);
        if (cleanup)
            job_cancel(job);
        return 0;
    }
    jr.id = (flux_jobid_t)id;
    jr.userid = (uint32_t)userid;
    jr.R = json_string(R);
    jr.reattach = reattach;
    jr.started = started;
    jr.cleanup = cleanup;
    jobs_start_part(&m->jobs, &jr, jobspec, req);
    json_decref(jr.R);
    return 0;
}

int rpc_part_kill(struct request *req, void *arg)
{
    struct manager *m = arg;
    json_int_t id = 0;
    int signum = 0;
    struct job *job;

    (void)request_unpack(req, "{s:I s:i}", "id", &id, "signum", &signum);
    job = jobs_find(&m->jobs, (flux_jobid_t)id);
    if (job && signum > 0 && signum < NSIG) {
        job->canceled = job->canceled || signum == SIGTERM || signum == SIGKILL;
        job_kill(job, signum);
    }
    return 0;
}

int rpc_part_forget(struct request *req, void *arg)
{
    struct manager *m = arg;
    json_int_t id = 0;

    (void)request_unpack(req, "{s:I}", "id", &id);
    if (!jobs_find(&m->jobs, (flux_jobid_t)id))
        (void)record_remove(launcher_records(m->launcher), (flux_jobid_t)id);
    return 0;
}

/* Of the jobs that a node has shells or records of, those that have nothing to do there any more:
 * they have ended, or went on without that node. */
int rpc_part_over(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(json_decrefp) json_t *over = json_array();
    json_t *ids, *value;
    int rank = 0;
    size_t i;

    (void)request_unpack(req, "{s:i s:o}", "rank", &rank, "ids", &ids);
    if (!m->leader || !over)
        return request_explain(req, over ? EINVAL : ENOMEM, "rank 0 knows which jobs have ended");
    if (!m->jobs.complete)
        return request_explain(req, EAGAIN, "not all jobs have been heard of yet");
    json_array_foreach (ids, i, value) {
        const struct job *job = jobs_find(&m->jobs, (flux_jobid_t)json_integer_value(value));

        if (!job || (job->parts && parts_lost(job->parts, (uint32_t)rank)))
            (void)json_array_append(over, value);
    }
    return request_respond_pack(req, "{s:O}", "over", over);
}
