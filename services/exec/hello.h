/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The standing offer to the job manager (RFC 32 exec-hello): made again whenever it is lost. */
#ifndef EXEC_HELLO_H
#define EXEC_HELLO_H

#include <flux/core.h>
#include "base/cleanup.h"

struct hello;

/* on_first: once, so many seconds after the job manager accepted for the first time: it has asked
 * for all its running jobs by then. */
int hello_new(flux_t *h, double delay, void (*on_first)(void *arg), void *arg, struct hello **ret);
struct hello *hello_free(struct hello *hello);
DEFINE_CLEANUP(struct hello *, hello_free)

#endif
