/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Jobspec version 1 (RFC 14, RFC 25): check and read. The result of jobspec_parse borrows from the
 * JSON object and holds a reference to it. */
#ifndef BASE_JOBSPEC_H
#define BASE_JOBSPEC_H

#include <jansson.h>
#include <flux/types.h>

struct jobspec {
    json_t *json;
    int nnodes;            /* 0: not given */
    int nslots;            /* total number of slots */
    int ntasks;            /* total number of tasks */
    int cores_per_slot;    /* >= 1 */
    int gpus_per_slot;     /* >= 0 */
    bool exclusive;        /* whole nodes */
    double duration;       /* seconds; 0: none */
    json_t *command;       /* array of strings, at least one */
    const char *cwd;       /* may be NULL */
    json_t *environment;   /* object of strings, may be NULL */
    json_t *shell_options; /* attributes.system.shell.options, may be NULL */
    const char *name;      /* attributes.system.job.name, may be NULL */
    json_t *files;         /* attributes.system.files (RFC 37), may be NULL */
    int per_node;          /* shell option per-resource: so many tasks on each node, or */
    int per_core;          /* for each core; 0: what `tasks` says counts */
    const char *queue;     /* may be NULL */
};

/* Strict RFC 25 check. 0 or -EINVAL; the sentence names the wrong key by its path
 * ("jobspec.resources[0].count: must be a positive integer, not -1"). */
int jobspec_parse(json_t *o, struct jobspec *ret, flux_error_t *error);
void jobspec_deinit(struct jobspec *js);
/* What the job is called: its name, else the last part of its command. malloc'd, NULL: ENOMEM. */
char *jobspec_job_name(const struct jobspec *js);
/* How many tasks there are, given so many nodes and cores. */
int jobspec_ntasks(const struct jobspec *js, size_t nnodes, size_t ncores);

/* Build the jobspec that `flux run`, `flux submit` make. Strings and arrays are copied. */
struct jobspec_request {
    int argc;
    char **argv;
    int nnodes, ntasks, cores_per_task, gpus_per_task; /* 0: default */
    bool exclusive;
    double duration;
    const char *cwd;
    json_t *environment; /* borrowed */
};
json_t *jobspec_build(const struct jobspec_request *req, flux_error_t *error);
/* Set a value by a dotted path, creating objects: jobspec_set(o, "attributes.system.queue", v);
 * steals v. */
int jobspec_set(json_t *o, const char *path, json_t *value);

#endif
