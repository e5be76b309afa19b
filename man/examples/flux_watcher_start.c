/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static void on_timer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    printf("triggered, and %s\n", flux_watcher_is_active(w) ? "active" : "stopped");
}

int main(void)
{
    flux_reactor_t *r = flux_reactor_create(0);
    flux_watcher_t *w = flux_timer_watcher_create(r, 10., 0., on_timer, NULL);

    if (!r || !w)
        err(1, "set-up");
    flux_watcher_start(w);
    flux_watcher_start(w); /* no harm */
    printf("in %.0f s\n", flux_watcher_next_wakeup(w) - flux_reactor_now(r));
    flux_watcher_stop(w);
    flux_reactor_run(r, 0); /* nothing to wait for */

    flux_timer_watcher_reset(w, 0., 0.);
    flux_watcher_start(w);
    flux_reactor_run(r, 0);
    flux_watcher_destroy(w);
    flux_reactor_destroy(r);
    return 0;
}
/* Output:
 * in 10 s
 * triggered, and stopped
 */
