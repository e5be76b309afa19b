/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What a daemon tells its service manager, and the watchdog that is fed from the main loop. */
#ifndef SERVICE_NOTIFY_H
#define SERVICE_NOTIFY_H

#include <flux/reactor.h>
#include "base/cleanup.h"

struct notify;

/* Starts feeding the watchdog if WATCHDOG_USEC asks for it. 0 or -errno. */
int notify_new(flux_reactor_t *r, struct notify **ret);
struct notify *notify_free(struct notify *n);
DEFINE_CLEANUP(struct notify *, notify_free)

void notify_ready(struct notify *n);
/* A long start goes on: the service manager is to wait for another minute. Sent at most once a
 * second. */
void notify_extend(struct notify *n);
/* A single step of a start may take so long. */
void notify_allow(struct notify *n, unsigned int seconds);
void notify_stopping(struct notify *n);
bool notify_has_status(const struct notify *n);
void notify_status(struct notify *n, const char *text); /* sent only when it changes */

#endif
