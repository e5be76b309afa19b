/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Where messages go. A request: to the router's own services, to a service registered at run time,
 * to RUNDIR/node/NAME or (rank 0) RUNDIR/leader/NAME, dialled on first use; else up the tree or
 * ENOSYS. Its client's name is pushed on the route stack, and popped from the response. Only
 * header, routes and topic are looked at: payloads pass as they are, large ones as the descriptor
 * they came in.
 *
 * Drops (by returning a reason) clients that send route stacks they cannot have, matchtags that are
 * in use, answers to questions nobody asked them, and answers in the name of another service or
 * method. Refuses by an error response: what cannot be
 * routed, what exceeds a limit.
 *
 * Invariant: every request that wants one gets exactly one final response, from the service or,
 * when that goes away, from here (ECONNRESET). */
#include <stdarg.h>
#include <string.h>

#include "base/daemonname.h"
#include "base/jsonx.h"
#include "broker/router.h"
#include "service/dispatch.h"
#include "service/log.h"
#include "service/state.h"

#define TREE_LINKS_MAX 65536 /* services of other nodes that one client may have asked */

int router_init(struct router *r, struct service *svc, uint32_t rank, uint32_t size)
{
    int rc;

    *r = (struct router){ .svc = svc, .rank = rank, .size = size };
    r->dial = (struct dial){ .rundir = service_rundir(svc), .rank = rank };
    if ((rc = clients_init(&r->clients, svc, svc->conns, r)) < 0 ||
        (rc = inflight_table_new(&r->inflight)) < 0)
        return rc;
    return quota_new(service_owner(svc), &quota_limits_owner, &quota_limits_guest, &r->quota);
}

void router_deinit(struct router *r)
{
    clients_deinit(&r->clients);
    publish_deinit(&r->publish);
    registry_deinit(&r->registry);
    r->inflight = inflight_table_free(r->inflight);
    r->quota = quota_free(r->quota);
}

/* --- error responses made here */

/* The request must be as it came, without the client's route. */
__attribute__((format(printf, 5, 6))) static void reject(struct router *r, struct client *c,
                                                         const flux_msg_t *msg, int errnum,
                                                         const char *fmt, ...)
{
    flux_msg_t *response;
    char text[256];
    va_list ap;

    r->stats.rejected++;
    if (msg_proto(msg)->flags & FLUX_MSGFLAG_NORESPONSE)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    response = flux_response_derive(msg, errnum);
    if (response && flux_msg_set_string(response, text) == 0)
        (void)client_send(c, response);
    flux_msg_destroy(response);
}

void router_lost_request(struct router *r, struct client *c, const flux_msg_t *request,
                         const char *service)
{
    const int len = (int)strcspn(service, "@"); /* a key of the registry: "kvs@3" is elsewhere */

    if (service[len])
        reject(r, c, request, EHOSTUNREACH, "the way to %.*s on another node was lost", len,
               service);
    else
        reject(r, c, request, ECONNRESET, "flux-%s went away", daemonname(service));
}

int router_push_routes(flux_msg_t *msg, const char *routes)
{
    char name[MSG_ROUTE_MAX + 1];
    int rc = 0;

    for (const char *p = routes; p && *p && rc == 0; p += *p == '!') {
        const size_t n = strcspn(p, "!");

        (void)snprintf(name, sizeof(name), "%.*s", (int)n, p);
        rc = flux_msg_route_push(msg, name);
        p += n;
    }
    return rc;
}

static flux_msg_t *response_of(const struct inflight *e, int errnum, const char *text)
{
    flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_RESPONSE);
    struct msg_proto *p;

    if (!msg)
        return NULL;
    if (flux_msg_set_topic(msg, e->topic) < 0 || flux_msg_route_enable(msg) < 0 ||
        router_push_routes(msg, container_of(e->client, struct client, inflight)->routes) < 0 ||
        flux_msg_set_string(msg, text) < 0) {
        flux_msg_destroy(msg);
        return NULL;
    }
    p = msg_proto_mut(msg);
    p->userid = e->userid;
    p->aux1 = (uint32_t)errnum;
    p->aux2 = e->matchtag;
    if (e->streaming)
        p->flags |= FLUX_MSGFLAG_STREAMING;
    return msg;
}

