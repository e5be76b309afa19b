/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Soft limits only: a job cannot have more than flux-exec or the unit of the job was given. */
#include <string.h>

#include "base/errorx.h"
#include "rlimit.h"

static const struct {
    const char *name;
    int resource;
} names[] = {
    { "as", RLIMIT_AS },
    { "core", RLIMIT_CORE },
    { "cpu", RLIMIT_CPU },
    { "data", RLIMIT_DATA },
    { "fsize", RLIMIT_FSIZE },
    { "memlock", RLIMIT_MEMLOCK },
    { "msgqueue", RLIMIT_MSGQUEUE },
    { "nice", RLIMIT_NICE },
    { "nofile", RLIMIT_NOFILE },
    { "nproc", RLIMIT_NPROC },
    { "rss", RLIMIT_RSS },
    { "rtprio", RLIMIT_RTPRIO },
    { "rttime", RLIMIT_RTTIME },
    { "sigpending", RLIMIT_SIGPENDING },
    { "stack", RLIMIT_STACK },
};

static int find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(names[i].name, name) == 0)
            return names[i].resource;
    return -1;
}

static int read_one(struct shell *shell, const char *name, const json_t *v, struct limits *l,
                    flux_error_t *error)
{
    const int resource = find(name);
    rlim_t want = RLIM_INFINITY;
    struct rlimit now;

    if (resource < 0)
        return errorx_fail(error, EINVAL, "shell option rlimit: there is no limit \"%s\"", name);
    if (!json_is_integer(v) || json_integer_value(v) < -1)
        return errorx_fail(error, EINVAL,
                           "shell option rlimit.%s: must be a whole number, -1 for none", name);
    if (json_integer_value(v) >= 0)
        want = (rlim_t)json_integer_value(v);
    if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
        return errorx_fail(error, EINVAL, "shell option rlimit.%s: %s", name, strerror(errno));
    if (want > now.rlim_max) {
        shell_log(shell, LOG_WARNING, "rlimit: %s exceeds current max, raising value to hard limit",
                  name);
        want = now.rlim_max;
    }
    now.rlim_cur = want;
    l->item[l->count].resource = resource;
    l->item[l->count++].value = now;
    return 0;
}

int limits_read(struct shell *shell, struct limits *ret, flux_error_t *error)
{
    json_t *o = shell_info_option(&shell->info, "rlimit");
    const char *name;
    json_t *v;

    *ret = (struct limits){ 0 };
    if (!o)
        return 0;
    if (!json_is_object(o) || json_object_size(o) > LIMITS_MAX)
        return errorx_fail(error, EINVAL, "shell option rlimit: must be an object of limits");
    json_object_foreach (o, name, v)
        if (read_one(shell, name, v, ret, error) < 0)
            return -EINVAL;
    return 0;
}

int limits_apply(const struct limits *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (setrlimit((__rlimit_resource_t)l->item[i].resource, &l->item[i].value) < 0)
            return -errno;
    return 0;
}
