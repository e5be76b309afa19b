/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The object for one job: memory and questions about it. It takes no decisions and does no I/O. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <flux/job.h>

#include "job.h"

int job_new(flux_jobid_t id, struct job **ret)
{
    struct job *job = calloc(1, sizeof(*job));

    if (!job)
        return -ENOMEM;
    job->id = id;
    job->refs = 1;
    job->released = true;
    LIST_INIT(&job->waiting_for);
    LIST_INIT(&job->waited_by);
    *ret = job;
    return 0;
}

struct job *job_ref(struct job *job)
{
    job->refs++;
    return job;
}

struct job *job_unref(struct job *job)
{
    if (!job || --job->refs > 0)
        return NULL;
    free(job->exception);
    free(job->jobspec);
    free(job->R);
    json_decref(job->annotations);
    text_deinit(&job->log);
    free(job);
    return NULL;
}

bool job_is_held(const struct job *job)
{
    return job->priority == 0;
}

bool job_succeeded(const struct job *job)
{
    return !job->failed && job->finished && job->status == 0;
}

char *job_failure(const struct job *job)
{
    char *s = NULL;
    int rc;

    if (job_succeeded(job))
        return strdup("");
    if (job->failed)
        rc = asprintf(&s, "Fatal exception %s", job->exception ? job->exception : "");
    else if (WIFSIGNALED(job->status))
        rc = asprintf(&s, "task(s) %s", strsignal(WTERMSIG(job->status)));
    else
        rc = asprintf(&s, "task(s) exited with exit code %d", WEXITSTATUS(job->status));
    return rc < 0 ? NULL : s;
}

int job_set_jobspec(struct job *job, json_t *jobspec)
{
    json_t *system = json_object_get(json_object_get(jobspec, "attributes"), "system");
    char *s;

    if (system)
        (void)json_object_del(system, "environment");
    s = json_dumps(jobspec, JSON_COMPACT);
    if (!s)
        return -ENOMEM;
    free(job->jobspec);
    job->jobspec = s;
    job->simulated = json_object_get(json_object_get(system, "exec"), "test") != NULL;
    return 0;
}
