/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The methods of job-manager: decode, call one domain function, answer. What is answered when
 * something is durable keeps a reference to its request there. */
#include <errno.h>
#include <string.h>

#include "purge.h"

static struct asker asker_of(const struct request *req)
{
    return (struct asker){ .userid = request_userid(req), .owner = request_is_owner(req) };
}

/* The answer to a domain function's result. */
static int finish(struct request *req, int rc, const flux_error_t *error)
{
    if (rc < 0 && error->text[0])
        return request_explain(req, -rc, "%s", error->text);
    return rc;
}

static int submit_one(struct daemon *d, json_t *o)
{
    struct submission s;
    json_int_t id, userid;

    if (json_unpack(o, "{s:I s:I s:i s:i s:f s:o}", "id", &id, "userid", &userid, "urgency",
                    &s.urgency, "flags", &s.flags, "t_submit", &s.t_submit, "jobspec",
                    &s.jobspec) < 0 ||
        !json_is_object(s.jobspec) || userid < 0 || userid > UINT32_MAX || id == 0 ||
        (flux_jobid_t)id == FLUX_JOBID_ANY)
        return -EPROTO;
    s.id = (flux_jobid_t)id;
    s.userid = (uint32_t)userid;
    return submit_job(&d->m, &s);
}

/* All of them are stored and acknowledged: one that makes no sense does not keep the others out. */
static int rpc_submit(struct request *req, void *arg)
{
    json_t *jobs, *o;
    size_t i, bad = 0;
    int first = 0;

    if (request_unpack(req, "{s:o}", "jobs", &jobs) < 0)
        return -EPROTO;
    json_array_foreach (jobs, i, o) {
        int rc = submit_one(arg, o);

        if (rc < 0 && first == 0) {
            first = rc;
            bad = i;
        }
    }
    if (first < 0)
        return request_explain(req, -first, "jobs[%zu]: not a job", bad);
    return request_respond(req, "{}");
}

static int rpc_rescan(struct request *req, void *arg)
{
    json_t *ids;

    if (request_unpack(req, "{s:o}", "ids", &ids) < 0)
        return -EPROTO;
    return load_some(arg, ids, req);
}

static int rpc_memo(struct request *req, void *arg)
{
    struct daemon *d = arg;
    flux_error_t error = { .text = "" };
    json_int_t id;
    json_t *memo;
    int fleeting = 0;

    if (request_unpack(req, "{s:I s:o s?b}", "id", &id, "memo", &memo, "volatile", &fleeting) < 0)
        return -EPROTO;
    return finish(
        req, memo_job(&d->m, asker_of(req), (flux_jobid_t)id, memo, fleeting, req, &error), &error);
}

static int rpc_active(struct request *req, void *arg)
{
    struct daemon *d = arg;
    CLEANUP(json_decrefp) json_t *active = json_array();
    json_t *ids, *o;
    size_t i;

    if (!active || request_unpack(req, "{s:o}", "ids", &ids) < 0)
        return -EPROTO;
    json_array_foreach (ids, i, o) {
        const struct job *job = manager_find(&d->m, (flux_jobid_t)json_integer_value(o));

        if (job && job->state != JOB_STATE_INACTIVE)
            (void)json_array_append(active, o);
    }
    return request_respond_pack(req, "{s:O}", "ids", active);
}

static int rpc_raise(struct request *req, void *arg)
{
    struct daemon *d = arg;
    flux_error_t error = { .text = "" };
    const char *type, *note = "";
    json_int_t id;
    int severity;

    if (request_unpack(req, "{s:I s:i s:s s?s}", "id", &id, "severity", &severity, "type", &type,
                       "note", &note) < 0)
        return -EPROTO;
    return finish(
        req, raise_job(&d->m, asker_of(req), (flux_jobid_t)id, severity, type, note, req, &error),
        &error);
}

static int rpc_raiseall(struct request *req, void *arg)
{
    struct daemon *d = arg;
    json_int_t userid = FLUX_USERID_UNKNOWN;
    const char *type = "cancel", *note = "";
    int states = FLUX_JOB_STATE_ACTIVE, severity = 0, dry_run = 0, rc;

    if (request_unpack(req, "{s?I s?i s?i s?s s?s s?b}", "userid", &userid, "states", &states,
                       "severity", &severity, "type", &type, "note", &note, "dry_run",
                       &dry_run) < 0)
        return -EPROTO;
    rc = raise_all(&d->m, asker_of(req), (uint32_t)userid, states, severity, type, note, dry_run,
                   req);
    if (rc == -EPERM)
        return request_explain(req, EPERM, "the jobs of other users are for the instance owner");
    if (rc < 0)
        return request_explain(req, -rc,
                               "an exception has a type, a severity from 0 to 7, and is "
                               "for jobs that are not over");
    return 0;
}

