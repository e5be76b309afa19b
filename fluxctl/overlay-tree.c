/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A router that has children is asked for them, with a time limit: one that does not answer is
 * shown with that, and costs no more. What is behind a node that is not there is taken from the
 * shape of the tree, which every router knows. */
#include <stdlib.h>
#include <string.h>

#include <flux/hostlist.h>
#include <flux/idset.h>
#include "base/jsonx.h"
#include "base/monotime.h"
#include "client.h"
#include "overlay-tree.h"

struct growing {
    const struct overlay_query *q;
    struct hostlist *hosts;
};

static const char *const state_names[] = {
    [OVERLAY_FULL] = "full",     [OVERLAY_PARTIAL] = "partial", [OVERLAY_DEGRADED] = "degraded",
    [OVERLAY_TORPID] = "torpid", [OVERLAY_OFFLINE] = "offline", [OVERLAY_LOST] = "lost",
};

const char *overlay_state_name(enum overlay_state state)
{
    return state_names[state];
}

int overlay_state_parse(const char *name, enum overlay_state *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(state_names); i++) {
        if (strcmp(name, state_names[i]) == 0) {
            *ret = (enum overlay_state)i;
            return 0;
        }
    }
    return -1;
}

struct overlay_node *overlay_node_free(struct overlay_node *n)
{
    if (n) {
        for (size_t i = 0; i < n->count; i++)
            (void)overlay_node_free(n->children[i]);
        free(n->children);
        free(n->error);
        free(n->host);
        free(n);
    }
    return NULL;
}

static struct overlay_node *node_new(const struct growing *g, uint32_t rank, const char *host)
{
    struct overlay_node *n = calloc(1, sizeof(*n));

    if (!n)
        return NULL;
    if (!host || !host[0])
        host = g->hosts ? hostlist_nth(g->hosts, (int)rank) : NULL;
    n->rank = rank;
    n->seconds = n->answer_msec = -1.;
    n->host = strdup(host ? host : "?");
    return n->host ? n : overlay_node_free(n);
}

/* Consumes child, also on failure. */
static int add_child(struct overlay_node *n, struct overlay_node *child)
{
    struct overlay_node **more = reallocarray(n->children, n->count + 1, sizeof(*more));

    if (!more || !child) {
        (void)overlay_node_free(child);
        return -ENOMEM;
    }
    n->children = more;
    n->children[n->count++] = child;
    return 0;
}

/* --- asking */

/* The answer in *ret, or -errno with the sentence in *ret_why. */
static int ask(const struct overlay_query *q, const char *topic, uint32_t nodeid, json_t *payload,
               json_t **ret, char **ret_why)
{
    CLEANUP(json_decrefp) json_t *held = payload;
    CLEANUP(freep) char *text = payload ? jsonx_encode(payload, NULL) : NULL;
    CLEANUP(flux_future_destroyp) flux_future_t *f = flux_rpc(q->h, topic, text, nodeid, 0);
    const char *answer = NULL;
    int errnum = 0;

    (void)held;
    if (!f || flux_future_wait_for(f, q->timeout) < 0 || flux_rpc_get(f, &answer) < 0)
        errnum = errno;
    *ret = answer ? jsonx_decode_object(answer, strlen(answer), NULL) : NULL;
    if (*ret)
        return 0;
    errno = errnum;
    if (errnum == ETIMEDOUT)
        *ret_why = strdup("it does not answer in time");
    else
        *ret_why = strdup(errnum ? future_reason(f) : "its answer is malformed");
    return errnum ? -errnum : -EPROTO;
}

static const char *string_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static size_t count_online(const json_t *child)
{
    struct idset *set = idset_decode(string_of(child, "online") ?: "");
    const size_t n = set ? idset_count(set) : 0;

    idset_destroy(set);
    return n;
}

/* --- growing */

static enum overlay_state worse(enum overlay_state state, const struct overlay_node *child)
{
    if (child->state == OVERLAY_LOST || child->state == OVERLAY_DEGRADED ||
        child->state == OVERLAY_TORPID)
        return OVERLAY_DEGRADED;
    if (child->state != OVERLAY_FULL && state == OVERLAY_FULL)
        return OVERLAY_PARTIAL;
    return state;
}

static int add_ghosts(const struct growing *g, struct overlay_node *n)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(freep) char *why = NULL;
    const json_t *value;
    size_t i;
    int rc = 0;

    if (ask(g->q, "overlay.topology", FLUX_NODEID_ANY,
            json_pack("{s:I}", "rank", (json_int_t)n->rank), &o, &why) < 0)
        return 0; /* the shape of the tree is not told: so be it */
    json_array_foreach (json_object_get(o, "ranks"), i, value) {
        struct overlay_node *child = node_new(g, (uint32_t)json_integer_value(value), NULL);

        if (child) {
            child->state = n->state;
            child->is_ghost = true;
            rc = add_ghosts(g, child);
        }
        if (add_child(n, child) < 0 || rc < 0)
            return -ENOMEM;
    }
    return 0;
}

static int grow(const struct growing *g, struct overlay_node *n);

