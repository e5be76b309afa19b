/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Timers on the monotonic clock: jumps of the wall clock do not disturb them. A timer that does not
 * repeat is inactive when its callback runs. */
#include <errno.h>
#include <math.h>

#include "loop/watcher.h"

struct timer_watcher {
    flux_watcher_t base;
    ev_timer timer;
};

static void start(flux_watcher_t *w)
{
    ev_timer_start(watcher_loop(w), &((struct timer_watcher *)w)->timer);
}

static void stop(flux_watcher_t *w)
{
    ev_timer_stop(watcher_loop(w), &((struct timer_watcher *)w)->timer);
}

static bool is_active(const flux_watcher_t *w)
{
    return ev_is_active(&((const struct timer_watcher *)w)->timer);
}

static double next_wakeup(flux_watcher_t *w)
{
    struct timer_watcher *tw = (struct timer_watcher *)w;

    return ev_now(watcher_loop(w)) + ev_timer_remaining(watcher_loop(w), &tw->timer);
}

static const struct watcher_ops ops = {
    .start = start, .stop = stop, .is_active = is_active, .next_wakeup = next_wakeup
};

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    watcher_fire(timer->data, 0);
}

static int check_times(double after, double repeat)
{
    if (after >= 0. && repeat >= 0. && isfinite(repeat))
        return 0;
    errno = EINVAL;
    return -1;
}

flux_watcher_t *flux_timer_watcher_create(flux_reactor_t *r, double after, double repeat,
                                          flux_watcher_f cb, void *arg)
{
    struct timer_watcher *tw;

    if (check_times(after, repeat) < 0)
        return NULL;
    tw = watcher_new(r, sizeof(*tw), &ops, cb, arg);
    if (!tw)
        return NULL;
    ev_timer_init(&tw->timer, on_timer, after, repeat);
    tw->timer.data = tw;
    return &tw->base;
}

void flux_timer_watcher_reset(flux_watcher_t *w, double after, double repeat)
{
    struct timer_watcher *tw = (struct timer_watcher *)w;

    if (!w || w->ops != &ops)
        return;
    flux_watcher_stop(w);
    if (after < 0.)
        after = 0.; /* a deadline that has passed */
    if (check_times(after, repeat) == 0)
        ev_timer_set(&tw->timer, after, repeat);
}

void flux_timer_watcher_again(flux_watcher_t *w)
{
    struct timer_watcher *tw = (struct timer_watcher *)w;

    if (!w || w->ops != &ops)
        return;
    ev_timer_again(watcher_loop(w), &tw->timer);
    watcher_account(w);
}
