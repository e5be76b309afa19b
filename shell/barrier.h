/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The leader's account of a barrier: who is there, and what they brought. */
#ifndef SHELL_BARRIER_H
#define SHELL_BARRIER_H

#include <stdbool.h>
#include <jansson.h>

#define BARRIER_BYTES_MAX (64 * 1024 * 1024) /* of names and values together */

struct gathering {
    int expected, entered;
    json_t *object; /* what was brought; NULL: nothing */
    size_t bytes;
    int rc; /* -EFBIG, -ENOMEM: somebody's part is missing */
};

/* One more. true: that was the last one; read rc and object, then gathering_reset(). */
bool gathering_enter(struct gathering *g, const json_t *object);
void gathering_reset(struct gathering *g); /* keeps what is expected */

#endif