/* What its parent says of it. */
static void set_state(struct overlay_node *n, const json_t *o)
{
    const char *status = string_of(o, "status");
    const json_t *seconds = json_object_get(o, "seconds");
    const char *error = string_of(o, "error");

    if (seconds)
        n->seconds = json_number_value(seconds);
    if (error)
        n->error = strdup(error);
    if (status && strcmp(status, "torpid") == 0)
        n->state = OVERLAY_TORPID;
    else if (status && strcmp(status, "lost") == 0)
        n->state = OVERLAY_LOST;
    else if (!status || strcmp(status, "online") != 0)
        n->state = OVERLAY_OFFLINE;
}

static int look_below(const struct growing *g, struct overlay_node *n, const json_t *o)
{
    const json_int_t subtree = json_integer_value(json_object_get(o, "subtree"));

    if (subtree <= 1)
        return 0;
    if (n->state == OVERLAY_LOST || n->state == OVERLAY_OFFLINE)
        return g->q->ghosts ? add_ghosts(g, n) : 0;
    if (g->q->brief && n->state == OVERLAY_FULL && count_online(o) == (size_t)subtree)
        return 0;
    return grow(g, n);
}

static int add_described(const struct growing *g, struct overlay_node *n, const json_t *o)
{
    struct overlay_node *child = node_new(
        g, (uint32_t)json_integer_value(json_object_get(o, "rank")), string_of(o, "hostname"));
    int rc = 0;

    if (child) {
        set_state(child, o);
        rc = look_below(g, child, o);
    }
    return add_child(n, child) < 0 ? -ENOMEM : rc;
}

static int add_children(const struct growing *g, struct overlay_node *n, const json_t *o)
{
    const json_t *child;
    size_t i;

    json_array_foreach (json_object_get(o, "children"), i, child) {
        if (add_described(g, n, child) < 0)
            return -ENOMEM;
        if (n->state != OVERLAY_TORPID)
            n->state = worse(n->state, n->children[n->count - 1]);
    }
    return 0;
}

/* It is connected, and asked what is below it. */
static int grow(const struct growing *g, struct overlay_node *n)
{
    const uint64_t since_usec = monotime_usec();
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(freep) char *why = NULL;

    if (ask(g->q, "overlay.status", n->rank, NULL, &o, &why) < 0) {
        n->state = OVERLAY_DEGRADED;
        free(n->error);
        n->error = TAKE(why);
        return 0;
    }
    n->answer_msec = (double)(monotime_usec() - since_usec) * 1e-3;
    return add_children(g, n, o);
}

/* It does not answer: what does its parent know? 1: that it is there. */
static int ask_parent(const struct growing *g, struct overlay_node *n)
{
    CLEANUP(json_decrefp) json_t *place = NULL;
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(freep) char *why = NULL;
    const json_t *child;
    json_int_t parent;
    size_t i;

    if (ask(g->q, "overlay.topology", FLUX_NODEID_ANY,
            json_pack("{s:I}", "rank", (json_int_t)n->rank), &place, &why) < 0)
        return -EHOSTUNREACH;
    parent = json_integer_value(json_object_get(place, "parent"));
    if (parent < 0 || ask(g->q, "overlay.status", (uint32_t)parent, NULL, &o, &why) < 0)
        return -EHOSTUNREACH;
    json_array_foreach (json_object_get(o, "children"), i, child) {
        if (json_integer_value(json_object_get(child, "rank")) != n->rank)
            continue;
        set_state(n, child);
        if (n->state == OVERLAY_LOST || n->state == OVERLAY_OFFLINE)
            return g->q->ghosts ? add_ghosts(g, n) : 0;
    }
    return 1;
}

static struct overlay_node *grow_root(const struct growing *g, uint32_t rank)
{
    const uint64_t since_usec = monotime_usec();
    CLEANUP(overlay_node_freep) struct overlay_node *n = NULL;
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(freep) char *why = NULL;
    int rc = ask(g->q, "overlay.status", rank, NULL, &o, &why);

    n = node_new(g, rank, string_of(o, "hostname"));
    if (n && rc == 0) {
        n->answer_msec = (double)(monotime_usec() - since_usec) * 1e-3;
        rc = add_children(g, n, o);
    } else if (n && rc == -EHOSTUNREACH) {
        rc = ask_parent(g, n);
    }
    if (rc == 0 && n)
        return TAKE(n);
    complain("cannot ask the router of rank %u for its part of the tree: %s", rank,
             why ? why : strerror(ENOMEM));
    return NULL;
}

struct overlay_node *overlay_tree(const struct overlay_query *q, uint32_t rank)
{
    struct growing g = { .q = q };
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(freep) char *why = NULL;
    struct overlay_node *n;

    /* For names of those who never were here; does rank 0 not answer, they are not known. */
    if (ask(q, "attr.get", 0, json_pack("{s:s}", "name", "hostlist"), &o, &why) == 0)
        g.hosts = hostlist_decode(string_of(o, "value") ?: "");
    n = grow_root(&g, rank);
    hostlist_destroy(g.hosts);
    return n;
}