static void forget_inflight(struct router *r, struct inflight *e)
{
    quota_release(r->quota, e->userid, e->bytes);
    inflight_remove(r->inflight, e);
}

static struct client *client_of(const struct inflight *e)
{
    return container_of(e->client, struct client, inflight);
}

static void fail_inflight(struct router *r, struct inflight *e, int errnum, const char *text)
{
    struct client *c = client_of(e);
    flux_msg_t *msg = response_of(e, errnum, text);

    forget_inflight(r, e);
    if (msg)
        (void)client_send(c, msg);
    flux_msg_destroy(msg);
}

/* --- requests */

/* Find the service or connect to it. 0; -ENOSYS: there is none; other: why it cannot be reached. */
static int find_target(struct router *r, const char *name, struct target **ret)
{
    struct target *t = registry_find(&r->registry, name);
    struct client *c = NULL;
    struct channel *ch;
    int rc;

    if (!t) {
        rc = dial_connect(&r->dial, name, &ch);
        if (rc == 0)
            (void)publish_update(&r->publish, &r->dial); /* it may be new */
        if (rc == -ENOENT || rc == -ECONNREFUSED)
            return -ENOSYS;
        if (rc == 0)
            rc = clients_add_service(&r->clients, ch, &c);
        if (rc < 0)
            return rc;
        rc = registry_add(&r->registry, name, TARGET_DIALLED, c, &t);
        if (rc < 0) {
            conn_drop(&c->conn, CONN_DROPPED, NULL);
            return rc;
        }
        c->ntargets++;
    }
    *ret = t;
    return 0;
}

static bool is_tracked(const flux_msg_t *msg)
{
    const struct msg_proto *p = msg_proto(msg);

    return !(p->flags & FLUX_MSGFLAG_NORESPONSE) && p->aux2 != FLUX_MATCHTAG_NONE;
}

/* Put a request on the accounts before it goes out. 1: sent on; 0: rejected; <0: -EEXIST. */
static int track(struct router *r, struct client *c, struct target *t, const flux_msg_t *msg)
{
    flux_error_t error = { .text = "" };
    struct inflight *e;
    int rc;

    if (!is_tracked(msg))
        return 1;
    rc = inflight_add(r->inflight, &c->inflight, &t->inflight, msg, &e);
    if (rc == -EEXIST)
        return rc;
    if (rc < 0) {
        reject(r, c, msg, -rc, "%u requests of this client are in flight: wait for answers",
               INFLIGHT_MAX_PER_CLIENT);
        return 0;
    }
    rc = quota_charge(r->quota, e->userid, e->bytes, &error);
    if (rc < 0) {
        inflight_remove(r->inflight, e);
        reject(r, c, msg, -rc, "%s", error.text);
        return 0;
    }
    return 1;
}

static void untrack(struct router *r, struct client *c, const flux_msg_t *msg)
{
    struct inflight *e =
        is_tracked(msg) ? inflight_find(r->inflight, &c->inflight, msg_proto(msg)->aux2) : NULL;

    if (e)
        forget_inflight(r, e);
}

static bool is_disconnect(const flux_msg_t *msg)
{
    const char *method = strchr(msg_topic(msg), '.');

    return method && strcmp(method, ".disconnect") == 0 &&
           (msg_proto(msg)->flags & FLUX_MSGFLAG_NORESPONSE);
}

/* Nobody here has to do with that service of another node any more. */
static void release_tree_target(struct router *r, struct target *t)
{
    if (t->kind != TARGET_TREE || t->links.count > 0 || t->inflight.count > 0)
        return;
    t->client->ntargets--;
    registry_remove(&r->registry, t);
}

