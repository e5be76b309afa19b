/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The progress line of submit: rewritten in place on stderr, at most ten times a second. */
#ifndef FLUXCTL_PROGRESS_H
#define FLUXCTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "options.h"

struct progress {
    FILE *file; /* NULL: off */
    uint64_t start_usec;
    uint64_t last_usec;
    bool rate; /* show jobs per second */
};

struct progress_counts {
    size_t total, submitted, completed, failed;
    bool waiting; /* completed and failed count, else submitted */
};

/* Where --progress[=always] wants it: stderr, or NULL. -1: complained. */
int progress_option(const struct cmdline *c, FILE **ret);
void progress_init(struct progress *p, FILE *file, bool rate);
void progress_update(struct progress *p, const struct progress_counts *n);
/* Make way for a line of output on the same terminal. */
void progress_clear(struct progress *p);
/* The last state, and a newline. */
void progress_finish(struct progress *p, const struct progress_counts *n);
/* The line for these counts; returns its length. For progress_update and its test. */
int progress_format(char *buf, size_t size, const struct progress_counts *n, double seconds,
                    bool rate);

#endif
