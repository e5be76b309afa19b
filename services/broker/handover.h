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
/* What the process before stored, once, before anything of it is taken up. */
void handover_take(struct manager *m);
/* In a tree, before the node connects to its parent: the sessions with other nodes, and how far the
 * process before had come in the events. */
void handover_restore_tree(struct manager *m);
/* Take up the connections. Without a valid state they are closed (it crashed). Returns the number
 * of connections taken up. */
int handover_restore(struct manager *m);

/* Once requests can be handled: those that were left to this process. */
void handover_resume(struct manager *m);

/* --- inside of handover.c and handover_tree.c */

/* Everything, as JSON. */
json_t *handover_encode(struct manager *m);
json_t *handover_encode_inflight(const struct client *c);
json_t *handover_encode_links(const struct client *c);
json_t *handover_encode_tree(struct manager *m);
/* Clients of other nodes, and services there. */
void handover_restore_remotes(struct manager *m);
/* Once requests can be handled: the nodes below are there. */
void handover_resume_children(struct manager *m);
/* What a client had asked; every target is known now. */
void handover_restore_requests(struct router *r, const json_t *o);

#endif
