/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The control socket of an embedded instance, RUNDIR/control: what systemctl is elsewhere. One
 * record asks, "start UNIT", "stop UNIT" or "status UNIT"; one answers when it is done: "ok", or
 * what went wrong. For our own user. */
#ifndef SUPERVISE_CONTROL_H
#define SUPERVISE_CONTROL_H

#include <flux/reactor.h>
#include "base/cleanup.h"

struct control;

struct control_ops {
    /* Begin: 0 (control_done comes later), positive: done already, or -errno with a sentence. */
    int (*start)(const char *unit, void *arg, flux_error_t *error);
    int (*stop)(const char *unit, void *arg, flux_error_t *error);
    /* Positive: it is there. */
    int (*status)(const char *unit, void *arg, flux_error_t *error);
};

int control_new(flux_reactor_t *r, const char *path, const struct control_ops *ops, void *arg,
                struct control **ret);
struct control *control_free(struct control *c);
DEFINE_CLEANUP(struct control *, control_free)

/* What was asked of the unit is done (why NULL), or has failed. */
void control_started(struct control *c, const char *unit, const char *why);
void control_stopped(struct control *c, const char *unit);

#endif
