/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    flux_t *h = flux_open(NULL, FLUX_O_MATCHDEBUG);

    if (!h)
        err(1, "flux_open");
    flux_flags_set(h, FLUX_O_NONBLOCK);
    flux_flags_unset(h, FLUX_O_MATCHDEBUG);
    printf("nonblocking: %s\n", flux_flags_get(h) == FLUX_O_NONBLOCK ? "yes" : "no");
    if (!flux_recv(h, FLUX_MATCH_EVENT, 0))
        printf("flux_recv: %s\n", strerror(errno));
    flux_close(h);
    return 0;
}
/* Output:
 * nonblocking: yes
 * flux_recv: Resource temporarily unavailable
 */
