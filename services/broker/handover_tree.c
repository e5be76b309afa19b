/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the next process of a router needs to go on in the tree: the sessions (overlay/sessions.c),
 * the last events, for nodes that have not got them yet, and in which state this node sees the
 * instance; who on other nodes has asked something by way of this one, under the same names as
 * before; and which services of other nodes are asked. A client whose session is not taken up has
 * left. */
#include <sodium.h>
#include <string.h>

#include "broker/collective.h"
#include "broker/handover.h"
#include "service/log.h"
#include "service/requests.h"

#define HEX_SIZE (2 * sizeof(((struct clients *)NULL)->route_key) + 1)

/* --- save */

static json_t *encode_target(const struct target *t)
{
    return json_pack("{s:s s:I s:b s:s s:I}", "name", t->name, "nodeid", (json_int_t)t->nodeid,
                     "upstream", t->upstream, "client", t->client->name, "messages",
                     (json_int_t)t->messages);
}

static json_t *encode_remote(const struct client *c)
{
    return json_pack("{s:s s:s s:s s:I s:b s:o s:o s:o*}", "name", c->name, "via", c->via->name,
                     "routes", c->routes, "userid", (json_int_t)c->cred.uid, "guest",
                     client_is_guest(c), "inflight", handover_encode_inflight(c), "links",
                     handover_encode_links(c), "requests", requests_encode(&c->origin));
}

json_t *handover_encode_tree(struct manager *m)
{
    const struct router *r = &m->router;
    json_t *targets = json_array(), *remotes = json_array(), *events = NULL;
    const char *epoch;
    char key[HEX_SIZE];
    uint32_t seq;

    for (const struct target *t = r->registry.all; t; t = t->hh.next)
        if (t->kind == TARGET_TREE)
            (void)json_array_append_new(targets, encode_target(t));
    for (const struct client *c = r->clients.by_name; c; c = c->hh.next)
        if (c->kind == CLIENT_REMOTE)
            (void)json_array_append_new(remotes, encode_remote(c));
    overlay_leave_events(r->overlay, &epoch, &seq, &events);
    (void)sodium_bin2hex(key, sizeof(key), r->clients.route_key, sizeof(r->clients.route_key));
    return json_pack("{s:s s:I s:o* s:i s:f s:s s:o s:o s:o s:o s:o}", "epoch", epoch, "event_seq",
                     (json_int_t)seq, "events", events, "state", (int)m->state.now, "since",
                     m->state.since, "route_key", key, "sessions", overlay_encode(r->overlay),
                     "targets", targets, "remotes", remotes, "groups", groups_encode(&m->groups),
                     "barriers", barriers_encode(&m->barriers));
}

/* --- restore */

/* Only while the parent is there does the state of then mean something. */
static void restore_state(struct manager *m, int state, double since)
{
    if (m->router.rank == 0 || !overlay_is_connected(m->router.overlay) || state < 0 ||
        state >= STATE_CLEANUP)
        return;
    manager_set_state(m, (enum broker_state)state, "the process before was there");
    m->state.since = since;
}

void handover_restore_tree(struct manager *m)
{
    const json_t *o = json_object_get(m->before, "tree");
    struct clients *cs = &m->router.clients;
    const char *epoch, *key;
    json_t *sessions;
    json_int_t seq;
    double since;
    size_t size;
    int state;

    if (!o ||
        json_unpack((json_t *)o, "{s:s s:I s:i s:f s:s s:o}", "epoch", &epoch, "event_seq", &seq,
                    "state", &state, "since", &since, "route_key", &key, "sessions", &sessions) < 0)
        return;
    overlay_resume_events(m->router.overlay, epoch, (uint32_t)seq, json_object_get(o, "events"));
    if (sodium_hex2bin(cs->route_key, sizeof(cs->route_key), key, strlen(key), NULL, &size, NULL) <
            0 ||
        size != sizeof(cs->route_key))
        return;
    overlay_restore(m->router.overlay, sessions);
    restore_state(m, state, since);
}

static struct client *find_node(const struct router *r, const char *name)
{
    struct client *c = clients_find(&r->clients, name);

    return c && c->kind == CLIENT_NODE ? c : NULL;
}

static void restore_target(struct router *r, const json_t *o)
{
    const char *name, *client;
    json_int_t nodeid, messages;
    struct client *next;
    struct target *t;
    int upstream;

    if (json_unpack((json_t *)o, "{s:s s:I s:b s:s s:I}", "name", &name, "nodeid", &nodeid,
                    "upstream", &upstream, "client", &client, "messages", &messages) < 0)
        return;
    next = find_node(r, client);
    if (!next || registry_get_tree(&r->registry, name, (uint32_t)nodeid, upstream, next, &t) < 0)
        return;
    next->ntargets++;
    t->messages = (uint64_t)messages;
}

static void restore_remote(struct router *r, const json_t *o)
{
    const char *name, *via, *routes;
    struct client *next, *c;
    json_int_t userid;

    if (json_unpack((json_t *)o, "{s:s s:s s:s s:I}", "name", &name, "via", &via, "routes", &routes,
                    "userid", &userid) < 0 ||
        strlen(name) >= CLIENT_NAME_SIZE)
        return;
    next = find_node(r, via);
    if (next)
        (void)clients_adopt_remote(&r->clients, next, name, routes, (uid_t)userid, &c);
}

void handover_restore_remotes(struct manager *m)
{
    const json_t *o = json_object_get(m->before, "tree"), *value;
    const json_t *remotes = json_object_get(o, "remotes");
    size_t i;

    if (!m->router.overlay)
        return;
    groups_restore(&m->groups, json_object_get(o, "groups"));
    barriers_restore(&m->barriers, json_object_get(o, "barriers"));
    json_array_foreach (json_object_get(o, "targets"), i, value)
        restore_target(&m->router, value);
    json_array_foreach (remotes, i, value)
        restore_remote(&m->router, value);
    json_array_foreach (remotes, i, value)
        handover_restore_requests(&m->router, value);
}

/* To groups and barriers a child is there from its first update on, and so it is again. */
void handover_resume_children(struct manager *m)
{
    const json_t *sessions = json_object_get(json_object_get(m->before, "tree"), "sessions");
    const json_t *value;
    size_t i;

    if (!m->router.overlay)
        return;
    json_array_foreach (sessions, i, value) {
        const uint32_t rank = (uint32_t)json_integer_value(json_object_get(value, "rank"));
        struct client *c = overlay_next_hop(m->router.overlay, rank);

        if (json_is_true(json_object_get(value, "parent")))
            continue;
        if (c)
            collective_adopt(m, c);
        else
            groups_child_gone(&m->groups, rank);
    }
    barriers_restored(&m->barriers);
}
