/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Joins the two sides to the router: sessions become its clients, what they send is routed, who is
 * in the tree below is summed up and told upwards.
 *
 * A session that failed within a callback is only marked, and taken down by a watcher of its own,
 * so that nobody's ground is pulled away. Invariant: a node has a client from attach to detach. */
#include <sodium.h>
#include <string.h>

#include "base/monotime.h"
#include "broker/client.h"
#include "broker/overlay/internal.h"
#include "broker/router.h"
#include "broker/state.h"
#include "broker/topology.h"
#include "service/log.h"

#define TICK_SECONDS     2.
#define TICK_SECONDS_MIN 0.05

void overlay_hello(const struct overlay *o, struct hello *ret)
{
    *ret = (struct hello){ .version_min = OVERLAY_VERSION_MIN,
                           .version_max = o->conf.restart_timeout > 0 ? OVERLAY_VERSION_MAX
                                                                      : OVERLAY_VERSION_PAUSE - 1,
                           .rank = o->conf.rank,
                           .size = o->conf.size,
                           .event_seq = history_last(&o->history) };
    (void)snprintf(ret->uuid, sizeof(ret->uuid), "%s", o->uuid);
    (void)snprintf(ret->epoch, sizeof(ret->epoch), "%s", o->epoch);
    (void)snprintf(ret->host, sizeof(ret->host), "%s", o->conf.hostname);
}

/* --- sessions */

int overlay_attach(struct overlay *o, struct node *n, const char *name)
{
    n->overlay = o;
    return clients_add_node(&o->router->clients, n, name, &n->client);
}

void overlay_detach(struct overlay *o, struct node *n)
{
    struct client *c = TAKE(n->client);

    clients_remove_node(&o->router->clients, c);
    (void)node_free(n);
}

void overlay_lose(struct overlay *o, struct node *n, const char *why)
{
    if (n->lost)
        return;
    n->lost = why;
    flux_watcher_start(o->reap);
    overlay_check_pause(o);
}

static void on_reap(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct overlay *o = arg;

    flux_watcher_stop(w);
    children_reap(&o->children);
    parent_reap(&o->parent);
}

/* --- messages */

void overlay_take_epoch(struct overlay *o, const struct hello *h)
{
    if (!h->epoch[0] || strcmp(o->epoch, h->epoch) == 0)
        return;
    history_deinit(&o->history);
    o->history.first = o->history.next = h->event_seq + 1;
    (void)snprintf(o->epoch, sizeof(o->epoch), "%s", h->epoch);
    children_tell_epoch(&o->children);
}

static const char *event_of_parent(struct overlay *o, flux_msg_t *msg)
{
    const uint32_t seq = msg_proto(msg)->aux1;
    const uint32_t last = history_last(&o->history);

    if (seq <= last)
        return NULL; /* healed and sent */
    if (seq != last + 1)
        log_warning("%u events were missed (numbers %u to %u)", seq - last - 1, last + 1, seq - 1);
    history_add(&o->history, msg);
    router_deliver_event(o->router, msg);
    children_multicast(&o->children, msg);
    return NULL;
}

const char *overlay_message(struct overlay *o, struct node *n, flux_msg_t *msg)
{
    if (msg_proto(msg)->type == FLUX_MSGTYPE_EVENT && n->is_parent)
        return event_of_parent(o, msg);
    return router_node_message(o->router, n->client, msg);
}

void overlay_multicast(struct overlay *o, const flux_msg_t *msg)
{
    history_add(&o->history, msg);
    children_multicast(&o->children, msg);
}

void overlay_leave_events(const struct overlay *o, const char **ret_epoch, uint32_t *ret_seq,
                          json_t **ret_events)
{
    *ret_epoch = o->epoch;
    *ret_seq = history_last(&o->history);
    *ret_events = history_encode(&o->history);
}

void overlay_resume_events(struct overlay *o, const char *epoch, uint32_t seq, const json_t *events)
{
    if (!epoch[0] || strlen(epoch) >= sizeof(o->epoch))
        return;
    (void)snprintf(o->epoch, sizeof(o->epoch), "%s", epoch);
    history_restore(&o->history, events, seq);
}

