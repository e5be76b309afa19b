/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* How much output of processes on nodes (rexec.exec, `window`) may be under way: so much that
 * nobody between drops us when we are slow to take it. */
#ifndef FLUXCTL_OUTPUT_WINDOW_H
#define FLUXCTL_OUTPUT_WINDOW_H

#include <flux/core.h>

struct output_window {
    size_t size;  /* bytes, of each process */
    size_t taken; /* that the process was not told of */
};

/* For one of count processes. */
void output_window_init(struct output_window *w, size_t count);
/* So many bytes of what f (rexec.exec to rank) brings were taken: lets it send more. */
void output_window_take(struct output_window *w, flux_future_t *f, uint32_t rank, size_t size);

#endif
