/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Where the tree plugs in. The router asks these questions of whoever connects it to other nodes,
 * and knows nothing else of them; an instance of one node has no overlay (NULL), which answers no.
 *
 * Towards the tree: request(), event(). From the tree: a request or response that arrives is given
 * to router_request() or router_response() by a struct client that stands for the other node: its
 * name is that node's route, its conn sends over the tree (conn_ops and channel of their own). An
 * event that rank 0 has numbered is given to router_deliver_event(). When a node is lost, its
 * client ends like any other, and what was in flight to it is answered EHOSTUNREACH. */
#ifndef BROKER_OVERLAY_H
#define BROKER_OVERLAY_H

#include <flux/message.h>

struct client;
struct overlay;

struct overlay_ops {
    /* Send a request towards a rank (FLUX_NODEID_ANY: to the parent). Takes the message's routes as
     * they are, with the client's name pushed. 0; -EHOSTUNREACH: no such rank or the way is cut. */
    int (*request)(struct overlay *o, flux_msg_t *msg, uint32_t nodeid);
    /* Rank > 0: take an event to rank 0 to be numbered; rank 0: pass a numbered one on to all. */
    int (*event)(struct overlay *o, const flux_msg_t *msg);
    /* The client that stands for the next node towards a rank, for in-flight accounts. */
    struct client *(*next_hop)(struct overlay *o, uint32_t nodeid);
};

struct overlay {
    const struct overlay_ops *ops;
};

#endif
