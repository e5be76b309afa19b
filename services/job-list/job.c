/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Replays RFC 21 events into the fields that queries ask for. The order of events is the job
 * manager's business: an event that does not fit the state changes what it tells, not the state.
 *
 * Results: TIMEOUT or CANCELED by the type of the first fatal exception, else FAILED after any
 * fatal exception, else COMPLETED if the job finished with status 0, else FAILED. */
#include <string.h>

#include "base/jsonx.h"
#include "base/eventlog.h"
#include "base/jobspec.h"
#include "base/rset.h"
#include "job-list/job.h"

DEFINE_CLEANUP(struct rset *, rset_free)
DEFINE_CLEANUP(struct idset *, idset_destroy)

int job_new(flux_jobid_t id, struct job **ret)
{
    struct job *job = calloc(1, sizeof(*job));

    if (!job)
        return -ENOMEM;
    job->id = id;
    job->state = FLUX_JOB_STATE_NEW;
    job->priority = JOB_PRIORITY_NONE;
    job->exception_severity = JOB_SEVERITY_NONE;
    job->waitstatus = JOB_STATUS_NONE;
    *ret = job;
    return 0;
}

struct job *job_free(struct job *job)
{
    if (!job)
        return NULL;
    free(job->name);
    free(job->cwd);
    free(job->queue);
    free(job->ranks);
    free(job->nodelist);
    free(job->exception_type);
    free(job->exception_note);
    json_decref(job->annotations);
    json_decref(job->dependencies);
    free(job);
    return NULL;
}

/* Replace *p by a copy of s; NULL clears. */
static int set_string(char **p, const char *s)
{
    char *copy = s ? strdup(s) : NULL;

    if (s && !copy)
        return -ENOMEM;
    free(*p);
    *p = copy;
    return 0;
}

/* --- events */

static int on_submit(struct job *job, double t, const json_t *context)
{
    job->t_submit = t;
    job->userid = (uint32_t)json_integer_value(json_object_get(context, "userid"));
    job->urgency = (int)json_integer_value(json_object_get(context, "urgency"));
    return 0;
}

static int on_validate(struct job *job, double t, const json_t *context)
{
    job->t_depend = t;
    if (job->state == FLUX_JOB_STATE_NEW)
        job->state = FLUX_JOB_STATE_DEPEND;
    return 0;
}

static int on_dependency_add(struct job *job, double t, const json_t *context)
{
    json_t *description = json_object_get(context, "description");

    if (!job->dependencies && !(job->dependencies = json_array()))
        return -ENOMEM;
    return description && json_array_append(job->dependencies, description) < 0 ? -ENOMEM : 0;
}

static int on_dependency_remove(struct job *job, double t, const json_t *context)
{
    json_t *description = json_object_get(context, "description");

    for (size_t i = 0; i < json_array_size(job->dependencies); i++)
        if (json_equal(json_array_get(job->dependencies, i), description))
            return json_array_remove(job->dependencies, i);
    return 0;
}

static int on_depend(struct job *job, double t, const json_t *context)
{
    if (job->state == FLUX_JOB_STATE_DEPEND)
        job->state = FLUX_JOB_STATE_PRIORITY;
    return 0;
}

static int on_priority(struct job *job, double t, const json_t *context)
{
    job->priority = json_integer_value(json_object_get(context, "priority"));
    if (job->state == FLUX_JOB_STATE_PRIORITY)
        job->state = FLUX_JOB_STATE_SCHED;
    return 0;
}

static int on_urgency(struct job *job, double t, const json_t *context)
{
    job->urgency = (int)json_integer_value(json_object_get(context, "urgency"));
    return 0;
}

static int on_restart(struct job *job, double t, const json_t *context)
{
    if (job->state == FLUX_JOB_STATE_SCHED)
        job->state = FLUX_JOB_STATE_PRIORITY;
    return 0;
}

static int on_alloc(struct job *job, double t, const json_t *context)
{
    json_t *annotations = json_object_get(context, "annotations");

    job->t_run = t;
    if (job->state < FLUX_JOB_STATE_RUN)
        job->state = FLUX_JOB_STATE_RUN;
    return annotations ? job_set_annotations(job, annotations) : 0;
}

static void enter_cleanup(struct job *job, double t)
{
    if (job->state >= FLUX_JOB_STATE_CLEANUP)
        return;
    job->state = FLUX_JOB_STATE_CLEANUP;
    job->t_cleanup = t;
}

static int on_finish(struct job *job, double t, const json_t *context)
{
    job->waitstatus = (int)json_integer_value(json_object_get(context, "status"));
    enter_cleanup(job, t);
    return 0;
}

static int on_exception(struct job *job, double t, const json_t *context)
{
    int severity = (int)json_integer_value(json_object_get(context, "severity"));

    if (severity == 0)
        enter_cleanup(job, t);
    if (job->exception_severity != JOB_SEVERITY_NONE && job->exception_severity <= severity)
        return 0;
    job->exception_severity = severity;
    if (set_string(&job->exception_type, json_string_value(json_object_get(context, "type"))) < 0)
        return -ENOMEM;
    return set_string(&job->exception_note, json_string_value(json_object_get(context, "note")));
}

