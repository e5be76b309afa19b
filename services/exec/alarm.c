/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One timerfd for the earliest of a sorted list. A new alarm is put in from the end, which is where
 * it belongs if waits are alike; meant for waits so short that few are pending at a time.
 *
 * Invariant: the list is sorted by at_usec; while it is not empty the timerfd is armed for the
 * first or has expired and was not read. */
#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "alarm.h"
#include "base/monotime.h"

#define CALLS_MAX 256 /* in one pass of the loop */

TAILQ_HEAD(alarm_list, alarm);

struct alarms {
    int fd;
    struct alarm_list list;
    flux_watcher_t *w;
};

static void arm(struct alarms *as)
{
    const struct alarm *first = TAILQ_FIRST(&as->list);
    struct itimerspec when = { 0 };

    if (first) {
        when.it_value.tv_sec = (time_t)(first->at_usec / 1000000);
        when.it_value.tv_nsec = (long)(first->at_usec % 1000000) * 1000 + 1; /* 0 would disarm it */
    }
    (void)timerfd_settime(as->fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void on_expired(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct alarms *as = arg;
    const uint64_t now = monotime_usec();
    struct alarm *a;
    uint64_t n;

    if (read(as->fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
        return;
    for (int i = 0; i < CALLS_MAX && (a = TAILQ_FIRST(&as->list)) && a->at_usec <= now; i++) {
        alarm_clear(as, a);
        a->fn(a->arg);
    }
    arm(as);
}

int alarms_new(flux_reactor_t *r, struct alarms **ret)
{
    CLEANUP(alarms_freep) struct alarms *as = calloc(1, sizeof(*as));

    if (!as)
        return -ENOMEM;
    TAILQ_INIT(&as->list);
    as->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (as->fd < 0)
        return -errno;
    as->w = flux_fd_watcher_create(r, as->fd, FLUX_POLLIN, on_expired, as);
    if (!as->w)
        return -errno;
    flux_watcher_start(as->w);
    *ret = TAKE(as);
    return 0;
}

struct alarms *alarms_free(struct alarms *as)
{
    if (as) {
        flux_watcher_destroy(as->w);
        if (as->fd >= 0)
            (void)close(as->fd);
        free(as);
    }
    return NULL;
}

void alarm_set(struct alarms *as, struct alarm *a, uint64_t delay_usec)
{
    struct alarm *before = TAILQ_LAST(&as->list, alarm_list);

    a->at_usec = monotime_usec() + delay_usec;
    a->set = true;
    while (before && before->at_usec > a->at_usec)
        before = TAILQ_PREV(before, alarm_list, link);
    if (before) {
        TAILQ_INSERT_AFTER(&as->list, before, a, link);
        return;
    }
    TAILQ_INSERT_HEAD(&as->list, a, link);
    arm(as);
}

void alarm_clear(struct alarms *as, struct alarm *a)
{
    if (a->set)
        TAILQ_REMOVE(&as->list, a, link);
    a->set = false;
}
