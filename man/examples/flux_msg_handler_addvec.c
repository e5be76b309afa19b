/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static void on_event(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    const char *topic;

    if (flux_msg_get_topic(msg, &topic) == 0)
        printf("event %s\n", topic);
}

static void on_end(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    flux_reactor_stop(flux_get_reactor(h));
}

static const struct flux_msg_handler_spec tab[] = {
    { FLUX_MSGTYPE_EVENT, "demo.*", on_event, 0 },
    { FLUX_MSGTYPE_EVENT, "demo.end", on_end, 0 },
    FLUX_MSGHANDLER_TABLE_END,
};

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_msg_handler_t **handlers;
    flux_future_t *f;

    if (!h || flux_event_subscribe(h, "demo.") < 0)
        err(1, "flux_event_subscribe");
    if (flux_msg_handler_addvec(h, tab, NULL, &handlers) < 0)
        err(1, "flux_msg_handler_addvec");
    if (!(f = flux_event_publish(h, "demo.end", 0, NULL)))
        err(1, "flux_event_publish");
    flux_reactor_run(flux_get_reactor(h), 0);
    flux_future_destroy(f);
    flux_msg_handler_delvec(handlers);
    flux_close(h);
    return 0;
}
/* Output:
 * event demo.end
 */
