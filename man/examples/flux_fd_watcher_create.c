/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <unistd.h>
#include <flux/core.h>

static void on_pipe(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    char c;

    if ((revents & FLUX_POLLIN) && read(flux_fd_watcher_get_fd(w), &c, 1) == 1)
        printf("%c\n", c);
    else
        flux_watcher_stop(w); /* end of file */
}

int main(void)
{
    flux_reactor_t *r = flux_reactor_create(0);
    flux_watcher_t *w;
    int fds[2];

    if (!r || pipe(fds) < 0 || write(fds[1], "ab", 2) != 2)
        err(1, "set-up");
    close(fds[1]);
    if (!(w = flux_fd_watcher_create(r, fds[0], FLUX_POLLIN, on_pipe, NULL)))
        err(1, "flux_fd_watcher_create");
    flux_watcher_start(w);
    flux_reactor_run(r, 0);
    flux_watcher_destroy(w);
    flux_reactor_destroy(r);
    close(fds[0]);
    return 0;
}
/* Output:
 * a
 * b
 */
