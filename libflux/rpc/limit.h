/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A limit on waiting for answers. */
#ifndef RPC_LIMIT_H
#define RPC_LIMIT_H

#include <flux/handle.h>

/* Who blocks in a future of this handle without a limit of his own gets this one; when it is over,
 * on_stuck is called with the topic that was asked last, then the wait ends with ETIMEDOUT. For
 * daemons, which must not hang because another one does. */
void handle_limit_waits(flux_t *h, double seconds, void (*on_stuck)(const char *topic, void *arg),
                        void *arg);

#endif
