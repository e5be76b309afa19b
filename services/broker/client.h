/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A connected peer of the router: a client that was accepted, or a service that was dialled. */
#ifndef BROKER_CLIENT_H
#define BROKER_CLIENT_H

#include "broker/events.h"
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
};

struct client {
    enum client_kind kind;
    struct clients *clients;
    char name[CLIENT_NAME_SIZE]; /* its route */
    struct peer_cred cred;       /* what its messages are signed with */
    pid_t pid;
    struct user *user;
    struct conn conn;
    struct origin origin; /* for the router's own services */
    struct inflight_client inflight;
    struct link_end links;
    struct subscriber events;
    size_t ntargets;   /* services behind it: one if dialled, any number if registered */
    bool served;       /* a request was forwarded to it */
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
    struct log_burst drops[2]; /* of the owner's clients, of guests' */
    size_t freed_bytes; /* of queues of clients that left, since memory was last given back */
};

int clients_init(struct clients *cs, struct service *svc, struct conn_loop *conns,
                 struct router *router);
void clients_deinit(struct clients *cs); /* after a last chance to take what is queued */
void clients_accept(struct clients *cs, int fd);
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
bool client_is_guest(const struct client *c);
/* More than half full: guests wait, so that the owner gets through. */
bool client_is_busy(const struct client *c);

#endif
