/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What a shell knows of its job: the answer to rexec.shell-info, and the plan made from it. */
#ifndef SHELL_INFO_H
#define SHELL_INFO_H

#include <jansson.h>
#include <flux/core.h>
#include "base/cleanup.h"
#include "base/jobspec.h"
#include "base/rset.h"
#include "base/taskmap.h"

struct shell_info {
    json_t *json; /* the whole answer; the rest borrows from it */
    flux_jobid_t id;
    uint32_t userid;
    uint32_t broker_rank;
    const char *kvs_namespace;
    const char *log_head; /* what exec.eventlog begins with; may be NULL */
    json_t *cpus;         /* CPUs of each core of ours, array of idsets; may be NULL */
    struct jobspec jobspec;
    struct rset *rset;
    /* the plan */
    const struct rset_rank *here; /* our resources */
    int shell_rank, nshells;
    int ntasks; /* of the job */
    struct taskmap *taskmap;
    struct idset *tasks; /* ours */
    int nlocal;          /* how many they are */
};

/* Takes text of the answer. 0 or -EPROTO, -EINVAL with a sentence. */
int shell_info_parse(const char *text, struct shell_info *ret, flux_error_t *error);
void shell_info_deinit(struct shell_info *info);

/* A shell option at a dotted path ("output.stdout.type"), lent; NULL if it is not set. */
json_t *shell_info_option(const struct shell_info *info, const char *path);
const char *shell_info_option_string(const struct shell_info *info, const char *path);

#endif