static int rpc_kill(struct request *req, void *arg)
{
    struct daemon *d = arg;
    flux_error_t error = { .text = "" };
    json_int_t id;
    int signum, rc;

    if (request_unpack(req, "{s:I s:i}", "id", &id, "signum", &signum) < 0)
        return -EPROTO;
    rc = kill_job(&d->m, asker_of(req), (flux_jobid_t)id, signum, &error);
    return rc < 0 ? finish(req, rc, &error) : request_respond(req, "{}");
}

static int rpc_killall(struct request *req, void *arg)
{
    struct daemon *d = arg;
    json_int_t userid = FLUX_USERID_UNKNOWN;
    int signum = 15, dry_run = 0, count = 0, rc;

    if (request_unpack(req, "{s?I s?i s?b}", "userid", &userid, "signum", &signum, "dry_run",
                       &dry_run) < 0)
        return -EPROTO;
    rc = kill_all(&d->m, asker_of(req), (uint32_t)userid, signum, dry_run, &count);
    if (rc == -EPERM)
        return request_explain(req, EPERM, "the jobs of other users are for the instance owner");
    if (rc < 0)
        return request_explain(req, -rc, "%d is not a signal", signum);
    return request_respond_pack(req, "{s:i s:i}", "count", count, "errors", 0);
}

static int rpc_urgency(struct request *req, void *arg)
{
    struct daemon *d = arg;
    flux_error_t error = { .text = "" };
    json_int_t id;
    int urgency;

    if (request_unpack(req, "{s:I s:i}", "id", &id, "urgency", &urgency) < 0)
        return -EPROTO;
    return finish(req, urgency_job(&d->m, asker_of(req), (flux_jobid_t)id, urgency, req, &error),
                  &error);
}

static void on_wait_gone(struct request *req, void *arg)
{
    struct daemon *d = arg;

    wait_gone(&d->m, req);
}

static int rpc_wait(struct request *req, void *arg)
{
    struct daemon *d = arg;
    flux_error_t error = { .text = "" };
    json_int_t id;
    int rc;

    if (request_unpack(req, "{s:I}", "id", &id) < 0)
        return -EPROTO;
    rc = wait_job(&d->m, asker_of(req), (flux_jobid_t)id, req, &error);
    if (rc < 0)
        return finish(req, rc, &error);
    if (!request_gone(req))
        request_on_gone(req, on_wait_gone, d);
    return 0;
}

static int rpc_getinfo(struct request *req, void *arg)
{
    CLEANUP(json_decrefp) json_t *o = stats_json(&((struct daemon *)arg)->m);

    return o ? request_respond_json(req, o) : -ENOMEM;
}

static int rpc_journal_sync(struct request *req, void *arg)
{
    struct daemon *d = arg;

    return journal_sync(&d->m, req);
}

static void on_journal_gone(struct request *req, void *arg)
{
    struct daemon *d = arg;

    journal_gone(&d->m, req);
}

static int rpc_events_journal(struct request *req, void *arg)
{
    struct daemon *d = arg;
    json_int_t since = 0;
    int rc;

    if (request_unpack(req, "{s?I}", "since", &since) < 0 || since < 0)
        return request_explain(req, EPROTO, "since: must be an integer that is not negative");
    rc = journal_listen(&d->m, req, (uint64_t)since);
    if (rc == 0)
        request_on_gone(req, on_journal_gone, d);
    return rc;
}

static int rpc_sched_hello(struct request *req, void *arg)
{
    struct daemon *d = arg;

    alloc_hello(&d->m, req);
    return request_end(req);
}

static void on_sched_gone(struct request *req, void *arg)
{
    struct daemon *d = arg;

    if (d->m.alloc.ready == req)
        alloc_lost(&d->m);
}

static int rpc_sched_ready(struct request *req, void *arg)
{
    struct daemon *d = arg;
    flux_error_t error = { .text = "" };
    const char *mode, *session = "";
    int batch = 0, rc;

    if (request_unpack(req, "{s:s s?b s?s}", "mode", &mode, "batch", &batch, "session", &session) <
        0)
        return -EPROTO;
    rc = alloc_ready(&d->m, req, mode, batch, session, &error);
    if (rc < 0)
        return finish(req, rc, &error);
    request_on_gone(req, on_sched_gone, d);
    return 0;
}

static void on_exec_gone(struct request *req, void *arg)
{
    struct daemon *d = arg;

    if (d->m.start.hello == req)
        start_lost(&d->m);
}

static int rpc_exec_hello(struct request *req, void *arg)
{
    struct daemon *d = arg;
    const char *service;
    int rc;

    if (request_unpack(req, "{s:s}", "service", &service) < 0)
        return -EPROTO;
    if (service[0] == '\0' || strlen(service) > 64 || strpbrk(service, ".*?["))
        return request_explain(req, EINVAL, "service: not the name of a service");
    rc = start_hello(&d->m, req, service);
    if (rc == 0)
        request_on_gone(req, on_exec_gone, d);
    return rc;
}