int overlay_send(struct node *n, const flux_msg_t *msg)
{
    int rc = n->lost ? -EHOSTUNREACH : node_send(n, msg);

    if (rc == -EHOSTUNREACH)
        overlay_lose(n->overlay, n, "the connection ended");
    return rc;
}

void overlay_node_drop(struct node *n, const char *reason)
{
    overlay_lose(n->overlay, n, reason);
}

uint32_t overlay_node_rank(const struct node *n)
{
    return n->rank;
}

bool overlay_node_is_parent(const struct node *n)
{
    return n->is_parent;
}

bool overlay_node_is_busy(const struct node *n)
{
    return n->queued_bytes > NODE_QUEUE_BYTES / 2 || n->queued_messages > NODE_QUEUE_MESSAGES / 2;
}

/* --- ways */

static struct node *way_to(struct overlay *o, uint32_t nodeid)
{
    struct child *c;
    uint32_t next;

    if (nodeid == FLUX_NODEID_ANY || nodeid == FLUX_NODEID_UPSTREAM)
        return o->parent.node;
    next = topology_next_hop(o->conf.topo, o->conf.rank, nodeid);
    if (next == FLUX_NODEID_UPSTREAM)
        return o->parent.node;
    c = children_find(&o->children, next);
    return c ? c->node : NULL;
}

struct client *overlay_next_hop(struct overlay *o, uint32_t nodeid)
{
    struct node *n = way_to(o, nodeid);

    return n && !n->lost ? n->client : NULL;
}

static double seconds_since(uint64_t usec)
{
    return (double)(monotime_usec() - usec) * 1e-6;
}

static void why_not_up(const struct overlay *o, char *buf, size_t size)
{
    const struct parent *p = &o->parent;

    (void)snprintf(buf, size, "rank %u is not connected to its parent %s (rank %u)%s%s",
                   o->conf.rank, p->host, p->rank, p->error[0] ? ": " : "", p->error);
}

static void why_not_down(const struct overlay *o, uint32_t rank, const struct child *c, char *buf,
                         size_t size)
{
    char through[96] = "";

    if (c && c->rank != rank)
        (void)snprintf(through, sizeof(through), " (behind rank %u)", c->rank);
    if (c && c->lost_usec)
        (void)snprintf(buf, size, "rank %u%s %s %.0f s ago: %s", rank, through,
                       c->left ? "left" : "was lost", seconds_since(c->lost_usec), c->error);
    else
        (void)snprintf(buf, size, "rank %u%s has not joined the instance yet%s%s", rank, through,
                       c && c->error[0] ? ": " : "", c ? c->error : "");
}

void overlay_why(const struct overlay *o, uint32_t nodeid, char *buf, size_t size)
{
    uint32_t next = FLUX_NODEID_UPSTREAM;

    if (nodeid != FLUX_NODEID_ANY && nodeid != FLUX_NODEID_UPSTREAM)
        next = topology_next_hop(o->conf.topo, o->conf.rank, nodeid);
    if (next == FLUX_NODEID_UPSTREAM)
        why_not_up(o, buf, size);
    else
        why_not_down(o, nodeid, children_find((struct children *)&o->children, next), buf, size);
}

/* --- the state of the instance */

bool overlay_is_ending(const struct overlay *o)
{
    return o->state >= STATE_SHUTDOWN;
}

void overlay_tell_state(struct overlay *o, int state)
{
    o->state = state;
    for (size_t i = 0; i < o->children.count; i++)
        if (o->children.all[i].node)
            children_tell_state(&o->children, &o->children.all[i]);
}

void overlay_rejoin(struct overlay *o)
{
    parent_leave(&o->parent);
}

void overlay_name_children(const struct overlay *o, char *buf, size_t size)
{
    size_t used = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < o->children.count; i++) {
        const struct child *c = &o->children.all[i];

        if (!c->node)
            continue;
        if (used + strlen(c->host) + 24 > size) {
            (void)snprintf(buf + used, size - used, ", ...");
            return;
        }
        used += (size_t)snprintf(buf + used, size - used, "%s%s (rank %u)", used > 0 ? ", " : "",
                                 c->host, c->rank);
    }
}

