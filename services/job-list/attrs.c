/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One table: the name of each attribute and how to make its value; NULL means there is none yet,
 * and the key is left out. */
#include <string.h>

#include "base/errorx.h"
#include "job-list/attrs.h"

/* What is not known is absent: an empty value (NULL) is told from lack of memory by errno. */
static json_t *absent(void)
{
    errno = 0;
    return NULL;
}

static json_t *string(const char *s)
{
    return s ? json_string(s) : absent();
}

static json_t *time_value(double t)
{
    return t > 0 ? json_real(t) : absent();
}

static json_t *positive(int n)
{
    return n > 0 ? json_integer(n) : absent();
}

static bool inactive(const struct job *job)
{
    return job->state == FLUX_JOB_STATE_INACTIVE;
}

static bool had_exception(const struct job *job)
{
    return job->exception_severity != JOB_SEVERITY_NONE;
}

#define ATTR(name, value)                            \
    static json_t *get_##name(const struct job *job) \
    {                                                \
        return (value);                              \
    }

ATTR(id, json_integer((json_int_t)job->id))
ATTR(userid, json_integer(job->userid))
ATTR(urgency, json_integer(job->urgency))
ATTR(priority, job->priority >= 0 ? json_integer(job->priority) : absent())
ATTR(t_submit, time_value(job->t_submit))
ATTR(t_depend, time_value(job->t_depend))
ATTR(t_run, time_value(job->t_run))
ATTR(t_cleanup, time_value(job->t_cleanup))
ATTR(t_inactive, time_value(job->t_inactive))
ATTR(state, json_integer(job->state))
ATTR(name, string(job->name))
ATTR(cwd, string(job->cwd))
ATTR(queue, string(job->queue))
ATTR(ntasks, positive(job->ntasks))
ATTR(ncores, positive(job->ncores))
ATTR(nnodes, positive(job->nnodes))
ATTR(ranks, string(job->ranks))
ATTR(nodelist, string(job->nodelist))
ATTR(success, inactive(job) ? json_boolean(job->result == FLUX_JOB_RESULT_COMPLETED) : absent())
ATTR(exception_occurred,
     inactive(job) || had_exception(job) ? json_boolean(had_exception(job)) : absent())
ATTR(exception_severity, had_exception(job) ? json_integer(job->exception_severity) : absent())
ATTR(exception_type, string(job->exception_type))
ATTR(exception_note, string(job->exception_note))
ATTR(result, inactive(job) ? json_integer(job->result) : absent())
ATTR(expiration, time_value(job->expiration))
ATTR(annotations, job->annotations ? json_incref(job->annotations) : absent())
ATTR(waitstatus, job->waitstatus != JOB_STATUS_NONE ? json_integer(job->waitstatus) : absent())
ATTR(duration, time_value(job->duration))
ATTR(dependencies, json_array_size(job->dependencies) > 0 ? json_copy(job->dependencies) : absent())

static const struct {
    const char *name;
    json_t *(*get)(const struct job *job);
} table[] = {
#define ROW(name)         \
    {                     \
#name, get_##name \
    }
    ROW(id),
    ROW(userid),
    ROW(urgency),
    ROW(priority),
    ROW(t_submit),
    ROW(t_depend),
    ROW(t_run),
    ROW(t_cleanup),
    ROW(t_inactive),
    ROW(state),
    ROW(name),
    ROW(cwd),
    ROW(queue),
    ROW(ntasks),
    ROW(ncores),
    ROW(nnodes),
    ROW(ranks),
    ROW(nodelist),
    ROW(success),
    ROW(exception_occurred),
    ROW(exception_severity),
    ROW(exception_type),
    ROW(exception_note),
    ROW(result),
    ROW(expiration),
    ROW(annotations),
    ROW(waitstatus),
    ROW(duration),
    ROW(dependencies),
};
_Static_assert(ARRAY_SIZE(table) <= 64, "attributes are bits of a uint64_t");

static int find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (strcmp(table[i].name, name) == 0)
            return (int)i;
    return -1;
}

int attrs_parse(const json_t *names, uint64_t *ret_attrs, flux_error_t *error)
{
    uint64_t attrs = 1; /* id */
    json_t *o;
    size_t i;

    json_array_foreach ((json_t *)names, i, o) {
        const char *name = json_string_value(o);
        int bit = name ? find(name) : -1;

        if (name && strcmp(name, "all") == 0)
            attrs = ATTRS_ALL;
        else if (bit < 0)
            return errorx_fail(error, EINVAL, "%s is not an attribute of a job",
                               name ? name : "attrs: what is not a string");
        else
            attrs |= (uint64_t)1 << bit;
    }
    *ret_attrs = attrs;
    return 0;
}

json_t *attrs_encode(const struct job *job, uint64_t attrs)
{
    CLEANUP(json_decrefp) json_t *o = json_object();

    for (size_t i = 0; o && i < ARRAY_SIZE(table); i++) {
        json_t *value;

        if (!(attrs & ((uint64_t)1 << i)))
            continue;
        errno = ENOMEM;
        value = table[i].get(job);
        if (!value && errno == 0)
            continue;
        if (!value || json_object_set_new(o, table[i].name, value) < 0)
            return NULL;
    }
    return TAKE(o);
}

json_t *attrs_select(const json_t *all, uint64_t attrs)
{
    CLEANUP(json_decrefp) json_t *o = json_object();

    for (size_t i = 0; o && i < ARRAY_SIZE(table); i++) {
        json_t *value = json_object_get(all, table[i].name);

        if ((attrs & ((uint64_t)1 << i)) && value && json_object_set(o, table[i].name, value) < 0)
            return NULL;
    }
    return TAKE(o);
}
