/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Routing decisions, and what follows from connections that come and go. */
#ifndef BROKER_ROUTER_H
#define BROKER_ROUTER_H

#include "broker/client.h"
#include "broker/dial.h"
#include "broker/events.h"
#include "broker/inflight.h"
#include "broker/links.h"
#include "broker/overlay.h"
#include "broker/publish.h"
#include "broker/registry.h"
#include "service/quota.h"

enum route {
    ROUTE_HERE,        /* a service of this node, if there is one; else up or ENOSYS */
    ROUTE_UP,          /* to the parent */
    ROUTE_RANK,        /* to the rank that nodeid names */
    ROUTE_UNREACHABLE, /* no such rank */
};

struct router_stats {
    uint64_t requests, responses, events;
    uint64_t orphans; /* responses whose client is gone or asked nothing */
    uint64_t rejected;
};

struct router {
    struct service *svc;
    uint32_t rank, size;
    struct clients clients;
    struct dial dial;
    struct publish publish;
    struct registry registry;
    struct inflight_table *inflight;
    struct links links;
    struct quota *quota; /* of forwarded requests */
    struct events events;
    uint32_t event_seq;
    struct overlay *overlay; /* NULL: a single node */
    struct router_stats stats;
    bool handed_on; /* the next process has it all: nothing is said or published any more */
};

int router_init(struct router *r, struct service *svc, uint32_t rank, uint32_t size);
void router_deinit(struct router *r);

/* RFC 3, from the header alone. */
enum route route_decide(const struct router *r, uint32_t nodeid, uint8_t flags);

/* A message of a client. NULL, or why the client is to be dropped. */
const char *router_request(struct router *r, struct client *c, flux_msg_t *msg);
const char *router_response(struct router *r, struct client *from, flux_msg_t *msg);
const char *router_event(struct router *r, struct client *c, flux_msg_t *msg);

/* A message that a neighbour in the tree sent. NULL, or why it is to be dropped. */
const char *router_node_message(struct router *r, struct client *node, flux_msg_t *msg);

/* Number and deliver an event (rank 0). The message gets its sequence. */
uint32_t router_publish(struct router *r, flux_msg_t *msg);
void router_deliver_event(struct router *r, const flux_msg_t *msg);

/* A request of the router itself that wants no response; NULL: no memory. */
flux_msg_t *router_notice_new(const struct router *r, const char *service, const char *method,
                              const json_t *payload);
/* A message of the router itself to a service, started at need; no response. 0 or -errno. */
int router_notify(struct router *r, const char *service, const char *method, const json_t *payload);

/* A message of this router to that of a neighbour, no response: FLUX_NODEID_UPSTREAM or the rank of
 * a child. There it comes from a client whose only route is router_route_name(). 0 or -errno. */
int router_notify_node(struct router *r, uint32_t nodeid, const char *service, const char *method,
                       const json_t *payload);
void router_route_name(uint32_t rank, char ret[CLIENT_NAME_SIZE]);

/* Run-time registration. 0, -EINVAL, -EPERM, -EEXIST, -ENOENT, -ENOMEM. */
int router_service_add(struct router *r, struct client *c, const char *name);
int router_service_remove(struct router *r, struct client *c, const char *name);

/* A connection ended: tell and answer those who need to know. */
void router_client_gone(struct router *r, struct client *c);
/* At the end of everything: tell nobody. */
void router_forget(struct router *r, struct client *c);
/* For what happened while there was no router: a request that a former process sent to a service
 * which is gone is answered ECONNRESET, EHOSTUNREACH if that was on another node; the service is
 * told that a client left, by the client's own route (routes before it, of one on another node) and
 * credentials. */
void router_lost_request(struct router *r, struct client *c, const flux_msg_t *request,
                         const char *service);
void router_notify_disconnect(struct router *r, const char *routes, const char *name,
                              uint32_t userid, bool guest, struct target *t);
/* Put a route stack "a!b" (NULL: none) on a message. 0 or -1. */
int router_push_routes(flux_msg_t *msg, const char *routes);

#endif