static int rpc_wake(struct request *req, void *arg)
{
    return 0;
}

static const struct rpc_method methods[] = {
    { .topic = "job-manager.active", .roles = ROLE_OWNER, .in = "ids:a", .fn = rpc_active },
    { .topic = "job-manager.events-journal",
      .roles = ROLE_OWNER,
      .in = "since?:I",
      .flags = RPC_METHOD_STREAMING | RPC_METHOD_SESSION,
      .fn = rpc_events_journal },
    { .topic = "job-manager.exec-hello",
      .roles = ROLE_OWNER,
      .in = "service:s",
      .flags = RPC_METHOD_STREAMING | RPC_METHOD_SESSION,
      .fn = rpc_exec_hello },
    { .topic = "job-manager.getinfo", .roles = ROLE_USER, .fn = rpc_getinfo },
    { .topic = "job-manager.journal-sync", .roles = ROLE_OWNER, .fn = rpc_journal_sync },
    { .topic = "job-manager.kill", .roles = ROLE_USER, .in = "id:I signum:i", .fn = rpc_kill },
    { .topic = "job-manager.killall",
      .roles = ROLE_USER,
      .in = "userid?:u signum?:i dry_run?:b",
      .fn = rpc_killall },
    { .topic = "job-manager.memo",
      .roles = ROLE_USER,
      .in = "id:I memo:o volatile?:b",
      .fn = rpc_memo },
    { .topic = "job-manager.purge",
      .roles = ROLE_OWNER,
      .in = "age_limit?:n num_limit?:I ids?:a force?:b",
      .fn = rpc_purge },
    { .topic = "job-manager.queue-drain",
      .roles = ROLE_USER,
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_queue_drain },
    { .topic = "job-manager.queue-enable",
      .roles = ROLE_OWNER,
      .in = "enable:b reason?:s",
      .fn = rpc_queue_enable },
    { .topic = "job-manager.queue-idle",
      .roles = ROLE_USER,
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_queue_idle },
    { .topic = "job-manager.queue-start",
      .roles = ROLE_OWNER,
      .in = "start:b reason?:s",
      .fn = rpc_queue_start },
    { .topic = "job-manager.queue-status", .roles = ROLE_USER, .fn = rpc_queue_status },
    { .topic = "job-manager.quiesce",
      .roles = ROLE_OWNER,
      .flags = RPC_METHOD_STREAMING | RPC_METHOD_RESUME,
      .fn = rpc_quiesce },
    { .topic = "job-manager.raise",
      .roles = ROLE_USER,
      .in = "id:I severity:i type:s note?:s",
      .fn = rpc_raise },
    { .topic = "job-manager.raiseall",
      .roles = ROLE_USER,
      .in = "userid?:u states?:i severity?:i type?:s note?:s dry_run?:b",
      .fn = rpc_raiseall },
    { .topic = "job-manager.rescan",
      .roles = ROLE_OWNER,
      .in = "ids:a",
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_rescan },
    { .topic = "job-manager.sched-hello",
      .roles = ROLE_OWNER,
      .flags = RPC_METHOD_STREAMING | RPC_METHOD_SESSION,
      .fn = rpc_sched_hello },
    { .topic = "job-manager.sched-ready",
      .roles = ROLE_OWNER,
      .in = "mode:s batch?:b session?:s",
      .flags = RPC_METHOD_STREAMING | RPC_METHOD_SESSION,
      .fn = rpc_sched_ready },
    { .topic = "job-manager.submit",
      .roles = ROLE_OWNER,
      .in = "jobs:a",
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_submit },
    { .topic = "job-manager.urgency",
      .roles = ROLE_USER,
      .in = "id:I urgency:i",
      .fn = rpc_urgency },
    { .topic = "job-manager.wait",
      .roles = ROLE_USER,
      .in = "id:I",
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_wait },
    { .topic = "job-manager.wake",
      .roles = ROLE_OWNER,
      .flags = RPC_METHOD_NORESPONSE,
      .fn = rpc_wake },
};

static void on_stats(json_t *stats, void *arg)
{
    CLEANUP(json_decrefp) json_t *o = stats_json(&((struct daemon *)arg)->m);

    (void)json_object_update(stats, o);
}

static void on_stats_clear(void *arg)
{
    counters_clear(&((struct daemon *)arg)->m);
}

static int on_config(const json_t *config, void *arg, flux_error_t *error)
{
    return purge_config(((struct daemon *)arg)->purger, config, error);
}

const struct service_desc daemon_desc = {
    .name = "job-manager",
    .methods = methods,
    .nmethods = ARRAY_SIZE(methods),
    .on_stats = on_stats,
    .on_stats_clear = on_stats_clear,
    .on_stop = turn_stop,
    .on_config = on_config,
};