/* --- who is there */

int overlay_sum_up(struct overlay *o)
{
    struct idset *set = idset_create(0, IDSET_FLAG_AUTOGROW);
    int rc = set && idset_set(set, o->conf.rank) == 0 ? 0 : -ENOMEM;

    for (size_t i = 0; i < o->children.count && rc == 0; i++)
        if (o->children.all[i].online && idset_add(set, o->children.all[i].online) < 0)
            rc = -ENOMEM;
    if (rc == 0) {
        idset_destroy(o->online);
        o->online = TAKE(set);
    }
    idset_destroy(set);
    return rc;
}

static void tell_parent(struct overlay *o)
{
    CLEANUP(freep) char *text = NULL;

    if (o->parent.state != PARENT_ONLINE)
        return;
    text = idset_encode(o->online, IDSET_FLAG_RANGE);
    if (text)
        (void)node_send_control(o->parent.node, NODE_ONLINE, text, strlen(text));
}

static void on_tell(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct overlay *o = arg;

    flux_watcher_stop(w);
    if (overlay_sum_up(o) < 0) {
        log_err("out of memory: who is in the tree is not up to date");
        return;
    }
    tell_parent(o);
    if (o->ops.on_online)
        o->ops.on_online(o->online, o->ops.arg);
}

/* Told once for all changes of one turn of the loop. */
void overlay_changed(struct overlay *o)
{
    flux_watcher_start(o->tell);
}

const struct idset *overlay_online(const struct overlay *o)
{
    return o->online;
}

bool overlay_is_connected(const struct overlay *o)
{
    return o->conf.rank == 0 || o->parent.state == PARENT_ONLINE ||
           o->parent.state == PARENT_PAUSED;
}

size_t overlay_children_connected(const struct overlay *o)
{
    size_t n = 0;

    for (size_t i = 0; i < o->children.count; i++)
        n += o->children.all[i].node != NULL;
    return n;
}

static json_t *describe_child(const struct overlay *tree, const struct child *c)
{
    const char *status = c->node                    ? c->node->torpid ? "torpid" : "online"
                         : c->lost_usec && !c->left ? "lost"
                                                    : "offline";
    json_t *o = json_pack("{s:I s:s s:s s:I}", "rank", (json_int_t)c->rank, "hostname", c->host,
                          "status", status, "subtree",
                          (json_int_t)topology_descendants(tree->conf.topo, c->rank) + 1);

    if (c->node || c->lost_usec)
        (void)json_object_set_new(
            o, "seconds", json_real(seconds_since(c->node ? c->node->since_usec : c->lost_usec)));
    if (c->error[0])
        (void)json_object_set_new(o, "error", json_string(c->error));
    if (c->online) {
        CLEANUP(freep) char *text = idset_encode(c->online, IDSET_FLAG_RANGE);

        (void)json_object_set_new(o, "online", json_string(text ? text : ""));
    }
    return o;
}

json_t *overlay_describe(const struct overlay *o)
{
    const struct parent *p = &o->parent;
    json_t *children = json_array();

    for (size_t i = 0; i < o->children.count; i++)
        (void)json_array_append_new(children, describe_child(o, &o->children.all[i]));
    return json_pack("{s:I s:s s:s s:{s:I s:s s:s s:f s:s} s:o}", "rank", (json_int_t)o->conf.rank,
                     "hostname", o->conf.hostname, "uuid", o->uuid, "parent", "rank",
                     p->state == PARENT_NONE ? (json_int_t)-1 : p->rank, "hostname", p->host,
                     "status", parent_state_name(p->state), "seconds", seconds_since(p->since_usec),
                     "error", p->error, "children", children);
}

static void on_tick(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct overlay *o = arg;
    const uint64_t now_usec = monotime_usec();

    children_tick(&o->children, now_usec);
    parent_tick(&o->parent, now_usec);
}

/* --- */

static bool on_key(const char *public_key, void *arg)
{
    struct overlay *o = arg;

    return o->conf.key_owner && o->conf.key_owner(public_key, o->conf.arg);
}