static flux_job_result_t find_result(const struct job *job)
{
    const char *type = job->exception_type ? job->exception_type : "";

    if (job->exception_severity == 0 && strcmp(type, "cancel") == 0)
        return FLUX_JOB_RESULT_CANCELED;
    if (job->exception_severity == 0 && strcmp(type, "timeout") == 0)
        return FLUX_JOB_RESULT_TIMEOUT;
    if (job->exception_severity == 0 || job->waitstatus != 0)
        return FLUX_JOB_RESULT_FAILED;
    return FLUX_JOB_RESULT_COMPLETED;
}

static int on_clean(struct job *job, double t, const json_t *context)
{
    enter_cleanup(job, t);
    job->state = FLUX_JOB_STATE_INACTIVE;
    job->t_inactive = t;
    job->result = find_result(job);
    return 0;
}

static int on_jobspec_update(struct job *job, double t, const json_t *context)
{
    const json_t *duration = json_object_get(context, "attributes.system.duration");
    const json_t *queue = json_object_get(context, "attributes.system.queue");
    const json_t *name = json_object_get(context, "attributes.system.job.name");

    if (json_is_number(duration))
        job->duration = json_number_value(duration);
    if (json_is_string(queue) && set_string(&job->queue, json_string_value(queue)) < 0)
        return -ENOMEM;
    return json_is_string(name) ? set_string(&job->name, json_string_value(name)) : 0;
}

static int on_memo(struct job *job, double t, const json_t *context)
{
    CLEANUP(json_decrefp)
    json_t *annotations = job->annotations ? json_deep_copy(job->annotations) : json_object();
    CLEANUP(json_decrefp) json_t *user = json_pack("{s:O}", "user", (json_t *)context);
    int rc = annotations && user ? jsonx_merge(annotations, user) : -ENOMEM;

    return rc < 0 ? rc : job_set_annotations(job, annotations);
}

static const struct {
    const char *name;
    int (*apply)(struct job *job, double t, const json_t *context);
} events[] = {
    { "submit", on_submit },
    { "validate", on_validate },
    { "dependency-add", on_dependency_add },
    { "dependency-remove", on_dependency_remove },
    { "depend", on_depend },
    { "priority", on_priority },
    { "urgency", on_urgency },
    { "flux-restart", on_restart },
    { "alloc", on_alloc },
    { "finish", on_finish },
    { "exception", on_exception },
    { "clean", on_clean },
    { "jobspec-update", on_jobspec_update },
    { "memo", on_memo },
};

int job_apply_event(struct job *job, const json_t *event)
{
    const char *name;
    json_t *context;
    double t;

    if (eventlog_entry_parse(event, &t, &name, &context) < 0)
        return -EPROTO;
    job->nevents++;
    for (size_t i = 0; i < ARRAY_SIZE(events); i++)
        if (strcmp(events[i].name, name) == 0)
            return events[i].apply(job, t, context);
    return 0;
}

/* --- jobspec and R */

static int set_name(struct job *job, const struct jobspec *js)
{
    free(job->name);
    job->name = jobspec_job_name(js);
    return job->name ? 0 : -ENOMEM;
}

/* Of a job with so many on each node or core; the number of nodes may come with R only. */
static void count_tasks(struct job *job)
{
    if (job->per_node && job->nnodes)
        job->ntasks = job->nnodes * job->per_node;
    else if (job->per_core)
        job->ntasks = job->ncores * job->per_core;
}

int job_apply_jobspec(struct job *job, json_t *jobspec)
{
    struct jobspec js = { 0 };
    int rc;

    if (job->has_jobspec || jobspec_parse(jobspec, &js, NULL) < 0)
        return 0;
    job->has_jobspec = true;
    job->ntasks = js.ntasks;
    job->per_node = js.per_node;
    job->per_core = js.per_core;
    if (!job->ranks) {
        job->ncores = js.nslots * js.cores_per_slot;
        job->nnodes = js.nnodes;
    }
    count_tasks(job);
    job->duration = js.duration;
    rc = set_name(job, &js);
    if (rc == 0)
        rc = set_string(&job->cwd, js.cwd);
    if (rc == 0)
        rc = set_string(&job->queue, js.queue);
    jobspec_deinit(&js);
    return rc;
}

int job_apply_R(struct job *job, const json_t *R)
{
    CLEANUP(rset_freep) struct rset *r = NULL;
    CLEANUP(idset_destroyp) struct idset *ranks = NULL;
    CLEANUP(freep) char *s = NULL;
    CLEANUP(freep) char *nodelist = NULL;

    if (rset_decode(R, &r, NULL) < 0)
        return 0;
    ranks = rset_ranks(r);
    s = ranks ? idset_encode(ranks, IDSET_FLAG_BRACKETS | IDSET_FLAG_RANGE) : NULL;
    nodelist = rset_nodelist(r);
    if (!s || !nodelist)
        return -ENOMEM;
    free(job->ranks);
    free(job->nodelist);
    job->ranks = TAKE(s);
    job->nodelist = TAKE(nodelist);
    job->nnodes = (int)rset_nnodes(r);
    job->ncores = (int)rset_count(r, "core");
    job->expiration = rset_expiration(r);
    count_tasks(job);
    return 0;
}

int job_set_annotations(struct job *job, json_t *annotations)
{
    json_decref(job->annotations);
    job->annotations = json_object_size(annotations) > 0 ? json_incref(annotations) : NULL;
    return 0;
}
