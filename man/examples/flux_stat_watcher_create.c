/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <flux/core.h>

static void on_change(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct stat now, before;

    flux_stat_watcher_get_rstat(w, &now, &before);
    if (now.st_nlink == 0) {
        printf("removed\n");
        flux_watcher_stop(w);
        return;
    }
    printf("from %ld to %ld bytes\n", (long)before.st_size, (long)now.st_size);
    unlink(arg);
}

static void on_start(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    FILE *f = fopen(arg, "w");

    if (!f || fputs("hello", f) < 0 || fclose(f) < 0)
        err(1, "%s", (char *)arg);
}

int main(void)
{
    char path[] = "/tmp/exampleXXXXXX";
    flux_reactor_t *r = flux_reactor_create(0);
    int fd = mkstemp(path);
    flux_watcher_t *w = flux_stat_watcher_create(r, path, 0.1, on_change, path);
    flux_watcher_t *start = flux_timer_watcher_create(r, 0., 0., on_start, path);

    if (fd < 0 || !w || !start)
        err(1, "set-up");
    flux_watcher_start(w);
    flux_watcher_start(start);
    flux_reactor_run(r, 0);
    flux_watcher_destroy(start);
    flux_watcher_destroy(w);
    flux_reactor_destroy(r);
    close(fd);
    return 0;
}
/* Output:
 * from 0 to 5 bytes
 * removed
 */
