/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A timer that is armed by the first who asks. */
#include <errno.h>

#include "broker/batch.h"

static void on_timer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct batch *b = arg;

    b->last = flux_reactor_now(r);
    b->fn(b->arg);
}

int batch_init(struct batch *b, flux_reactor_t *r, void (*fn)(void *arg), void *arg)
{
    *b = (struct batch){ .r = r, .fn = fn, .arg = arg };
    b->timer = flux_timer_watcher_create(r, 0., 0., on_timer, b);
    return b->timer ? 0 : -ENOMEM;
}

void batch_deinit(struct batch *b)
{
    flux_watcher_destroy(b->timer);
    b->timer = NULL;
}

void batch_touch(struct batch *b)
{
    const double wait = b->last + BATCH_SECONDS - flux_reactor_now(b->r);

    if (flux_watcher_is_active(b->timer))
        return;
    flux_timer_watcher_reset(b->timer, wait > 0. && wait < BATCH_SECONDS ? wait : 0., 0.);
    flux_watcher_start(b->timer);
}
