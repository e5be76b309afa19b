/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The inside of reactors and watchers, for this folder alone.
 *
 * A watcher family embeds struct flux_watcher first and provides operations. Its libev callback
 * calls watcher_fire() as the last thing it does: the callback may destroy the watcher. */
#ifndef LOOP_WATCHER_H
#define LOOP_WATCHER_H

#include <ev.h>
#include <flux/reactor.h>

struct flux_reactor {
    int refs;
    struct ev_loop *loop;
    bool is_default; /* libev's default loop: the one that reaps children */
    bool stopping;   /* stop or stop_error was called in this run */
    int stop_errnum; /* set by flux_reactor_stop_error() */
};

struct watcher_ops {
    void (*start)(flux_watcher_t *w);
    void (*stop)(flux_watcher_t *w);
    bool (*is_active)(const flux_watcher_t *w);
    double (*next_wakeup)(flux_watcher_t *w); /* optional */
    void (*deinit)(flux_watcher_t *w);        /* optional: frees what the family allocated */
};

struct flux_watcher {
    flux_reactor_t *r;
    const struct watcher_ops *ops;
    flux_watcher_f cb;
    void *arg;
    bool unref;      /* must not keep the reactor running */
    bool discounted; /* ev_unref() was called for it */
};

/* Allocates size bytes that begin with a struct flux_watcher. NULL with errno. */
void *watcher_new(flux_reactor_t *r, size_t size, const struct watcher_ops *ops, flux_watcher_f cb,
                  void *arg);
/* Make the loop's count agree with the watcher's state; after everything that (de)activates it. */
void watcher_account(flux_watcher_t *w);
void watcher_fire(flux_watcher_t *w, int revents);

static inline struct ev_loop *watcher_loop(const flux_watcher_t *w)
{
    return w->r->loop;
}

/* SIGCHLD is for one loop, as any signal: for the one that reaps children, or for a watcher. */
bool reactor_reaps_children(void);
bool signal_is_watched(int signum);

int events_to_libev(int events);
int events_from_libev(int revents);

#endif
