/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What routers say to one another is taken from a neighbour's router only: from a child `update`,
 * from the parent `exit`. It is not answered; what is wrong with it is logged and left out. */
#include <string.h>

#include "broker/collective.h"
#include "broker/manager.h"
#include "service/log.h"
#include "service/request.h"

static struct client *client_of(const struct request *req)
{
    return container_of(req->origin, struct client, origin);
}

/* The neighbour whose router, not a client of it, has sent this. NULL: somebody else. */
static const struct node *neighbour_of(const struct request *req)
{
    const struct client *c = client_of(req);
    char name[CLIENT_NAME_SIZE];

    if (c->kind != CLIENT_REMOTE)
        return NULL;
    router_route_name(overlay_node_rank(c->via->node), name);
    return strcmp(c->routes, name) == 0 ? c->via->node : NULL;
}

static int check_neighbour(struct request *req, bool is_parent, uint32_t *ret_rank)
{
    const struct node *n = neighbour_of(req);

    if (!n || overlay_node_is_parent(n) != is_parent)
        return request_explain(req, EPERM, "%s is between routers of neighbours only",
                               request_topic(req));
    *ret_rank = overlay_node_rank(n);
    return 0;
}

static int check_result(struct request *req, uint32_t rank, int rc)
{
    if (rc < 0)
        log_warning("%s of rank %u: %s", request_topic(req), rank, strerror(-rc));
    return 0;
}

/* --- groups */

int rpc_groups_get(struct request *req, void *arg)
{
    struct manager *m = arg;
    const char *name = "";

    (void)request_unpack(req, "{s:s}", "name", &name);
    return groups_get(&m->groups, req, name);
}

int rpc_groups_join(struct request *req, void *arg)
{
    struct manager *m = arg;
    const char *name = "";
    int rc;

    (void)request_unpack(req, "{s:s}", "name", &name);
    if (!client_is_local(client_of(req)))
        return request_explain(req, EPERM, "only for clients of this node's router");
    rc = groups_join(&m->groups, &client_of(req)->memberships, name);
    if (rc == -EINVAL)
        return request_explain(req, EINVAL,
                               "a name of a group has 1 to %d letters, digits, . - _ : and /",
                               GROUP_NAME_SIZE - 1);
    if (rc == -EPERM)
        return request_explain(req, EPERM, "the router itself decides who is in %s", name);
    if (rc == -EEXIST)
        return request_explain(req, EEXIST, "this client is in group %s already", name);
    if (rc == -ENOSPC)
        return request_explain(req, ENOSPC,
                               "a client may be in %d groups, and %d may be known to a node",
                               MEMBERSHIPS_MAX, GROUPS_MAX);
    return rc < 0 ? rc : request_respond(req, NULL);
}

int rpc_groups_leave(struct request *req, void *arg)
{
    const char *name = "";
    int rc;

    (void)request_unpack(req, "{s:s}", "name", &name);
    rc = groups_leave(&client_of(req)->memberships, name);
    if (rc < 0)
        return request_explain(req, -rc, "this client is not in group %.128s", name);
    return request_respond(req, NULL);
}

int rpc_groups_update(struct request *req, void *arg)
{
    struct manager *m = arg;
    json_t *o = NULL;
    uint32_t rank;
    const int rc = check_neighbour(req, false, &rank);

    (void)request_unpack(req, "{s:o}", "groups", &o);
    return rc < 0 ? rc : check_result(req, rank, groups_update(&m->groups, req, rank, o));
}

/* --- barriers */

int rpc_barrier_enter(struct request *req, void *arg)
{
    struct manager *m = arg;
    json_int_t nprocs = 0;
    const char *name = "";

    (void)request_unpack(req, "{s:s s:I}", "name", &name, "nprocs", &nprocs);
    return barriers_enter(&m->barriers, req, name, nprocs);
}

int rpc_barrier_update(struct request *req, void *arg)
{
    struct manager *m = arg;
    json_t *enter = NULL, *fail = NULL;
    uint32_t rank;
    const int rc = check_neighbour(req, false, &rank);

    (void)request_unpack(req, "{s:o s:o}", "enter", &enter, "fail", &fail);
    return rc < 0 ? rc
                  : check_result(req, rank, barriers_update(&m->barriers, req, rank, enter, fail));
}

int rpc_barrier_exit(struct request *req, void *arg)
{
    struct manager *m = arg;
    json_t *exits = NULL;
    uint32_t rank;
    const int rc = check_neighbour(req, true, &rank);

    (void)request_unpack(req, "{s:o}", "exit", &exits);
    return rc < 0 ? rc : check_result(req, rank, barriers_exit(&m->barriers, exits));
}

/* --- the next process */

static void say_as_child(struct manager *m, struct client *node, const char *service, json_t *o)
{
    CLEANUP(json_decrefp) json_t *payload = o;
    flux_msg_t *msg = router_notice_new(&m->router, service, "update", payload);
    char name[CLIENT_NAME_SIZE];

    router_route_name(overlay_node_rank(node->node), name);
    if (!msg || flux_msg_route_push(msg, name) < 0 || router_node_message(&m->router, node, msg))
        log_err("%s of rank %u was not taken up", service, overlay_node_rank(node->node));
    flux_msg_destroy(msg);
}

void collective_adopt(struct manager *m, struct client *node)
{
    say_as_child(m, node, "groups", json_pack("{s:{}}", "groups"));
    say_as_child(m, node, "barrier", json_pack("{s:[], s:[]}", "enter", "fail"));
}
