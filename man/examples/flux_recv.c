/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    struct flux_match match = FLUX_MATCH_EVENT;
    flux_future_t *f;

    if (!h || flux_event_subscribe(h, "demo.") < 0)
        err(1, "flux_event_subscribe");
    for (const char *const *t = (const char *const[]){ "demo.a", "demo.b", NULL }; *t; t++) {
        f = flux_event_publish(h, *t, 0, "hello");
        if (!f || flux_future_get(f, NULL) < 0)
            err(1, "flux_event_publish");
        flux_future_destroy(f);
    }
    match.topic_glob = "demo.b"; /* this first, then what is left */
    for (int i = 0; i < 2; i++) {
        flux_msg_t *msg = flux_recv(h, match, 0);
        const char *topic, *s;

        if (!msg || flux_event_decode(msg, &topic, &s) < 0)
            err(1, "flux_recv");
        printf("%s: %s\n", topic, s);
        flux_msg_destroy(msg);
        match.topic_glob = NULL;
    }
    flux_close(h);
    return 0;
}
/* Output:
 * demo.b: hello
 * demo.a: hello
 */
