/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static void on_once(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    printf("once\n");
}

static void on_often(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    static int n;

    printf("often %d\n", ++n);
    if (n == 3)
        flux_watcher_stop(w);
}

int main(void)
{
    flux_reactor_t *r = flux_reactor_create(0);
    flux_watcher_t *once = flux_timer_watcher_create(r, 0., 0., on_once, NULL);
    flux_watcher_t *often = flux_timer_watcher_create(r, 0.02, 0.01, on_often, NULL);

    if (!r || !once || !often)
        err(1, "set-up");
    flux_watcher_start(once);
    flux_watcher_start(often);
    flux_reactor_run(r, 0);
    flux_watcher_destroy(once);
    flux_watcher_destroy(often);
    flux_reactor_destroy(r);
    return 0;
}
/* Output:
 * once
 * often 1
 * often 2
 * often 3
 */