/* A client of another node has left, and t was told. */
static void unlink_remote(struct router *r, struct client *c, struct target *t)
{
    struct link *l, *tmp;

    TAILQ_FOREACH_SAFE (l, &c->links.list, client_entry, tmp)
        if (l->target == &t->links)
            links_remove(&r->links, l);
    release_tree_target(r, t);
}

static const char *forward(struct router *r, struct client *c, struct target *t, flux_msg_t *msg)
{
    int rc;

    if (client_is_guest(c) && client_is_busy(t->client)) {
        reject(r, c, msg, EAGAIN, "flux-%s is busy: try again later", daemonname(t->name));
        return NULL;
    }
    rc = track(r, c, t, msg);
    if (rc < 0)
        return "a matchtag that is in use by another request";
    if (rc == 0)
        return NULL;
    if (flux_msg_route_enable(msg) < 0 || flux_msg_route_push(msg, c->name) < 0 ||
        links_touch(&r->links, &c->links, &t->links) < 0) {
        untrack(r, c, msg);
        return "a route stack that is full";
    }
    rc = client_try_send(t->client, msg);
    if (rc == 0) {
        t->client->served = true;
        t->messages++;
        return NULL;
    }
    (void)flux_msg_route_delete_last(msg);
    untrack(r, c, msg);
    if (rc == -EHOSTUNREACH)
        reject(r, c, msg, EHOSTUNREACH, "the way to %s on another node was lost", t->name);
    else if (rc == -ENOBUFS)
        reject(r, c, msg, EAGAIN, "flux-%s has more requests waiting than it may: try again later",
               daemonname(t->name));
    else
        reject(r, c, msg, ECONNRESET, "flux-%s went away", daemonname(t->name));
    return NULL;
}

static void reject_unreachable(struct router *r, struct client *c, const flux_msg_t *msg)
{
    const struct msg_proto *p = msg_proto(msg);
    char text[256];

    if (r->overlay)
        overlay_why(r->overlay, p->flags & FLUX_MSGFLAG_UPSTREAM ? FLUX_NODEID_UPSTREAM : p->aux1,
                    text, sizeof(text));
    else
        (void)snprintf(text, sizeof(text), "there is no way to another node");
    reject(r, c, msg, EHOSTUNREACH, "%s", text);
}

/* Towards another node: up, or to the rank that the header names. */
static const char *request_tree(struct router *r, struct client *c, const char *name,
                                flux_msg_t *msg)
{
    const struct msg_proto *p = msg_proto(msg);
    const bool upstream = p->flags & FLUX_MSGFLAG_UPSTREAM;
    const uint32_t way = upstream ? FLUX_NODEID_UPSTREAM : p->aux1;
    const char *reason;
    struct client *next = r->overlay ? overlay_next_hop(r->overlay, way) : NULL;
    struct target *t;
    int rc;

    if (!next) {
        reject_unreachable(r, c, msg);
        return NULL;
    }
    if (c->via == next) {
        reject(r, c, msg, EHOSTUNREACH, "ranks %u and %u do not agree on the shape of the tree",
               r->rank, overlay_node_rank(next->node));
        return NULL;
    }
    if (c->links.count >= TREE_LINKS_MAX) {
        reject(r, c, msg, EAGAIN, "this client talks to %u services of other nodes already",
               TREE_LINKS_MAX);
        return NULL;
    }
    rc = registry_get_tree(&r->registry, name, p->aux1, upstream, next, &t);
    if (rc < 0) {
        reject(r, c, msg, -rc, "%s", strerror(-rc));
        return NULL;
    }
    if (t->links.count == 0 && t->inflight.count == 0)
        next->ntargets++; /* it is new */
    reason = forward(r, c, t, msg);
    if (c->kind == CLIENT_REMOTE && is_disconnect(msg))
        unlink_remote(r, c, t);
    else
        release_tree_target(r, t);
    return reason;
}

