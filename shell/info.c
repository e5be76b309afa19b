/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Reading the job, and which of its tasks are ours: slots per node are what R gives divided by what
 * a slot needs; layout.h does the rest. The answer comes from flux-exec, the jobspec in it from a
 * user: everything is checked. */
#include <string.h>

#include "base/errorx.h"
#include "base/jsonx.h"
#include "info.h"
#include "layout.h"

static int slots_of(const struct rset_rank *node, const struct jobspec *js)
{
    const size_t cores = idset_count(node->cores), gpus = idset_count(node->gpus);
    int slots = js->cores_per_slot > 0 ? (int)(cores / (size_t)js->cores_per_slot) : 1;

    if (js->gpus_per_slot > 0 && (int)(gpus / (size_t)js->gpus_per_slot) < slots)
        slots = (int)(gpus / (size_t)js->gpus_per_slot);
    return slots > 0 ? slots : 1;
}

/* So many on each node, or for each of its cores. */
static void deal_per_resource(const struct shell_info *info, int *counts)
{
    const struct jobspec *js = &info->jobspec;

    for (size_t i = 0; i < rset_nnodes(info->rset); i++)
        counts[i] = jobspec_ntasks(js, 1, idset_count(rset_nth(info->rset, i)->cores));
}

/* How many tasks each node has. A slot may hold several, if the jobspec says so. */
static int deal(const struct shell_info *info, int *counts)
{
    const struct jobspec *js = &info->jobspec;
    const size_t n = rset_nnodes(info->rset);
    const int per_slot = js->nslots > 0 ? (js->ntasks + js->nslots - 1) / js->nslots : 1;
    CLEANUP(freep) int *slots = calloc(n ? n : 1, sizeof(int));

    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        slots[i] = slots_of(rset_nth(info->rset, i), js) * per_slot;
    return layout_deal(slots, n, js->ntasks, counts);
}

static int find_here(struct shell_info *info, flux_error_t *error)
{
    for (size_t i = 0; i < rset_nnodes(info->rset); i++)
        if (rset_nth(info->rset, i)->rank == info->broker_rank) {
            info->here = rset_nth(info->rset, i);
            info->shell_rank = (int)i;
            return 0;
        }
    return errorx_fail(error, EINVAL, "R does not name rank %u, where this shell runs",
                       info->broker_rank);
}

static int plan(struct shell_info *info, flux_error_t *error)
{
    const size_t n = rset_nnodes(info->rset);
    CLEANUP(freep) int *counts = calloc(n ? n : 1, sizeof(int));
    json_t *scheme = shell_info_option(info, "taskmap");
    const bool per_resource = info->jobspec.per_node || info->jobspec.per_core;
    int rc = counts ? 0 : -ENOMEM;

    info->ntasks = jobspec_ntasks(&info->jobspec, n, rset_count(info->rset, "core"));
    if (rc == 0 && per_resource)
        deal_per_resource(info, counts);
    else if (rc == 0)
        rc = deal(info, counts);
    info->nshells = (int)n;
    if (rc < 0)
        return errorx_fail(error, -rc, "%d tasks cannot be laid out on %zu nodes", info->ntasks, n);
    if (scheme && !json_is_string(scheme))
        return errorx_fail(error, EINVAL, "-o taskmap: must be the name of a scheme");
    rc = find_here(info, error);
    if (rc == 0)
        rc = layout_map(json_string_value(scheme), counts, info->rset, &info->taskmap, error);
    if (rc < 0)
        return rc;
    info->tasks = taskmap_tasks(info->taskmap, info->shell_rank);
    if (!info->tasks)
        return errorx_fail(error, ENOMEM, "out of memory");
    info->nlocal = (int)idset_count(info->tasks);
    return 0;
}

static int parse(struct shell_info *info, flux_error_t *error)
{
    json_t *jobspec, *R, *options = NULL;
    json_int_t id, userid, rank;
    json_error_t je;
    int rc;

    if (json_unpack_ex(info->json, &je, 0, "{s:I s:I s:I s:s s:o s:o s?{s?s s?o}}", "id", &id,
                       "userid", &userid, "rank", &rank, "namespace", &info->kvs_namespace,
                       "jobspec", &jobspec, "R", &R, "options", "log_head", &info->log_head, "cpus",
                       &options) < 0)
        return errorx_fail(error, EPROTO, "the answer of flux-exec cannot be read: %s", je.text);
    info->id = (flux_jobid_t)id;
    info->userid = (uint32_t)userid;
    info->broker_rank = (uint32_t)rank;
    info->cpus = json_is_array(options) ? options : NULL;
    if ((rc = jobspec_parse(jobspec, &info->jobspec, error)) < 0 ||
        (rc = rset_decode(R, &info->rset, error)) < 0)
        return rc;
    return plan(info, error);
}

int shell_info_parse(const char *text, struct shell_info *ret, flux_error_t *error)
{
    struct shell_info info = { .json = jsonx_decode_object(text, strlen(text), error) };
    int rc = info.json ? parse(&info, error) : -EPROTO;

    if (rc < 0) {
        shell_info_deinit(&info);
        return rc;
    }
    *ret = info;
    return 0;
}

void shell_info_deinit(struct shell_info *info)
{
    idset_destroy(info->tasks);
    taskmap_free(info->taskmap);
    rset_free(info->rset);
    jobspec_deinit(&info->jobspec);
    json_decref(info->json);
    *info = (struct shell_info){ .json = NULL };
}

json_t *shell_info_option(const struct shell_info *info, const char *path)
{
    return jsonx_at(info->jobspec.shell_options, path);
}

const char *shell_info_option_string(const struct shell_info *info, const char *path)
{
    return json_string_value(shell_info_option(info, path));
}
