/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Built-in dependency schemes (RFC 26): begin-time, after, afterany, afterok, afternotok. Each
 * dependency is an edge on a list of the job that waits and on one of the job it waits for, so that
 * the end of a job costs only its own edges. The job waited for must be active when the dependency
 * is made. What cannot be satisfied any more raises a fatal exception of type "dependency".
 *
 * Refuses unknown schemes, ids that are none, jobs of other users, more than 1000 dependencies. */
#include <errno.h>
#include <string.h>

#include "base/errorx.h"
#include "base/eventlog.h"
#include "base/fluid.h"
#include "base/number.h"
#include "manager.h"

#define DEPENDENCIES_MAX 1000

enum scheme { SCHEME_BEGIN_TIME, SCHEME_AFTER, SCHEME_AFTERANY, SCHEME_AFTEROK, SCHEME_AFTERNOTOK };

static const char *const schemes[] = {
    [SCHEME_BEGIN_TIME] = "begin-time", [SCHEME_AFTER] = "after",
    [SCHEME_AFTERANY] = "afterany",     [SCHEME_AFTEROK] = "afterok",
    [SCHEME_AFTERNOTOK] = "afternotok",
};

struct dependency {
    enum scheme scheme;
    struct job *job;    /* which waits; NULL: not linked yet */
    struct job *on;     /* for this one; NULL: begin-time, or it has ended */
    flux_jobid_t on_id; /* its id */
    double time;        /* begin-time */
    char *description;
    LIST_ENTRY(dependency) job_link, on_link; /* on_link: on->waited_by, or begin_times */
};

static struct dependency *dependency_free(struct dependency *dep)
{
    if (!dep)
        return NULL;
    if (dep->job) {
        LIST_REMOVE(dep, job_link);
        if (dep->on || dep->scheme == SCHEME_BEGIN_TIME)
            LIST_REMOVE(dep, on_link);
    }
    free(dep->description);
    free(dep);
    return NULL;
}

DEFINE_CLEANUP(struct dependency *, dependency_free)

static int dependency_parse(json_t *o, struct dependency **ret, flux_error_t *error)
{
    CLEANUP(dependency_freep) struct dependency *dep = calloc(1, sizeof(*dep));
    const char *scheme, *value;
    size_t i;

    if (!dep)
        return -ENOMEM;
    if (json_unpack(o, "{s:s s:s}", "scheme", &scheme, "value", &value) < 0)
        return errorx_fail(error, EINVAL, "a dependency needs the strings scheme and value");
    for (i = 0; i < ARRAY_SIZE(schemes) && strcmp(schemes[i], scheme) != 0; i++)
        ;
    if (i == ARRAY_SIZE(schemes))
        return errorx_fail(error, EINVAL, "dependency scheme \"%.40s\" is not supported", scheme);
    dep->scheme = (enum scheme)i;
    if (dep->scheme == SCHEME_BEGIN_TIME) {
        if (number_parse_double(value, &dep->time) < 0 || dep->time < 0)
            return errorx_fail(error, EINVAL, "begin-time \"%.40s\" is not a time in seconds",
                               value);
    } else if (fluid_parse(value, &dep->on_id) < 0)
        return errorx_fail(error, EINVAL, "%s: \"%.40s\" is not a job id", scheme, value);
    if (asprintf(&dep->description, "%s=%s", scheme, value) < 0) {
        dep->description = NULL;
        return -ENOMEM;
    }
    *ret = TAKE(dep);
    return 0;
}

static void dependency_link(struct manager *m, struct job *job, struct dependency *dep)
{
    dep->job = job;
    LIST_INSERT_HEAD(&job->waiting_for, dep, job_link);
    if (dep->scheme == SCHEME_BEGIN_TIME) {
        LIST_INSERT_HEAD(&m->depend.begin_times, dep, on_link);
        if (m->depend.next == 0 || dep->time < m->depend.next)
            m->depend.next = dep->time > 0 ? dep->time : 1;
    } else if (dep->on)
        LIST_INSERT_HEAD(&dep->on->waited_by, dep, on_link);
}