/* What rank 0 alone offers of the router's own services. */
static bool is_of_leader(const flux_msg_t *msg)
{
    static const char *const topics[] = { "event.publish", "groups.disconnect", "groups.get" };

    for (size_t i = 0; i < ARRAY_SIZE(topics); i++)
        if (strcmp(msg_topic(msg), topics[i]) == 0)
            return true;
    return false;
}

static bool may_go_up(const struct router *r, const flux_msg_t *msg)
{
    const struct msg_proto *p = msg_proto(msg);

    return r->rank > 0 && (p->aux1 == FLUX_NODEID_ANY || (p->flags & FLUX_MSGFLAG_UPSTREAM));
}

static const char *ask_target(struct router *r, struct client *c, struct target *t, flux_msg_t *msg)
{
    const char *reason;

    if (t->kind == TARGET_OWN) {
        dispatch_request(r->svc, &c->origin, msg);
        return NULL;
    }
    reason = forward(r, c, t, msg);
    if (c->kind == CLIENT_REMOTE && is_disconnect(msg))
        unlink_remote(r, c, t);
    return reason;
}

static const char *request_here(struct router *r, struct client *c, const char *name,
                                flux_msg_t *msg)
{
    struct target *t = NULL;
    int rc;

    if (c->kind == CLIENT_REMOTE && is_disconnect(msg) && !registry_find(&r->registry, name) &&
        !may_go_up(r, msg))
        return NULL; /* nobody is there to be told */
    rc = find_target(r, name, &t);
    if (may_go_up(r, msg) &&
        (rc == -ENOSYS || (rc == 0 && t->kind == TARGET_OWN && is_of_leader(msg))))
        return request_tree(r, c, name, msg);
    if (rc == -ENOSYS)
        reject(r, c, msg, ENOSYS, "no service %s in this instance", name);
    else if (rc < 0)
        reject(r, c, msg, -rc, "cannot connect to flux-%s: %s", name, strerror(-rc));
    else
        return ask_target(r, c, t, msg);
    return NULL;
}

static const char *route(struct router *r, struct client *c, flux_msg_t *msg)
{
    const struct msg_proto *p = msg_proto(msg);
    const uint32_t nodeid = p->aux1;
    char name[SERVICE_NAME_SIZE];

    r->stats.requests++;
    if (service_name_of_topic(msg_topic(msg), name) < 0) {
        reject(r, c, msg, ENOSYS, "the topic does not begin with a service name");
        return NULL;
    }
    switch (route_decide(r, nodeid, p->flags)) {
    case ROUTE_HERE:
        return request_here(r, c, name, msg);
    case ROUTE_UP:
        if (r->rank > 0)
            return request_tree(r, c, name, msg);
        break;
    case ROUTE_RANK:
        return request_tree(r, c, name, msg);
    case ROUTE_UNREACHABLE:
        break;
    }
    if (p->flags & FLUX_MSGFLAG_UPSTREAM)
        reject(r, c, msg, EHOSTUNREACH, "rank %u has no node above it", r->rank);
    else
        reject(r, c, msg, EHOSTUNREACH, "there is no way to rank %u: this instance has %u node%s",
               nodeid, r->size, r->size == 1 ? "" : "s");
    return NULL;
}

const char *router_request(struct router *r, struct client *c, flux_msg_t *msg)
{
    if (flux_msg_route_count(msg) > 0)
        return "a request with a route stack it cannot have";
    return route(r, c, msg);
}

/* --- responses */

/* Matchtag 0: any number of answers, if the client ever asked the service that the topic names, and
 * that is behind this connection. */
