/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The names of job states and results, long and short, both ways. */
#include <errno.h>
#include <strings.h>

#include <flux/job.h>

#include "base/cleanup.h"

struct name {
    int value;
    const char *upper, *lower, *abbrev, *lower_abbrev;
};

static const struct name states[] = {
    { FLUX_JOB_STATE_NEW, "NEW", "new", "N", "n" },
    { FLUX_JOB_STATE_DEPEND, "DEPEND", "depend", "D", "d" },
    { FLUX_JOB_STATE_PRIORITY, "PRIORITY", "priority", "P", "p" },
    { FLUX_JOB_STATE_SCHED, "SCHED", "sched", "S", "s" },
    { FLUX_JOB_STATE_RUN, "RUN", "run", "R", "r" },
    { FLUX_JOB_STATE_CLEANUP, "CLEANUP", "cleanup", "C", "c" },
    { FLUX_JOB_STATE_INACTIVE, "INACTIVE", "inactive", "I", "i" },
};

static const struct name results[] = {
    { FLUX_JOB_RESULT_COMPLETED, "COMPLETED", "completed", "CD", "cd" },
    { FLUX_JOB_RESULT_FAILED, "FAILED", "failed", "F", "f" },
    { FLUX_JOB_RESULT_CANCELED, "CANCELED", "canceled", "CA", "ca" },
    { FLUX_JOB_RESULT_TIMEOUT, "TIMEOUT", "timeout", "TO", "to" },
};

static const char *to_string(const struct name *names, size_t n, int value, const char *fmt)
{
    char f = fmt && *fmt ? *fmt : 'L';

    for (size_t i = 0; i < n; i++) {
        if (names[i].value != value)
            continue;
        return f == 'S'   ? names[i].abbrev
               : f == 's' ? names[i].lower_abbrev
               : f == 'l' ? names[i].lower
                          : names[i].upper;
    }
    return f == 'S' || f == 's' ? "?" : "(unknown)";
}

static const struct name *find(const struct name *names, size_t n, const char *s)
{
    for (size_t i = 0; s && i < n; i++) {
        if (strcasecmp(s, names[i].upper) == 0 || strcasecmp(s, names[i].abbrev) == 0)
            return &names[i];
    }
    errno = EINVAL;
    return NULL;
}

const char *flux_job_statetostr(flux_job_state_t state, const char *fmt)
{
    return to_string(states, ARRAY_SIZE(states), state, fmt);
}

const char *flux_job_resulttostr(flux_job_result_t result, const char *fmt)
{
    return to_string(results, ARRAY_SIZE(results), result, fmt);
}

int flux_job_strtostate(const char *s, flux_job_state_t *state)
{
    const struct name *name = find(states, ARRAY_SIZE(states), s);

    if (!name)
        return -1;
    if (state)
        *state = name->value;
    return 0;
}

int flux_job_strtoresult(const char *s, flux_job_result_t *result)
{
    const struct name *name = find(results, ARRAY_SIZE(results), s);

    if (!name)
        return -1;
    if (result)
        *result = name->value;
    return 0;
}