/* Ends the dependency: satisfied, or why it never will be. Frees it. */
static void dependency_end(struct manager *m, struct dependency *dep, const char *never)
{
    struct job *job = dep->job;
    struct event ev = { .type = EVENT_DEPENDENCY_REMOVE, .description = dep->description };
    char note[256];

    if (job->state == JOB_STATE_DEPEND) {
        if (!never)
            (void)event_post(m, job, &ev);
        else {
            (void)snprintf(note, sizeof(note), "dependency %.100s can never be satisfied: %s",
                           dep->description, never);
            (void)event_post_exception(m, job, "dependency", 0, m->owner, note);
        }
    }
    dependency_free(dep);
}

static void dependency_judge(struct manager *m, struct dependency *dep, bool succeeded, bool ran)
{
    const char *never = NULL;

    switch (dep->scheme) {
    case SCHEME_AFTER:
        never = ran ? NULL : "the job ended without having run";
        break;
    case SCHEME_AFTEROK:
        never = succeeded ? NULL : "the job did not succeed";
        break;
    case SCHEME_AFTERNOTOK:
        never = succeeded ? "the job succeeded" : NULL;
        break;
    case SCHEME_AFTERANY:
    case SCHEME_BEGIN_TIME:
        break;
    }
    dependency_end(m, dep, never);
}

/* The dependencies in the job's jobspec; *ret is an array or NULL. */
static int jobspec_dependencies(const struct job *job, json_t **ret)
{
    json_t *o, *list;

    *ret = NULL;
    if (!strstr(job->jobspec, "\"dependencies\""))
        return 0;
    o = json_loads(job->jobspec, 0, NULL);
    if (!o)
        return -ENOMEM;
    list = json_object_get(json_object_get(json_object_get(o, "attributes"), "system"),
                           "dependencies");
    *ret = json_incref(list);
    json_decref(o);
    return 0;
}

static int dependency_find_on(struct manager *m, struct job *job, struct dependency *dep,
                              flux_error_t *error)
{
    struct job *on;

    if (dep->scheme == SCHEME_BEGIN_TIME)
        return 0;
    on = manager_find(m, dep->on_id);
    if (!on || on == job || on->state == JOB_STATE_INACTIVE)
        return errorx_fail(error, ENOENT, "%.100s: no such active job", dep->description);
    if (on->userid != job->userid && job->userid != m->owner)
        return errorx_fail(error, EPERM, "%.100s: the job belongs to another user",
                           dep->description);
    dep->on = on;
    return 0;
}

static int dependency_add(struct manager *m, struct job *job, json_t *o, flux_error_t *error)
{
    CLEANUP(dependency_freep) struct dependency *dep = NULL;
    struct dependency *linked;
    int rc = dependency_parse(o, &dep, error);

    if (rc == 0)
        rc = dependency_find_on(m, job, dep, error);
    if (rc == 0)
        rc = event_post(
            m, job,
            &(struct event){ .type = EVENT_DEPENDENCY_ADD, .description = dep->description });
    if (rc < 0)
        return rc;
    linked = TAKE(dep);
    dependency_link(m, job, linked);
    if (linked->scheme == SCHEME_AFTER && linked->on->ran)
        dependency_end(m, linked, NULL);
    return 0;
}

void dependency_setup(struct manager *m, struct job *job)
{
    CLEANUP(json_decrefp) json_t *list = NULL;
    flux_error_t error = { .text = "out of memory" };
    json_t *o;
    size_t i;
    int rc = jobspec_dependencies(job, &list);

    if (rc == 0 && json_array_size(list) > DEPENDENCIES_MAX)
        rc = errorx_fail(&error, EINVAL, "more than %d dependencies", DEPENDENCIES_MAX);
    /* Hold the job in DEPEND until all are added: one that is satisfied at once must not end it. */
    json_array_foreach (list, i, o) {
        if (rc == 0)
            rc = dependency_add(m, job, o, &error);
    }
    if (rc < 0 && job->state == JOB_STATE_DEPEND)
        (void)event_post_exception(m, job, "dependency", 0, m->owner, error.text);
    dependency_tick(m);
}

