/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A connected peer of the router: a client that was accepted, or a service that was dialled. */
#ifndef BROKER_CLIENT_H
#define BROKER_CLIENT_H

#include "broker/events.h"
#include "broker/groups.h"
#include "broker/inflight.h"
#include "broker/links.h"
#include "broker/registry.h"
#include "broker/users.h"
#include "service/log.h"
#include "service/conn.h"
#include "service/origin.h"
#include "service/service.h"

#define CLIENT_NAME_SIZE 17 /* 16 hex digits */

struct router;

enum client_kind {
    CLIENT_ACCEPTED,
    CLIENT_SERVICE, /* dialled: sends responses only */
    CLIENT_NODE,    /* a neighbour in the tree (overlay.h) */
    CLIENT_REMOTE,  /* somebody on another node whose requests come through a neighbour */
};

struct client {
    enum client_kind kind;
    struct clients *clients;
    char name[CLIENT_NAME_SIZE]; /* its route */
    struct peer_cred cred;       /* what its messages are signed with */
    pid_t pid;
    struct user *user;
    struct conn conn;     /* of one that is connected here */
    struct node *node;    /* CLIENT_NODE */
    struct client *via;   /* CLIENT_REMOTE: the neighbour it is behind */
    char *routes;         /* CLIENT_REMOTE: route stack of its requests as they come, "a!b" */
    struct origin origin; /* for the router's own services */
    struct inflight_client inflight;
    struct link_end links;
    struct subscriber events;
    struct memberships memberships;
    size_t ntargets;   /* services behind it: one if dialled, any number if registered */
    bool served;       /* a request was forwarded to it */
    double active;     /* when it last sent something, in the reactor's time */
    json_t *announced; /* names of services that this is the daemon of, or NULL */
    UT_hash_handle hh;
    TAILQ_ENTRY(client) user_entry;
};

struct clients {
    struct service *svc;
    struct conn_loop *conns;
    struct router *router;
    struct users users;
    char owner[64]; /* its name, for sentences */
    bool allow_guests;
    bool allow_root_owner;
    struct client *by_name;
    uint32_t next_id;
    uint64_t accepted, refused, bad, slow;
    struct log_burst drops[2];      /* of the owner's clients, of guests' */
    uint8_t route_key[16];          /* names of remote clients */
    size_t nremotes, nremotes_kept; /* now, and after those without a purpose were last dropped */
    size_t freed_bytes; /* of queues of clients that left, since memory was last given back */
};

int clients_init(struct clients *cs, struct service *svc, struct conn_loop *conns,
                 struct router *router);
void clients_deinit(struct clients *cs); /* after a last chance to take what is queued */
void clients_accept(struct clients *cs, int fd);
/* A session with a neighbour in the tree. name: its own, or NULL. 0 or -ENOMEM. */
int clients_add_node(struct clients *cs, struct node *node, const char *name, struct client **ret);
/* It has ended: what is in flight there fails, who is behind it is gone. */
void clients_remove_node(struct clients *cs, struct client *c);
/* One of those, of the process before. cs->route_key must be that of then. Strings are copied. */
int clients_adopt_remote(struct clients *cs, struct client *via, const char *name,
                         const char *routes, uid_t uid, struct client **ret);
/* Who a request that came through a neighbour is from, by the request's route stack; made at need.
 * NULL: no memory. */
struct client *clients_remote(struct clients *cs, struct client *via, const flux_msg_t *request);
/* Consumes ch, also on failure. */
int clients_add_service(struct clients *cs, struct channel *ch, struct client **ret);
/* A connection of the process before, by its name. Consumes fd, also on failure. */
int clients_adopt(struct clients *cs, int fd, enum client_kind kind, const char *name,
                  struct client **ret);
struct client *clients_find(const struct clients *cs, const char *name);
void clients_stop_reading(struct clients *cs);

/* Queue a message. -ENOBUFS: its queue is full (nothing happened); -EPIPE: it is going. */
int client_try_send(struct client *c, const flux_msg_t *msg);
/* The same, but a client that does not read is dropped. */
int client_send(struct client *c, const flux_msg_t *msg);
/* Has it a connection of its own to this router? */
bool client_is_local(const struct client *c);
bool client_is_guest(const struct client *c);
/* More than half full: guests wait, so that the owner gets through. */
bool client_is_busy(const struct client *c);

#endif
