/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A connection to a router: what a handle and its clones share. Transport, receive queue,
 * matchtags, what must be repeated after a reconnect. Outlives its handles while an RPC still
 * refers to it. */
#ifndef RPC_CONN_H
#define RPC_CONN_H

#include <flux/handle.h>
#include "base/list.h"
#include "rpc/connector.h"
#include "rpc/matchtag.h"
#include "rpc/msgqueue.h"
#include "rpc/registry.h"

#define CONN_FOREVER UINT64_MAX /* as a deadline */

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
    int handles;                 /* open ones; at 0 the transport is closed */
    flux_t *handle;              /* the one that opened it; NULL once it is closed. Lent. */
    char *path;                  /* of the socket, for reconnecting; NULL: cannot */
    struct connector *connector; /* NULL unless OPEN */
    enum conn_state state;
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
    bool greeted;        /* a message came since it was connected */
    int lost_errnum;     /* what a dead connection answers */
    char *lost_reason;   /* the router's own sentence, if it gave one */
    bool loss_handled;   /* on_lost said so: reactors go on */
    flux_comms_error_f on_lost, on_reconnect;
    void *on_lost_arg, *on_reconnect_arg;
    int epfd, eventfd; /* behind flux_pollfd(); -EBADF until asked for */
};

/* Consumes the connector. path may be NULL. 0, -ENOMEM. */
int connection_new(struct connector *connector, const char *path, int flags, struct conn **ret);
struct conn *connection_ref(struct conn *conn);
struct conn *connection_unref(struct conn *conn);
/* Close the transport, having tried for a moment to send what is queued. */
void connection_close(struct conn *conn);

/* 0 or -errno: -EAGAIN (would block and flags say not to), -ECONNRESET, or as refused. */
int connection_send(struct conn *conn, const flux_msg_t *msg, int flags);
/* Next message from the transport (not from the queue). 0; -EAGAIN: none now; -ECONNRESET, or what
 * the router refused us with. */
int connection_fetch(struct conn *conn, flux_msg_t **ret);
/* Put at the tail of the receive queue; consumes msg, also on failure (then the connection is lost,
 * because going on would mean to lose messages silently). */
void connection_enqueue(struct conn *conn, flux_msg_t *msg);
/* Wait until connection_fetch() may succeed, sending and reconnecting as needed. 0; -ETIMEDOUT,
 * -ECONNRESET, -EDEADLK (loop://: nobody could ever send). */
int connection_wait(struct conn *conn, uint64_t deadline_usec);
/* Send what is queued, without blocking. */
void connection_flush(struct conn *conn);
/* Connect again if it is time to. */
void connection_retry(struct conn *conn);
/* The transport is gone: in-flight RPCs fail with ECONNRESET. reason may be NULL. */
void connection_lost(struct conn *conn, const char *reason);
/* Is there something to read without asking the kernel? */
bool connection_has_input(const struct conn *conn);
/* Free a tag and drop what is still queued for it. */
void connection_tag_free(struct conn *conn, uint32_t tag);
void connection_fatal(struct conn *conn, const char *fun, const char *msg);

/* pollfd.c */
int connection_pollfd(struct conn *conn);
int connection_pollevents(struct conn *conn);
void connection_pollfd_attach(struct conn *conn); /* the transport's fd is new */
void connection_pollfd_raise(struct conn *conn);  /* something changed that no fd shows */
void connection_pollfd_deinit(struct conn *conn);

#endif
