/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Waits of microseconds to milliseconds, many at a time: timers of the loop are good to a
 * millisecond, and a wait of 0.1 ms would take a whole one. */
#ifndef EXEC_ALARM_H
#define EXEC_ALARM_H

#include <stdint.h>
#include <flux/core.h>
#include "base/cleanup.h"
#include "base/list.h"

struct alarms;

struct alarm { /* lives in the caller's struct, zeroed at first */
    TAILQ_ENTRY(alarm) link;
    uint64_t at_usec;
    bool set;
    void (*fn)(void *arg);
    void *arg;
};

/* 0 or -errno. */
int alarms_new(flux_reactor_t *r, struct alarms **ret);
/* No alarm may be set any more. NULL is fine. */
struct alarms *alarms_free(struct alarms *as);
DEFINE_CLEANUP(struct alarms *, alarms_free)
/* Have a->fn called once, after this and not before delay_usec have passed. a must not be set. */
void alarm_set(struct alarms *as, struct alarm *a, uint64_t delay_usec);
void alarm_clear(struct alarms *as, struct alarm *a); /* it need not be set */

#endif
