/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A watch lives as long as its request, which its client's going ends. */
#include <string.h>

#include "broker/groups.h"

#define ONLINE "broker.online"

struct group_watch {
    TAILQ_ENTRY(group_watch) entry;
    struct groups *groups;
    struct request *req;
};

void groups_init(struct groups *g)
{
    *g = (struct groups){ .online = NULL };
    TAILQ_INIT(&g->watches);
}

static void watch_free(struct group_watch *w)
{
    TAILQ_REMOVE(&w->groups->watches, w, entry);
    request_on_gone(w->req, NULL, NULL);
    request_unref(w->req);
    free(w);
}

void groups_deinit(struct groups *g)
{
    while (!TAILQ_EMPTY(&g->watches))
        watch_free(TAILQ_FIRST(&g->watches));
    free(g->online);
    g->online = NULL;
}

static int tell(const struct groups *g, struct request *req)
{
    return request_respond_pack(req, "{s:s}", "members", g->online ? g->online : "");
}

void groups_set_online(struct groups *g, const struct idset *set)
{
    char *text = set ? idset_encode(set, IDSET_FLAG_RANGE) : strdup("0");
    struct group_watch *w, *tmp;

    if (!text || (g->online && strcmp(text, g->online) == 0)) {
        free(text);
        return;
    }
    free(g->online);
    g->online = text;
    TAILQ_FOREACH_SAFE (w, &g->watches, entry, tmp)
        (void)tell(g, w->req);
}

static void on_gone(struct request *req, void *arg)
{
    watch_free(arg);
}

int groups_get(struct groups *g, struct request *req, const char *name)
{
    struct group_watch *w;

    if (strcmp(name, ONLINE) != 0)
        return request_explain(req, ENOENT, "no group %s: there is only " ONLINE, name);
    if (!request_is_streaming(req))
        return tell(g, req);
    w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->groups = g;
    w->req = request_ref(req);
    TAILQ_INSERT_TAIL(&g->watches, w, entry);
    request_on_gone(req, on_gone, w);
    return tell(g, req);
}
