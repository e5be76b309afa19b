/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the KVS remembers of a job: exec.eventlog of its namespace or of its archive, and whether
 * its own eventlog has a start event. Asked about every job that may have been started before,
 * because the archive outlives the record in RUNDIR/jobs. */
#include <string.h>
#include <sys/wait.h>

#include "base/eventlog.h"
#include "base/jsonx.h"
#include "job.h"
#include "service/log.h"

static void look_in_namespace(struct job *job);
static void look_in_archive(struct job *job);

/* The events of a finished look-up. 1: found, 0: there is none, -1: the daemon is ending. */
static int get_events(struct job *job, json_t **ret_entries)
{
    CLEANUP(json_decrefp) json_t *entries = NULL;
    flux_error_t error = { .text = "" };
    const char *text;
    int rc = 1;

    if (flux_kvs_lookup_get(job->f_log, &text) < 0) {
        rc = kvs_says_none(errno) ? 0 : -1;
        if (rc < 0)
            job->jobs->on_fatal(job->jobs->fatal_arg, flux_future_error_string(job->f_log));
    } else {
        entries = eventlog_decode(text ? text : "", text ? strlen(text) : 0, &error);
        if (!entries) {
            /* A guest can write what he likes into his namespace. */
            log_warning("job %" PRIu64 ": its exec.eventlog is not an eventlog: %s", job->id,
                        error.text);
            entries = json_array();
        }
    }
    flux_future_destroy(job->f_log);
    job->f_log = NULL;
    *ret_entries = TAKE(entries);
    return rc;
}

static void lookup(struct job *job, const char *ns, const char *key, flux_continuation_f cb)
{
    job->f_log = flux_kvs_lookup(job->jobs->h, ns, 0, key);
    if (!job->f_log || flux_future_then(job->f_log, -1., cb, job) < 0)
        job->jobs->on_fatal(job->jobs->fatal_arg, strerror(errno));
}

static void on_namespace_log(flux_future_t *f, void *arg)
{
    CLEANUP(json_decrefp) json_t *entries = NULL;
    struct job *job = arg;
    const int rc = get_events(job, &entries);

    if (rc < 0)
        return;
    exec_log_read(entries, &job->facts.log);
    job->facts.log.complete = false; /* only flux-exec says that, and not in the namespace */
    if (job->state == JOB_RECALL && rc == 0) {
        look_in_archive(job);
    } else if (job->state == JOB_RECALL) {
        job->namespace_ready = true;
        job_recalled(job);
    } else {
        int status = job->has_status ? job->status : STATUS_VANISHED;
        char text[64];

        if (!job->has_status && job->facts.log.shell_exit)
            status = status_from_exit_code(job->facts.log.shell_status);
        else if (!job->has_status)
            job_fail(job, "exec", "the job shell vanished: it is gone and left no exit status");
        else if (WIFSIGNALED(status) && !job->killed)
            job_fail(job, "exec", "the job shell was killed by %s",
                     status_describe(status, text, sizeof(text)));
        else if (!job->facts.log.exists && !job->killed)
            job_fail(job, "exec", "the job shell failed before it started a task (%s)",
                     status_describe(status, text, sizeof(text)));
        job->has_status = true;
        job->status = status;
        job_ended(job);
    }
}

static void look_in_namespace(struct job *job)
{
    char ns[64];

    (void)flux_job_kvs_namespace(ns, sizeof(ns), job->id);
    lookup(job, ns, "exec.eventlog", on_namespace_log);
}

static void on_archived_log(flux_future_t *f, void *arg)
{
    CLEANUP(json_decrefp) json_t *entries = NULL;
    struct job *job = arg;

    if (get_events(job, &entries) < 0)
        return;
    exec_log_read(entries, &job->facts.log);
    job_recalled(job);
}

static void look_in_archive(struct job *job)
{
    char key[96];

    (void)flux_job_kvs_key(key, sizeof(key), job->id, "guest.exec.eventlog");
    lookup(job, KVS_PRIMARY_NAMESPACE, key, on_archived_log);
}

void job_recall(struct job *job)
{
    job_set_state(job, JOB_RECALL);
    if (job->is_part) { /* what its record says is all that is known here */
        job_recalled(job);
        return;
    }
    look_in_namespace(job); /* first: the key of the archive is a link to it until there is one */
}

void job_inquest(struct job *job)
{
    job_set_state(job, JOB_INQUEST);
    look_in_namespace(job);
}