static bool is_welcome(const struct client *c, const struct client *from, const flux_msg_t *msg)
{
    char name[SERVICE_NAME_SIZE];
    const struct link *l;

    if (service_name_of_topic(msg_topic(msg), name) < 0)
        return false;
    TAILQ_FOREACH (l, &c->links.list, client_entry) {
        const struct target *t = container_of(l->target, struct target, links);

        if (t->client == from && strcmp(t->name, name) == 0)
            return true;
    }
    return false;
}

const char *router_response(struct router *r, struct client *from, flux_msg_t *msg)
{
    const char *name = flux_msg_route_last(msg);
    struct client *c;
    struct inflight *e;

    r->stats.responses++;
    if (!name)
        return "a response without a route";
    if (!from->served)
        return "a response although it was asked nothing";
    c = clients_find(&r->clients, name);
    e = c ? inflight_find(r->inflight, &c->inflight, msg_proto(msg)->aux2) : NULL;
    if (e && container_of(e->target, struct target, inflight)->client == from) {
        if (strcmp(e->topic, msg_topic(msg)) != 0)
            return "a response with another topic than its request";
        if (inflight_is_final(e, msg))
            forget_inflight(r, e);
    } else if (!c || msg_proto(msg)->aux2 != FLUX_MATCHTAG_NONE || !is_welcome(c, from, msg)) {
        r->stats.orphans++; /* the client left, or the answer came twice */
        return NULL;
    }
    (void)flux_msg_route_delete_last(msg);
    (void)client_send(c, msg);
    return NULL;
}

/* --- events */

struct delivery {
    const flux_msg_t *msg;
    bool is_private;
    uint32_t userid;
};

static void deliver(struct subscriber *sub, void *arg)
{
    struct client *c = container_of(sub, struct client, events);
    const struct delivery *d = arg;

    if (!d->is_private || !client_is_guest(c) || c->cred.uid == d->userid)
        (void)client_send(c, d->msg);
}

void router_deliver_event(struct router *r, const flux_msg_t *msg)
{
    struct delivery d = { .msg = msg, .userid = msg_proto(msg)->userid };

    d.is_private = msg_proto(msg)->flags & FLUX_MSGFLAG_PRIVATE;
    events_match(&r->events, msg_topic(msg), deliver, &d);
}

uint32_t router_publish(struct router *r, flux_msg_t *msg)
{
    struct msg_proto *p = msg_proto_mut(msg);

    if (r->handed_on)
        return r->event_seq;
    r->stats.events++;
    p->aux1 = ++r->event_seq;
    p->aux2 = 0;
    if (flux_msg_route_count(msg) >= 0)
        flux_msg_route_disable(msg);
    router_deliver_event(r, msg);
    if (r->overlay)
        overlay_multicast(r->overlay, msg);
    return r->event_seq;
}

/* To rank 0, to be numbered. Like every event without an answer it is lost when there is no way. */
static void event_upwards(struct router *r, flux_msg_t *msg)
{
    struct client *parent = r->overlay ? overlay_next_hop(r->overlay, FLUX_NODEID_UPSTREAM) : NULL;

    if (flux_msg_route_count(msg) >= 0)
        flux_msg_route_disable(msg);
    if (!parent || client_send(parent, msg) < 0)
        r->stats.rejected++;
}

const char *router_event(struct router *r, struct client *c, flux_msg_t *msg)
{
    if (msg_topic(msg)[0] == '\0')
        return "an event without a topic";
    if (r->rank == 0)
        (void)router_publish(r, msg);
    else
        event_upwards(r, msg);
    return NULL;
}

/* --- the tree */

static const char *request_of_node(struct router *r, struct client *node, flux_msg_t *msg)
{
    const char *reason;
    struct client *c;

    if (flux_msg_route_count(msg) < 1)
        return "a request without a route";
    c = clients_remote(&r->clients, node, msg);
    if (!c)
        return "out of memory";
    reason = route(r, c, msg);
    if (reason) /* its router should not have let it through; the others there go on */
        reject(r, c, msg, EPROTO, "%s", reason);
    return NULL;
}

