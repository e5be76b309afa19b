/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Watchers for signals. A signal belongs to one reactor of the process at a time, SIGCHLD to the
 * one made for children as long as it lives: libev aborts the process where two want the same. So
 * who comes second is not started. */
#include <errno.h>
#include <signal.h>

#include "loop/watcher.h"

struct signal_watcher {
    flux_watcher_t base;
    ev_signal signal;
};

/* Whose each signal is, and how many active watchers it has there. */
static struct {
    struct ev_loop *loop;
    unsigned int users;
} owners[NSIG];

bool signal_is_watched(int signum)
{
    return owners[signum].users > 0;
}

static void start(flux_watcher_t *w)
{
    struct signal_watcher *sw = (struct signal_watcher *)w;
    const int signum = sw->signal.signum;

    if ((owners[signum].users > 0 && owners[signum].loop != watcher_loop(w)) ||
        (signum == SIGCHLD && !w->r->is_default && reactor_reaps_children())) {
        errno = EBUSY;
        return;
    }
    owners[signum].loop = watcher_loop(w);
    owners[signum].users++;
    ev_signal_start(watcher_loop(w), &sw->signal);
}

static void stop(flux_watcher_t *w)
{
    struct signal_watcher *sw = (struct signal_watcher *)w;

    if (ev_is_active(&sw->signal))
        owners[sw->signal.signum].users--;
    ev_signal_stop(watcher_loop(w), &sw->signal);
}

static bool is_active(const flux_watcher_t *w)
{
    return ev_is_active(&((const struct signal_watcher *)w)->signal);
}

static const struct watcher_ops ops = { .start = start, .stop = stop, .is_active = is_active };

static void on_signal(struct ev_loop *loop, ev_signal *signal, int revents)
{
    watcher_fire(signal->data, 0);
}

flux_watcher_t *flux_signal_watcher_create(flux_reactor_t *r, int signum, flux_watcher_f cb,
                                           void *arg)
{
    struct signal_watcher *sw;

    if (signum <= 0 || signum >= NSIG || signum == SIGKILL || signum == SIGSTOP) {
        errno = EINVAL;
        return NULL;
    }
    sw = watcher_new(r, sizeof(*sw), &ops, cb, arg);
    if (!sw)
        return NULL;
    ev_signal_init(&sw->signal, on_signal, signum);
    sw->signal.data = sw;
    return &sw->base;
}

int flux_signal_watcher_get_signum(flux_watcher_t *w)
{
    if (!w || w->ops != &ops) {
        errno = EINVAL;
        return -1;
    }
    return ((struct signal_watcher *)w)->signal.signum;
}
