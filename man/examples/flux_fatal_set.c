/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static void on_fatal(const char *msg, void *arg)
{
    printf("%s %s\n", (const char *)arg, msg);
}

static void use(flux_t *h)
{
    errno = ECONNRESET;
    FLUX_FATAL(h);
}

int main(void)
{
    flux_t *h = flux_open("loop://", 0);

    if (!h)
        err(1, "flux_open");
    flux_fatal_set(h, on_fatal, "fatal:");
    use(h);
    use(h); /* only the first is reported */
    flux_close(h);
    return 0;
}
/* Output:
 * fatal: use: Connection reset by peer
 */