const char *router_node_message(struct router *r, struct client *node, flux_msg_t *msg)
{
    switch (msg_proto(msg)->type) {
    case FLUX_MSGTYPE_REQUEST:
        return request_of_node(r, node, msg);
    case FLUX_MSGTYPE_RESPONSE:
        return router_response(r, node, msg);
    case FLUX_MSGTYPE_EVENT:
        return router_event(r, node, msg);
    default:
        return NULL;
    }
}

/* --- messages of the router itself */

flux_msg_t *router_notice_new(const struct router *r, const char *service, const char *method,
                              const json_t *payload)
{
    CLEANUP(freep) char *text = NULL;
    flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_REQUEST);
    char topic[SERVICE_NAME_SIZE + 32];
    struct msg_proto *p;
    size_t size;

    (void)snprintf(topic, sizeof(topic), "%s.%s", service, method);
    if (payload)
        text = jsonx_encode(payload, &size);
    if (!msg || (payload && !text) || flux_msg_set_topic(msg, topic) < 0 ||
        flux_msg_route_enable(msg) < 0 || (text && flux_msg_set_string(msg, text) < 0)) {
        flux_msg_destroy(msg);
        return NULL;
    }
    p = msg_proto_mut(msg);
    p->flags |= FLUX_MSGFLAG_NORESPONSE;
    p->userid = r->clients.users.owner;
    p->rolemask = FLUX_ROLE_OWNER;
    p->aux1 = FLUX_NODEID_ANY;
    p->aux2 = FLUX_MATCHTAG_NONE;
    return msg;
}

static int notify_target(struct router *r, struct target *t, const char *method,
                         const json_t *payload)
{
    flux_msg_t *msg = router_notice_new(r, t->name, method, payload);
    const int rc = msg ? client_try_send(t->client, msg) : -ENOMEM;

    flux_msg_destroy(msg);
    return rc;
}

int router_notify(struct router *r, const char *service, const char *method, const json_t *payload)
{
    struct target *t;
    const int rc = find_target(r, service, &t);

    return rc < 0 ? rc : notify_target(r, t, method, payload);
}

void router_route_name(uint32_t rank, char ret[CLIENT_NAME_SIZE])
{
    (void)snprintf(ret, CLIENT_NAME_SIZE, "rank%u", rank);
}

int router_notify_node(struct router *r, uint32_t nodeid, const char *service, const char *method,
                       const json_t *payload)
{
    struct client *next = r->overlay ? overlay_next_hop(r->overlay, nodeid) : NULL;
    flux_msg_t *msg = next ? router_notice_new(r, service, method, payload) : NULL;
    char name[CLIENT_NAME_SIZE];
    int rc;

    if (!next)
        return -EHOSTUNREACH;
    if (!msg)
        return -ENOMEM;
    router_route_name(r->rank, name);
    msg_proto_mut(msg)->aux1 = overlay_node_rank(next->node);
    rc = flux_msg_route_push(msg, name) < 0 ? -errno : client_send(next, msg);
    flux_msg_destroy(msg);
    return rc;
}

void router_notify_disconnect(struct router *r, const char *routes, const char *name,
                              uint32_t userid, bool guest, struct target *t)
{
    flux_msg_t *msg = router_notice_new(r, t->name, "disconnect", NULL);
    struct msg_proto *p;

    if (!msg)
        return;
    p = msg_proto_mut(msg);
    p->userid = userid;
    p->rolemask = guest ? FLUX_ROLE_USER : FLUX_ROLE_OWNER;
    if (t->kind == TARGET_TREE) {
        p->aux1 = t->nodeid;
        if (t->upstream)
            p->flags |= FLUX_MSGFLAG_UPSTREAM;
    }
    if (router_push_routes(msg, routes) == 0 && flux_msg_route_push(msg, name) == 0 &&
        client_try_send(t->client, msg) == -ENOBUFS)
        log_warning("flux-%s is too busy to be told that a client left", daemonname(t->name));
    flux_msg_destroy(msg);
}

