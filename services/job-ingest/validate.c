/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What is checked before a job exists: urgency, flags, the signed request J (RFC 15), the jobspec
 * (RFC 14, 25) and its dependencies (RFC 26). The sentence of a refusal names the wrong key.
 *
 * Refuses: unsigned requests of anybody but the instance owner, requests signed by somebody else
 * than their sender, jobspecs over 4 MiB or nested deeper than JOBSPEC_DEPTH_MAX: they travel
 * inside of other messages, whose depth is limited for all that is in them. */
#include <errno.h>
#include <string.h>

#include "base/errorx.h"
#include "base/fluid.h"
#include "base/jobspec.h"
#include "base/jsonx.h"
#include "base/number.h"
#include "base/sign_none.h"
#include "submission.h"

#define DEPENDENCIES_MAX  1000
#define JOBSPEC_DEPTH_MAX (JSONX_DEPTH_MAX - 16)
#define FLAGS_KNOWN       (FLUX_JOB_DEBUG | FLUX_JOB_WAITABLE | FLUX_JOB_NOVALIDATE)
#define FLAGS_OWNER       (FLUX_JOB_WAITABLE | FLUX_JOB_NOVALIDATE)

static int check_request(const struct submit_request *r, flux_error_t *error)
{
    if (r->urgency < FLUX_JOB_URGENCY_MIN || r->urgency > FLUX_JOB_URGENCY_MAX)
        return errorx_fail(error, EINVAL, "urgency %d: must be from %d to %d", r->urgency,
                           FLUX_JOB_URGENCY_MIN, FLUX_JOB_URGENCY_MAX);
    if (!r->owner && r->urgency > FLUX_JOB_URGENCY_DEFAULT)
        return errorx_fail(error, EINVAL, "urgency %d: guests may use at most %d", r->urgency,
                           FLUX_JOB_URGENCY_DEFAULT);
    if (r->flags & ~FLAGS_KNOWN)
        return errorx_fail(error, EINVAL, "flags 0x%x: unknown", (unsigned int)r->flags);
    if (!r->owner && (r->flags & FLAGS_OWNER))
        return errorx_fail(error, EPERM, "flags %s: only for the instance owner",
                           r->flags & FLUX_JOB_WAITABLE ? "waitable" : "novalidate");
    return 0;
}

static int check_signature(const struct submit_request *r, char **ret_payload, size_t *ret_size,
                           flux_error_t *error)
{
    CLEANUP(freep) char *payload = NULL;
    uint32_t signer;
    size_t size;
    int rc;

    if (strlen(r->J) > JOBSPEC_SIZE_MAX * 2)
        return errorx_fail(error, EFBIG, "the request is larger than %u bytes",
                           JOBSPEC_SIZE_MAX * 2);
    rc = sign_none_unwrap(r->J, strlen(r->J), &payload, &size, &signer, error);
    if (rc < 0)
        return rc;
    if (signer == 0 && r->userid != 0 && r->owner) /* access.allow-root-owner */
        return errorx_fail(error, EPERM,
                           "root may manage this instance, but runs no jobs in it: submit them as "
                           "its owner, user %u (runuser -u)",
                           r->userid);
    if (signer != r->userid)
        return errorx_fail(error, EPERM, "the request was signed by user %u, but user %u sent it",
                           signer, r->userid);
    if (!r->owner)
        return errorx_fail(
            error, EPERM,
            "this instance runs jobs of its owner only: it takes no signed requests, "
            "which jobs of other users need");
    if (size > JOBSPEC_SIZE_MAX)
        return errorx_fail(error, EFBIG, "the jobspec is larger than %u bytes", JOBSPEC_SIZE_MAX);
    *ret_payload = TAKE(payload);
    *ret_size = size;
    return 0;
}

static int check_dependency(json_t *o, size_t i, flux_error_t *error)
{
    static const char *const schemes[] = { "begin-time", "after", "afterany", "afterok",
                                           "afternotok" };
    const char *scheme = json_string_value(json_object_get(o, "scheme"));
    const char *value = json_string_value(json_object_get(o, "value"));
    size_t n = 0;

    if (!scheme || !value)
        return errorx_fail(error, EINVAL,
                           "jobspec.attributes.system.dependencies[%zu].%s: must be a string", i,
                           scheme ? "value" : "scheme");
    while (n < ARRAY_SIZE(schemes) && strcmp(schemes[n], scheme) != 0)
        n++;
    if (n == ARRAY_SIZE(schemes))
        return errorx_fail(error, EINVAL,
                           "jobspec.attributes.system.dependencies[%zu].scheme: \"%.32s\" is not "
                           "supported",
                           i, scheme);
    if (n == 0) {
        double t;

        if (number_parse_double(value, &t) < 0 || t < 0)
            return errorx_fail(error, EINVAL,
                               "jobspec.attributes.system.dependencies[%zu].value: \"%.32s\" is "
                               "not a time in seconds since 1970",
                               i, value);
    } else {
        uint64_t id;

        if (fluid_parse(value, &id) < 0)
            return errorx_fail(error, EINVAL,
                               "jobspec.attributes.system.dependencies[%zu].value: \"%.32s\" is "
                               "not a job id",
                               i, value);
    }
    return 0;
}

