/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What all watchers share: starting, stopping, destruction, and whether they keep the reactor
 * running. Destroying a watcher within its own callback is allowed. */
#include <errno.h>
#include <stdlib.h>

#include "loop/watcher.h"

void *watcher_new(flux_reactor_t *r, size_t size, const struct watcher_ops *ops, flux_watcher_f cb,
                  void *arg)
{
    flux_watcher_t *w;

    if (!r) {
        errno = EINVAL;
        return NULL;
    }
    w = calloc(1, size);
    if (!w)
        return NULL;
    w->r = r;
    w->ops = ops;
    w->cb = cb;
    w->arg = arg;
    flux_reactor_incref(r);
    return w;
}

void watcher_account(flux_watcher_t *w)
{
    bool discount = w->unref && w->ops->is_active(w);

    if (discount == w->discounted)
        return;
    if (discount)
        ev_unref(w->r->loop);
    else
        ev_ref(w->r->loop);
    w->discounted = discount;
}

void watcher_fire(flux_watcher_t *w, int revents)
{
    watcher_account(w); /* libev stops one-shot watchers itself */
    if (w->cb)
        w->cb(w->r, w, revents, w->arg);
}

void flux_watcher_start(flux_watcher_t *w)
{
    if (!w || w->ops->is_active(w))
        return;
    w->ops->start(w);
    watcher_account(w);
}

void flux_watcher_stop(flux_watcher_t *w)
{
    if (!w)
        return;
    w->ops->stop(w); /* even if inactive: it may be pending */
    watcher_account(w);
}

void flux_watcher_destroy(flux_watcher_t *w)
{
    int saved_errno = errno;

    if (!w)
        return;
    flux_watcher_stop(w);
    if (w->ops->deinit)
        w->ops->deinit(w);
    flux_reactor_decref(w->r);
    free(w);
    errno = saved_errno;
}

bool flux_watcher_is_active(flux_watcher_t *w)
{
    return w && w->ops->is_active(w);
}

void flux_watcher_ref(flux_watcher_t *w)
{
    if (!w)
        return;
    w->unref = false;
    watcher_account(w);
}

void flux_watcher_unref(flux_watcher_t *w)
{
    if (!w)
        return;
    w->unref = true;
    watcher_account(w);
}

double flux_watcher_next_wakeup(flux_watcher_t *w)
{
    if (!w || !w->ops->next_wakeup) {
        errno = EINVAL;
        return -1;
    }
    return w->ops->next_wakeup(w);
}

int events_to_libev(int events)
{
    return ((events & FLUX_POLLIN) ? EV_READ : 0) | ((events & FLUX_POLLOUT) ? EV_WRITE : 0);
}

int events_from_libev(int revents)
{
    return ((revents & EV_READ) ? FLUX_POLLIN : 0) | ((revents & EV_WRITE) ? FLUX_POLLOUT : 0) |
           ((revents & EV_ERROR) ? FLUX_POLLERR : 0);
}
