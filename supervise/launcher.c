/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Only what describes this one process of a step is taken: variables that describe Slurm's job, as
 * SLURM_JOB_ID, stay, since programs look at them and srun needs them to run another step. */
#include "supervise/launcher.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <jansson.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "supervise/unitfile.h"

/* With "*": all that begin so. */
static const char *const names[] = {
    "PMI_*",          "SLURM_GTIDS",  "SLURM_LAUNCH_NODE_IPADDR", "SLURM_LOCALID", "SLURM_MPI_TYPE",
    "SLURM_NODEID",   "SLURM_PROCID", "SLURM_SRUN_COMM_*",        "SLURM_STEPID",  "SLURM_STEP_*",
    "SLURM_TASK_PID",
};

static bool is_launchers(const char *entry)
{
    const size_t len = strcspn(entry, "=");

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const size_t n = strcspn(names[i], "*");

        if (strncmp(entry, names[i], n) == 0 && (names[i][n] == '*' || n == len))
            return true;
    }
    return false;
}

static int take_descriptor(const char *fd)
{
    int n;

    if (number_parse_int(fd, 0, 1 << 20, &n) < 0)
        return 0;
    return fcntl(n, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

int launcher_take(char ***env)
{
    CLEANUP(strv_freep) char **taken = NULL;
    const char *fd = getenv("PMI_FD");
    int rc = 0;

    if (fd)
        (void)take_descriptor(fd); /* one that is none is the router's to complain of */
    for (size_t i = 0; rc == 0 && environ[i]; i++)
        if (is_launchers(environ[i]))
            rc = strv_append(&taken, environ[i]);
    for (size_t i = 0; rc == 0 && taken && taken[i]; i++) {
        CLEANUP(freep) char *name = strndup(taken[i], strcspn(taken[i], "="));

        rc = name && unsetenv(name) == 0 ? strv_append(env, taken[i]) : -ENOMEM;
    }
    return rc;
}

bool launcher_says_follower(void)
{
    const char *rank = getenv("PMI_FD") ? getenv("PMI_RANK") : NULL;
    int n;

    return rank && number_parse_int(rank, 1, INT_MAX, &n) == 0;
}

bool launcher_is_follower(const char *rundir)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(freep) char *path = NULL;

    if (asprintf(&path, "%s/bootstrap.json", rundir) < 0) {
        path = NULL;
        return false;
    }
    o = json_load_file(path, 0, NULL);
    return json_integer_value(json_object_get(o, "rank")) > 0;
}
