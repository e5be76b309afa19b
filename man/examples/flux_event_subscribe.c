/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static void publish(flux_t *h, const char *topic)
{
    flux_future_t *f = flux_event_publish(h, topic, 0, NULL);

    if (!f || flux_future_get(f, NULL) < 0)
        err(1, "flux_event_publish");
    flux_future_destroy(f);
}

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_msg_t *msg;
    const char *topic;

    if (!h || flux_event_subscribe(h, "demo.x") < 0)
        err(1, "flux_event_subscribe");
    publish(h, "demo.other");
    publish(h, "demo.x.y");
    if (!(msg = flux_recv(h, FLUX_MATCH_EVENT, 0)) || flux_msg_get_topic(msg, &topic) < 0)
        err(1, "flux_recv");
    printf("%s\n", topic);
    flux_msg_destroy(msg);
    if (flux_event_unsubscribe(h, "demo.x") < 0)
        err(1, "flux_event_unsubscribe");
    publish(h, "demo.x.z");
    if (!flux_recv(h, FLUX_MATCH_EVENT, FLUX_O_NONBLOCK))
        printf("no more\n");
    flux_close(h);
    return 0;
}
/* Output:
 * demo.x.y
 * no more
 */
