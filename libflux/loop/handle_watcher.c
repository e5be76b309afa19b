/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Watchers for handles, composed of four libev watchers as flux_pollevents(3) describes. Before the
 * loop blocks, ask the handle: if it is ready, an idle watcher keeps the loop from blocking; if
 * not, an io watcher waits for the handle's (edge-triggered) descriptor. After, ask again and call
 * back once, so that other watchers get their turn between messages.
 *
 * Of the four only the prepare watcher counts towards keeping the loop running. */
#include <errno.h>

#include <flux/handle.h>

#include "loop/watcher.h"

struct handle_watcher {
    flux_watcher_t base;
    ev_prepare prepare;
    ev_check check;
    ev_idle idle;
    ev_io io;
    flux_t *h;
    int events;
};

static int ready_events(const struct handle_watcher *hw)
{
    int e = flux_pollevents(hw->h);

    return e < 0 ? FLUX_POLLERR : e & (hw->events | FLUX_POLLERR);
}

static void wait_stop(struct handle_watcher *hw)
{
    struct ev_loop *loop = watcher_loop(&hw->base);

    if (ev_is_active(&hw->idle)) {
        ev_ref(loop);
        ev_idle_stop(loop, &hw->idle);
    }
    if (ev_is_active(&hw->io)) {
        ev_ref(loop);
        ev_io_stop(loop, &hw->io);
    }
}

static void on_prepare(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
    struct handle_watcher *hw = prepare->data;

    if (ready_events(hw)) {
        if (!ev_is_active(&hw->idle)) {
            ev_idle_start(loop, &hw->idle);
            ev_unref(loop);
        }
    } else if (!ev_is_active(&hw->io)) {
        ev_io_start(loop, &hw->io);
        ev_unref(loop);
    }
}

static void on_check(struct ev_loop *loop, ev_check *check, int revents)
{
    struct handle_watcher *hw = check->data;
    int events = ready_events(hw);

    if (ev_is_active(&hw->idle)) {
        ev_ref(loop);
        ev_idle_stop(loop, &hw->idle);
    }
    if (events)
        watcher_fire(&hw->base, events);
}

static void on_nothing(struct ev_loop *loop, ev_idle *idle, int revents)
{
}

static void on_io(struct ev_loop *loop, ev_io *io, int revents)
{
}

static void start(flux_watcher_t *w)
{
    struct handle_watcher *hw = (struct handle_watcher *)w;

    ev_prepare_start(watcher_loop(w), &hw->prepare);
    ev_check_start(watcher_loop(w), &hw->check);
    ev_unref(watcher_loop(w));
}

static void stop(flux_watcher_t *w)
{
    struct handle_watcher *hw = (struct handle_watcher *)w;

    wait_stop(hw);
    if (ev_is_active(&hw->check)) {
        ev_ref(watcher_loop(w));
        ev_check_stop(watcher_loop(w), &hw->check);
    }
    ev_prepare_stop(watcher_loop(w), &hw->prepare);
}

static bool is_active(const flux_watcher_t *w)
{
    return ev_is_active(&((const struct handle_watcher *)w)->prepare);
}

static const struct watcher_ops ops = { .start = start, .stop = stop, .is_active = is_active };

flux_watcher_t *flux_handle_watcher_create(flux_reactor_t *r, flux_t *h, int events,
                                           flux_watcher_f cb, void *arg)
{
    struct handle_watcher *hw;
    int fd = h ? flux_pollfd(h) : -1;

    if (fd < 0) {
        errno = h ? errno : EINVAL;
        return NULL;
    }
    hw = watcher_new(r, sizeof(*hw), &ops, cb, arg);
    if (!hw)
        return NULL;
    hw->h = h;
    hw->events = events & (FLUX_POLLIN | FLUX_POLLOUT);
    ev_prepare_init(&hw->prepare, on_prepare);
    ev_check_init(&hw->check, on_check);
    ev_idle_init(&hw->idle, on_nothing);
    ev_io_init(&hw->io, on_io, fd, EV_READ);
    hw->prepare.data = hw->check.data = hw->idle.data = hw->io.data = hw;
    return &hw->base;
}

flux_t *flux_handle_watcher_get_flux(flux_watcher_t *w)
{
    if (!w || w->ops != &ops) {
        errno = EINVAL;
        return NULL;
    }
    return ((struct handle_watcher *)w)->h;
}
