/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static void on_timer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    int *left = arg;

    printf("%d\n", *left);
    if (--*left == 0) {
        errno = ECANCELED;
        flux_reactor_stop_error(r);
    }
}

int main(void)
{
    int left = 2;
    flux_reactor_t *r = flux_reactor_create(0);
    flux_watcher_t *w = flux_timer_watcher_create(r, 0., 0.01, on_timer, &left);

    if (!r || !w)
        err(1, "set-up");
    flux_watcher_start(w);
    if (flux_reactor_run(r, 0) < 0)
        printf("ended: %s\n", strerror(errno));
    flux_watcher_stop(w);
    printf("active watchers: %d\n", flux_reactor_run(r, 0));
    flux_watcher_destroy(w);
    flux_reactor_destroy(r);
    return 0;
}
/* Output:
 * 2
 * 1
 * ended: Operation canceled
 * active watchers: 0
 */
