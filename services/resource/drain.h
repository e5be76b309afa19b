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

/* What becomes of ranks that are drained already and have a reason. */
enum drain_overwrite {
    DRAIN_KEEP = 0,   /* reason and time stay */
    DRAIN_REASON = 1, /* the new reason, the old time */
    DRAIN_ALL = 2,    /* the new reason and time */
};

struct drain_order {
    const struct idset *ranks;
    const char *nodelist; /* their hosts, for people; NULL: not told */
    const char *reason;   /* NULL: none */
    enum drain_overwrite overwrite;
};

/* Events {name:"drain", context:{idset, nodelist?, reason?, overwrite?}} (overwrite: as above, 1 if
 * it is missing) and {name:"undrain", context:{idset}}; others are ignored. A rank that is drained
 * without a reason takes one in any case. 0, -EPROTO. */
int drain_apply(struct drain *d, const json_t *event);

/* The hosts of an instance, by rank. */
struct drain_hosts {
    const char **names; /* lent; NULL where it is not known */
    size_t count;
};
/* Events of another life of the instance. An event that names hosts is about these, on whatever
 * ranks they are now, as hosts says; a host that there is no more is left out. Names are compared
 * up to their first period. hosts NULL: ranks are what they were. */
int drain_replay(struct drain *d, const char *eventlog, const struct drain_hosts *hosts,
                 flux_error_t *error);
json_t *drain_event(const struct drain_order *order); /* timestamp: now */
json_t *undrain_event(const struct idset *ranks, const char *nodelist, const char *reason);

const struct idset *drain_ranks(const struct drain *d);
/* Is the rank drained, with a reason? */
bool drain_has_reason(const struct drain *d, unsigned int rank);
/* {IDSET: {timestamp, reason}}: ranks with equal time and reason share an entry. */
json_t *drain_encode(const struct drain *d);

#endif
