/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static void on_sync(flux_future_t *f, void *arg)
{
    int *beats = arg;

    if (flux_future_get(f, NULL) < 0) {
        printf("%s after %d beats\n", strerror(errno), *beats);
        flux_future_destroy(f);
        return;
    }
    printf("beat %d\n", ++*beats);
    flux_future_reset(f);
    if (*beats == 2) /* wait for the next one for a millisecond only */
        flux_future_then(f, 0.001, on_sync, arg);
}

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_future_t *f;
    int beats = 0;

    if (!h || !(f = flux_sync_create(h, 0.)))
        err(1, "flux_sync_create");
    if (flux_future_then(f, 20., on_sync, &beats) < 0)
        err(1, "flux_future_then");
    flux_reactor_run(flux_get_reactor(h), 0);
    flux_close(h);
    return 0;
}
/* Output:
 * beat 1
 * beat 2
 * Connection timed out after 2 beats
 */