/* Often enough for what is to be seen. */
static double tick_seconds(const struct overlay_config *conf)
{
    double tick = conf->torpid_min / 2 < TICK_SECONDS ? conf->torpid_min / 2 : TICK_SECONDS;

    if (conf->torpid_max > 0 && conf->torpid_max / 2 < tick)
        tick = conf->torpid_max / 2;
    if (conf->restart_timeout > 0 && conf->restart_timeout / 2 < tick)
        tick = conf->restart_timeout / 2;
    return tick > TICK_SECONDS_MIN ? tick : TICK_SECONDS_MIN;
}

static int init(struct overlay *o, flux_error_t *error)
{
    uint8_t uuid[(HELLO_UUID_SIZE - 1) / 2];
    double tick;
    int rc;

    if (sodium_init() < 0)
        return -EIO;
    randombytes_buf(uuid, sizeof(uuid));
    (void)sodium_bin2hex(o->uuid, sizeof(o->uuid), uuid, sizeof(uuid));
    if (o->conf.rank == 0) {
        memcpy(o->epoch, o->uuid, sizeof(o->epoch));
        o->history.first = o->history.next = 1;
    }
    tick = tick_seconds(&o->conf);
    o->tick = flux_timer_watcher_create(o->reactor, tick, tick, on_tick, o);
    o->reap = flux_idle_watcher_create(o->reactor, on_reap, o);
    o->tell = flux_idle_watcher_create(o->reactor, on_tell, o);
    if (!o->tick || !o->reap || !o->tell || overlay_sum_up(o) < 0)
        return -ENOMEM;
    if ((rc = zcontext_new(&o->zmq)) < 0 ||
        (o->conf.public_key && (rc = zap_new(o->zmq, o->reactor, on_key, o, &o->zap)) < 0) ||
        (rc = parent_init(&o->parent, o)) < 0)
        return rc;
    rc = children_init(&o->children, o);
    if (rc < 0 && o->conf.bind)
        (void)snprintf(error->text, sizeof(error->text), "cannot listen at %s: %s", o->conf.bind,
                       strerror(-rc));
    flux_watcher_start(o->tick);
    return rc;
}

int overlay_new(const struct overlay_config *conf, const struct overlay_ops *ops, struct router *r,
                flux_reactor_t *reactor, struct overlay **ret, flux_error_t *error)
{
    struct overlay *o = calloc(1, sizeof(*o));
    int rc;

    if (!o)
        return -ENOMEM;
    o->conf = *conf;
    o->state = -1;
    o->ops = *ops;
    o->router = r;
    o->reactor = reactor;
    rc = init(o, error);
    if (rc == 0 && conf->parent)
        rc = overlay_connect(o, conf->parent, conf->parent_key, conf->parent_host);
    if (rc < 0) {
        (void)overlay_free(o);
        return rc;
    }
    *ret = o;
    return 0;
}

int overlay_connect(struct overlay *o, const char *uri, const char *key, const char *host)
{
    o->parent.uri = strdup(uri);
    o->parent.key = key ? strdup(key) : NULL;
    if (!o->parent.uri || (key && !o->parent.key))
        return -ENOMEM;
    if (host)
        (void)snprintf(o->parent.host, sizeof(o->parent.host), "%s", host);
    return parent_connect(&o->parent);
}

void overlay_check_keys(struct overlay *o, const char *parent_key)
{
    children_check_keys(&o->children);
    if (parent_key)
        parent_set_key(&o->parent, parent_key);
}

const char *overlay_uri(const struct overlay *o)
{
    return o->children.uri[0] ? o->children.uri : NULL;
}

struct overlay *overlay_free(struct overlay *o)
{
    if (!o)
        return NULL;
    overlay_pause_free(o);
    parent_deinit(&o->parent);
    children_deinit(&o->children);
    o->zap = zap_free(o->zap);
    o->zmq = zcontext_free(o->zmq);
    history_deinit(&o->history);
    flux_watcher_destroy(o->tell);
    flux_watcher_destroy(o->reap);
    flux_watcher_destroy(o->tick);
    idset_destroy(o->online);
    free(o);
    return NULL;
}
