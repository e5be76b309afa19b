/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which ranks an administrator took out of service, since when and why: the state that
 * resource.eventlog in the KVS adds up to. */
#ifndef RESOURCE_DRAIN_H
#define RESOURCE_DRAIN_H

#include <jansson.h>
#include <flux/idset.h>
#include <flux/types.h>
#include "base/cleanup.h"

struct drain;

int drain_new(struct drain **ret);
struct drain *drain_free(struct drain *d);
DEFINE_CLEANUP(struct drain *, drain_free)

/* Events {name:"drain", context:{idset, reason?}} and {name:"undrain", context:{idset}}; others are
 * ignored. A second drain of a rank changes its reason and keeps its time. 0, -EPROTO. */
int drain_apply(struct drain *d, const json_t *event);
int drain_replay(struct drain *d, const char *eventlog, flux_error_t *error);
json_t *drain_event(const struct idset *ranks, const char *reason); /* timestamp: now */
json_t *undrain_event(const struct idset *ranks);

const struct idset *drain_ranks(const struct drain *d);
/* {IDSET: {timestamp, reason}}: ranks with equal time and reason share an entry. */
json_t *drain_encode(const struct drain *d);

#endif
