/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Sessions that outlive the process: node.h has how two routers come to agree that nothing of
 * theirs is on its way any more; here is when that is so with all of them, and what the next
 * process needs to know of each.
 *
 * A neighbour that does not answer, or knows no pause, is lost as ever, and so is one for whom more
 * waits than can be handed on. While a pause is under way nobody is let in. A parent that is away,
 * after a pause of its own, is not waited for, unless this router has asked to go on: it may have
 * been heard. */
#include <sodium.h>
#include <string.h>

#include "base/monotime.h"
#include "broker/client.h"
#include "broker/overlay/internal.h"
#include "broker/router.h"
#include "broker/topology.h"
#include "service/log.h"

#define PAUSE_SECONDS 1.
#define KEEP_BYTES    (64u << 20) /* in frames, for all neighbours */

struct pause {
    flux_watcher_t *limit, *check;
    void (*done)(void *arg);
    void *arg;
};

/* The neighbours, one after the other: the children, then the parent. NULL: no more. */
static struct node *next_node(const struct overlay *o, size_t *i)
{
    while (*i <= o->children.count) {
        struct node *n = *i < o->children.count ? o->children.all[*i].node : o->parent.node;

        (*i)++;
        if (n)
            return n;
    }
    return NULL;
}

static uint64_t resume_by(const struct overlay *o)
{
    return monotime_usec() + (uint64_t)(o->conf.restart_timeout * 1e6);
}

/* --- the one that stays, and both */

bool overlay_is_pausing(const struct overlay *o)
{
    return o->pause != NULL;
}

static void on_said_all(struct overlay *o, struct node *n)
{
    n->resume_by_usec = resume_by(o);
    if (n->is_parent)
        parent_on_paused(&o->parent);
    if (!n->pausing)
        log_info("%s (rank %u) is being restarted: what is sent there waits", n->host, n->rank);
}

void overlay_handle_pause(struct overlay *o, struct node *n, int type)
{
    const bool was_paused = n->paused;

    if (n->version < OVERLAY_VERSION_PAUSE)
        return;
    if (type == NODE_PAUSE)
        node_on_pause(n);
    else
        node_on_paused(n);
    if (n->paused && !was_paused)
        on_said_all(o, n);
    overlay_check_pause(o);
}

/* --- the one that ends */

static bool is_waited_for(const struct overlay *o, const struct node *n)
{
    if (n->lost)
        return false;
    if (n->is_parent && o->parent.state == PARENT_PAUSED && o->parent.dialling)
        return true;
    return (n->pausing || n->paused) && !node_is_paused(n);
}

static void end_pause(struct overlay *o)
{
    struct pause *p = o->pause;

    flux_watcher_stop(p->limit);
    flux_watcher_stop(p->check);
    p->done(p->arg);
}

static void on_limit(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    end_pause(arg);
}

static void on_check(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct overlay *o = arg;
    const struct node *n;
    size_t i = 0;

    flux_watcher_stop(w);
    while ((n = next_node(o, &i)))
        if (is_waited_for(o, n))
            return;
    end_pause(o);
}

void overlay_check_pause(struct overlay *o)
{
    if (o->pause)
        flux_watcher_start(o->pause->check);
}

static void pause_node(struct node *n)
{
    if (!n->lost && n->session[0] && n->version >= OVERLAY_VERSION_PAUSE)
        node_pause(n);
}

void overlay_on_joined(struct overlay *o, struct node *n)
{
    if (o->pause)
        pause_node(n);
}

int overlay_pause(struct overlay *o, void (*done)(void *arg), void *arg)
{
    struct pause *p = calloc(1, sizeof(*p));
    struct node *n;
    size_t i = 0;

    if (!p)
        return -ENOMEM;
    o->pause = p;
    p->done = done;
    p->arg = arg;
    p->limit = flux_timer_watcher_create(o->reactor, PAUSE_SECONDS, 0., on_limit, o);
    p->check = flux_idle_watcher_create(o->reactor, on_check, o);
    if (!p->limit || !p->check)
        return -ENOMEM;
    while ((n = next_node(o, &i)))
        pause_node(n);
    flux_watcher_start(p->limit);
    flux_watcher_start(p->check);
    return 0;
}

void overlay_pause_free(struct overlay *o)
{
    if (o->pause) {
        flux_watcher_destroy(o->pause->check);
        flux_watcher_destroy(o->pause->limit);
    }
    free(o->pause);
    o->pause = NULL;
}

static bool may_be_handed_on(const struct node *n, size_t *budget)
{
    return !n->lost && node_is_paused(n) && node_queue_fits(n, budget);
}

void overlay_abandon(struct overlay *o)
{
    struct parent *p = &o->parent;
    size_t budget = KEEP_BYTES, i = 0;
    struct node *n;

    while ((n = next_node(o, &i))) {
        if (n->is_parent || n->lost || may_be_handed_on(n, &budget))
            continue;
        n->lost = n->version < OVERLAY_VERSION_PAUSE ? "this router is being restarted"
                  : node_is_paused(n) ? "this router is being restarted, and too much waits for it"
                                      : "this router is being restarted, and it does not answer";
    }
    children_reap(&o->children);
    if (p->node && !may_be_handed_on(p->node, &budget))
        parent_abandon(p);
}

