/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The inventory of an instance that is not configured, in the KVS: so that a node that is away is
 * not forgotten when flux-resource starts again. */
#ifndef RESOURCE_KEEP_H
#define RESOURCE_KEEP_H

#include "base/rset.h"
#include "service/service.h"

struct keep;

/* Reads it. fn is called once, from the loop: r (lent) is what a former process kept, NULL if
 * nothing was, or what is there makes no sense (the log says so). */
int keep_new(struct service *svc, void (*fn)(const struct rset *r, void *arg), void *arg,
             struct keep **ret);
struct keep *keep_free(struct keep *k);

/* Write it, if it differs from what is there. Not before fn was called. A write that fails is made
 * good by the next; until then the KVS has the one before. 0, -ENOMEM. */
int keep_put(struct keep *k, const struct rset *r);

#endif