/* --- services that come and go */

int router_service_add(struct router *r, struct client *c, const char *name)
{
    int rc;

    if (!service_name_valid(name))
        return -EINVAL;
    if (client_is_guest(c) && !service_name_is_of_user(name, c->cred.uid))
        return -EPERM;
    if (dial_exists(&r->dial, name))
        return -EEXIST;
    if (!user_may_register(c->user))
        return -ENOSPC;
    rc = registry_add(&r->registry, name, TARGET_REGISTERED, c, NULL);
    c->ntargets += rc == 0;
    c->user->nservices += rc == 0;
    return rc;
}

static void target_gone(struct router *r, struct target *t, bool tell)
{
    char text[SERVICE_NAME_SIZE + 32];
    struct inflight *e;

    const int errnum = t->kind == TARGET_TREE ? EHOSTUNREACH : ECONNRESET;

    if (t->kind == TARGET_TREE)
        (void)snprintf(text, sizeof(text), "rank %u was lost", overlay_node_rank(t->client->node));
    else
        (void)snprintf(text, sizeof(text), "%s%s went away",
                       t->kind == TARGET_DIALLED ? "flux-" : "service ",
                       t->kind == TARGET_DIALLED ? daemonname(t->name) : t->name);
    while ((e = TAILQ_FIRST(&t->inflight.list))) {
        if (tell)
            fail_inflight(r, e, errnum, text);
        else
            forget_inflight(r, e);
    }
    links_drop_target(&r->links, &t->links);
    t->client->ntargets--;
    if (t->kind == TARGET_REGISTERED)
        t->client->user->nservices--;
    registry_remove(&r->registry, t);
}

int router_service_remove(struct router *r, struct client *c, const char *name)
{
    struct target *t = registry_find(&r->registry, name);

    if (!t || t->client != c)
        return -ENOENT;
    target_gone(r, t, true);
    return 0;
}

static void log_service_lost(const struct target *t)
{
    const char *fields[] = { "MESSAGE_ID=" LOG_ID_SERVICE_LOST, NULL };

    if (t->kind == TARGET_DIALLED && t->inflight.count > 0)
        log_fields(LOG_WARNING, fields,
                   "flux-%s went away with %zu requests unanswered; they fail with ECONNRESET",
                   daemonname(t->name), t->inflight.count);
    else
        log_debug("service %s went away", t->name);
}

/* A remote client's router is gone too, or it would have told itself: in its name, by its route. */
static void notify_gone(struct router *r, const struct client *c, struct target *t)
{
    router_notify_disconnect(r, c->routes, c->name, c->cred.uid, client_is_guest(c), t);
}

static void client_gone(struct router *r, struct client *c, bool tell)
{
    struct target *t, *tmp;
    struct link *l;

    while (!TAILQ_EMPTY(&c->inflight.list))
        forget_inflight(r, TAILQ_FIRST(&c->inflight.list));
    while ((l = TAILQ_FIRST(&c->links.list))) {
        struct target *linked = container_of(l->target, struct target, links);

        if (tell)
            notify_gone(r, c, linked);
        links_remove(&r->links, l);
        release_tree_target(r, linked);
    }
    events_forget(&r->events, &c->events);
    groups_forget(&c->memberships);
    if (c->ntargets == 0)
        return;
    HASH_ITER (hh, r->registry.all, t, tmp) {
        if (t->client != c)
            continue;
        if (tell)
            log_service_lost(t);
        target_gone(r, t, tell);
    }
}

void router_client_gone(struct router *r, struct client *c)
{
    client_gone(r, c, !r->handed_on);
}

void router_forget(struct router *r, struct client *c)
{
    client_gone(r, c, false);
}
