/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* From a task that is prepared to a process. Options: nosetpgrp, rlimit, stop-tasks-in-exec. */
#ifndef SHELL_LAUNCH_H
#define SHELL_LAUNCH_H

#include "shell.h"

struct launch;

/* Sets task->pid. 0, or -errno of what failed, execve(2) included. */
int launch_task(struct task *task, char *const argv[], char *const envp[]);
/* To the task, and to what it started if it leads a process group. */
int launch_signal(const struct task *task, int signum);

#endif
