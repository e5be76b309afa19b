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
    struct pause *pause; /* this router is about to be replaced; sessions.c */
    bool handed_on;      /* the next process has the sessions */
};

#define OVERLAY_NOT_RESUMED "it did not come back after it had been stopped"

void overlay_hello(const struct overlay *o, struct hello *ret);
/* A session begins: the router gets a client for it, of that name if not NULL. 0 or -ENOMEM. */
int overlay_attach(struct overlay *o, struct node *n, const char *name);
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
/* sessions.c */
bool overlay_is_pausing(const struct overlay *o);
/* PAUSE or PAUSED came. */
void overlay_handle_pause(struct overlay *o, struct node *n, int type);
/* A session has begun or goes on. */
void overlay_on_joined(struct overlay *o, struct node *n);
/* One is lost, or said all there was: that may have been the last to wait for. */
void overlay_check_pause(struct overlay *o);
void overlay_pause_free(struct overlay *o);
int overlay_sum_up(struct overlay *o);

/* Handle a frame of a session: control messages that concern both sides, and the router's. NULL, or
 * why it is to be dropped. */
const char *overlay_message(struct overlay *o, struct node *n, flux_msg_t *msg);

#endif
