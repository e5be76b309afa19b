/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Watchers on the wall clock. A reschedule callback that answers with a time in the past stops the
 * watcher: libev forbids to stop one from within that callback, so it is put off for ever and a
 * prepare watcher, which libev does allow to start there, stops it in the same iteration. */
#include <errno.h>
#include <math.h>

#include "loop/watcher.h"

#define FOR_EVER 1e30

struct periodic_watcher {
    flux_watcher_t base;
    ev_periodic periodic;
    ev_prepare stopper;
    flux_reschedule_f reschedule;
};

static void stop_stopper(struct periodic_watcher *pw)
{
    if (!ev_is_active(&pw->stopper))
        return;
    ev_ref(watcher_loop(&pw->base));
    ev_prepare_stop(watcher_loop(&pw->base), &pw->stopper);
}

static void start(flux_watcher_t *w)
{
    ev_periodic_start(watcher_loop(w), &((struct periodic_watcher *)w)->periodic);
}

static void stop(flux_watcher_t *w)
{
    struct periodic_watcher *pw = (struct periodic_watcher *)w;

    ev_periodic_stop(watcher_loop(w), &pw->periodic);
    stop_stopper(pw);
}

static bool is_active(const flux_watcher_t *w)
{
    return ev_is_active(&((const struct periodic_watcher *)w)->periodic);
}

static double next_wakeup(flux_watcher_t *w)
{
    return ev_periodic_at(&((struct periodic_watcher *)w)->periodic);
}

static const struct watcher_ops ops = {
    .start = start, .stop = stop, .is_active = is_active, .next_wakeup = next_wakeup
};

static void on_periodic(struct ev_loop *loop, ev_periodic *periodic, int revents)
{
    watcher_fire(periodic->data, 0);
}

static void on_stopper(struct ev_loop *loop, ev_prepare *stopper, int revents)
{
    flux_watcher_stop(stopper->data);
}

static ev_tstamp on_reschedule(ev_periodic *periodic, ev_tstamp now)
{
    struct periodic_watcher *pw = periodic->data;
    double next = pw->reschedule(&pw->base, now, pw->base.arg);

    if (next >= now)
        return next;
    if (!ev_is_active(&pw->stopper)) {
        ev_prepare_start(watcher_loop(&pw->base), &pw->stopper);
        ev_unref(watcher_loop(&pw->base));
    }
    return now + FOR_EVER;
}

/* With a reschedule callback the numbers do not matter, and libev shall not see them. */
static int set_times(struct periodic_watcher *pw, double offset, double interval,
                     flux_reschedule_f reschedule)
{
    if (!reschedule && !(isfinite(offset) && isfinite(interval) && interval >= 0.)) {
        errno = EINVAL;
        return -1;
    }
    pw->reschedule = reschedule;
    ev_periodic_set(&pw->periodic, reschedule ? 0. : offset, reschedule ? 0. : interval,
                    reschedule ? on_reschedule : NULL);
    return 0;
}

flux_watcher_t *flux_periodic_watcher_create(flux_reactor_t *r, double offset, double interval,
                                             flux_reschedule_f reschedule_cb, flux_watcher_f cb,
                                             void *arg)
{
    struct periodic_watcher *pw = watcher_new(r, sizeof(*pw), &ops, cb, arg);

    if (!pw)
        return NULL;
    ev_periodic_init(&pw->periodic, on_periodic, 0., 0., NULL);
    pw->periodic.data = pw;
    ev_prepare_init(&pw->stopper, on_stopper);
    pw->stopper.data = pw;
    if (set_times(pw, offset, interval, reschedule_cb) < 0) {
        flux_watcher_destroy(&pw->base);
        return NULL;
    }
    return &pw->base;
}

void(flux_periodic_watcher_reset)(flux_watcher_t *w, double offset, double interval,
                                  flux_reschedule_f reschedule_cb)
{
    struct periodic_watcher *pw = (struct periodic_watcher *)w;

    if (!w || w->ops != &ops || set_times(pw, offset, interval, reschedule_cb) < 0)
        return;
    stop_stopper(pw);
    if (is_active(w))
        ev_periodic_again(watcher_loop(w), &pw->periodic);
    watcher_account(w);
}

void flux_periodic_watcher_set(flux_watcher_t *w, double offset, double interval)
{
    if (w && w->ops == &ops)
        flux_periodic_watcher_reset(w, offset, interval,
                                    ((struct periodic_watcher *)w)->reschedule);
}
