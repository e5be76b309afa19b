/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <flux/core.h>

/* A class of futures: fulfilled with a number after a delay. */
struct delay {
    double seconds;
    int number;
};

static void on_timer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    flux_future_t *f = arg;
    struct delay *delay = flux_future_aux_get(f, "delay");

    flux_future_fulfill(f, &delay->number, NULL);
}

static void watcher_destroy(void *arg)
{
    flux_watcher_destroy(arg);
}

static void delay_init(flux_future_t *f, void *arg)
{
    struct delay *delay = arg;
    flux_reactor_t *r = flux_future_get_reactor(f);
    flux_watcher_t *w = flux_timer_watcher_create(r, delay->seconds, 0., on_timer, f);

    if (!w || flux_future_aux_set(f, NULL, w, watcher_destroy) < 0) {
        flux_watcher_destroy(w);
        flux_future_fulfill_error(f, errno, NULL);
        return;
    }
    flux_watcher_start(w);
}

static flux_future_t *delay_create(double seconds, int number)
{
    struct delay *delay = malloc(sizeof(*delay));
    flux_future_t *f;

    if (!delay)
        return NULL;
    *delay = (struct delay){ seconds, number };
    f = flux_future_create(delay_init, delay);
    if (!f || flux_future_aux_set(f, "delay", delay, free) < 0) {
        free(delay);
        flux_future_destroy(f);
        return NULL;
    }
    return f;
}

int main(void)
{
    flux_future_t *f = delay_create(0.01, 42);
    const void *result;

    if (!f)
        err(1, "delay_create");
    if (flux_future_wait_for(f, 0.) < 0)
        printf("not yet: %s\n", strerror(errno));
    if (flux_future_get(f, &result) < 0)
        err(1, "flux_future_get");
    printf("result %d\n", *(const int *)result);
    flux_future_destroy(f);
    return 0;
}
/* Output:
 * not yet: Connection timed out
 * result 42
 */
