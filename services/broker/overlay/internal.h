/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Inside of the overlay. */
#ifndef OVERLAY_INTERNAL_H
#define OVERLAY_INTERNAL_H

#include "broker/overlay.h"
#include "broker/overlay/children.h"
#include "broker/overlay/history.h"
#include "broker/overlay/parent.h"

struct overlay {
    struct overlay_config conf; /* strings are the caller's */
    struct overlay_ops ops;
    struct router *router;
    flux_reactor_t *reactor;
    struct zcontext *zmq;
    struct zap *zap;
    struct children children;
    struct parent parent;
    struct history history; /* of events, for those who missed some */
    struct idset *online;
    int state; /* of the instance, as those below are told; negative: not known */
    char uuid[HELLO_UUID_SIZE];
    char epoch[HELLO_UUID_SIZE]; /* rank 0's uuid, "" until known */
    flux_watcher_t *tick, *reap, *tell;
};

void overlay_hello(const struct overlay *o, struct hello *ret);
/* A session begins: the router gets a client for it. 0 or -ENOMEM. */
int overlay_attach(struct overlay *o, struct node *n);
/* It has ended: whatever is in flight there fails. Frees n. */
void overlay_detach(struct overlay *o, struct node *n);
/* To be detached at the next safe point. */
void overlay_lose(struct overlay *o, struct node *n, const char *why);
/* Something in the set of nodes below has changed: recompute, tell. */
void overlay_changed(struct overlay *o);
/* The parent knows an epoch: if it is another, events are counted anew, here and below. */
void overlay_take_epoch(struct overlay *o, const struct hello *h);
/* The instance is being shut down. */
bool overlay_is_ending(const struct overlay *o);
/* Handle a frame of a session: control messages that concern both sides, and the router's. NULL, or
 * why it is to be dropped. */
const char *overlay_message(struct overlay *o, struct node *n, flux_msg_t *msg);

#endif
