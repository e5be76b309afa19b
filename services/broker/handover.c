/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Stored are: one descriptor per connection, named "client-NAME" by its route, and a sealed memfd
 * named "state" with what the router knows: event sequence, attributes that were set, and for each
 * connection its subscriptions, the groups it is in, the services behind it, whom it has asked and
 * what is in flight. So answers that arrive later find their way, and a service sees the same
 * client as before. Requests to the router itself that wait are begun again by the next process.
 *
 * Before that, every message that was already read is handled and every queue flushed; a connection
 * that does not take its output in time is left out and ends with the process.
 *
 * A crash leaves connections without a state, or none: they are closed, and both sides begin again.
 * Invariant: what was taken out is removed from the store at once, so that dropping a client closes
 * its last descriptor. */
#include <string.h>

#include "base/monotime.h"
#include "broker/handover.h"
#include "service/fdstore.h"
#include "service/log.h"
#include "service/requests.h"
#include "service/state.h"
#include "wire/message.h"

#define STATE_VERSION   2
#define FLUSH_WAIT_USEC 500000
#define FDNAME_SIZE     (sizeof("client-") + CLIENT_NAME_SIZE)

/* --- save */

static json_t *encode_subscriptions(const struct client *c)
{
    json_t *o = json_array();
    const struct subscription *s;

    TAILQ_FOREACH (s, &c->events.list, sub_entry)
        (void)json_array_append_new(o, json_pack("[s, i]", subscription_topic(s), (int)s->times));
    return o;
}

json_t *handover_encode_inflight(const struct client *c)
{
    json_t *o = json_array();
    const struct inflight *e;

    TAILQ_FOREACH (e, &c->inflight.list, client_entry)
        (void)json_array_append_new(
            o, json_pack("{s:I s:I s:I s:b s:s s:s}", "matchtag", (json_int_t)e->matchtag, "userid",
                         (json_int_t)e->userid, "bytes", (json_int_t)e->bytes, "streaming",
                         e->streaming, "topic", e->topic, "target",
                         container_of(e->target, struct target, inflight)->key));
    return o;
}

json_t *handover_encode_links(const struct client *c)
{
    json_t *o = json_array();
    const struct link *l;

    TAILQ_FOREACH (l, &c->links.list, client_entry)
        (void)json_array_append_new(
            o, json_string(container_of(l->target, struct target, links)->key));
    return o;
}

static json_t *encode_targets(const struct router *r, const struct client *c)
{
    json_t *o = json_array();

    for (const struct target *t = r->registry.all; t; t = t->hh.next)
        if (t->client == c)
            (void)json_array_append_new(o, json_string(t->name));
    return o;
}

static json_t *encode_client(const struct router *r, const struct client *c)
{
    return json_pack("{s:s s:I s:b s:b s:i s:b s:O? s:o s:o s:o s:o s:o s:o*}", "name", c->name,
                     "userid", (json_int_t)c->cred.uid, "guest", client_is_guest(c), "service",
                     c->kind == CLIENT_SERVICE, "pid", (int)c->pid, "served", c->served,
                     "announced", c->announced, "events", encode_subscriptions(c), "inflight",
                     handover_encode_inflight(c), "links", handover_encode_links(c), "targets",
                     encode_targets(r, c), "groups", groups_names(&c->memberships), "requests",
                     requests_encode(&c->origin));
}

static json_t *encode_attrs(const struct attrs *a)
{
    json_t *o = json_object();

    for (const struct attr *attr = a->all; attr; attr = attr->hh.next)
        if (!(attr->flags & ATTR_IMMUTABLE))
            (void)json_object_set_new(o, attr->name, json_string(attr->value));
    return o;
}

json_t *handover_encode(struct manager *m)
{
    const struct router *r = &m->router;
    json_t *clients = json_array();

    for (const struct client *c = r->clients.by_name; c; c = c->hh.next)
        if (client_is_local(c) && !c->conn.ended)
            (void)json_array_append_new(clients, encode_client(r, c));
    return json_pack("{s:i s:I s:o s:o s:o*}", "version", STATE_VERSION, "event_seq",
                     (json_int_t)r->event_seq, "attrs", encode_attrs(&m->attrs), "clients", clients,
                     "tree", r->overlay ? handover_encode_tree(m) : NULL);
}

static int store_clients(struct router *r)
{
    struct client *c, *tmp;
    int n = 0;

    HASH_ITER (hh, r->clients.by_name, c, tmp) {
        char name[FDNAME_SIZE];

        (void)snprintf(name, sizeof(name), "client-%s", c->name);
        if (!client_is_local(c) || c->conn.ended)
            continue;
        if (fdstore_put(name, channel_fd(c->conn.ch)) < 0)
            return -ENOTSUP;
        n++;
    }
    return n;
}

