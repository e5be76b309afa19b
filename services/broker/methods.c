/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The router's own services: attr config event log service broker. Each handler decodes, calls one
 * function, answers. */
#include <string.h>

#include "base/base64.h"
#include "broker/collective.h"
#include "broker/manager.h"
#include "service/log.h"
#include "service/request.h"

#define ANNOUNCED_MAX 16

static struct client *client_of(const struct request *req)
{
    return container_of(req->origin, struct client, origin);
}

/* --- attr */

static int rpc_attr_get(struct request *req, void *arg)
{
    struct manager *m = arg;
    const struct attr *attr;
    const char *name = "";

    (void)request_unpack(req, "{s:s}", "name", &name);
    attr = attr_find(&m->attrs, name);
    if (!attr)
        return request_explain(req, ENOENT, "no attribute %s", name);
    return request_respond_pack(req, "{s:s s:i}", "value", attr->value, "flags", (int)attr->flags);
}

static int answer_attr(struct request *req, const char *name, int rc)
{
    if (rc == -EPERM)
        return request_explain(req, EPERM, "attribute %s cannot be changed%s", name,
                               strncmp(name, "log-", 4) == 0 ? "; `flux start -S` sets it" : "");
    if (rc == -ENOENT)
        return request_explain(req, ENOENT, "no attribute %s", name);
    if (rc == -EINVAL && strcmp(name, "log-level") == 0)
        return request_explain(req, EINVAL, "log-level is a number from 0 to 7");
    if (rc == -EINVAL)
        return request_explain(req, EINVAL, "attribute %s: not a valid name or value", name);
    return rc < 0 ? rc : request_respond(req, NULL);
}

static int rpc_attr_set(struct request *req, void *arg)
{
    struct manager *m = arg;
    const char *name = "", *value = "";

    (void)request_unpack(req, "{s:s s:s}", "name", &name, "value", &value);
    return answer_attr(req, name, attr_set(&m->attrs, name, value));
}

static int rpc_attr_rm(struct request *req, void *arg)
{
    struct manager *m = arg;
    const char *name = "";

    (void)request_unpack(req, "{s:s}", "name", &name);
    return answer_attr(req, name, attr_rm(&m->attrs, name));
}

static int rpc_attr_list(struct request *req, void *arg)
{
    struct manager *m = arg;

    return request_respond_pack(req, "{s:o}", "names", attr_names(&m->attrs));
}

/* --- config */

static int rpc_config_get(struct request *req, void *arg)
{
    struct manager *m = arg;

    return request_respond_json(req, m->config.o);
}

static int rpc_config_reload(struct request *req, void *arg)
{
    flux_error_t error = { .text = "" };
    const int rc = manager_reload(arg, req, &error);

    return rc < 0 ? request_explain(req, -rc, "%s", error.text) : 0;
}

/* --- event */

/* What belongs to a connection cannot be asked for from another node. */
static int refuse_remote(struct request *req)
{
    return request_explain(req, EPERM, "only for clients of this node's router");
}

static int rpc_event_subscribe(struct request *req, void *arg)
{
    struct manager *m = arg;
    const char *topic = "";
    int rc;

    (void)request_unpack(req, "{s:s}", "topic", &topic);
    if (!client_is_local(client_of(req)))
        return refuse_remote(req);
    rc = events_subscribe(&m->router.events, &client_of(req)->events, topic);
    if (rc == -ENOSPC)
        return request_explain(req, ENOSPC, "a client may have %u event subscriptions",
                               SUBSCRIPTIONS_MAX);
    if (rc == -EINVAL)
        return request_explain(req, EINVAL, "topic: longer than %d bytes", MSG_TOPIC_MAX);
    heartbeat_wake(&m->heartbeat);
    return rc < 0 ? rc : request_respond(req, NULL);
}

