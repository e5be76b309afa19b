/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One turn of the domain per pass of the loop, just before it would sleep: what all handlers of the
 * pass posted becomes one commit. Also the timer for begin times, and STATUS. */
#include <errno.h>
#include <string.h>

#include "service/log.h"
#include "purge.h"

#define STATUS_SECONDS 1.
#define BEGIN_MAX      60. /* look again at least so often: the wall clock may be set */

static void begin_arm(struct daemon *d)
{
    double next = d->m.depend.next;
    double after = next - d->m.ops->now(d);

    if (next == d->begin_armed)
        return;
    d->begin_armed = next;
    if (next == 0) {
        flux_watcher_stop(d->begin_timer);
        return;
    }
    if (after < 0.)
        after = 0.;
    flux_timer_watcher_reset(d->begin_timer, after < BEGIN_MAX ? after : BEGIN_MAX, 0.);
    flux_watcher_start(d->begin_timer);
}

static void on_begin(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct daemon *d = arg;

    d->begin_armed = -1.;
    dependency_tick(&d->m);
}

/* Is STATUS out of date? Remembers what it is going to say. */
static bool status_changed(struct daemon *d)
{
    size_t now[ARRAY_SIZE(d->shown)];

    memcpy(now, d->m.counts, sizeof(d->m.counts));
    now[JOB_STATE_COUNT] = d->m.alloc.ready != NULL;
    now[JOB_STATE_COUNT + 1] = d->m.start.hello != NULL;
    if (memcmp(now, d->shown, sizeof(now)) == 0)
        return false;
    memcpy(d->shown, now, sizeof(now));
    return true;
}

static void on_status(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct daemon *d = arg;
    const size_t *n = d->m.counts;

    flux_watcher_stop(w);
    (void)status_changed(d);
    service_status(d->svc, "%zu pending, %zu running, %zu cleaning up; scheduler %s, execution %s",
                   n[JOB_STATE_NEW] + n[JOB_STATE_DEPEND] + n[JOB_STATE_PRIORITY] +
                       n[JOB_STATE_SCHED],
                   n[JOB_STATE_RUN], n[JOB_STATE_CLEANUP], d->m.alloc.ready ? "ready" : "not there",
                   d->m.start.hello ? "ready" : "not there");
}

/* Everything that was asked for before the end is in the commit that begins now, or in none; what
 * happens after it is told to the next process again. So the end does not wait for a quiet moment,
 * of which there may be none. */
static bool has_finished(struct daemon *d)
{
    if (!d->stopping || d->m.commit.in_flight)
        return false;
    if (d->last_commit)
        return true;
    d->last_commit = true;
    return false;
}

static void on_prepare(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct daemon *d = arg;
    bool more;

    if (has_finished(d)) {
        service_exit(d->svc, 0);
        return;
    }
    more = manager_process(&d->m);
    if (d->m.fatal < 0) {
        service_exit(d->svc, SERVICE_EXIT_ROUTER);
        return;
    }
    if (d->last_commit && !d->m.commit.in_flight) {
        service_exit(d->svc, 0);
        return;
    }
    if (more)
        flux_watcher_start(d->idle);
    else
        flux_watcher_stop(d->idle);
    begin_arm(d);
    peers_check(d);
    purge_check(d->purger);
    if (!flux_watcher_is_active(d->status_timer) && status_changed(d)) {
        flux_timer_watcher_reset(d->status_timer, STATUS_SECONDS, 0.);
        flux_watcher_start(d->status_timer);
    }
}

/* Only keeps the loop from sleeping. */
static void on_idle(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
}

int turn_stop(void *arg)
{
    struct daemon *d = arg;

    d->stopping = true;
    commit_late(&d->m);
    return 0;
}

int turn_open(struct daemon *d)
{
    flux_reactor_t *r = service_reactor(d->svc);

    d->prepare = flux_prepare_watcher_create(r, on_prepare, d);
    d->idle = flux_idle_watcher_create(r, on_idle, d);
    d->begin_timer = flux_timer_watcher_create(r, 0., 0., on_begin, d);
    d->status_timer = flux_timer_watcher_create(r, STATUS_SECONDS, 0., on_status, d);
    if (!d->prepare || !d->idle || !d->begin_timer || !d->status_timer)
        return -errno;
    flux_watcher_start(d->prepare);
    return 0;
}

void turn_close(struct daemon *d)
{
    flux_watcher_destroy(d->status_timer);
    flux_watcher_destroy(d->begin_timer);
    flux_watcher_destroy(d->idle);
    flux_watcher_destroy(d->prepare);
}
