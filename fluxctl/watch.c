/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Following an eventlog. A broken connection is retried with growing pauses for RETRY_LIMIT seconds
 * without progress; every other failure ends the watch. */
#include "watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/eventlog.h"
#include "client.h"

#define RETRY_FIRST 0.05
#define RETRY_MAX   1.0
#define RETRY_LIMIT 30.0

struct watch {
    flux_t *h;
    flux_jobid_t id;
    char *path;
    struct watch_ops ops;
    void *arg;
    flux_future_t *f;
    flux_watcher_t *timer;
    unsigned long seen; /* events delivered */
    unsigned long skip; /* events of this try that were delivered before */
    double pause;
    double waited;
};

DEFINE_CLEANUP(struct watch *, watch_free)

static void start(struct watch *w);

struct watch *watch_free(struct watch *w)
{
    if (w) {
        flux_watcher_destroy(w->timer);
        flux_future_destroy(w->f);
        free(w->path);
        free(w);
    }
    return NULL;
}

static bool worth_retrying(const struct watch *w, int errnum)
{
    return (errnum == ECONNRESET || errnum == EPIPE || errnum == EHOSTUNREACH ||
            errnum == ECONNREFUSED) &&
           w->waited < RETRY_LIMIT;
}

static void on_failure(struct watch *w, int errnum, const char *reason)
{
    if (!worth_retrying(w, errnum)) {
        w->ops.on_end(errnum == ENODATA ? 0 : errnum, reason, w->arg);
        return;
    }
    w->waited += w->pause;
    flux_timer_watcher_reset(w->timer, w->pause, 0.);
    flux_watcher_start(w->timer);
    w->pause = w->pause * 2 < RETRY_MAX ? w->pause * 2 : RETRY_MAX;
}

static int deliver(struct watch *w, const char *line)
{
    CLEANUP(json_decrefp) json_t *entry = eventlog_entry_decode(line, strlen(line), NULL);
    double timestamp;
    const char *name;
    json_t *context;

    if (!entry || eventlog_entry_parse(entry, &timestamp, &name, &context) < 0)
        return -EPROTO;
    w->seen++;
    w->pause = RETRY_FIRST;
    w->waited = 0;
    w->ops.on_event(name, timestamp, context, w->arg);
    return 0;
}

static void on_response(flux_future_t *f, void *arg)
{
    struct watch *w = arg;
    const char *line;

    if (flux_job_event_watch_get(f, &line) < 0) {
        int errnum = errno;

        on_failure(w, errnum, future_reason(f));
        return;
    }
    if (w->skip > 0) {
        w->skip--;
    } else if (deliver(w, line) < 0) {
        w->ops.on_end(EPROTO, "the eventlog contains a malformed entry", w->arg);
        return;
    }
    flux_future_reset(f);
}

static void on_timer(flux_reactor_t *r, flux_watcher_t *timer, int revents, void *arg)
{
    start(arg);
}

static void start(struct watch *w)
{
    flux_future_destroy(w->f);
    w->skip = w->seen;
    if (!(w->f = flux_job_event_watch(w->h, w->id, w->path, 0)) ||
        flux_future_then(w->f, -1., on_response, w) < 0) {
        int errnum = errno;

        on_failure(w, errnum, strerror(errnum));
    }
}

struct watch *watch_new(flux_t *h, flux_jobid_t id, const char *path, const struct watch_ops *ops,
                        void *arg)
{
    CLEANUP(watch_freep) struct watch *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    w->h = h;
    w->id = id;
    w->ops = *ops;
    w->arg = arg;
    w->pause = RETRY_FIRST;
    if (!(w->path = strdup(path)) ||
        !(w->timer = flux_timer_watcher_create(flux_get_reactor(h), 0., 0., on_timer, w)) ||
        !(w->f = flux_job_event_watch(h, id, path, 0)) ||
        flux_future_then(w->f, -1., on_response, w) < 0)
        return NULL;
    return TAKE(w);
}
