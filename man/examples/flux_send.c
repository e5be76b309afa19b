/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_msg_t *msg;

    if (!h)
        err(1, "flux_open");
    if (!(msg = flux_event_encode("demo.sent", "hello")))
        err(1, "flux_event_encode");
    if (flux_send(h, msg, 0) < 0)
        err(1, "flux_send");
    printf("sent\n");
    flux_msg_destroy(msg);
    flux_close(h);
    return 0;
}
/* Output:
 * sent
 */
