/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

/* Two that wait for one another; usually these are two processes. */
int main(void)
{
    flux_t *a = flux_open(NULL, 0);
    flux_t *b = flux_open(NULL, 0);
    flux_future_t *fa, *fb;

    if (!a || !b || !(fa = flux_barrier(a, "ready", 2)))
        err(1, "flux_barrier");
    if (flux_future_wait_for(fa, 0.01) < 0)
        printf("alone: %s\n", strerror(errno));
    if (!(fb = flux_barrier(b, "ready", 2)))
        err(1, "flux_barrier");
    if (flux_future_get(fa, NULL) < 0 || flux_future_get(fb, NULL) < 0)
        err(1, "barrier");
    printf("both are there\n");
    flux_future_destroy(fa);
    flux_future_destroy(fb);

    if (!flux_barrier(a, NULL, 2))
        printf("not within a job: %s\n", strerror(errno));
    flux_close(a);
    flux_close(b);
    return 0;
}
/* Output:
 * alone: Connection timed out
 * both are there
 * not within a job: Invalid argument
 */
