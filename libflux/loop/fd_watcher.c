/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Watchers for file descriptors, level-triggered. The descriptor is borrowed: stop the watcher
 * before closing it. libev aborts the process when it meets a descriptor that is not open: such a
 * watcher does not get there, its callback is told FLUX_POLLERR once. */
#include <errno.h>
#include <fcntl.h>

#include "loop/watcher.h"

struct fd_watcher {
    flux_watcher_t base;
    ev_io io;
};

static void start(flux_watcher_t *w)
{
    struct fd_watcher *fw = (struct fd_watcher *)w;

    if (fcntl(fw->io.fd, F_GETFD) < 0)
        ev_feed_event(watcher_loop(w), &fw->io, EV_ERROR);
    else
        ev_io_start(watcher_loop(w), &fw->io);
}

static void stop(flux_watcher_t *w)
{
    ev_io_stop(watcher_loop(w), &((struct fd_watcher *)w)->io);
}

static bool is_active(const flux_watcher_t *w)
{
    return ev_is_active(&((const struct fd_watcher *)w)->io);
}

static const struct watcher_ops ops = { .start = start, .stop = stop, .is_active = is_active };

static void on_io(struct ev_loop *loop, ev_io *io, int revents)
{
    watcher_fire(io->data, events_from_libev(revents));
}

flux_watcher_t *flux_fd_watcher_create(flux_reactor_t *r, int fd, int events, flux_watcher_f cb,
                                       void *arg)
{
    struct fd_watcher *fw;

    if (fd < 0) {
        errno = EINVAL;
        return NULL;
    }
    fw = watcher_new(r, sizeof(*fw), &ops, cb, arg);
    if (!fw)
        return NULL;
    ev_io_init(&fw->io, on_io, fd, events_to_libev(events));
    fw->io.data = fw;
    return &fw->base;
}

int flux_fd_watcher_get_fd(flux_watcher_t *w)
{
    if (!w || w->ops != &ops) {
        errno = EINVAL;
        return -1;
    }
    return ((struct fd_watcher *)w)->io.fd;
}

void flux_fd_watcher_set_events(flux_watcher_t *w, int events)
{
    struct fd_watcher *fw = (struct fd_watcher *)w;
    int wanted = events_to_libev(events);
    bool active;

    if (!w || w->ops != &ops || (fw->io.events & (EV_READ | EV_WRITE)) == wanted)
        return;
    active = is_active(w);
    flux_watcher_stop(w);
    ev_io_modify(&fw->io, wanted);
    if (active)
        flux_watcher_start(w);
}
