/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Groups of ranks: a rank is in a group while a client of its node is. Each node knows who is in
 * them below it, rank 0 knows all; who wants to know watches there.
 *
 * broker.online, the nodes that are in the tree, is made by the router of rank 0 itself, as all are
 * whose names begin so. */
#ifndef BROKER_GROUPS_H
#define BROKER_GROUPS_H

#include <flux/idset.h>
#include "base/hash.h"
#include "base/list.h"
#include "broker/batch.h"
#include "service/service.h"

#define GROUP_NAME_SIZE   129
#define GROUPS_MAX        4096 /* that a node knows before it refuses another */
#define MEMBERSHIPS_MAX   256  /* of a client */
#define GROUPS_TOLD_MAX   65536
#define GROUPS_OF_ROUTERS "broker."

struct group;
struct group_child;
struct router;
struct topology;

/* The groups that a client is in. */
struct memberships {
    TAILQ_HEAD(, membership) list;
    size_t count;
};

struct groups {
    struct router *router;
    const struct topology *topo; /* lent */
    struct group *all;
    TAILQ_HEAD(, group) changed;
    TAILQ_HEAD(, group_child) children;
    struct batch batch;
};

int groups_init(struct groups *g, struct router *r, const struct topology *topo,
                flux_reactor_t *reactor);
void groups_deinit(struct groups *g);

/* broker.online is this now; NULL: rank 0 alone. */
void groups_set_online(struct groups *g, const struct idset *set);
/* groups.get {name} <- {members: IDSET}; a streaming one again at each change (rank 0). 0 or
 * -errno with a sentence. */
int groups_get(struct groups *g, struct request *req, const char *name);

void memberships_init(struct memberships *m);
/* 0; -EINVAL: not a name; -EPERM: a router's; -EEXIST, -ENOSPC, -ENOMEM. */
int groups_join(struct groups *g, struct memberships *m, const char *name);
int groups_leave(struct memberships *m, const char *name); /* 0 or -ENOENT */
void groups_forget(struct memberships *m);                 /* its client left */
json_t *groups_names(const struct memberships *m);         /* an array; new */

/* What a child says: {NAME: IDSET}, of those that have changed. It holds as long as the session of
 * the child, which this request (no answer) comes from. 0 or -errno with a sentence. */
int groups_update(struct groups *g, struct request *req, uint32_t rank, const json_t *o);
/* There is a new session with the parent, who knows nothing yet. */
void groups_on_parent(struct groups *g);

/* For the next process, to which the sessions with other nodes go on: what is known of the groups
 * but for the members here; new. */
json_t *groups_encode(const struct groups *g);
/* And with which children. Each must then be heard of (groups_update()) or be gone. */
void groups_restore(struct groups *g, const json_t *o);
void groups_child_gone(struct groups *g, uint32_t rank);

#endif