static int check_dependencies(json_t *jobspec, flux_error_t *error)
{
    json_t *system = json_object_get(json_object_get(jobspec, "attributes"), "system");
    json_t *list = json_object_get(system, "dependencies");
    json_t *o;
    size_t i;

    if (!list)
        return 0;
    if (!json_is_array(list) || json_array_size(list) > DEPENDENCIES_MAX)
        return errorx_fail(error, EINVAL,
                           "jobspec.attributes.system.dependencies: must be an array of at most %d",
                           DEPENDENCIES_MAX);
    json_array_foreach (list, i, o) {
        int rc = check_dependency(o, i, error);

        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The scheduler has none (RFC 31): a job that asks for them must not run just anywhere. */
static int check_constraints(json_t *jobspec, flux_error_t *error)
{
    json_t *system = json_object_get(json_object_get(jobspec, "attributes"), "system");
    json_t *o = json_object_get(system, "constraints");

    if (!o || (json_is_object(o) && json_object_size(o) == 0))
        return 0;
    return errorx_fail(error, EINVAL,
                       "jobspec.attributes.system.constraints: this instance has no constraints");
}

static int check_jobspec(json_t *o, int flags, flux_error_t *error)
{
    struct jobspec js;
    int rc;

    if (flags & FLUX_JOB_NOVALIDATE)
        return 0;
    rc = jobspec_parse(o, &js, error);
    if (rc < 0)
        return rc;
    if (js.queue)
        rc = errorx_fail(error, EINVAL,
                         "there is no queue '%.64s': this instance has no named queues", js.queue);
    jobspec_deinit(&js);
    if (rc == 0)
        rc = check_constraints(o, error);
    return rc < 0 ? rc : check_dependencies(o, error);
}

/* What check_dependencies() let pass. */
static int set_after(struct submission *s, const json_t *o)
{
    const json_t *system = json_object_get(json_object_get(o, "attributes"), "system");
    json_t *list = json_object_get(system, "dependencies"), *dep;
    size_t i;

    json_array_foreach (list, i, dep) {
        const char *value = json_string_value(json_object_get(dep, "value"));
        const char *scheme = json_string_value(json_object_get(dep, "scheme"));
        uint64_t id;

        if (!value || !scheme || strncmp(scheme, "after", 5) != 0 || fluid_parse(value, &id) < 0)
            continue;
        if (!s->after && !(s->after = json_array()))
            return -ENOMEM;
        if (json_array_append_new(s->after, json_integer((json_int_t)id)) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int set_texts(struct submission *s, json_t *o, const char *J)
{
    s->J = strdup(J);
    s->jobspec = json_dumps(o, JSON_COMPACT);
    (void)json_object_del(json_object_get(json_object_get(o, "attributes"), "system"),
                          "environment");
    s->reduced = json_dumps(o, JSON_COMPACT);
    return s->J && s->jobspec && s->reduced ? 0 : -ENOMEM;
}

int submission_check(const struct submit_request *r, struct submission **ret, flux_error_t *error)
{
    CLEANUP(submission_freep) struct submission *s = calloc(1, sizeof(*s));
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(freep) char *payload = NULL;
    size_t size = 0;
    int rc;

    if (!s)
        return -ENOMEM;
    rc = check_request(r, error);
    if (rc == 0)
        rc = check_signature(r, &payload, &size, error);
    if (rc < 0)
        return rc;
    if (jsonx_text_depth(payload, size) > JOBSPEC_DEPTH_MAX)
        return errorx_fail(error, EINVAL, "jobspec: nested more than %d levels deep",
                           JOBSPEC_DEPTH_MAX);
    o = jsonx_decode_object(payload, size, error);
    if (!o)
        return -EINVAL;
    rc = check_jobspec(o, r->flags, error);
    if (rc == 0)
        rc = r->flags & FLUX_JOB_NOVALIDATE ? 0 : set_after(s, o);
    if (rc == 0)
        rc = set_texts(s, o, r->J);
    if (rc < 0)
        return rc;
    s->userid = r->userid;
    s->urgency = r->urgency;
    s->flags = r->flags;
    *ret = TAKE(s);
    return 0;
}
