/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A planned restart that no client notices: connections and what is known of them go to the service
 * manager's descriptor store and are taken up by the next process. */
#ifndef BROKER_HANDOVER_H
#define BROKER_HANDOVER_H

#include "broker/manager.h"

/* Read no more from local clients, and handle what was read: what they publish still reaches all
 * nodes. */
void handover_quiet(struct router *r);
/* Store everything; the router must not read or send afterwards. Returns the number of connections
 * stored, or -errno: then nothing is to be taken up and they end with this process. */
int handover_save(struct manager *m);
/* The first half of it: everything that was read is handled, every queue is flushed. */
void handover_settle(struct router *r);
/* In a tree, before the node connects to its parent: how far the process before had come in the
 * events, so that none is missed meanwhile. */
void handover_restore_events(struct manager *m);
/* Take up what the process before stored. Without a valid state the connections are closed (it
 * crashed). Returns the number of connections taken up. */
int handover_restore(struct manager *m);

/* Once requests can be handled: those that were left to this process. */
void handover_resume(struct manager *m);

/* What is stored, as JSON; for tests, and the inside of the two above. */
json_t *handover_encode(struct manager *m);

#endif
