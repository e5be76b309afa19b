/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Standard input of this process to the tasks of a job, through the shell's service. */
#ifndef FLUXCTL_INPUT_H
#define FLUXCTL_INPUT_H

#include <flux/core.h>

struct input;

/* Idle until started. ranks: of the tasks that get it, lent; NULL: all. */
struct input *input_new(flux_t *h, flux_jobid_t id, const char *ranks);
struct input *input_free(struct input *in);
/* nodeid: of the leader shell. NULL is fine; the second call does nothing. */
void input_start(struct input *in, uint32_t nodeid);
void input_stop(struct input *in);

#endif
