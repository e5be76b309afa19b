/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Watchers for changes of a file, through inotify where it works and stat(2) every interval. The
 * path is copied. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loop/watcher.h"

struct stat_watcher {
    flux_watcher_t base;
    ev_stat stat;
    char *path;
};

static void start(flux_watcher_t *w)
{
    ev_stat_start(watcher_loop(w), &((struct stat_watcher *)w)->stat);
}

static void stop(flux_watcher_t *w)
{
    ev_stat_stop(watcher_loop(w), &((struct stat_watcher *)w)->stat);
}

static bool is_active(const flux_watcher_t *w)
{
    return ev_is_active(&((const struct stat_watcher *)w)->stat);
}

static void deinit(flux_watcher_t *w)
{
    free(((struct stat_watcher *)w)->path);
}

static const struct watcher_ops ops = {
    .start = start, .stop = stop, .is_active = is_active, .deinit = deinit
};

static void on_stat(struct ev_loop *loop, ev_stat *stat, int revents)
{
    watcher_fire(stat->data, 0);
}

flux_watcher_t *flux_stat_watcher_create(flux_reactor_t *r, const char *path, double interval,
                                         flux_watcher_f cb, void *arg)
{
    struct stat_watcher *sw;

    if (!path || !(interval >= 0.)) {
        errno = EINVAL;
        return NULL;
    }
    sw = watcher_new(r, sizeof(*sw), &ops, cb, arg);
    if (!sw)
        return NULL;
    sw->path = strdup(path);
    if (!sw->path) {
        flux_watcher_destroy(&sw->base);
        errno = ENOMEM;
        return NULL;
    }
    ev_stat_init(&sw->stat, on_stat, sw->path, interval);
    sw->stat.data = sw;
    return &sw->base;
}

int flux_stat_watcher_get_rstat(flux_watcher_t *w, struct stat *stat, struct stat *prev)
{
    struct stat_watcher *sw = (struct stat_watcher *)w;

    if (!w || w->ops != &ops) {
        errno = EINVAL;
        return -1;
    }
    if (stat)
        *stat = sw->stat.attr;
    if (prev)
        *prev = sw->stat.prev;
    return 0;
}
