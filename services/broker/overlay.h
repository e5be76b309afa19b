/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The tree that joins the routers of an instance, as the router sees it. Everything that knows
 * ZeroMQ is in overlay/.
 *
 * A neighbour that is connected is a struct client (CLIENT_NODE) to the router: requests that go
 * towards it have it as their target, and when it is lost they are answered EHOSTUNREACH as those
 * to a service that went away are answered ECONNRESET. Clients of other nodes whose requests pass
 * here are CLIENT_REMOTE (remote.h). */
#ifndef BROKER_OVERLAY_H
#define BROKER_OVERLAY_H

#include <jansson.h>
#include <flux/idset.h>
#include <flux/message.h>
#include <flux/reactor.h>
#include "base/cleanup.h"

struct client;
struct node;
struct overlay;
struct router;
struct topology;

struct overlay_config {
    uint32_t rank, size;
    const struct topology *topo; /* lent */
    const char *hostname;
    const char *bind;        /* URI to listen at, NULL: no children; tcp://...:* picks a port */
    const char *parent;      /* URI of the parent; NULL on rank 0, or to come (overlay_connect) */
    const char *parent_host; /* for sentences; NULL: its rank */
    const char *public_key;  /* own key pair, Z85; NULL: no CURVE, ipc:// only */
    const char *secret_key;
    const char *parent_key;
    bool ipv6;
    double connect_timeout, tcp_user_timeout; /* seconds */
    double restart_timeout;                   /* seconds; 0: sessions end with each process */
    double torpid_min, torpid_max; /* a sign of life so often; silent too long, 0: never */
    bool debug;                    /* log what happens to connections */
    /* The name of the host that a public key belongs to, "" if it may be any, NULL: unknown key. */
    const char *(*key_owner)(const char *public_key, void *arg);
    /* May the host of that key be this rank? NULL: any may. */
    bool (*key_matches)(const char *public_key, uint32_t rank, void *arg);
    void *arg;
};

struct overlay_ops {
    void (*on_online)(const struct idset *online, void *arg); /* this node and those below */
    void (*on_parent)(bool connected, void *arg);
    /* The parent says what state the instance is in (overlay_tell_state() there). */
    void (*on_state)(int state, void *arg);
    void *arg;
};

/* Listens. 0 or -errno with a sentence. */
int overlay_new(const struct overlay_config *conf, const struct overlay_ops *ops, struct router *r,
                flux_reactor_t *reactor, struct overlay **ret, flux_error_t *error);
/* Nodes that are connected are told goodbye, unless the next process has their sessions. */
struct overlay *overlay_free(struct overlay *o);
/* Where it listens; NULL: nowhere. */
const char *overlay_uri(const struct overlay *o);
/* Begin to connect to the parent. Strings are copied. */
int overlay_connect(struct overlay *o, const char *uri, const char *key, const char *host);

/* Keys have changed: sessions of those that do not match any more end. parent_key: NULL: as it was,
 * "": none is good. */
void overlay_check_keys(struct overlay *o, const char *parent_key);

/* Who is next on the way to a rank (FLUX_NODEID_ANY, FLUX_NODEID_UPSTREAM: the parent). NULL: not
 * connected; overlay_why() tells more. */
struct client *overlay_next_hop(struct overlay *o, uint32_t nodeid);
/* A sentence: why there is no way to that rank now. */
void overlay_why(const struct overlay *o, uint32_t nodeid, char *buf, size_t size);
/* To a neighbour. 0; -ENOBUFS; -EHOSTUNREACH: it will be dropped soon. */
int overlay_send(struct node *n, const flux_msg_t *msg);
uint32_t overlay_node_rank(const struct node *n);
bool overlay_node_is_parent(const struct node *n);
bool overlay_node_is_busy(const struct node *n);
void overlay_node_drop(struct node *n, const char *reason);
/* An event with its number, to all below. */
void overlay_multicast(struct overlay *o, const flux_msg_t *msg);
/* For the next process: where this node is in the events, the epoch ("": not known yet) and the
 * number of the last one, and the last ones themselves, a new array or NULL. */
void overlay_leave_events(const struct overlay *o, const char **ret_epoch, uint32_t *ret_seq,
                          json_t **ret_events);
/* Before anything else: that is how far the process before had come. */
void overlay_resume_events(struct overlay *o, const char *epoch, uint32_t seq,
                           const json_t *events);

/* This router is about to be replaced: what goes to other nodes waits from here on, and what they
 * have sent is received. done is called from the loop when all have said so, or after a second. 0
 * or -ENOMEM. */
int overlay_pause(struct overlay *o, void (*done)(void *arg), void *arg);
/* Those that did not, or whose sessions cannot be handed on for another reason, are lost. */
void overlay_abandon(struct overlay *o);
/* The others, for the next process, and descriptors in the store; a new object or NULL. */
json_t *overlay_encode(const struct overlay *o);
/* The next process has them: overlay_free() is silent. */
void overlay_hand_on(struct overlay *o);
/* What the process before left, before overlay_connect(). Each session goes on, with what waits for
 * the neighbour, when that joins again, or is lost after restart_timeout. */
void overlay_restore(struct overlay *o, const json_t *sessions);

/* Tell those below, now and when they join, what state the instance is in: a number below 128 that
 * their on_state gets. From STATE_SHUTDOWN on nobody is let in, and one who leaves is not lost. */
void overlay_tell_state(struct overlay *o, int state);
/* In good order: away from the parent, and back when it lets us in again. */
void overlay_rejoin(struct overlay *o);
/* "node3 (rank 3), node4 (rank 4), ...": those below that are connected. */
void overlay_name_children(const struct overlay *o, char *buf, size_t size);

/* --- status */

/* This node and those below that are in the tree now; lent. */
const struct idset *overlay_online(const struct overlay *o);
bool overlay_is_connected(const struct overlay *o); /* to the parent; rank 0: always */
size_t overlay_children_connected(const struct overlay *o);
/* {rank, parent:{...}, children:[{rank, hostname, status, seconds, error?...}]}; new reference. */
json_t *overlay_describe(const struct overlay *o);

#endif
