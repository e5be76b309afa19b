/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A node tells its parent the members at or below it of each group that has changed, as a whole set
 * and for all groups in one message (batch.h), so that any number of joins costs rank 0 few
 * messages, and one that is repeated does no harm. When a child's session ends its members are
 * gone; it tells all of them with the next one.
 *
 * Invariants: `below` has ranks below this node only. A group exists while somebody is in it, or
 * watches it, or was told that somebody is in it. A watch lives as long as its request, which its
 * client's going ends. */
#include <ctype.h>
#include <string.h>

#include "broker/groups.h"
#include "broker/router.h"
#include "broker/topology.h"
#include "service/log.h"

#define ONLINE GROUPS_OF_ROUTERS "online"

DEFINE_CLEANUP(struct idset *, idset_destroy)

struct group {
    char name[GROUP_NAME_SIZE];
    struct groups *groups;
    size_t nlocal; /* clients of this node that are in it */
    struct idset *below;
    char *told; /* idset; to the watches, or to the parent */
    bool changed;
    TAILQ_HEAD(, group_watch) watches; /* rank 0 */
    TAILQ_ENTRY(group) entry;          /* of groups->changed */
    UT_hash_handle hh;
};

struct membership {
    TAILQ_ENTRY(membership) entry;
    struct group *group;
};

struct group_watch {
    TAILQ_ENTRY(group_watch) entry;
    struct group *group;
    struct request *req;
};

struct group_child {
    TAILQ_ENTRY(group_child) entry;
    struct groups *groups;
    uint32_t rank;
    struct request *session; /* the first it sent; gone when it is */
};

/* --- a group */

static struct group *group_find(const struct groups *g, const char *name)
{
    struct group *gr;

    HASH_FIND_STR(g->all, name, gr);
    return gr;
}

static void group_free(struct group *gr)
{
    if (gr->changed)
        TAILQ_REMOVE(&gr->groups->changed, gr, entry);
    if (gr->hh.tbl)
        HASH_DEL(gr->groups->all, gr);
    idset_destroy(gr->below);
    free(gr->told);
    free(gr);
}

static int group_new(struct groups *g, const char *name, struct group **ret)
{
    struct group *gr = calloc(1, sizeof(*gr));

    if (!gr)
        return -ENOMEM;
    gr->groups = g;
    (void)snprintf(gr->name, sizeof(gr->name), "%s", name);
    TAILQ_INIT(&gr->watches);
    gr->below = idset_create(0, IDSET_FLAG_AUTOGROW);
    gr->told = strdup("");
    if (gr->below && gr->told)
        HASH_ADD_STR(g->all, name, gr);
    if (!gr->hh.tbl) {
        group_free(gr);
        return -ENOMEM;
    }
    *ret = gr;
    return 0;
}

static int group_get(struct groups *g, const char *name, size_t max, struct group **ret)
{
    *ret = group_find(g, name);
    if (*ret)
        return 0;
    return HASH_COUNT(g->all) >= max ? -ENOSPC : group_new(g, name, ret);
}

static void group_release(struct group *gr)
{
    if (gr->nlocal == 0 && idset_count(gr->below) == 0 && TAILQ_EMPTY(&gr->watches) && !gr->told[0])
        group_free(gr);
}

static char *group_members(const struct group *gr)
{
    CLEANUP(idset_destroyp) struct idset *set = idset_copy(gr->below);

    if (!set || (gr->nlocal > 0 && idset_set(set, gr->groups->router->rank) < 0))
        return NULL;
    return idset_encode(set, IDSET_FLAG_RANGE);
}

static void group_changed(struct group *gr)
{
    if (!gr->changed) {
        gr->changed = true;
        TAILQ_INSERT_TAIL(&gr->groups->changed, gr, entry);
    }
    batch_touch(&gr->groups->batch);
}

static bool is_name(const char *name)
{
    const size_t len = strlen(name);

    if (len == 0 || len >= GROUP_NAME_SIZE)
        return false;
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr(".-_:/", *p))
            return false;
    return true;
}

