/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    flux_t *h = flux_open(NULL, FLUX_O_NONBLOCK);
    flux_msg_t *msg = flux_event_encode("demo.poll", NULL);
    struct pollfd pfd = { .events = POLLIN };
    const char *topic;

    if (!h || !msg || flux_event_subscribe(h, "demo.poll") < 0 || flux_send(h, msg, 0) < 0)
        err(1, "set-up");
    flux_msg_destroy(msg);
    if ((pfd.fd = flux_pollfd(h)) < 0)
        err(1, "flux_pollfd");
    while (!(flux_pollevents(h) & FLUX_POLLIN))
        poll(&pfd, 1, -1);
    msg = flux_recv(h, FLUX_MATCH_EVENT, 0);
    if (!msg || flux_msg_get_topic(msg, &topic) < 0)
        err(1, "flux_recv");
    printf("received %s\n", topic);
    flux_msg_destroy(msg);
    printf("more: %s\n", flux_pollevents(h) & FLUX_POLLIN ? "yes" : "no");
    flux_close(h);
    return 0;
}
/* Output:
 * received demo.poll
 * more: no
 */
