/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Work that is done once for all that asked for it lately: at the end of this turn of the loop, but
 * at most every BATCH_SECONDS. So the first of many is not held up, and the rest share a message.
 */
#ifndef BROKER_BATCH_H
#define BROKER_BATCH_H

#include <flux/reactor.h>

#define BATCH_SECONDS 0.002

struct batch {
    flux_reactor_t *r;
    flux_watcher_t *timer;
    double last; /* time of the last one */
    void (*fn)(void *arg);
    void *arg;
};

/* 0 or -ENOMEM. */
int batch_init(struct batch *b, flux_reactor_t *r, void (*fn)(void *arg), void *arg);
void batch_deinit(struct batch *b);
/* There is something to do. */
void batch_touch(struct batch *b);

#endif
