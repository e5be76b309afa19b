/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Masks of 0, or none at all, mean any; so does userid 2^32-1 or -1. */
#include <string.h>

#include "base/errorx.h"
#include "base/jsonx.h"
#include "job-list/query.h"

#define STATES_ANY (FLUX_JOB_STATE_ACTIVE | FLUX_JOB_STATE_NEW | FLUX_JOB_STATE_INACTIVE)
#define RESULTS_ANY                                                                  \
    (FLUX_JOB_RESULT_COMPLETED | FLUX_JOB_RESULT_FAILED | FLUX_JOB_RESULT_CANCELED | \
     FLUX_JOB_RESULT_TIMEOUT)

static const char shape[] =
    "max_entries?:i attrs?:a userid?:I states?:i results?:i since?:n name?:s queue?:s";

static unsigned int get_mask(const json_t *o, const char *key, unsigned int any)
{
    unsigned int mask = (unsigned int)json_integer_value(json_object_get(o, key));

    return mask ? mask : any;
}

static int get_userid(const json_t *o, struct query *q, flux_error_t *error)
{
    const json_t *userid = json_object_get(o, "userid");
    json_int_t n = userid ? json_integer_value(userid) : -1;

    if (n < -1 || n > UINT32_MAX)
        return errorx_fail(error, EINVAL, "userid: %lld is none", (long long)n);
    q->any_user = n == -1 || n == FLUX_USERID_UNKNOWN;
    q->userid = (uint32_t)n;
    return 0;
}

int query_parse(const json_t *o, struct query *ret, flux_error_t *error)
{
    struct query q = { .max_entries = QUERY_ENTRIES_MAX, .attrs = ATTRS_ALL };
    const json_t *attrs = json_object_get(o, "attrs");
    json_int_t max = json_integer_value(json_object_get(o, "max_entries"));
    int rc;

    if (jsonx_check_shape(o, shape, error) < 0)
        return -EINVAL;
    if (max < 0)
        return errorx_fail(error, EINVAL, "max_entries: must not be negative");
    if (max > 0 && max < QUERY_ENTRIES_MAX)
        q.max_entries = (size_t)max;
    if ((rc = get_userid(o, &q, error)) < 0 ||
        (attrs && (rc = attrs_parse(attrs, &q.attrs, error)) < 0))
        return rc;
    q.states = get_mask(o, "states", STATES_ANY);
    q.results = get_mask(o, "results", RESULTS_ANY);
    if ((q.results & RESULTS_ANY) != RESULTS_ANY &&
        !json_integer_value(json_object_get(o, "states")))
        q.states = FLUX_JOB_STATE_INACTIVE;
    q.since = json_number_value(json_object_get(o, "since"));
    q.name = json_string_value(json_object_get(o, "name"));
    q.queue = json_string_value(json_object_get(o, "queue"));
    *ret = q;
    return 0;
}

bool query_matches(const struct query *q, const struct job *job)
{
    if (!(q->states & job->state) || (!q->any_user && q->userid != job->userid))
        return false;
    if (q->name && (!job->name || strcmp(q->name, job->name) != 0))
        return false;
    if (q->queue && (!job->queue || strcmp(q->queue, job->queue) != 0))
        return false;
    if (job->state != FLUX_JOB_STATE_INACTIVE)
        return true;
    return (q->results & job->result) && job->t_inactive > q->since;
}
