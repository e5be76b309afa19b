/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which ranks are in the tree now: the group broker.online, followed. */
#ifndef RESOURCE_ONLINE_H
#define RESOURCE_ONLINE_H

#include "service/service.h"

struct online;

/* fn gets all of them (lent), first as soon as they are known and then on each change. Without
 * groups (ENOSYS) an instance of one node has rank 0. If they cannot be followed any more, the
 * process ends with SERVICE_EXIT_ROUTER. */
int online_new(struct service *svc, void (*fn)(const struct idset *ranks, void *arg), void *arg,
               struct online **ret);
struct online *online_free(struct online *o);

#endif
