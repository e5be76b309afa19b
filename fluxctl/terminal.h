/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Our terminal as that of a job's first task. */
#ifndef FLUXCTL_TERMINAL_H
#define FLUXCTL_TERMINAL_H

#include <flux/core.h>

struct terminal;

/* Attach to the shell on rank `nodeid`; on_end is called once, when the task has closed its
 * terminal or there is none. NULL with errno. */
struct terminal *terminal_new(flux_t *h, flux_jobid_t id, uint32_t nodeid,
                              void (*on_end)(void *arg), void *arg);
struct terminal *terminal_free(struct terminal *t);
/* Make our terminal as it was, whatever is attached; for those who exit without terminal_free(). */
void terminal_restore(void);

#endif
