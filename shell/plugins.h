/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The points of a shell's life at which concerns are called, in table order. Names are those of
 * flux-shell(1). For the time being the table is fixed at build time. */
#ifndef SHELL_PLUGINS_H
#define SHELL_PLUGINS_H

#include "shell.h"

struct shell_plugin {
    const char *name;
    const char *options; /* the shell options it reads: "a b.c d.*"; may be NULL */
    /* Any may be NULL. int: 0, or negative errno with a sentence, which ends the job. */
    int (*shell_init)(struct shell *shell, flux_error_t *error);
    int (*task_init)(struct task *task, flux_error_t *error); /* before the start */
    void (*task_fork)(struct task *task);                     /* after it */
    void (*task_exit)(struct task *task);
    void (*shell_start)(struct shell *shell);  /* all tasks run */
    void (*shell_finish)(struct shell *shell); /* all tasks ended */
    void (*shell_leave)(struct shell *shell);  /* the last events are on their way to the KVS */
    void (*shell_exit)(struct shell *shell);   /* free what is held */
};

extern const struct shell_plugin plugin_tmpdir;
extern const struct shell_plugin plugin_archive;
extern const struct shell_plugin plugin_environment;
extern const struct shell_plugin plugin_affinity;
extern const struct shell_plugin plugin_gpu;
extern const struct shell_plugin plugin_launch;
extern const struct shell_plugin plugin_pty; /* before those who make pipes */
extern const struct shell_plugin plugin_output;
extern const struct shell_plugin plugin_input;
extern const struct shell_plugin plugin_pmi;
extern const struct shell_plugin plugin_service;
extern const struct shell_plugin plugin_exits;
extern const struct shell_plugin plugin_warning;
extern const struct shell_plugin plugin_unknown;

/* Does anybody read the option at this path ("output.mode"), or, of a group, one below it
 * ("output")? */
bool plugins_know_option(const char *path, bool group);

int plugins_shell_init(struct shell *shell, flux_error_t *error);
int plugins_task_init(struct task *task, flux_error_t *error);
void plugins_task_fork(struct task *task);
void plugins_task_exit(struct task *task);
void plugins_shell_start(struct shell *shell);
void plugins_shell_finish(struct shell *shell);
void plugins_shell_leave(struct shell *shell);
void plugins_shell_exit(struct shell *shell);

#endif