static int rpc_event_unsubscribe(struct request *req, void *arg)
{
    struct manager *m = arg;
    const char *topic = "";
    int rc;

    (void)request_unpack(req, "{s:s}", "topic", &topic);
    rc = events_unsubscribe(&m->router.events, &client_of(req)->events, topic);
    if (rc == -ENOENT)
        return request_explain(req, ENOENT, "this client has not subscribed to '%.64s'", topic);
    return rc < 0 ? rc : request_respond(req, NULL);
}

static int set_base64(flux_msg_t *msg, const char *text)
{
    CLEANUP(freep) void *data = NULL;
    size_t size;

    if (!text)
        return 0;
    data = base64_decode(text, strlen(text), &size);
    return !data || flux_msg_set_payload(msg, data, (int)size) < 0 ? -errno : 0;
}

static int rpc_event_publish(struct request *req, void *arg)
{
    struct manager *m = arg;
    const struct flux_msg_cred cred = { request_userid(req),
                                        request_is_owner(req) ? FLUX_ROLE_OWNER : FLUX_ROLE_USER };
    const char *topic = "", *payload = NULL;
    flux_msg_t *msg;
    int flags = 0, rc = 0;

    (void)request_unpack(req, "{s:s s:i s?s}", "topic", &topic, "flags", &flags, "payload",
                         &payload);
    if (flags & ~FLUX_MSGFLAG_PRIVATE)
        return request_explain(req, EINVAL, "flags: only private (%d) has a meaning here",
                               FLUX_MSGFLAG_PRIVATE);
    msg = flux_msg_create(FLUX_MSGTYPE_EVENT);
    if (!msg || flux_msg_set_topic(msg, topic) < 0 || flux_msg_set_cred(msg, cred) < 0 ||
        ((flags & FLUX_MSGFLAG_PRIVATE) && flux_msg_set_private(msg) < 0))
        rc = -errno;
    if (rc == 0)
        rc = set_base64(msg, payload);
    if (rc == 0)
        rc = request_respond_pack(req, "{s:I}", "seq", (json_int_t)router_publish(&m->router, msg));
    flux_msg_destroy(msg);
    if (rc == -EINVAL)
        return request_explain(req, EINVAL, "not a topic, or the payload is not base64");
    return rc;
}

/* --- overlay */

static int rpc_state_get(struct request *req, void *arg)
{
    struct manager *m = arg;

    return state_get(&m->state, req);
}

static int rpc_state_shutdown(struct request *req, void *arg)
{
    struct manager *m = arg;
    int hold = 0;

    (void)request_unpack(req, "{s?b}", "hold", &hold);
    return shutdown_request(&m->shutdown, req, hold);
}

static int rpc_overlay_status(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(json_decrefp) json_t *o = NULL;

    if (m->router.overlay)
        o = overlay_describe(m->router.overlay);
    else
        o = json_pack("{s:i s:s s:[]}", "rank", 0, "hostname", m->boot.host, "children");
    return o ? request_respond_json(req, o) : -ENOMEM;
}

/* What the shape of the tree says, whoever is there. */
static int rpc_overlay_topology(struct request *req, void *arg)
{
    struct manager *m = arg;
    const struct topology *t = m->boot.topo;
    const uint32_t *children;
    json_int_t rank = -1;
    json_t *ranks;
    uint32_t parent;
    size_t n;

    (void)request_unpack(req, "{s:I}", "rank", &rank);
    if (rank < 0 || rank >= topology_size(t))
        return request_explain(req, EINVAL, "there is no rank %lld: this instance has %u nodes",
                               (long long)rank, topology_size(t));
    parent = topology_parent(t, (uint32_t)rank);
    n = topology_children(t, (uint32_t)rank, &children);
    ranks = json_array();
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(ranks, json_integer(children[i]));
    return request_respond_pack(
        req, "{s:I s:I s:I s:I s:o}", "parent",
        parent == FLUX_NODEID_ANY ? (json_int_t)-1 : (json_int_t)parent, "level",
        (json_int_t)topology_level(t, (uint32_t)rank), "children", (json_int_t)n, "descendants",
        (json_int_t)topology_descendants(t, (uint32_t)rank), "ranks", ranks);
}

