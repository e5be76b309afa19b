/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A channel on the event loop: reads a bounded number of messages a turn, gathers what is sent in
 * one pass of the loop into few system calls, and is taken down at a safe point. Embedded by peer.c
 * and by the router's clients. */
#ifndef SERVICE_CONN_H
#define SERVICE_CONN_H

#include <flux/reactor.h>
#include "base/cleanup.h"
#include "base/list.h"
#include "wire/channel.h"

struct conn;
struct conn_loop;

enum conn_end {
    CONN_CLOSED,   /* by the peer */
    CONN_PROTOCOL, /* it broke the rules: reason says which */
    CONN_SLOW,     /* it does not read */
    CONN_DROPPED,  /* conn_drop() */
};

struct conn_ops {
    /* NULL, or why the peer is to be dropped (a constant). The message is lent. Must not free the
     * connection. */
    const char *(*on_message)(struct conn *c, flux_msg_t *msg);
    /* Called once, outside of every other callback of this connection: deinit it here. */
    void (*on_end)(struct conn *c, enum conn_end end, const char *reason);
};

struct conn {
    struct conn_loop *loop;
    const struct conn_ops *ops;
    struct channel *ch;
    flux_watcher_t *watcher;
    int events;
    bool reading;
    bool ended;   /* on_end is due */
    bool turn;    /* in loop->turns */
    bool corked;  /* in loop->corked */
    bool starved; /* in loop->starved */
    enum conn_end end;
    const char *reason;
    TAILQ_ENTRY(conn) turn_entry;
    TAILQ_ENTRY(conn) cork_entry;
    TAILQ_ENTRY(conn) starved_entry;
};

int conn_loop_new(flux_reactor_t *r, struct conn_loop **ret);
struct conn_loop *conn_loop_free(struct conn_loop *loop);
DEFINE_CLEANUP(struct conn_loop *, conn_loop_free)

/* Consumes ch, also on failure. */
int conn_init(struct conn *c, struct conn_loop *loop, struct channel *ch,
              const struct conn_ops *ops);
void conn_deinit(struct conn *c);

/* 0; -ENOBUFS: its queue is full, nothing was queued (say conn_drop() or answer EAGAIN); -EPIPE: it
 * is at its end. */
int conn_send(struct conn *c, const flux_msg_t *msg);
void conn_drop(struct conn *c, enum conn_end end, const char *reason);
void conn_stop_reading(struct conn *c);
/* Handle what the channel has taken from the kernel already; for handing the descriptor on. */
void conn_handle_fetched(struct conn *c);
/* Wait for at most so long until the peer has taken what is queued; for the end of a process. */
void conn_flush_wait(struct conn *c, uint64_t end_usec);

#endif
