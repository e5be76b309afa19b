/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Watchers of the loop itself: before it blocks (prepare), after (check), and when there is nothing
 * else to do (idle). */
#include "loop/watcher.h"

struct prepare_watcher {
    flux_watcher_t base;
    ev_prepare prepare;
};

struct check_watcher {
    flux_watcher_t base;
    ev_check check;
};

struct idle_watcher {
    flux_watcher_t base;
    ev_idle idle;
};

/* The operations of one family, and its constructor: they differ in names only. */
#define DEFINE_FAMILY(name)                                                                       \
    static void name##_start(flux_watcher_t *w)                                                   \
    {                                                                                             \
        ev_##name##_start(watcher_loop(w), &((struct name##_watcher *)w)->name);                  \
    }                                                                                             \
    static void name##_stop(flux_watcher_t *w)                                                    \
    {                                                                                             \
        ev_##name##_stop(watcher_loop(w), &((struct name##_watcher *)w)->name);                   \
    }                                                                                             \
    static bool name##_is_active(const flux_watcher_t *w)                                         \
    {                                                                                             \
        return ev_is_active(&((const struct name##_watcher *)w)->name);                           \
    }                                                                                             \
    static void on_##name(struct ev_loop *loop, ev_##name *e, int revents)                        \
    {                                                                                             \
        watcher_fire(e->data, 0);                                                                 \
    }                                                                                             \
    flux_watcher_t *flux_##name##_watcher_create(flux_reactor_t *r, flux_watcher_f cb, void *arg) \
    {                                                                                             \
        static const struct watcher_ops ops = { .start = name##_start,                            \
                                                .stop = name##_stop,                              \
                                                .is_active = name##_is_active };                  \
        struct name##_watcher *w = watcher_new(r, sizeof(*w), &ops, cb, arg);                     \
                                                                                                  \
        if (!w)                                                                                   \
            return NULL;                                                                          \
        ev_##name##_init(&w->name, on_##name);                                                    \
        w->name.data = w;                                                                         \
        return &w->base;                                                                          \
    }

DEFINE_FAMILY(prepare)
DEFINE_FAMILY(check)
DEFINE_FAMILY(idle)
