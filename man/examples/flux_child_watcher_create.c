/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <flux/core.h>

static void on_child(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    const pid_t *pid = arg;
    int status = flux_child_watcher_get_rstatus(w);

    printf("%s child: exit %d\n", flux_child_watcher_get_rpid(w) == *pid ? "our" : "some",
           WEXITSTATUS(status));
    flux_watcher_stop(w);
}

int main(void)
{
    flux_reactor_t *r = flux_reactor_create(FLUX_REACTOR_SIGCHLD);
    flux_watcher_t *w;
    pid_t pid;

    if (!r)
        err(1, "flux_reactor_create");
    if ((pid = fork()) == 0)
        _exit(3);
    w = flux_child_watcher_create(r, pid, false, on_child, &pid);
    if (!w)
        err(1, "flux_child_watcher_create");
    flux_watcher_start(w);
    flux_reactor_run(r, 0);
    flux_watcher_destroy(w);
    flux_reactor_destroy(r);
    return 0;
}
/* Output:
 * our child: exit 3
 */
