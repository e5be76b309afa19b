/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Options exit-on-error and exit-timeout. */
#ifndef SHELL_EXITS_H
#define SHELL_EXITS_H

#include "shell.h"

/* A task of the job has exited, on any node; called at the leader. */
void exits_note(struct shell *shell, int rank, int exit_code);

#endif
