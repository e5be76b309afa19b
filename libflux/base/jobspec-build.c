/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Building the jobspec of a command line. What it builds passes jobspec_parse(); sizes that make no
 * sense (more nodes than tasks, negative numbers) are refused in the words of the options. */
#include "base/jobspec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errorx.h"
#include "base/jsonx.h"

static int check_request(const struct jobspec_request *req, flux_error_t *error)
{
    if (req->argc < 1 || !req->argv[0] || !req->argv[0][0])
        return errorx_fail(error, EINVAL, "no command to run was given");
    if (req->nnodes < 0 || req->ntasks < 0 || req->cores_per_task < 0 || req->gpus_per_task < 0)
        return errorx_fail(error, EINVAL,
                           "numbers of nodes, tasks, cores and gpus are not negative");
    if (req->nnodes && req->ntasks && req->nnodes > req->ntasks)
        return errorx_fail(error, EINVAL, "%d nodes are more than %d task%s can use", req->nnodes,
                           req->ntasks, req->ntasks == 1 ? "" : "s");
    if (!(req->duration >= 0))
        return errorx_fail(error, EINVAL, "the time limit must not be negative");
    return 0;
}

static json_t *build_command(const struct jobspec_request *req)
{
    CLEANUP(json_decrefp) json_t *command = json_array();

    for (int i = 0; command && i < req->argc; i++) {
        if (json_array_append_new(command, json_string(req->argv[i])) < 0)
            return NULL;
    }
    return TAKE(command);
}

/* slot>(core,gpu), below a node if nodes were asked for. */
static json_t *build_resources(const struct jobspec_request *req, int ntasks)
{
    int cores = req->cores_per_task ? req->cores_per_task : 1;
    int per_node = req->nnodes ? (ntasks + req->nnodes - 1) / req->nnodes : ntasks;
    json_t *with = json_pack("[{s:s s:i}]", "type", "core", "count", cores);
    json_t *slot;

    if (req->gpus_per_task &&
        json_array_append_new(
            with, json_pack("{s:s s:i}", "type", "gpu", "count", req->gpus_per_task)) < 0) {
        json_decref(with);
        return NULL;
    }
    slot = json_pack("{s:s s:i s:o s:s}", "type", "slot", "count", per_node, "with", with, "label",
                     "task");
    if (!req->nnodes)
        return slot ? json_pack("[o]", slot) : NULL;
    if (!req->exclusive)
        return json_pack("[{s:s s:i s:[o]}]", "type", "node", "count", req->nnodes, "with", slot);
    return json_pack("[{s:s s:i s:b s:[o]}]", "type", "node", "count", req->nnodes, "exclusive", 1,
                     "with", slot);
}

static json_t *build_system(const struct jobspec_request *req)
{
    CLEANUP(json_decrefp) json_t *system = json_pack("{s:f}", "duration", req->duration);

    if (!system || (req->cwd && json_object_set_new(system, "cwd", json_string(req->cwd)) < 0) ||
        (req->environment &&
         json_object_set_new(system, "environment", json_deep_copy(req->environment)) < 0))
        return NULL;
    return TAKE(system);
}

json_t *jobspec_build(const struct jobspec_request *req, flux_error_t *error)
{
    int ntasks = req->ntasks ? req->ntasks : (req->nnodes ? req->nnodes : 1);
    bool uneven = req->nnodes && ntasks % req->nnodes != 0;
    json_t *o;
    int rc;

    if ((rc = check_request(req, error)) < 0) {
        errno = -rc;
        return NULL;
    }
    errno = 0;
    o = json_pack("{s:i s:o s:[{s:o s:s s:{s:i}}] s:{s:o}}", "version", 1, "resources",
                  build_resources(req, ntasks), "tasks", "command", build_command(req), "slot",
                  "task", "count", uneven ? "total" : "per_slot", uneven ? ntasks : 1, "attributes",
                  "system", build_system(req));
    if (!o) {
        errno = jsonx_errno(EINVAL);
        errorx_set(error, errno == ENOMEM ? "out of memory"
                                          : "the command or the environment is not valid UTF-8");
    }
    return o;
}

int jobspec_set(json_t *o, const char *path, json_t *value)
{
    CLEANUP(json_decrefp) json_t *held = value;
    CLEANUP(freep) char *copy = strdup(path);
    char *key = copy;
    char *dot;

    if (!copy || !value)
        return -ENOMEM;
    while ((dot = strchr(key, '.'))) {
        json_t *child;

        *dot = '\0';
        if (!key[0])
            return -EINVAL;
        if (!(child = json_object_get(o, key))) {
            child = json_object();
            if (json_object_set_new(o, key, child) < 0)
                return -ENOMEM;
        }
        if (!json_is_object(child))
            return -EINVAL;
        o = child;
        key = dot + 1;
    }
    if (!key[0])
        return -EINVAL;
    errno = 0;
    return json_object_set(o, key, held) < 0 ? -jsonx_errno(EINVAL) : 0;
}
