/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What two routers say to one another before anything else. */
#ifndef OVERLAY_HELLO_H
#define OVERLAY_HELLO_H

#include <flux/types.h>
#include "broker/overlay/node.h"

/* Versions of the protocol between routers that this one speaks. Two that overlap work together, by
 * the highest both know. */
#define OVERLAY_VERSION_MIN   1
#define OVERLAY_VERSION_PAUSE 2 /* knows PAUSE, and sessions that go on */
#define OVERLAY_VERSION_MAX   2
#define HELLO_UUID_SIZE       33

struct hello {
    int version_min, version_max;
    uint32_t rank, size;
    char uuid[HELLO_UUID_SIZE];  /* of the process */
    char epoch[HELLO_UUID_SIZE]; /* of rank 0's process, as far as it is known */
    char host[NODE_NAME_SIZE];
    uint32_t event_seq; /* of the last event that was seen */
    char
        session[NODE_SESSION_SIZE]; /* hello: that is to go on; welcome: that does; "": a new one */
};

/* NUL-terminated JSON text; malloc'd. */
char *hello_encode(const struct hello *h);
/* 0 or -EPROTO. The text need not end with NUL. */
int hello_decode(const void *data, size_t size, struct hello *ret);

struct refusal {
    int errnum;
    char reason[256];
};
char *refusal_encode(const struct refusal *r);
int refusal_decode(const void *data, size_t size, struct refusal *ret);

/* The version to use, or -EPROTONOSUPPORT with a sentence that says which side is too old. */
int hello_version(const struct hello *ours, const struct hello *theirs, flux_error_t *error);

#endif
