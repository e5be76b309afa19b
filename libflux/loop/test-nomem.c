/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Lack of memory in the reactor and in each kind of watcher: they are made or they are not. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <flux/core.h>

#include "base/cleanup.h"
#include "base/nomem.h"
#include "base/testing.h"

static void on_event(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
}

static int op_reactor(void *arg)
{
    flux_reactor_t *r = flux_reactor_create(0);

    if (!r)
        return -1;
    flux_reactor_destroy(r);
    return 0;
}

static flux_watcher_t *create(flux_reactor_t *r, flux_t *h, int kind)
{
    switch (kind) {
    case 0:
        return flux_fd_watcher_create(r, 0, FLUX_POLLIN, on_event, NULL);
    case 1:
        return flux_timer_watcher_create(r, 1000., 1., on_event, NULL);
    case 2:
        return flux_periodic_watcher_create(r, 0., 1000., NULL, on_event, NULL);
    case 3:
        return flux_prepare_watcher_create(r, on_event, NULL);
    case 4:
        return flux_check_watcher_create(r, on_event, NULL);
    case 5:
        return flux_idle_watcher_create(r, on_event, NULL);
    case 6:
        return flux_child_watcher_create(r, getpid(), false, on_event, NULL);
    case 7:
        return flux_signal_watcher_create(r, SIGUSR1, on_event, NULL);
    case 8:
        return flux_stat_watcher_create(r, "/", 1000., on_event, NULL);
    case 9:
        return flux_handle_watcher_create(r, h, FLUX_POLLIN, on_event, NULL);
    }
    return NULL;
}

struct target {
    flux_reactor_t *r;
    flux_t *h;
    int kind;
};

static int op_watcher(void *arg)
{
    struct target *t = arg;
    flux_watcher_t *w = create(t->r, t->h, t->kind);

    if (!w)
        return -1;
    flux_watcher_start(w);
    flux_watcher_stop(w);
    flux_watcher_destroy(w);
    return 0;
}

static void every_failure_in_reactor(void **state)
{
    nomem_each(op_reactor, NULL, NULL);
}

static void every_failure_in_watchers(void **state)
{
    struct target t = { .r = flux_reactor_create(FLUX_REACTOR_SIGCHLD),
                        .h = flux_open("loop://", 0) };

    assert_true(t.r && t.h);
    for (t.kind = 0; t.kind < 10; t.kind++)
        nomem_each(op_watcher, &t, NULL);
    flux_close(t.h);
    flux_reactor_destroy(t.r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_in_reactor),
        cmocka_unit_test(every_failure_in_watchers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
