/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    flux_msg_t *msg = flux_event_pack("demo.state", "{s:s s:i}", "name", "x", "value", 7);
    const char *topic, *s;
    const void *data;
    int value, len;

    if (!msg || flux_event_unpack(msg, &topic, "{s:i}", "value", &value) < 0)
        err(1, "flux_event_unpack");
    printf("%s value %d\n", topic, value);
    flux_msg_destroy(msg);

    msg = flux_event_encode_raw("demo.raw", "abc", 3);
    if (!msg || flux_event_decode_raw(msg, NULL, &data, &len) < 0)
        err(1, "flux_event_decode_raw");
    printf("%.*s\n", len, (const char *)data);
    flux_msg_destroy(msg);

    msg = flux_event_encode("demo.empty", NULL);
    if (!msg || flux_event_decode(msg, NULL, &s) < 0)
        err(1, "flux_event_decode");
    printf("%s\n", s ? s : "no payload");
    if (flux_event_unpack(msg, NULL, "{s:i}", "value", &value) < 0)
        printf("unpack: %s\n", strerror(errno));
    flux_msg_destroy(msg);
    return 0;
}
/* Output:
 * demo.state value 7
 * abc
 * no payload
 * unpack: Protocol error
 */
