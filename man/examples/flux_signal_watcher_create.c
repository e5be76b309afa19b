/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <flux/core.h>

static void on_signal(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    printf("received %s\n", strsignal(flux_signal_watcher_get_signum(w)));
    flux_watcher_stop(w);
}

int main(void)
{
    flux_reactor_t *r = flux_reactor_create(0);
    flux_watcher_t *w = flux_signal_watcher_create(r, SIGUSR1, on_signal, NULL);

    if (!r || !w)
        err(1, "set-up");
    flux_watcher_start(w);
    raise(SIGUSR1);
    flux_reactor_run(r, 0);
    flux_watcher_destroy(w);
    flux_reactor_destroy(r);
    return 0;
}
/* Output:
 * received User defined signal 1
 */
