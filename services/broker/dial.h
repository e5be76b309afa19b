/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Service sockets of this node: RUNDIR/node/NAME and, on rank 0, RUNDIR/leader/NAME. */
#ifndef BROKER_DIAL_H
#define BROKER_DIAL_H

#include "wire/channel.h"

struct dial {
    const char *rundir; /* lent */
    uint32_t rank;
};

/* Connect. 0; -EINVAL: not a name; -ENOENT: no such socket; -ECONNREFUSED, -EAGAIN... */
int dial_connect(const struct dial *d, const char *name, struct channel **ret);
bool dial_exists(const struct dial *d, const char *name);
/* For each socket that is there. */
void dial_foreach(const struct dial *d, void (*cb)(const char *name, void *arg), void *arg);

#endif
