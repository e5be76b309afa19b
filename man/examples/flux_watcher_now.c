/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>
#include <flux/core.h>

int main(void)
{
    flux_reactor_t *r = flux_reactor_create(0);
    double before;

    if (!r)
        err(1, "flux_reactor_create");
    before = flux_reactor_now(r);
    usleep(10000);
    printf("%s\n", flux_reactor_now(r) == before ? "stands still" : "moves");
    flux_reactor_now_update(r);
    printf("%s\n", flux_reactor_now(r) > before ? "later" : "the same");
    printf("%s\n", fabs(flux_reactor_time() - flux_reactor_now(r)) < 1. ? "present" : "past");
    flux_reactor_destroy(r);
    return 0;
}
/* Output:
 * stands still
 * later
 * present
 */
