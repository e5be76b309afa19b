/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A connection to an instance: what a handle and its clones share. Transports, receive queue,
 * matchtags, what must be repeated after a reconnect. Outlives its handles while an RPC still
 * refers to it.
 *
 * There is one line to the router, and one to each service that was called at its own socket: the
 * instance owner's requests to services that direct.h knows go there, everything else goes through
 * the router. The end of a service's line fails what was in flight on it, as the router does when a
 * service goes away; the next request connects anew. */
#ifndef RPC_CONN_H
#define RPC_CONN_H

#include <flux/handle.h>
#include "base/list.h"
#include "rpc/connector.h"
#include "rpc/direct.h"
#include "rpc/line.h"
#include "rpc/matchtag.h"
#include "rpc/msgqueue.h"
#include "rpc/registry.h"
#include "rpc/spin.h"

#define CONN_FOREVER   UINT64_MAX /* as a deadline */
#define CONN_QUEUE_MAX (1u << 20) /* received messages nobody consumes */

struct dispatch;
LIST_HEAD(dispatch_list, dispatch);

/*            connection_lost, FLUX_O_RECONNECT        30 s passed
 *   OPEN ------------------------------> RETRYING -----> DEAD
 *    ^ \__________ connection_lost, otherwise __________________^
 *    \________________ connected _____________/
 *
 * A router that refuses us says why in its first and only message: an error response to
 * "broker.refuse". There is no second try after that. */
enum conn_state {
    CONN_OPEN,
    CONN_RETRYING,
    CONN_DEAD,
};

struct conn {
    int refcount;
    int flags;
    int handles;            /* open ones; at 0 the transport is closed */
    flux_t *handle;         /* the one that opened it; NULL once it is closed. Lent. */
    char *path;             /* of the router's socket, for reconnecting; NULL: cannot */
    struct line router;     /* has a connector exactly while OPEN */
    struct line_list lines; /* the router's first */
    struct direct direct;
    enum conn_state state; /* of the router's line */
    bool corked;
    unsigned int losses; /* of lines so far: what is waited for may have been answered by one */
    struct matchtag_pool tags;
    struct msgqueue queue;
    struct dispatch_list dispatchers;
    struct registry registry;
    flux_msgcounters_t counters;
    uint64_t retry_deadline_usec, retry_next_usec;
    unsigned int retry_msec;
    flux_fatal_f fatal;
    void *fatal_arg;
    bool fatal_called;
    double wait_limit; /* seconds; 0: who waits without a limit waits for ever */
    void (*on_stuck)(const char *topic, void *arg);
    void *on_stuck_arg;
    char last_topic[64]; /* asked while there is a limit */
    int lost_errnum;     /* what a dead connection answers */
    char *lost_reason;   /* the router's own sentence, if it gave one */
    bool loss_handled;   /* on_lost said so: reactors go on */
    flux_comms_error_f on_lost, on_reconnect;
    void *on_lost_arg, *on_reconnect_arg;
    struct spin spin;  /* before poll(2), of those who block */
    int epfd, eventfd; /* behind flux_pollfd(); -EBADF until asked for */
};

/* Consumes the connector. path may be NULL. 0, -ENOMEM. */
int connection_new(struct connector *connector, const char *path, int flags, struct conn **ret);
struct conn *connection_ref(struct conn *conn);
struct conn *connection_unref(struct conn *conn);
/* Close the transport, having tried for a moment to send what is queued. */
void connection_close(struct conn *conn);

/* 0 or -errno: -EAGAIN (would block and flags say not to), -ECONNRESET, or as refused. *ret_line
 * (may be NULL): the line that it took. */
int connection_send(struct conn *conn, const flux_msg_t *msg, int flags, struct line **ret_line);
/* Next message from the lines that are known to have something (not from the queue). 0; -EAGAIN:
 * none now; -ECONNRESET, or what the router refused us with. */
int connection_fetch(struct conn *conn, flux_msg_t **ret);
/* Nobody polled: let the next fetch ask the kernel about every line. */
void connection_look(struct conn *conn);
/* Put at the tail of the receive queue; consumes msg, also on failure (then the connection is lost,
 * because going on would mean to lose messages silently). */
void connection_enqueue(struct conn *conn, flux_msg_t *msg);
/* Wait until connection_fetch() may succeed, sending and reconnecting as needed. 0; -ETIMEDOUT,
 * -ECONNRESET, -EDEADLK (loop://: nobody could ever send). */
int connection_wait(struct conn *conn, uint64_t deadline_usec);
/* Between these, messages are only queued, and then sent together. */
void connection_cork(struct conn *conn);
void connection_uncork(struct conn *conn);
/* Send what is queued, without blocking. */
void connection_flush(struct conn *conn);
/* Connect again if it is time to. */
void connection_retry(struct conn *conn);
/* Block until the connection is OPEN again, DEAD (-errno), or the deadline has passed. */
int connection_wait_retry(struct conn *conn, uint64_t deadline_usec);
/* The line to the router is gone: what was in flight on it fails with ECONNRESET. reason may be
 * NULL. */
void connection_lost(struct conn *conn, const char *reason);
/* Any line is gone; a service's is freed. reason is for the router's. */
void connection_line_lost(struct conn *conn, struct line *l, const char *reason);
/* Connect to a service's socket. 0 or -errno. */
int connection_dial(struct conn *conn, const char *path, struct line **ret);
/* One message of a line. 0; -EAGAIN, -ENOMEM; others: it is lost. */
int connection_receive(struct conn *conn, struct line *l, flux_msg_t **ret,
                       const char **ret_reason);
/* Is there something to read: received already, or seen by poll(2)? */
bool connection_has_input(const struct conn *conn);
/* Free a tag and drop what is still queued for it. */
void connection_tag_free(struct conn *conn, uint32_t tag);
/* Is it an answer to an RPC that was destroyed? Then nobody wants it; its tag comes back with the
 * last one. */
bool connection_orphaned(struct conn *conn, const flux_msg_t *msg);
/* The RPC of this tag is destroyed before its (final) answer: what is queued of it goes. */
void connection_tag_orphan(struct conn *conn, uint32_t tag, bool streaming);
void connection_fatal(struct conn *conn, const char *fun, const char *msg);

/* pollfd.c */
int connection_pollfd(struct conn *conn);
int connection_pollevents(struct conn *conn);
void connection_pollfd_attach(struct conn *conn, const struct line *l); /* it is new */
void connection_pollfd_raise(struct conn *conn); /* something changed that no fd shows */
void connection_pollfd_deinit(struct conn *conn);

#endif