/* Its children lose it for a moment: what is below it is cut off until it has joined again. */
static int rpc_overlay_disconnect(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct client *c = NULL;
    json_int_t rank = -1;

    (void)request_unpack(req, "{s:I}", "rank", &rank);
    if (m->router.overlay && topology_parent(m->boot.topo, (uint32_t)rank) == m->boot.rank)
        c = overlay_next_hop(m->router.overlay, (uint32_t)rank);
    if (!c)
        return request_explain(req, ENOENT, "rank %lld is not connected directly below rank %u",
                               (long long)rank, m->boot.rank);
    overlay_node_drop(c->node, "an administrator has disconnected it");
    return request_respond(req, NULL);
}

/* --- service */

static int rpc_service_add(struct request *req, void *arg)
{
    struct manager *m = arg;
    const char *name = "";
    int rc;

    (void)request_unpack(req, "{s:s}", "service", &name);
    if (!client_is_local(client_of(req)))
        return refuse_remote(req);
    rc = router_service_add(&m->router, client_of(req), name);
    if (rc == -EEXIST)
        return request_explain(req, EEXIST, "service %s exists already", name);
    if (rc == -EPERM)
        return request_explain(req, EPERM, "a guest may register names that begin with %u- only",
                               request_userid(req));
    if (rc == -ENOSPC)
        return request_explain(req, ENOSPC, "user %u has registered as many services as he may",
                               request_userid(req));
    if (rc == -EINVAL)
        return request_explain(req, EINVAL, "a service name has 1 to %d letters, digits, - and _",
                               SERVICE_NAME_MAX);
    return rc < 0 ? rc : request_respond(req, NULL);
}

static int rpc_service_remove(struct request *req, void *arg)
{
    struct manager *m = arg;
    const char *name = "";
    int rc;

    (void)request_unpack(req, "{s:s}", "service", &name);
    rc = router_service_remove(&m->router, client_of(req), name);
    if (rc == -ENOENT)
        return request_explain(req, ENOENT, "this client has not registered a service %s", name);
    return rc < 0 ? rc : request_respond(req, NULL);
}

/* A daemon says which services it is. Who gets their requests is not decided by this. */
static int rpc_service_announce(struct request *req, void *arg)
{
    struct client *c = client_of(req);
    json_t *services = NULL;
    const json_t *value;
    size_t i;

    (void)request_unpack(req, "{s:o}", "services", &services);
    if (!client_is_local(c))
        return refuse_remote(req);
    if (json_array_size(services) > ANNOUNCED_MAX)
        return request_explain(req, EINVAL, "services: too many, or not names of services");
    json_array_foreach (services, i, value)
        if (!json_is_string(value) || !service_name_valid(json_string_value(value)))
            return request_explain(req, EINVAL, "services: too many, or not names of services");
    json_decref(c->announced);
    c->announced = json_incref(services);
    return 0;
}

/* --- log */

static int rpc_log_append(struct request *req, void *arg)
{
    const void *data;
    size_t size;
    int rc;

    request_raw(req, &data, &size);
    rc = log_append(client_of(req), data, size);
    return rc == -EPROTO ? request_explain(req, EPROTO, "not a line as RFC 5424 has it") : rc;
}

/* --- broker */

struct listing {
    struct manager *m;
    json_t *services;
};

static bool has_announced(const struct client *c, const char *name)
{
    const json_t *value;
    size_t i;

    json_array_foreach (c->announced, i, value)
        if (strcmp(json_string_value(value), name) == 0)
            return true;
    return false;
}

/* The daemon behind a service, which clients may call without the router's knowledge. A socket
 * cannot tell: it names the process that made it listen. */