/* Descriptions of what was removed already, as keys of an object. */
static json_t *removed_dependencies(const struct job *job)
{
    CLEANUP(json_decrefp) json_t *entries = eventlog_decode(job->log.s, job->log.len, NULL);
    json_t *removed = json_object();
    json_t *entry;
    size_t i;

    json_array_foreach (entries, i, entry) {
        struct event ev;

        if (event_decode(entry, &ev) == 0 && ev.type == EVENT_DEPENDENCY_REMOVE)
            (void)json_object_set_new(removed, ev.description, json_true());
    }
    return removed;
}

void dependency_resume(struct manager *m, struct job *job,
                       void (*unknown)(struct manager *m, struct job *job, flux_jobid_t on))
{
    CLEANUP(json_decrefp) json_t *list = NULL;
    CLEANUP(json_decrefp) json_t *removed = NULL;
    json_t *o;
    size_t i;

    if (job->state != JOB_STATE_DEPEND || job->ndependencies == 0)
        return;
    if (jobspec_dependencies(job, &list) < 0 || !(removed = removed_dependencies(job))) {
        manager_fatal(m, ENOMEM, "cannot take up dependencies");
        return;
    }
    json_array_foreach (list, i, o) {
        struct dependency *dep;

        if (dependency_parse(o, &dep, NULL) < 0)
            continue;
        if (json_object_get(removed, dep->description)) {
            dependency_free(dep);
            continue;
        }
        if (dep->scheme != SCHEME_BEGIN_TIME)
            dep->on = manager_find(m, dep->on_id);
        dependency_link(m, job, dep);
        if (dep->scheme != SCHEME_BEGIN_TIME && !dep->on)
            unknown(m, job, dep->on_id);
        else if (dep->scheme == SCHEME_AFTER && dep->on->ran)
            dependency_end(m, dep, NULL);
    }
}

void dependency_settle(struct manager *m, struct job *job, const struct job *on, bool ran)
{
    struct dependency *dep, *tmp;

    for (dep = LIST_FIRST(&job->waiting_for); dep; dep = tmp) {
        tmp = LIST_NEXT(dep, job_link);
        if (dep->scheme != SCHEME_BEGIN_TIME && !dep->on && dep->on_id == on->id)
            dependency_judge(m, dep, job_succeeded(on), ran);
    }
}

void dependency_running(struct manager *m, struct job *job)
{
    struct dependency *dep, *tmp;

    for (dep = LIST_FIRST(&job->waited_by); dep; dep = tmp) {
        tmp = LIST_NEXT(dep, on_link);
        if (dep->scheme == SCHEME_AFTER)
            dependency_end(m, dep, NULL);
    }
}

void dependency_inactive(struct manager *m, struct job *job)
{
    struct dependency *dep;

    while ((dep = LIST_FIRST(&job->waited_by)))
        dependency_judge(m, dep, job_succeeded(job), job->ran);
}

void dependency_drop(struct job *job)
{
    struct dependency *dep;

    while ((dep = LIST_FIRST(&job->waiting_for)))
        dependency_free(dep);
}

void dependency_tick(struct manager *m)
{
    double now = m->ops->now(m->arg);
    struct dependency *dep, *tmp;

    if (m->depend.next == 0 || now < m->depend.next)
        return;
    m->depend.next = 0;
    for (dep = LIST_FIRST(&m->depend.begin_times); dep; dep = tmp) {
        tmp = LIST_NEXT(dep, on_link);
        if (dep->time <= now)
            dependency_end(m, dep, NULL);
        else if (m->depend.next == 0 || dep->time < m->depend.next)
            m->depend.next = dep->time;
    }
}