/* --- telling */

static int answer(const struct group *gr, struct request *req)
{
    return request_respond_pack(req, "{s:s}", "members", gr->told);
}

static void tell_watches(struct group *gr)
{
    struct group_watch *w, *tmp;

    TAILQ_FOREACH_SAFE (w, &gr->watches, entry, tmp)
        (void)answer(gr, w->req);
}

/* 1: it is news; 0; -ENOMEM: next time. */
static int take_news(struct group *gr)
{
    char *text = group_members(gr);

    if (!text)
        return -ENOMEM;
    if (strcmp(text, gr->told) == 0) {
        free(text);
        return 0;
    }
    free(gr->told);
    gr->told = text;
    return 1;
}

static void tell_parent(struct groups *g, json_t *news)
{
    CLEANUP(json_decrefp) json_t *o = json_pack("{s:O}", "groups", news);

    if (o && json_object_size(news) > 0 &&
        router_notify_node(g->router, FLUX_NODEID_UPSTREAM, "groups", "update", o) < 0)
        log_debug("groups: the parent is not there"); /* it will be told all when it is */
}

static void on_batch(void *arg)
{
    struct groups *g = arg;
    CLEANUP(json_decrefp) json_t *news = json_object();
    struct group *gr, *tmp;

    if (g->router->rank > 0 && (!g->router->overlay || !overlay_is_connected(g->router->overlay)))
        return; /* groups_on_parent() */
    TAILQ_FOREACH_SAFE (gr, &g->changed, entry, tmp) {
        const int rc = take_news(gr);

        if (rc < 0)
            continue;
        TAILQ_REMOVE(&g->changed, gr, entry);
        gr->changed = false;
        if (rc > 0 && g->router->rank == 0)
            tell_watches(gr);
        else if (rc > 0)
            (void)json_object_set_new(news, gr->name, json_string(gr->told));
        group_release(gr);
    }
    if (g->router->rank > 0)
        tell_parent(g, news);
}

void groups_on_parent(struct groups *g)
{
    for (struct group *gr = g->all; gr; gr = gr->hh.next) {
        gr->told[0] = '\0';
        group_changed(gr);
    }
}

void groups_set_online(struct groups *g, const struct idset *set)
{
    struct group *gr;

    if (g->router->rank > 0 || group_get(g, ONLINE, GROUPS_TOLD_MAX, &gr) < 0)
        return;
    if (set) {
        (void)idset_subtract(gr->below, gr->below);
        (void)idset_add(gr->below, set);
    }
    gr->nlocal = 1;
    if (take_news(gr) > 0)
        tell_watches(gr); /* at once: much depends on it */
}

/* --- watching */

static void watch_free(struct group_watch *w)
{
    struct group *gr = w->group;

    TAILQ_REMOVE(&gr->watches, w, entry);
    request_on_gone(w->req, NULL, NULL);
    request_unref(w->req);
    free(w);
    group_release(gr);
}

static void on_watcher_gone(struct request *req, void *arg)
{
    watch_free(arg);
}

static int watch(struct group *gr, struct request *req)
{
    struct group_watch *w = calloc(1, sizeof(*w));

    if (!w) {
        group_release(gr);
        return -ENOMEM;
    }
    w->group = gr;
    w->req = request_ref(req);
    TAILQ_INSERT_TAIL(&gr->watches, w, entry);
    request_on_gone(req, on_watcher_gone, w);
    return answer(gr, req);
}

int groups_get(struct groups *g, struct request *req, const char *name)
{
    struct group *gr = group_find(g, name);
    int rc;

    if (!is_name(name))
        return request_explain(req, EINVAL, "'%.64s' is not a name of a group", name);
    if (!request_is_streaming(req))
        return gr ? answer(gr, req) : request_respond_pack(req, "{s:s}", "members", "");
    if (!gr && !request_is_owner(req)) /* he could make any number of them */
        return request_explain(req, ENOENT, "there is no group %s now", name);
    rc = group_get(g, name, GROUPS_MAX, &gr);
    if (rc == -ENOSPC)
        return request_explain(req, ENOSPC, "there are %d groups already", GROUPS_MAX);
    return rc < 0 ? rc : watch(gr, req);
}