static const struct client *find_daemon(const struct router *r, const char *name)
{
    for (const struct client *c = r->clients.by_name; c; c = c->hh.next)
        if (has_announced(c, name))
            return c;
    return NULL;
}

/* Since it last sent something here, in an answer or on its own behalf. */
static double idle_seconds(const struct client *connection, const struct client *process)
{
    double last = connection->active;

    if (process && process->active > last)
        last = process->active;
    return flux_reactor_now(service_reactor(connection->clients->svc)) - last;
}

/* process may be NULL: a daemon that is being started has a connection and no known pid. */
static json_t *describe(const char *name, const char *state, const struct client *connection,
                        const struct client *process, uint64_t messages)
{
    json_t *o =
        json_pack("{s:s s:s s:I}", "name", name, "state", state, "messages", (json_int_t)messages);

    if (o && process)
        (void)json_object_set_new(o, "pid", json_integer(process->pid));
    if (o && connection)
        (void)json_object_set_new(o, "idle", json_real(idle_seconds(connection, process)));
    if (o && connection)
        (void)json_object_set_new(o, "uid", json_integer(connection->cred.uid));
    return o;
}

static void list_socket(const char *name, void *arg)
{
    struct listing *l = arg;
    const struct client *daemon = find_daemon(&l->m->router, name);

    if (!registry_find(&l->m->router.registry, name))
        (void)json_array_append_new(l->services,
                                    describe(name, daemon ? "running" : "idle", daemon, daemon, 0));
}

static json_t *describe_target(const struct router *r, const struct target *t)
{
    if (t->kind == TARGET_REGISTERED)
        return describe(t->name, "registered", t->client, t->client, t->messages);
    return describe(t->name, "running", t->client, find_daemon(r, t->name), t->messages);
}

static int rpc_service_list(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct listing l = { m, json_array() };

    for (const struct target *t = m->router.registry.all; t; t = t->hh.next)
        if (t->kind != TARGET_TREE)
            (void)json_array_append_new(l.services, describe_target(&m->router, t));
    dial_foreach(&m->router.dial, list_socket, &l);
    return request_respond_pack(req, "{s:o}", "services", l.services);
}

static void on_stats(json_t *stats, void *arg)
{
    const struct manager *m = arg;
    const struct router *r = &m->router;
    json_t *o = json_pack(
        "{s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I}", "clients",
        (json_int_t)HASH_COUNT(r->clients.by_name), "users",
        (json_int_t)HASH_COUNT(r->clients.users.all), "accepted", (json_int_t)r->clients.accepted,
        "refused", (json_int_t)r->clients.refused, "bad", (json_int_t)r->clients.bad, "slow",
        (json_int_t)r->clients.slow, "requests", (json_int_t)r->stats.requests, "responses",
        (json_int_t)r->stats.responses, "orphans", (json_int_t)r->stats.orphans, "events",
        (json_int_t)r->stats.events, "inflight", (json_int_t)inflight_count(r->inflight));

    (void)json_object_set_new(stats, "router", o);
    (void)json_object_set_new(stats, "barrier", barriers_stats(&m->barriers));
}

static void on_stats_clear(void *arg)
{
    struct manager *m = arg;

    m->router.stats = (struct router_stats){ 0 };
}

static void on_accept(int fd, void *arg)
{
    struct manager *m = arg;

    clients_accept(&m->router.clients, fd);
}

static json_t *on_handover(struct request *req, void *arg)
{
    const struct manager *m = arg;

    return strcmp(request_topic(req), "barrier.enter") == 0 ? barriers_handover(&m->barriers, req)
                                                            : NULL;
}

static int on_stop(void *arg)
{
    return manager_stop(arg);
}

