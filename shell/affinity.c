/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* CPU and GPU binding. -o cpu-affinity=on (default: all tasks to all cores of the job on this
 * node), per-task (each to its share), map:IDSETS (semicolon-separated, CPUs for each task in
 * turn), off. The shell binds itself just before each start; tasks inherit. Where the kernel
 * refuses the binding (a container that does not own those CPUs) the task runs unbound and the user
 * is told. -o gpu-affinity=on, per-task, map:, off sets CUDA_VISIBLE_DEVICES likewise. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "affinity.h"
#include "base/errorx.h"
#include "plugins.h"

#define CPU_MAX 8192

int affinity_share(int ncores, int ntasks, int index, int *ret_count)
{
    int first;

    if (ncores < 1 || ntasks < 1 || index < 0 || index >= ntasks) {
        *ret_count = 0;
        return 0;
    }
    if (ntasks >= ncores) {
        *ret_count = 1;
        return (int)((long)index * ncores / ntasks);
    }
    first = index * (ncores / ntasks) + (index < ncores % ntasks ? index : ncores % ntasks);
    *ret_count = ncores / ntasks + (index < ncores % ntasks);
    return first;
}

int affinity_map(const char *map, int index, struct idset **ret, flux_error_t *error)
{
    const char *part = map;
    size_t len;

    for (int i = 0; i < index && part[strcspn(part, ";")] == ';'; i++)
        part += strcspn(part, ";") + 1;
    len = strcspn(part, ";");
    *ret = len > 0 ? idset_ndecode(part, len) : NULL;
    if (!*ret || idset_count(*ret) == 0) {
        idset_destroy(*ret);
        return errorx_fail(error, EINVAL, "\"%.*s\" is not a list of numbers such as 0-3,8",
                           (int)(len < 40 ? len : 40), part);
    }
    return 0;
}

/* The CPUs of cores first..first+count-1 of ours, or NULL. */
static struct idset *cpus_of_cores(const struct shell_info *info, int first, int count)
{
    struct idset *all = idset_create(0, IDSET_FLAG_AUTOGROW);
    unsigned int core = idset_first(info->here->cores);

    for (int i = 0; all && i < first + count && core != IDSET_INVALID_ID; i++) {
        if (i >= first && info->cpus) {
            const char *s = json_string_value(json_array_get(info->cpus, i));
            struct idset *cpus = s ? idset_decode(s) : NULL;

            if (cpus)
                (void)idset_add(all, cpus);
            idset_destroy(cpus);
        }
        core = idset_next(info->here->cores, core);
    }
    return all;
}

static int bind_to(const struct idset *cpus)
{
    const size_t size = CPU_ALLOC_SIZE(CPU_MAX);
    cpu_set_t *set = CPU_ALLOC(CPU_MAX);
    int rc = -ENOMEM;

    if (set) {
        CPU_ZERO_S(size, set);
        for (unsigned int c = idset_first(cpus); c != IDSET_INVALID_ID && c < CPU_MAX;
             c = idset_next(cpus, c))
            CPU_SET_S(c, size, set);
        rc = sched_setaffinity(0, size, set) < 0 ? -errno : 0;
        CPU_FREE(set);
    }
    return rc;
}

/* What a binding option asks for. */
enum binding { BIND_OFF, BIND_ALL, BIND_PER_TASK, BIND_MAP };

static int read_option(const struct shell_info *info, const char *name, enum binding *ret,
                       const char **ret_map, flux_error_t *error)
{
    const json_t *v = shell_info_option(info, name);
    const char *s = json_string_value(v);

    *ret_map = NULL;
    if (!v || json_is_true(v) || (json_is_integer(v) && json_integer_value(v) == 1) ||
        (s && strcmp(s, "on") == 0)) {
        *ret = BIND_ALL;
    } else if (json_is_false(v) || (s && strcmp(s, "off") == 0)) {
        *ret = BIND_OFF;
    } else if (s && strcmp(s, "per-task") == 0) {
        *ret = BIND_PER_TASK;
    } else if (s && strncmp(s, "map:", 4) == 0) {
        *ret = BIND_MAP;
        *ret_map = s + 4;
    } else {
        return errorx_fail(error, EINVAL, "-o %s: must be on, off, per-task or map:IDSETS", name);
    }
    return 0;
}

static int bind_task(struct task *task, flux_error_t *error)
{
    const struct shell_info *info = &task->shell->info;
    const int ncores = (int)idset_count(info->here->cores);
    struct idset *cpus = NULL;
    enum binding binding;
    const char *map;
    int first = 0, count = ncores;
    int rc = read_option(info, "cpu-affinity", &binding, &map, error);

    if (rc < 0 || binding == BIND_OFF || (binding == BIND_ALL && task->index > 0))
        return rc; /* with BIND_ALL the first task's binding is every task's */
    if (binding == BIND_MAP) {
        if ((rc = affinity_map(map, task->index, &cpus, error)) < 0)
            return rc;
    } else {
        if (!info->cpus)
            return 0; /* nobody knows which CPUs the cores are */
        if (binding == BIND_PER_TASK)
            first = affinity_share(ncores, info->nlocal, task->index, &count);
        cpus = cpus_of_cores(info, first, count);
    }
    rc = cpus ? bind_to(cpus) : -ENOMEM;
    if (rc < 0)
        shell_log(task->shell, LOG_WARNING, "task %d is not bound to CPUs: %s", task->rank,
                  strerror(-rc));
    idset_destroy(cpus);
    return 0;
}

const struct shell_plugin plugin_affinity = {
    .name = "cpu-affinity",
    .options = "cpu-affinity",
    .task_init = bind_task,
};

static int set_gpus(struct task *task, const struct idset *gpus)
{
    CLEANUP(freep) char *list = idset_count(gpus) > 0 ? idset_encode(gpus, 0) : strdup("-1");

    if (!list || env_set(&task->env, "CUDA_VISIBLE_DEVICES", "%s", list) < 0)
        return -ENOMEM;
    return env_set(&task->env, "CUDA_DEVICE_ORDER", "PCI_BUS_ID");
}

/* GPUs number first..first+count-1 of ours. */
static struct idset *some_gpus(const struct idset *gpus, int first, int count)
{
    struct idset *some = idset_create(0, IDSET_FLAG_AUTOGROW);
    int i = 0;

    for (unsigned int g = idset_first(gpus); some && g != IDSET_INVALID_ID;
         g = idset_next(gpus, g), i++)
        if (i >= first && i < first + count)
            (void)idset_set(some, g);
    return some;
}

static int show_gpus(struct task *task, flux_error_t *error)
{
    const struct shell_info *info = &task->shell->info;
    const int ngpus = (int)idset_count(info->here->gpus);
    struct idset *gpus = NULL;
    enum binding binding;
    const char *map;
    int first = 0, count = ngpus;
    int rc = read_option(info, "gpu-affinity", &binding, &map, error);

    if (rc < 0 || binding == BIND_OFF)
        return rc;
    if (binding == BIND_MAP) {
        if ((rc = affinity_map(map, task->index, &gpus, error)) < 0)
            return rc;
    } else {
        if (binding == BIND_PER_TASK)
            first = affinity_share(ngpus, info->nlocal, task->index, &count);
        gpus = some_gpus(info->here->gpus, first, count);
    }
    rc = gpus ? set_gpus(task, gpus) : -ENOMEM;
    idset_destroy(gpus);
    return rc < 0 ? errorx_fail(error, -rc, "out of memory") : 0;
}

const struct shell_plugin plugin_gpu = {
    .name = "gpu-affinity",
    .options = "gpu-affinity",
    .task_init = show_gpus,
};
