/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static int finish(flux_future_t *f)
{
    int seq;

    if (!f || flux_event_publish_get_seq(f, &seq) < 0)
        err(1, "flux_event_publish");
    flux_future_destroy(f);
    return seq;
}

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_msg_t *msg;
    const void *data;
    int a, b, value, len;

    if (!h || flux_event_subscribe(h, "demo.pub") < 0)
        err(1, "flux_event_subscribe");
    a = finish(flux_event_publish_pack(h, "demo.pub", 0, "{s:i}", "value", 42));
    b = finish(flux_event_publish_raw(h, "demo.pub", FLUX_MSGFLAG_PRIVATE, "\001\002", 2));
    printf("%s\n", b > a ? "in sequence" : "out of sequence");

    if (!(msg = flux_recv(h, FLUX_MATCH_EVENT, 0)) ||
        flux_event_unpack(msg, NULL, "{s:i}", "value", &value) < 0)
        err(1, "first");
    printf("value %d\n", value);
    flux_msg_destroy(msg);

    if (!(msg = flux_recv(h, FLUX_MATCH_EVENT, 0)) ||
        flux_event_decode_raw(msg, NULL, &data, &len) < 0)
        err(1, "second");
    printf("%d bytes, %s\n", len, flux_msg_is_private(msg) ? "private" : "for all");
    flux_msg_destroy(msg);
    flux_close(h);
    return 0;
}
/* Output:
 * in sequence
 * value 42
 * 2 bytes, private
 */
