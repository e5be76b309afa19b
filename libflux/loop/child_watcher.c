/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Watchers for child processes. libev reaps every child of the process when SIGCHLD arrives, so a
 * child must have its watcher started before the reactor runs again. Only for reactors made with
 * FLUX_REACTOR_SIGCHLD (EINVAL otherwise). */
#include <errno.h>

#include "loop/watcher.h"

struct child_watcher {
    flux_watcher_t base;
    ev_child child;
};

static void start(flux_watcher_t *w)
{
    ev_child_start(watcher_loop(w), &((struct child_watcher *)w)->child);
}

static void stop(flux_watcher_t *w)
{
    ev_child_stop(watcher_loop(w), &((struct child_watcher *)w)->child);
}

static bool is_active(const flux_watcher_t *w)
{
    return ev_is_active(&((const struct child_watcher *)w)->child);
}

static const struct watcher_ops ops = { .start = start, .stop = stop, .is_active = is_active };

static void on_child(struct ev_loop *loop, ev_child *child, int revents)
{
    watcher_fire(child->data, 0);
}

flux_watcher_t *flux_child_watcher_create(flux_reactor_t *r, int pid, bool trace, flux_watcher_f cb,
                                          void *arg)
{
    struct child_watcher *cw;

    if (!r || !r->is_default || pid < 0) {
        errno = EINVAL;
        return NULL;
    }
    cw = watcher_new(r, sizeof(*cw), &ops, cb, arg);
    if (!cw)
        return NULL;
    ev_child_init(&cw->child, on_child, pid, trace);
    cw->child.data = cw;
    return &cw->base;
}

static int check(const flux_watcher_t *w)
{
    if (w && w->ops == &ops)
        return 0;
    errno = EINVAL;
    return -1;
}

int flux_child_watcher_get_rpid(flux_watcher_t *w)
{
    return check(w) < 0 ? -1 : ((struct child_watcher *)w)->child.rpid;
}

int flux_child_watcher_get_rstatus(flux_watcher_t *w)
{
    return check(w) < 0 ? -1 : ((struct child_watcher *)w)->child.rstatus;
}