/* --- being in one */

void memberships_init(struct memberships *m)
{
    TAILQ_INIT(&m->list);
    m->count = 0;
}

static struct membership *find(const struct memberships *m, const char *name)
{
    struct membership *ms;

    TAILQ_FOREACH (ms, &m->list, entry)
        if (strcmp(ms->group->name, name) == 0)
            return ms;
    return NULL;
}

static int join(struct memberships *m, struct group *gr)
{
    struct membership *ms = calloc(1, sizeof(*ms));

    if (!ms) {
        group_release(gr);
        return -ENOMEM;
    }
    ms->group = gr;
    TAILQ_INSERT_TAIL(&m->list, ms, entry);
    m->count++;
    if (gr->nlocal++ == 0)
        group_changed(gr);
    return 0;
}

int groups_join(struct groups *g, struct memberships *m, const char *name)
{
    struct group *gr;
    int rc;

    if (!is_name(name))
        return -EINVAL;
    if (strncmp(name, GROUPS_OF_ROUTERS, strlen(GROUPS_OF_ROUTERS)) == 0)
        return -EPERM;
    if (find(m, name))
        return -EEXIST;
    if (m->count >= MEMBERSHIPS_MAX)
        return -ENOSPC;
    rc = group_get(g, name, GROUPS_MAX, &gr);
    return rc < 0 ? rc : join(m, gr);
}

static void leave(struct memberships *m, struct membership *ms)
{
    TAILQ_REMOVE(&m->list, ms, entry);
    m->count--;
    if (--ms->group->nlocal == 0)
        group_changed(ms->group);
    free(ms);
}

int groups_leave(struct memberships *m, const char *name)
{
    struct membership *ms = find(m, name);

    if (!ms)
        return -ENOENT;
    leave(m, ms);
    return 0;
}

void groups_forget(struct memberships *m)
{
    while (!TAILQ_EMPTY(&m->list))
        leave(m, TAILQ_FIRST(&m->list));
}

json_t *groups_names(const struct memberships *m)
{
    json_t *o = json_array();
    struct membership *ms;

    TAILQ_FOREACH (ms, &m->list, entry)
        (void)json_array_append_new(o, json_string(ms->group->name));
    return o;
}

/* --- the nodes below */

static struct idset *subtree_of(const struct groups *g, uint32_t rank)
{
    struct idset *set = idset_create(0, IDSET_FLAG_AUTOGROW);

    if (set && topology_subtree(g->topo, rank, set) < 0) {
        idset_destroy(set);
        set = NULL;
    }
    return set;
}

static void child_free(struct group_child *c)
{
    TAILQ_REMOVE(&c->groups->children, c, entry);
    request_on_gone(c->session, NULL, NULL);
    request_unref(c->session);
    free(c);
}

/* Those of the child that are members now. */
static int set_members(struct groups *g, const char *name, const char *text,
                       const struct idset *subtree)
{
    CLEANUP(idset_destroyp) struct idset *set = idset_decode(text);
    struct group *gr = group_find(g, name);
    int rc;

    if (!set || !is_name(name) || strncmp(name, GROUPS_OF_ROUTERS, strlen(GROUPS_OF_ROUTERS)) == 0)
        return -EPROTO;
    if (!gr && idset_count(set) == 0)
        return 0;
    rc = group_get(g, name, GROUPS_TOLD_MAX, &gr);
    if (rc < 0)
        return rc;
    for (unsigned int id = idset_first(set); id != IDSET_INVALID_ID; id = idset_next(set, id))
        if (!idset_test(subtree, id))
            rc = -EPROTO;
    if (rc == 0 && (idset_subtract(gr->below, subtree) < 0 || idset_add(gr->below, set) < 0))
        rc = -ENOMEM;
    group_changed(gr);
    return rc;
}

