/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What a job needs of the KVS: its jobspec, a namespace that its user may write with the link to
 * it, and at the end the archive. The job manager makes the namespace with `alloc` and says so in
 * the start request; one that does not say so may have been restarted since, or never have done it:
 * then the namespace is made here unless it is there. Commits travel with those of other jobs.
 *
 * The head of exec.eventlog (init, starting) is written by the shell with its own first events,
 * which saves each job a commit; where no shell got that far it is written with the archive. */
#include <string.h>

#include "base/eventlog.h"
#include "base/jsonx.h"
#include "job.h"
#include "service/log.h"

static void on_jobspec(flux_future_t *f, void *arg)
{
    struct job *job = arg;
    const char *text;

    job->f_jobspec = NULL;
    if (flux_kvs_lookup_get(f, &text) < 0 || !text || !(job->jobspec = strdup(text))) {
        if (errno != ENOMEM && !kvs_says_none(errno))
            job->jobs->on_fatal(job->jobs->fatal_arg, flux_future_error_string(f));
        else
            job_fail(job, "exec", "cannot read the jobspec: %s", flux_future_error_string(f));
    }
    flux_future_destroy(f);
    job_provided(job);
}

void job_want_jobspec(struct job *job)
{
    char key[96];

    if (job->jobspec || job->f_jobspec)
        return;
    (void)flux_job_kvs_key(key, sizeof(key), job->id, "jobspec");
    job->f_jobspec = flux_kvs_lookup(job->jobs->h, KVS_PRIMARY_NAMESPACE, 0, key);
    if (!job->f_jobspec || flux_future_then(job->f_jobspec, -1., on_jobspec, job) < 0)
        job->jobs->on_fatal(job->jobs->fatal_arg, strerror(errno));
}

static int fill_namespace(flux_kvs_txn_t *txn, void *arg)
{
    struct job *job = arg;
    char key[96], ns[64];

    (void)flux_job_kvs_key(key, sizeof(key), job->id, "guest");
    (void)flux_job_kvs_namespace(ns, sizeof(ns), job->id);
    return flux_kvs_txn_namespace(txn, 0, key, ns, job->userid) < 0 ? -errno : 0;
}

static void on_namespace(void *arg, int errnum, const char *errstr)
{
    struct job *job = arg;

    if (errnum)
        job_fail(job, "exec", "cannot create the namespace of the job: %s", errstr);
    else
        job->namespace_ready = true;
    if (job->state == JOB_ARCHIVE)
        job_archive(job);
    else
        job_provided(job);
}

void job_want_namespace(struct job *job)
{
    if (job->namespace_ready || job->creation.state != COMMIT_IDLE)
        return;
    job->creation = (struct commit_op){ .fill = fill_namespace, .done = on_namespace, .arg = job };
    commitq_push(job->jobs->commits, &job->creation);
}

static int append(flux_kvs_txn_t *txn, const char *key, json_t *entry)
{
    CLEANUP(freep) char *line = entry ? eventlog_entry_encode(entry) : NULL;

    json_decref(entry);
    if (!line)
        return -ENOMEM;
    return flux_kvs_txn_put(txn, FLUX_KVS_APPEND, key, line) < 0 ? -errno : 0;
}

static int fill_archive(flux_kvs_txn_t *txn, void *arg)
{
    struct job *job = arg;
    char key[96], log[96], ns[64];
    int rc = 0;

    (void)flux_job_kvs_key(key, sizeof(key), job->id, "guest");
    (void)flux_job_kvs_key(log, sizeof(log), job->id, "guest.exec.eventlog");
    (void)flux_job_kvs_namespace(ns, sizeof(ns), job->id);
    if (flux_kvs_txn_archive(txn, 0, key, ns) < 0)
        return -errno;
    if (!job->facts.log.exists && job->status != 0)
        rc = append(txn, log, eventlog_entry_create(job->t_init, "init", NULL));
    if (rc == 0 && job->has_status)
        rc = append(txn, log, eventlog_entry_pack(0, "complete", "{s:i}", "status", job->status));
    if (rc == 0)
        rc = append(txn, log, eventlog_entry_create(0, "done", NULL));
    return rc;
}

static void on_archived(void *arg, int errnum, const char *errstr)
{
    struct job *job = arg;

    if (errnum && !kvs_says_none(errnum))
        log_err("job %" PRIu64 ": its namespace could not be archived: %s", job->id, errstr);
    job_done(job);
}

void job_archive(struct job *job)
{
    if (job->state != JOB_ARCHIVE)
        job_set_state(job, JOB_ARCHIVE);
    if (job->creation.state != COMMIT_IDLE)
        return; /* on_namespace() comes back here */
    if (!job->namespace_ready) {
        job_done(job);
        return;
    }
    job->archive = (struct commit_op){ .fill = fill_archive, .done = on_archived, .arg = job };
    commitq_push(job->jobs->commits, &job->archive);
}

void jobkvs_deinit(struct job *job)
{
    commitq_cancel(job->jobs->commits, &job->archive);
    commitq_cancel(job->jobs->commits, &job->creation);
    flux_future_destroy(job->f_log);
    flux_future_destroy(job->f_jobspec);
}
