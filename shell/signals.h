/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Signals to the shell are signals to its tasks. */
#ifndef SHELL_SIGNALS_H
#define SHELL_SIGNALS_H

#include "shell.h"

int signals_new(struct shell *shell, struct signals **ret); /* unblocks them */
struct signals *signals_free(struct signals *s);
int signals_pending(const struct signals *s); /* one that came before there were tasks; 0 */

#endif
