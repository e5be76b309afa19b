/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static void on_handle(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    flux_t *h = flux_handle_watcher_get_flux(w);
    flux_msg_t *msg = flux_recv(h, FLUX_MATCH_ANY, FLUX_O_NONBLOCK);
    const char *topic;

    if (!msg || flux_msg_get_topic(msg, &topic) < 0)
        err(1, "flux_recv");
    printf("%s\n", topic);
    if (strcmp(topic, "demo.last") == 0)
        flux_watcher_stop(w);
    flux_msg_destroy(msg);
}

static void publish(flux_t *h, const char *topic)
{
    flux_msg_t *msg = flux_event_encode(topic, NULL);

    if (!msg || flux_send(h, msg, 0) < 0)
        err(1, "flux_send");
    flux_msg_destroy(msg);
}

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_watcher_t *w;

    if (!h || flux_event_subscribe(h, "demo.") < 0)
        err(1, "flux_event_subscribe");
    if (!(w = flux_handle_watcher_create(flux_get_reactor(h), h, FLUX_POLLIN, on_handle, NULL)))
        err(1, "flux_handle_watcher_create");
    publish(h, "demo.first");
    publish(h, "demo.last");
    flux_watcher_start(w);
    flux_reactor_run(flux_get_reactor(h), 0);
    flux_watcher_destroy(w);
    flux_close(h);
    return 0;
}
/* Output:
 * demo.first
 * demo.last
 */
