/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* kvs.wait-version: requests that wait until a namespace has a version, and end with their client.
 *
 * Those of a namespace are a group. A commit looks only at the groups of the namespaces that it
 * changed, and there only at who waits for the lowest version, whatever number of others wait. */
#include <errno.h>
#include <string.h>
#include "base/heap.h"
#include "kvs/follower.h"
#include "kvs/relay.h"

struct version_group {
    UT_hash_handle hh;
    struct heap waits; /* the lowest version first */
    LIST_HEAD(, version_wait) all;
    bool due;         /* in the list of those to look at; it stays until that is done */
    bool look_at_all; /* its namespace is gone, or another one */
    TAILQ_ENTRY(version_group) link;
    char name[];
};

struct version_wait {
    struct heap_node node;
    LIST_ENTRY(version_wait) link;
    struct manager *manager;
    struct version_group *group;
    struct request *req;
    int64_t seq;
};

static struct version_wait *wait_of(const struct heap_node *n)
{
    return container_of(n, struct version_wait, node);
}

static bool is_lower(const struct heap_node *a, const struct heap_node *b)
{
    return wait_of(a)->seq < wait_of(b)->seq;
}

static struct version_group *group_find(struct manager *m, const char *name)
{
    struct version_group *g;

    HASH_FIND_STR(m->versions, name, g);
    return g;
}

static void group_free(struct manager *m, struct version_group *g)
{
    HASH_DEL(m->versions, g);
    heap_deinit(&g->waits);
    free(g);
}

static struct version_group *group_get(struct manager *m, const char *name)
{
    struct version_group *g = group_find(m, name);
    size_t size = strlen(name) + 1;

    if (g)
        return g;
    if (!(g = calloc(1, sizeof(*g) + size)))
        return NULL;
    g->waits.before = is_lower;
    LIST_INIT(&g->all);
    memcpy(g->name, name, size);
    HASH_ADD_STR(m->versions, name, g);
    if (!g->hh.tbl) {
        free(g);
        return NULL;
    }
    return g;
}

static void group_free_if_empty(struct manager *m, struct version_group *g)
{
    if (LIST_EMPTY(&g->all) && !g->due)
        group_free(m, g);
}

static void wait_free(struct version_wait *v)
{
    LIST_REMOVE(v, link);
    heap_remove(&v->group->waits, &v->node);
    request_on_gone(v->req, NULL, NULL);
    request_unref(v->req);
    free(v);
}

static void on_gone(struct request *req, void *arg)
{
    struct version_wait *v = arg;
    struct version_group *g = v->group;
    struct manager *m = v->manager;

    wait_free(v);
    group_free_if_empty(m, g);
}

static int wait_new(struct manager *m, struct request *req, const char *name, int64_t seq)
{
    struct version_group *g = group_get(m, name);
    struct version_wait *v = g ? calloc(1, sizeof(*v)) : NULL;

    if (v)
        v->seq = seq;
    if (!v || heap_add(&g->waits, &v->node) < 0) {
        free(v);
        if (g)
            group_free_if_empty(m, g);
        return -ENOMEM;
    }
    v->manager = m;
    v->group = g;
    v->req = request_ref(req);
    LIST_INSERT_HEAD(&g->all, v, link);
    request_on_gone(req, on_gone, v);
    return 0;
}

/* Answers if the namespace is there already, or gone. */
static bool is_reached(struct manager *m, struct request *req, const char *name, int64_t seq)
{
    struct caller who = caller_of(req);
    struct namespace *ns;
    int rc = kvs_access(m->kvs, name, &who, &ns);

    if (rc == 0 && ns->seq < seq)
        return false;
    if (rc < 0)
        fail_lookup(req, -rc);
    else
        (void)rpc_getroot(req, m);
    return true;
}

int rpc_wait_version(struct request *req, void *arg)
{
    struct manager *m = arg;
    json_int_t seq;
    const char *ns;
    int rc;

    if ((rc = request_unpack(req, "{s:s s:I}", "namespace", &ns, "rootseq", &seq)) < 0)
        return rc;
    if (m->follower && strcmp(ns, KVS_PRIMARY_NAMESPACE) != 0)
        return relay_request(m, req);
    if (m->follower && follower_hold(m->follower, req, rpc_wait_version))
        return 0;
    return is_reached(m, req, ns, seq) ? 0 : wait_new(m, req, ns, seq);
}

void versions_settled(const struct namespace *ns, bool replaced, void *arg)
{
    struct manager *m = arg;
    struct version_group *g = m->versions ? group_find(m, ns->name) : NULL;

    if (!g)
        return;
    g->look_at_all |= replaced;
    if (!g->due)
        TAILQ_INSERT_TAIL(&m->versions_due, g, link);
    g->due = true;
}

static void look_at_all(struct manager *m, struct version_group *g)
{
    struct version_wait *v = LIST_FIRST(&g->all);

    while (v) {
        struct version_wait *next = LIST_NEXT(v, link);

        if (is_reached(m, v->req, g->name, v->seq))
            wait_free(v);
        v = next;
    }
}

static void look_at_first(struct manager *m, struct version_group *g)
{
    struct heap_node *n;

    while ((n = heap_first(&g->waits)) && is_reached(m, wait_of(n)->req, g->name, wait_of(n)->seq))
        wait_free(wait_of(n));
}

void versions_check(struct manager *m)
{
    struct version_group *g;

    while ((g = TAILQ_FIRST(&m->versions_due))) {
        TAILQ_REMOVE(&m->versions_due, g, link);
        if (g->look_at_all)
            look_at_all(m, g);
        else
            look_at_first(m, g);
        g->due = g->look_at_all = false;
        group_free_if_empty(m, g);
    }
}

void versions_free(struct manager *m)
{
    struct version_group *g, *tmp;

    HASH_ITER (hh, m->versions, g, tmp) {
        while (!LIST_EMPTY(&g->all))
            wait_free(LIST_FIRST(&g->all));
        group_free(m, g);
    }
}
