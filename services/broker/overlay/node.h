/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A session with a neighbour in the tree: what waits to be sent to it, what has come of a large
 * message. A message is one frame; one whose payload is over 64 KiB (MSG_INLINE_MAX) goes as a
 * frame without payload and pieces of 64 KiB, straight from and into memfds, so that neither its
 * size nor a stranger's claim of one costs memory. Messages of other clients pass between the
 * pieces, of which NODE_WINDOW at most are on the way: so much, and no more, others wait for. */
#ifndef OVERLAY_NODE_H
#define OVERLAY_NODE_H

#include <jansson.h>
#include "base/list.h"
#include "broker/overlay/zsock.h"

#define NODE_QUEUE_BYTES    (256u << 20)
#define NODE_QUEUE_MESSAGES 262144u
#define NODE_NAME_SIZE      254
#define NODE_SESSION_SIZE   (2 * ZSOCK_ID_SIZE + 1)
#define NODE_WINDOW         64u /* pieces that were not acknowledged: 4 MiB */
#define NODE_KEYS           256u

/* What routers say to one another themselves (ours: RFC 3's control messages carry no payload): a
 * frame of NODE_CONTROL_MAGIC, which no message begins with, this type in one byte, and data. */
#define NODE_CONTROL_MAGIC 0x7f
#define NODE_CONTROL_HEAD  2u

enum node_control_type {
    NODE_HELLO = 1, /* JSON, hello.h; child to parent */
    NODE_WELCOME,   /* JSON; parent to child: you are in */
    NODE_REFUSED,   /* JSON; and why not */
    NODE_LARGE,     /* u64be size of the payload that follows in pieces | the message without it */
    NODE_PIECE,     /* bytes */
    NODE_ALIVE,     /* nothing */
    NODE_ONLINE,    /* idset: the sender and all below it that are in the tree; child to parent */
    NODE_GOODBYE,   /* the sender ends in good order */
    NODE_EPOCH,     /* JSON, hello.h; parent to child: events are counted anew from here on */
    NODE_STATE,     /* one byte: the state of the instance; parent to child */
    NODE_ACK,       /* u32be: so many pieces more were received */
    NODE_PAUSE,     /* the sender is about to be replaced, and says nothing more but PAUSED */
    NODE_PAUSED,    /* the answer, after which the sender says nothing until the session goes on */
};

struct client;
struct overlay;
struct service;
struct node_item;
STAILQ_HEAD(node_queue, node_item);

struct node {
    struct overlay *overlay;
    struct client *client; /* what the router knows it as */
    uint32_t rank;
    char host[NODE_NAME_SIZE];
    struct zsock *sock;        /* lent */
    uint8_t id[ZSOCK_ID_SIZE]; /* of its session; a child's */
    bool is_parent;
    int version;                     /* that both sides speak */
    char session[NODE_SESSION_SIZE]; /* its name, "" as long as there is none */
    bool held;                       /* not welcomed yet, or paused: queue only */
    bool pausing;                    /* we have said PAUSE */
    bool paused; /* all that the other side had to say has come: the session may be handed on */
    uint8_t due; /* of NODE_DUE_*: is still to be said */
    uint64_t resume_by_usec; /* of one that is paused: then it is lost */
    const char *lost;        /* it is to be dropped, at the next safe point: why */
    struct node_queue queue;
    struct node_queue bulk;               /* large messages, and what must not overtake them */
    uint16_t bulk_keys[NODE_KEYS];        /* how many messages of whom are there, by hash */
    size_t queued_bytes, queued_messages; /* of both */
    unsigned int window;                  /* pieces that may be sent */
    unsigned int unacked;                 /* pieces received, and not acknowledged */
    flux_msg_t *large;                    /* being received */
    int large_fd;
    size_t large_size, large_done;
    uint64_t since_usec, rx_usec, tx_usec;
    uint64_t rx_messages, tx_messages;
    bool torpid;
};

int node_new(struct zsock *sock, uint32_t rank, const char *host, const uint8_t *id,
             struct node **ret);
struct node *node_free(struct node *n);
DEFINE_CLEANUP(struct node *, node_free)

/* Queue a message and send what can be sent. The message may be changed afterwards. 0; -ENOBUFS:
 * too much is waiting, nothing was queued; -EHOSTUNREACH: it is not connected any more. */
int node_send(struct node *n, const flux_msg_t *msg);
/* A control message, before all that waits; of a node that is held only GOODBYE goes. Payload lent.
 */
int node_send_control(struct node *n, enum node_control_type type, const void *data, size_t size);
/* One that keeps its place among the messages. Returns as node_send(). */
int node_queue_control(struct node *n, enum node_control_type type, const void *data, size_t size);
/* The same to somebody who has no session. */
int node_send_stranger(struct zsock *sock, const uint8_t *id, enum node_control_type type,
                       const void *data, size_t size);
/* 0: nothing waits any more; -EAGAIN; -EHOSTUNREACH. */
int node_flush(struct node *n);

/* A session that goes on with the next process of one of the two routers.
 *
 *   the one that ends       the other
 *   node_pause()  --PAUSE-->  node_on_pause(), all was received
 *   node_on_paused() <--PAUSED--   and that was all from here
 *
 * From then on each side queues what goes to the other; a large message of which a part was sent
 * begins anew. node_resume(), over whichever connection, ends it on both sides. Both may pause at
 * once. */
void node_pause(struct node *n);
void node_on_pause(struct node *n);
void node_on_paused(struct node *n);
void node_resume(struct node *n);
/* Nothing is to be said or heard any more? */
bool node_is_paused(const struct node *n);

/* What waits, for the next process: a new array, and descriptors in the store. NULL: it cannot be
 * handed on. */
json_t *node_queue_encode(const struct node *n);
/* It is not: its frames go off the budget. */
bool node_queue_fits(const struct node *n, size_t *budget);
/* 0 or -errno: then something is missing. */
int node_queue_restore(struct node *n, struct service *svc, const json_t *queue);

struct node_control {
    int type;         /* 0: none */
    const void *data; /* lent from the frame */
    size_t size;
};
/* Is this frame one? */
bool node_control_parse(const void *frame, size_t frame_size, struct node_control *ret);

/* A frame came. 0: it was a message, *ret_msg, the caller's; or control, *ret_control; or a part of
 * a large message: neither. Negative with a constant reason: drop the node. */
int node_receive(struct node *n, const void *data, size_t size, flux_msg_t **ret_msg,
                 struct node_control *ret_control, const char **ret_reason);

#endif
