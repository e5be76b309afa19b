/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* RUNDIR/direct: which services the instance owner's clients on this node may call at their own
 * sockets. rpc/direct.h says how it is read. */
#ifndef BROKER_PUBLISH_H
#define BROKER_PUBLISH_H

#include "broker/dial.h"

struct publish {
    char *text; /* as it was written last, or NULL */
};

void publish_deinit(struct publish *p);
/* Write the list if it has changed. 0 or -errno: then clients go on as before. */
int publish_update(struct publish *p, const struct dial *d);

#endif
