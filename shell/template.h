/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* File names and arguments with {{tags}}, as flux-shell(1) describes them. */
#ifndef SHELL_TEMPLATE_H
#define SHELL_TEMPLATE_H

#include <stdbool.h>
#include <flux/types.h>

struct template_values {
    flux_jobid_t id;
    const char *name; /* of the job, see jobspec_job_name() */
    int ntasks, nnodes;
    int node_id; /* shell rank */
    const char *node_name;
    int task_rank, task_index; /* -1: a name for all tasks, their tags stay as they are */
    const char *tmpdir;        /* of the job on this node; NULL: the tag stays as it is */
};

/* Expands {{id}} {{jobid}} (f58; .dec .hex .dothex .words .f58 .f58plain), {{name}}, {{size}},
 * {{nnodes}}, {{node.id}}, {{node.name}}, {{taskid}} {{task.id}} {{task.rank}}, {{task.index}},
 * {{tmpdir}}. Unknown tags stay as they are. malloc'd; NULL with ENOMEM. */
char *template_expand(const char *text, const struct template_values *v);
bool template_is_per_task(const char *text);
bool template_is_per_node(const char *text); /* or per task */

#endif
