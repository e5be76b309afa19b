/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Service sockets of this node: RUNDIR/node/NAME and, on rank 0, RUNDIR/leader/NAME. */
#ifndef BROKER_DIAL_H
#define BROKER_DIAL_H

#include "broker/name.h"
#include "wire/channel.h"

#define DIAL_PATH_SIZE (sizeof("leader/") + SERVICE_NAME_SIZE)

struct dial {
    const char *rundir; /* lent */
    uint32_t rank;
};

/* Connect. 0; -EINVAL: not a name; -ENOENT: no such socket; -ECONNREFUSED, -EAGAIN... */
int dial_connect(const struct dial *d, const char *name, struct channel **ret);
bool dial_exists(const struct dial *d, const char *name);
/* The socket that a name leads to, below rundir: "node/kvs". 0, -ENOENT. */
int dial_resolve(const struct dial *d, const char *name, char ret[DIAL_PATH_SIZE]);
/* For each socket that is there. */
void dial_foreach(const struct dial *d, void (*cb)(const char *name, void *arg), void *arg);

#endif
