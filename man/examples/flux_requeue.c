/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static void put(flux_t *h, const char *topic, int where)
{
    flux_msg_t *msg = flux_event_encode(topic, NULL);

    if (!msg || flux_requeue(h, msg, where) < 0)
        err(1, "flux_requeue");
    flux_msg_destroy(msg);
}

int main(void)
{
    flux_t *h = flux_open("loop://", 0);
    flux_msg_t *msg;
    const char *topic;

    if (!h)
        err(1, "flux_open");
    put(h, "first", FLUX_RQ_TAIL);
    put(h, "second", FLUX_RQ_TAIL);
    put(h, "urgent", FLUX_RQ_HEAD);
    while ((msg = flux_recv(h, FLUX_MATCH_ANY, FLUX_O_NONBLOCK))) {
        if (flux_msg_get_topic(msg, &topic) == 0)
            printf("%s\n", topic);
        flux_msg_destroy(msg);
    }
    flux_close(h);
    return 0;
}
/* Output:
 * urgent
 * first
 * second
 */