static void flush_all(struct router *r)
{
    const uint64_t end_usec = monotime_usec() + FLUSH_WAIT_USEC;
    struct client *c, *tmp;

    HASH_ITER (hh, r->clients.by_name, c, tmp) {
        if (!client_is_local(c))
            continue;
        conn_flush_wait(&c->conn, end_usec);
        if (!c->conn.ended && channel_pending(c->conn.ch))
            conn_drop(&c->conn, CONN_SLOW, "it does not read what was sent to it");
    }
}

void handover_quiet(struct router *r)
{
    struct client *c, *tmp;

    HASH_ITER (hh, r->clients.by_name, c, tmp)
        if (client_is_local(c))
            conn_stop_reading(&c->conn);
    HASH_ITER (hh, r->clients.by_name, c, tmp)
        if (client_is_local(c))
            conn_handle_fetched(&c->conn);
}

/* Nothing may be left in this process: neither read and not handled, nor queued and not sent, nor a
 * client at its end whose requests and services others wait for. */
void handover_settle(struct router *r)
{
    struct client *c, *tmp;

    handover_quiet(r);
    HASH_ITER (hh, r->clients.by_name, c, tmp)
        requests_refuse(&c->origin);
    flush_all(r);
    HASH_ITER (hh, r->clients.by_name, c, tmp)
        if (client_is_local(c) && c->conn.ended)
            router_client_gone(r, c);
    flush_all(r);
}

static void give_up_requests(struct router *r)
{
    struct client *c, *tmp;

    HASH_ITER (hh, r->clients.by_name, c, tmp)
        if (!client_is_local(c) || !c->conn.ended)
            requests_hand_on(&c->origin);
}

int handover_save(struct manager *m)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    int n, rc;

    handover_settle(&m->router);
    n = store_clients(&m->router);
    if (n < 0)
        return n;
    o = handover_encode(m);
    rc = fdstore_put_json("state", o);
    if (rc < 0)
        return rc;
    fdstore_settle();
    give_up_requests(&m->router);
    m->router.handed_on = true;
    return n;
}

/* --- restore */

static int restore_targets(struct router *r, struct client *c, const json_t *names)
{
    const enum target_kind kind = c->kind == CLIENT_SERVICE ? TARGET_DIALLED : TARGET_REGISTERED;
    const json_t *value;
    size_t i;
    int rc = 0;

    json_array_foreach (names, i, value) {
        rc = registry_add(&r->registry, json_string_value(value), kind, c, NULL);
        if (rc < 0)
            return rc;
        c->ntargets++;
        if (kind == TARGET_REGISTERED)
            c->user->nservices++;
    }
    return 0;
}

static int restore_client(struct manager *m, const json_t *o)
{
    struct router *r = &m->router;
    const char *name, *topic;
    json_t *targets, *events, *groups = NULL, *announced = NULL, *value;
    char fdname[FDNAME_SIZE + 1];
    struct client *c;
    int service, pid, served, times, fd, rc;
    size_t i;

    if (json_unpack((json_t *)o, "{s:s s:b s:i s:b s?o s:o s:o s?o}", "name", &name, "service",
                    &service, "pid", &pid, "served", &served, "announced", &announced, "targets",
                    &targets, "events", &events, "groups", &groups) < 0 ||
        strlen(name) >= CLIENT_NAME_SIZE)
        return -EPROTO;
    (void)snprintf(fdname, sizeof(fdname), "client-%s", name);
    fd = fdstore_take(m->svc, fdname);
    if (fd < 0)
        return fd;
    rc = clients_adopt(&r->clients, fd, service ? CLIENT_SERVICE : CLIENT_ACCEPTED, name, &c);
    if (rc < 0)
        return rc;
    c->pid = pid;
    c->announced = json_incref(announced);
    c->served = served;
    json_array_foreach (events, i, value) {
        if (json_unpack(value, "[s, i]", &topic, &times) == 0)
            while (times-- > 0)
                (void)events_subscribe(&r->events, &c->events, topic);
    }
    json_array_foreach (groups, i, value)
        (void)groups_join(&m->groups, &c->memberships, json_string_value(value));
    return restore_targets(r, c, targets);
}

/* The service may have ended meanwhile, or it was not taken up: nobody else answers then. */
static void restore_request(struct router *r, struct client *c, const flux_msg_t *msg,
                            const char *service, size_t bytes)
{
    struct target *t = registry_find(&r->registry, service);
    const uint32_t userid = msg_proto(msg)->userid;
    struct inflight *e;

    if (t && t->client && quota_charge(r->quota, userid, bytes, NULL) == 0) {
        if (inflight_add(r->inflight, &c->inflight, &t->inflight, msg, &e) == 0) {
            e->bytes = bytes;
            return;
        }
        quota_release(r->quota, userid, bytes);
    }
    router_lost_request(r, c, msg, service);
}

