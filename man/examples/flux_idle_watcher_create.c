/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static void on_any(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    const char *name = arg;

    printf("%s\n", name);
    if (strcmp(name, "idle") == 0)
        flux_reactor_stop(r);
}

int main(void)
{
    flux_reactor_t *r = flux_reactor_create(0);
    flux_watcher_t *prepare = flux_prepare_watcher_create(r, on_any, "prepare");
    flux_watcher_t *check = flux_check_watcher_create(r, on_any, "check");
    flux_watcher_t *idle = flux_idle_watcher_create(r, on_any, "idle");

    if (!r || !prepare || !check || !idle)
        err(1, "set-up");
    flux_watcher_start(idle);
    flux_watcher_start(check);
    flux_watcher_start(prepare);
    flux_reactor_run(r, 0);
    flux_watcher_destroy(idle);
    flux_watcher_destroy(check);
    flux_watcher_destroy(prepare);
    flux_reactor_destroy(r);
    return 0;
}
/* Output:
 * prepare
 * check
 * idle
 */