static const struct rpc_method methods[] = {
    { .topic = "attr.get", .roles = ROLE_USER, .in = "name:s", .fn = rpc_attr_get },
    { .topic = "attr.list", .roles = ROLE_USER, .fn = rpc_attr_list },
    { .topic = "attr.rm", .roles = ROLE_OWNER, .in = "name:s", .fn = rpc_attr_rm },
    { .topic = "attr.set", .roles = ROLE_OWNER, .in = "name:s value:s", .fn = rpc_attr_set },
    { .topic = "barrier.enter",
      .roles = ROLE_USER,
      .in = "name:s nprocs:I",
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_barrier_enter },
    { .topic = "barrier.exit",
      .roles = ROLE_OWNER,
      .in = "exit:a",
      .flags = RPC_METHOD_NORESPONSE,
      .fn = rpc_barrier_exit },
    { .topic = "barrier.update",
      .roles = ROLE_OWNER,
      .in = "enter:a fail:a",
      .flags = RPC_METHOD_NORESPONSE,
      .fn = rpc_barrier_update },
    { .topic = "broker.service-list", .roles = ROLE_USER, .fn = rpc_service_list },
    { .topic = "config.get", .roles = ROLE_USER, .fn = rpc_config_get },
    { .topic = "config.reload", .roles = ROLE_OWNER, .fn = rpc_config_reload },
    { .topic = "event.publish",
      .roles = ROLE_USER,
      .in = "topic:s flags:i payload?:s",
      .fn = rpc_event_publish },
    { .topic = "event.subscribe", .roles = ROLE_USER, .in = "topic:s", .fn = rpc_event_subscribe },
    { .topic = "event.unsubscribe",
      .roles = ROLE_USER,
      .in = "topic:s",
      .fn = rpc_event_unsubscribe },
    { .topic = "groups.get",
      .roles = ROLE_USER,
      .in = "name:s",
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_groups_get },
    { .topic = "groups.join", .roles = ROLE_OWNER, .in = "name:s", .fn = rpc_groups_join },
    { .topic = "groups.leave", .roles = ROLE_OWNER, .in = "name:s", .fn = rpc_groups_leave },
    { .topic = "groups.update",
      .roles = ROLE_OWNER,
      .in = "groups:o",
      .flags = RPC_METHOD_NORESPONSE,
      .fn = rpc_groups_update },
    { .topic = "overlay.disconnect",
      .roles = ROLE_OWNER,
      .in = "rank:u",
      .fn = rpc_overlay_disconnect },
    { .topic = "overlay.topology", .roles = ROLE_USER, .in = "rank:I", .fn = rpc_overlay_topology },
    { .topic = "overlay.status", .roles = ROLE_USER, .fn = rpc_overlay_status },
    { .topic = "log.append",
      .roles = ROLE_USER,
      .flags = RPC_METHOD_RAW | RPC_METHOD_NORESPONSE,
      .fn = rpc_log_append },
    { .topic = "service.add", .roles = ROLE_USER, .in = "service:s", .fn = rpc_service_add },
    { .topic = "service.announce",
      .roles = ROLE_OWNER,
      .in = "services:a",
      .flags = RPC_METHOD_NORESPONSE,
      .fn = rpc_service_announce },
    { .topic = "service.remove", .roles = ROLE_USER, .in = "service:s", .fn = rpc_service_remove },
    { .topic = "state-machine.get", .roles = ROLE_USER, .fn = rpc_state_get },
    { .topic = "state-machine.monitor",
      .roles = ROLE_USER,
      .flags = RPC_METHOD_STREAMING | RPC_METHOD_RESUME,
      .fn = rpc_state_get },
    { .topic = "state-machine.shutdown",
      .roles = ROLE_OWNER,
      .in = "hold?:b",
      .fn = rpc_state_shutdown },
};

const struct service_desc broker_desc = {
    .name = "broker",
    .methods = methods,
    .nmethods = ARRAY_SIZE(methods),
    .on_stats = on_stats,
    .on_stats_clear = on_stats_clear,
    .on_accept = on_accept,
    .on_handover = on_handover,
    .on_stop = on_stop,
    .standalone = true,
    .usage_extra = broker_options_usage,
};