void groups_child_gone(struct groups *g, uint32_t rank)
{
    CLEANUP(idset_destroyp) struct idset *subtree = subtree_of(g, rank);

    if (!subtree) {
        log_err("out of memory: groups have members that are lost");
        return;
    }
    for (struct group *gr = g->all; gr; gr = gr->hh.next) {
        if (strcmp(gr->name, ONLINE) == 0 || !idset_has_intersection(gr->below, subtree))
            continue;
        (void)idset_subtract(gr->below, subtree);
        group_changed(gr);
    }
}

static void on_child_gone(struct request *req, void *arg)
{
    struct group_child *c = arg;
    struct groups *g = c->groups;
    const uint32_t rank = c->rank;

    child_free(c);
    groups_child_gone(g, rank);
}

static int begin_session(struct groups *g, struct request *req, uint32_t rank)
{
    struct group_child *c;

    TAILQ_FOREACH (c, &g->children, entry)
        if (c->rank == rank)
            return 0;
    c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->groups = g;
    c->rank = rank;
    c->session = request_ref(req);
    TAILQ_INSERT_TAIL(&g->children, c, entry);
    request_on_gone(req, on_child_gone, c);
    return 0;
}

int groups_update(struct groups *g, struct request *req, uint32_t rank, const json_t *o)
{
    CLEANUP(idset_destroyp) struct idset *subtree = subtree_of(g, rank);
    int rc = subtree ? begin_session(g, req, rank) : -ENOMEM;
    const json_t *value;
    const char *name;

    json_object_foreach ((json_t *)o, name, value) {
        const char *text = json_string_value(value);

        if (rc == 0)
            rc = text ? set_members(g, name, text, subtree) : -EPROTO;
    }
    return rc;
}

/* --- the next process */

json_t *groups_encode(const struct groups *g)
{
    json_t *o = json_object();

    for (const struct group *gr = g->all; gr; gr = gr->hh.next) {
        CLEANUP(freep) char *below = idset_encode(gr->below, IDSET_FLAG_RANGE);

        (void)json_object_set_new(o, gr->name, json_pack("[s, s]", below ? below : "", gr->told));
    }
    return o;
}

static int restore_group(struct groups *g, const char *name, const char *below, const char *told)
{
    CLEANUP(idset_destroyp) struct idset *set = idset_decode(below);
    char *copy = strdup(told);
    struct group *gr = NULL;

    if (!set || !copy || !is_name(name) || group_get(g, name, GROUPS_TOLD_MAX, &gr) < 0) {
        free(copy);
        return -EPROTO;
    }
    free(gr->told);
    gr->told = copy;
    (void)idset_add(gr->below, set);
    group_changed(gr);
    return 0;
}

void groups_restore(struct groups *g, const json_t *o)
{
    const char *name, *below, *told;
    const json_t *value;

    json_object_foreach ((json_t *)o, name, value)
        if (json_unpack((json_t *)value, "[s, s]", &below, &told) < 0 ||
            restore_group(g, name, below, told) < 0)
            log_warning("group %s was not taken up", name);
}

/* --- */

int groups_init(struct groups *g, struct router *r, const struct topology *topo,
                flux_reactor_t *reactor)
{
    *g = (struct groups){ .router = r, .topo = topo };
    TAILQ_INIT(&g->changed);
    TAILQ_INIT(&g->children);
    return batch_init(&g->batch, reactor, on_batch, g);
}

/* Memberships are gone already, with their clients. */
void groups_deinit(struct groups *g)
{
    struct group *gr, *tmp;

    if (!g->router)
        return; /* never begun */
    while (!TAILQ_EMPTY(&g->children))
        child_free(TAILQ_FIRST(&g->children));
    HASH_ITER (hh, g->all, gr, tmp) {
        gr->nlocal++; /* it stays while its watches go */
        while (!TAILQ_EMPTY(&gr->watches))
            watch_free(TAILQ_FIRST(&gr->watches));
        group_free(gr);
    }
    batch_deinit(&g->batch);
}
