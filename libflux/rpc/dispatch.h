/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The dispatcher of a handle: reads messages in the handle's reactor and hands them to RPCs and
 * message handlers, one at a time and in order. Between two messages it runs what became due: the
 * continuations of futures.
 *
 * Several dispatchers can share a connection (clones, each with its reactor). The one of the handle
 * that opened the connection takes every message except responses to RPCs that were started on
 * another; the others take what they have a taker for and leave the rest in the queue. */
#ifndef RPC_DISPATCH_H
#define RPC_DISPATCH_H

#include <flux/dispatch.h>
#include "base/list.h"
#include "rpc/conn.h"

struct dispatch;

/* The dispatcher of a handle, made when first asked for; lent. NULL with errno. */
struct dispatch *dispatch_get(flux_t *h);
/* The one of this connection that runs in reactor r, or NULL; lent. */
struct dispatch *dispatch_find(struct conn *conn, flux_reactor_t *r);
struct dispatch *dispatch_ref(struct dispatch *d);
struct dispatch *dispatch_unref(struct dispatch *d);
/* Its handle is closed. Returns NULL. */
struct dispatch *dispatch_close(struct dispatch *d);

/* Somebody who waits for messages: as long as there is one, the reactor runs and reads. Embedded;
 * all zeros is "not waiting". */
struct dispatch_user {
    struct dispatch *d;
    LIST_ENTRY(dispatch_user) link;
};
void dispatch_user_start(struct dispatch *d, struct dispatch_user *u);
void dispatch_user_stop(struct dispatch_user *u);

/* Something to be called soon from the reactor, in the order in which it was deferred. Embedded. */
struct deferred {
    struct dispatch *d; /* where it is queued, or NULL */
    TAILQ_ENTRY(deferred) link;
    void (*cb)(void *arg);
    void *arg;
};
/* 0, -ESHUTDOWN: the handle of d is closed. Queueing twice is the same as once. */
int dispatch_defer(struct dispatch *d, struct deferred *item);
void dispatch_cancel(struct deferred *item);

/* Does a reactor care for this connection's output? */
bool dispatch_conn_served(const struct conn *conn);
/* The connection was lost, restored or given up, or one of its lines came or went. 0; -ENOMEM: a
 * line is not watched. */
int dispatch_conn_changed(struct conn *conn);
/* Messages were put where dispatchers may have looked already. */
void dispatch_rescan(struct conn *conn);

/* handler.c: the table of message handlers. */
struct handlers;
struct handlers *handlers_new(struct dispatch *d);
struct handlers *handlers_free(struct handlers *hs);
int handlers_running(const struct handlers *hs);
/* Is there a taker? */
bool handlers_match(struct handlers *hs, const flux_msg_t *msg);
/* Call whom the message is for. false: there was nobody. */
bool handlers_call(struct handlers *hs, flux_t *h, const flux_msg_t *msg);

struct handlers *dispatch_handlers(struct dispatch *d);
/* The number of running handlers has changed; rescan: one was started. */
void dispatch_handlers_changed(struct dispatch *d, bool rescan);

#endif
