/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What a shell is told: who it is for, what to run, on what. Only the process on record is told,
 * once its namespace exists, and the record says so before it is: from then on user code may have
 * run. Jobspec and R go out as the text they are stored as. */
#include <string.h>

#include "base/eventlog.h"
#include "base/jsonx.h"
#include "job.h"
#include "service/log.h"
#include "service/service.h"

/* The events that flux-exec would write, as text for the shell to write first. */
static char *log_head(const struct job *job)
{
    CLEANUP(json_decrefp) json_t *init = eventlog_entry_create(job->t_init, "init", NULL);
    CLEANUP(json_decrefp)
    json_t *starting = eventlog_entry_create(job->t_starting, "starting", NULL);
    CLEANUP(freep) char *a = init ? eventlog_entry_encode(init) : NULL;
    CLEANUP(freep) char *b = starting ? eventlog_entry_encode(starting) : NULL;
    char *s;

    return a && b && asprintf(&s, "%s%s", a, b) >= 0 ? s : NULL;
}

static json_t *shell_options(const struct job *job)
{
    CLEANUP(freep) char *head = log_head(job);
    CLEANUP(json_decrefp) json_t *cpus = json_array();
    json_t *options;

    for (char **s = job->cpus; s && *s; s++)
        if (json_array_append_new(cpus, json_string(*s)) < 0)
            return NULL;
    options = head ? json_pack("{s:s}", "log_head", head) : NULL;
    if (options && job->cpus && json_object_set(options, "cpus", cpus) < 0) {
        json_decref(options);
        return NULL;
    }
    return options;
}

static char *info_text(const struct job *job)
{
    CLEANUP(json_decrefp) json_t *options = shell_options(job);
    CLEANUP(freep) char *tail = options ? json_dumps(options, JSON_COMPACT) : NULL;
    char ns[64], *text;

    (void)flux_job_kvs_namespace(ns, sizeof(ns), job->id);
    if (!tail ||
        asprintf(&text,
                 "{\"id\":%" PRIu64 ",\"userid\":%" PRIu32 ",\"rank\":%" PRIu32
                 ",\"namespace\":\"%s\",\"jobspec\":%s,\"R\":%s,\"options\":%s}",
                 job->id, job->userid, job->jobs->rank, ns, job->jobspec, job->R, tail) < 0)
        return NULL;
    return text;
}

void job_inform(struct job *job)
{
    CLEANUP(freep) char *text = NULL;
    struct request *req = job->info;
    int rc;

    if (!req || !job->launch || launch_pid(job->launch) == 0 || !job->namespace_ready ||
        !job->jobspec || job->state != JOB_RUN)
        return;
    job->info = NULL;
    if (job->info_pid != launch_pid(job->launch)) {
        /* One that a former flux-exec started and did not live to record: it runs nothing. */
        (void)request_fail(req, EPERM, "process %d is not the shell of this job",
                           (int)job->info_pid);
        request_unref(req);
        return;
    }
    text = info_text(job);
    rc = text ? record_set_informed(launcher_records(job->jobs->launcher), job->id) : -ENOMEM;
    if (rc == 0) {
        job->facts.informed = true;
        rc = request_respond(req, text);
    } else {
        (void)request_fail(req, -rc, "cannot note that the shell runs: %s", strerror(-rc));
        job_fail(job, "exec", "cannot note that the shell runs: %s", strerror(-rc));
    }
    request_unref(req);
}
