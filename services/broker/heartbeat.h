/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The heartbeat of the instance: event "heartbeat.pulse", published by rank 0 every [heartbeat]
 * period (default 2 s) while somebody subscribes to it. */
#ifndef BROKER_HEARTBEAT_H
#define BROKER_HEARTBEAT_H

#include "broker/router.h"

#define HEARTBEAT_TOPIC      "heartbeat.pulse"
#define HEARTBEAT_PERIOD     2.  /* seconds */
#define HEARTBEAT_PERIOD_MIN 0.1 /* a shorter one would be noise, not rhythm */

struct heartbeat {
    struct router *router;
    flux_reactor_t *r;
    flux_watcher_t *timer; /* active only while somebody listens */
    double period;
};

int heartbeat_init(struct heartbeat *hb, struct router *router, flux_reactor_t *r);
void heartbeat_deinit(struct heartbeat *hb);
/* The period that a configuration asks for. -EINVAL with a sentence. */
int heartbeat_period(const json_t *config, double *ret_seconds, flux_error_t *error);
void heartbeat_set_period(struct heartbeat *hb, double seconds);
/* Somebody subscribed to something: beat from now on, if that is what he wants. */
void heartbeat_wake(struct heartbeat *hb);

#endif
