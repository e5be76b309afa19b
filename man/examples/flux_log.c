/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    flux_t *h = flux_open(NULL, 0);

    if (!h)
        err(1, "flux_open");
    flux_log_set_appname(h, "demo");
    if (flux_log(h, LOG_INFO, "%d things are done", 3) < 0) /* see flux dmesg */
        err(1, "flux_log");
    flux_log(NULL, LOG_INFO, "this goes to the standard error");
    if (flux_log(h, 99, "no such level") < 0)
        printf("%s\n", strerror(errno));
    flux_close(h);
    return 0;
}
/* Output:
 * this goes to the standard error
 * Invalid argument
 */
