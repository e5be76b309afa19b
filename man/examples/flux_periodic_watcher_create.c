/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static double reschedule(flux_watcher_t *w, double now, void *arg)
{
    int *left = arg;

    return *left > 1 ? now + 0.01 : now - 1.; /* in the past: stop */
}

static void on_time(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    int *left = arg;

    printf("%d left\n", --*left);
}

int main(void)
{
    int left = 2;
    flux_reactor_t *r = flux_reactor_create(0);
    flux_watcher_t *w = flux_periodic_watcher_create(r, 0., 0., reschedule, on_time, &left);

    if (!r || !w)
        err(1, "set-up");
    flux_watcher_start(w);
    flux_reactor_run(r, 0);

    /* Every full hour instead. */
    flux_periodic_watcher_reset(w, 0., 3600., NULL);
    flux_watcher_start(w);
    printf("minute %d\n", (int)((long)flux_watcher_next_wakeup(w) % 3600 / 60));
    flux_watcher_destroy(w);
    flux_reactor_destroy(r);
    return 0;
}
/* Output:
 * 1 left
 * 0 left
 * minute 0
 */
