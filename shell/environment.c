/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* FLUX_* variables of tasks. What the jobspec says of the same names does not count. */
#include "base/errorx.h"
#include "base/fluid.h"
#include "plugins.h"

static int on_shell_init(struct shell *shell, flux_error_t *error)
{
    const char *uri = getenv("FLUX_URI");
    const struct shell_info *info = &shell->info;
    struct env *env = &shell->env;
    char id[32];
    int rc = fluid_encode(id, sizeof(id), info->id, FLUID_F58);

    if (rc == 0)
        rc = env_set(env, "FLUX_JOB_ID", "%s", id);
    if (rc == 0)
        rc = env_set(env, "FLUX_JOB_SIZE", "%d", info->ntasks);
    if (rc == 0)
        rc = env_set(env, "FLUX_JOB_NNODES", "%d", info->nshells);
    if (rc == 0)
        rc = env_set(env, "FLUX_KVS_NAMESPACE", "%s", info->kvs_namespace);
    if (rc == 0 && uri)
        rc = env_set(env, "FLUX_URI", "%s", uri);
    if (rc == 0 && shell->tmpdir)
        rc = env_set(env, "FLUX_JOB_TMPDIR", "%s", shell->tmpdir);
    return rc < 0 ? errorx_fail(error, -rc, "out of memory") : 0;
}

static int on_task_init(struct task *task, flux_error_t *error)
{
    int rc = env_set(&task->env, "FLUX_TASK_RANK", "%d", task->rank);

    if (rc == 0)
        rc = env_set(&task->env, "FLUX_TASK_LOCAL_ID", "%d", task->index);
    return rc < 0 ? errorx_fail(error, -rc, "out of memory") : 0;
}

const struct shell_plugin plugin_environment = {
    .name = "environment",
    .shell_init = on_shell_init,
    .task_init = on_task_init,
};
