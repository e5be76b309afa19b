/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Groups of ranks that others watch (rank 0). There is one: broker.online, the nodes that are in
 * the tree now. */
#ifndef BROKER_GROUPS_H
#define BROKER_GROUPS_H

#include <flux/idset.h>
#include "base/list.h"
#include "service/service.h"

struct group_watch;

struct groups {
    TAILQ_HEAD(, group_watch) watches;
    char *online; /* idset, as it was told last */
};

void groups_init(struct groups *g);
void groups_deinit(struct groups *g);
/* broker.online is this now. */
void groups_set_online(struct groups *g, const struct idset *set);
/* groups.get {name} <- {members: IDSET}; a streaming one again at each change. 0 or -errno. */
int groups_get(struct groups *g, struct request *req, const char *name);

#endif