/* --- for the next process */

static json_t *encode(const struct node *n, const char *uuid, const char *key, const char *online)
{
    json_t *queue = node_queue_encode(n);

    if (!queue)
        return NULL;
    return json_pack("{s:I s:b s:s s:s s:s s:s s:s s:b s:s* s:o}", "rank", (json_int_t)n->rank,
                     "parent", n->is_parent, "host", n->host, "session", n->session, "uuid", uuid,
                     "key", key, "client", n->client->name, "served", n->client->served, "online",
                     online, "queue", queue);
}

json_t *overlay_encode(const struct overlay *o)
{
    const struct parent *p = &o->parent;
    json_t *sessions = json_array();

    for (size_t i = 0; i < o->children.count; i++) {
        const struct child *c = &o->children.all[i];
        CLEANUP(freep) char *online = c->node ? idset_encode(c->online, IDSET_FLAG_RANGE) : NULL;

        if (online)
            (void)json_array_append_new(sessions, encode(c->node, c->uuid, c->key, online));
    }
    if (p->node)
        (void)json_array_append_new(sessions, encode(p->node, p->uuid, "", NULL));
    return sessions;
}

/* The loop is about to end; what is due in this pass of it must find nothing to do. */
void overlay_hand_on(struct overlay *o)
{
    o->handed_on = true;
    flux_watcher_stop(o->tick);
    flux_watcher_stop(o->reap);
    flux_watcher_stop(o->tell);
    flux_watcher_stop(o->parent.retry);
    flux_watcher_stop(o->parent.limit);
}

/* --- of the process before */

struct kept {
    struct hello hello; /* rank, host, uuid, session */
    const char *key, *client, *online;
    const json_t *queue;
    bool is_parent, served;
};

static int decode(const json_t *o, struct kept *ret)
{
    const char *host, *session, *uuid;
    int is_parent, served;
    json_int_t rank;
    json_t *queue;

    *ret = (struct kept){ .online = NULL };
    if (json_unpack((json_t *)o, "{s:I s:b s:s s:s s:s s:s s:s s:b s?s s:o}", "rank", &rank,
                    "parent", &is_parent, "host", &host, "session", &session, "uuid", &uuid, "key",
                    &ret->key, "client", &ret->client, "served", &served, "online", &ret->online,
                    "queue", &queue) < 0 ||
        !is_parent != !!ret->online)
        return -EPROTO;
    ret->hello.rank = (uint32_t)rank;
    (void)snprintf(ret->hello.host, sizeof(ret->hello.host), "%s", host);
    (void)snprintf(ret->hello.session, sizeof(ret->hello.session), "%s", session);
    (void)snprintf(ret->hello.uuid, sizeof(ret->hello.uuid), "%s", uuid);
    ret->is_parent = is_parent;
    ret->served = served;
    ret->queue = queue;
    return 0;
}

static int make_node(struct overlay *o, const struct kept *k, struct node **ret)
{
    CLEANUP(node_freep) struct node *n = NULL;
    const bool up = k->is_parent;
    uint8_t id[ZSOCK_ID_SIZE]; /* nobody has it, but it must be unlike others */
    int rc;

    randombytes_buf(id, sizeof(id));
    rc = node_new(up ? NULL : o->children.sock, k->hello.rank, k->hello.host, up ? NULL : id, &n);
    if (rc < 0)
        return rc;
    (void)snprintf(n->session, sizeof(n->session), "%s", k->hello.session);
    n->held = n->paused = true;
    n->resume_by_usec = resume_by(o);
    rc = node_queue_restore(n, o->router->svc, k->queue);
    if (rc == 0)
        rc = overlay_attach(o, n, k->client);
    if (rc < 0)
        return rc;
    n->client->served = k->served;
    *ret = TAKE(n);
    return 0;
}

static int adopt_child(struct overlay *o, const struct kept *k)
{
    struct child *c = children_find(&o->children, k->hello.rank);
    struct idset *online = c && !c->node ? idset_decode(k->online) : NULL;
    struct node *n = NULL;
    int rc;

    if (!online)
        return -EINVAL; /* the tree has another shape now */
    rc = make_node(o, k, &n);
    if (rc < 0) {
        idset_destroy(online);
        return rc;
    }
    c->online = online;
    children_adopt(&o->children, c, n, &k->hello, k->key);
    return 0;
}

static int adopt_parent(struct overlay *o, const struct kept *k)
{
    struct node *n = NULL;
    int rc;

    if (o->conf.rank == 0 || topology_parent(o->conf.topo, o->conf.rank) != k->hello.rank)
        return -EINVAL;
    rc = make_node(o, k, &n);
    if (rc == 0)
        parent_adopt(&o->parent, n, &k->hello);
    return rc;
}

void overlay_restore(struct overlay *o, const json_t *sessions)
{
    const json_t *value;
    struct kept k;
    size_t i;
    int rc;

    if (o->conf.restart_timeout <= 0)
        return;
    json_array_foreach (sessions, i, value) {
        rc = decode(value, &k);
        if (rc == 0)
            rc = k.is_parent ? adopt_parent(o, &k) : adopt_child(o, &k);
        if (rc < 0)
            log_warning("a session with another node was not taken up: %s", strerror(-rc));
    }
    (void)overlay_sum_up(o);
}