static void restore_inflight(struct router *r, struct client *c, const json_t *o)
{
    flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_REQUEST);
    json_int_t matchtag, userid, bytes;
    const char *topic, *name;
    int streaming;

    if (msg &&
        json_unpack((json_t *)o, "{s:I s:I s:I s:b s:s s:s}", "matchtag", &matchtag, "userid",
                    &userid, "bytes", &bytes, "streaming", &streaming, "topic", &topic, "target",
                    &name) == 0 &&
        flux_msg_route_enable(msg) == 0 && router_push_routes(msg, c->routes) == 0 &&
        flux_msg_set_topic(msg, topic) == 0) {
        msg_proto_mut(msg)->aux2 = (uint32_t)matchtag;
        msg_proto_mut(msg)->userid = (uint32_t)userid;
        if (streaming)
            msg_proto_mut(msg)->flags |= FLUX_MSGFLAG_STREAMING;
        restore_request(r, c, msg, name, (size_t)bytes);
    }
    flux_msg_destroy(msg);
}

static struct target *find_connected(struct router *r, const json_t *name)
{
    const char *s = json_string_value(name);
    struct target *t = s ? registry_find(&r->registry, s) : NULL;

    return t && t->client ? t : NULL;
}

/* It left while nobody could tell those whom it had asked. */
static void restore_departure(struct router *r, const json_t *o)
{
    json_int_t userid;
    const json_t *value;
    const char *name, *routes = NULL;
    struct target *t;
    int guest;
    size_t i;

    if (json_unpack((json_t *)o, "{s:s s?s s:I s:b}", "name", &name, "routes", &routes, "userid",
                    &userid, "guest", &guest) < 0)
        return;
    json_array_foreach (json_object_get(o, "links"), i, value) {
        if ((t = find_connected(r, value)))
            router_notify_disconnect(r, routes, name, (uint32_t)userid, guest, t);
    }
}

/* Second pass: every target is known now. */
void handover_restore_requests(struct router *r, const json_t *o)
{
    const char *name = json_string_value(json_object_get(o, "name"));
    struct client *c = name ? clients_find(&r->clients, name) : NULL;
    const json_t *value;
    struct target *t;
    size_t i;

    if (!c) {
        restore_departure(r, o);
        return;
    }
    json_array_foreach (json_object_get(o, "links"), i, value) {
        if ((t = find_connected(r, value)))
            (void)links_touch(&r->links, &c->links, &t->links);
    }
    json_array_foreach (json_object_get(o, "inflight"), i, value)
        restore_inflight(r, c, value);
}

static void restore_attrs(struct manager *m, const json_t *o)
{
    const char *name;
    const json_t *value;

    json_object_foreach ((json_t *)o, name, value)
        if (json_is_string(value))
            (void)attr_set(&m->attrs, name, json_string_value(value));
}

static void resume_requests(struct manager *m, const json_t *clients)
{
    const json_t *value;
    size_t i;

    json_array_foreach (clients, i, value) {
        const char *name = json_string_value(json_object_get(value, "name"));
        struct client *c = name ? clients_find(&m->router.clients, name) : NULL;

        if (c)
            requests_resume(m->svc, &c->origin, json_object_get(value, "requests"));
    }
}

void handover_resume(struct manager *m)
{
    resume_requests(m, json_object_get(m->before, "clients"));
    resume_requests(m, json_object_get(json_object_get(m->before, "tree"), "remotes"));
    handover_resume_children(m);
    json_decref(TAKE(m->before));
}

void handover_take(struct manager *m)
{
    json_t *o = fdstore_take_json(m->svc, "state");

    if (json_integer_value(json_object_get(o, "version")) == STATE_VERSION)
        m->before = TAKE(o);
    json_decref(o);
}

int handover_restore(struct manager *m)
{
    const json_t *o = m->before, *clients = json_object_get(o, "clients");
    const json_t *value;
    size_t i;
    int n = 0;

    if (!o)
        return 0;
    m->router.event_seq = (uint32_t)json_integer_value(json_object_get(o, "event_seq"));
    restore_attrs(m, json_object_get(o, "attrs"));
    json_array_foreach (clients, i, value)
        n += restore_client(m, value) == 0;
    handover_restore_remotes(m);
    json_array_foreach (clients, i, value)
        handover_restore_requests(&m->router, value);
    log_info("took up %d connections of the process before", n);
    return n;
}
