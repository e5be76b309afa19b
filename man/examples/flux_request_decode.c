/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    flux_msg_t *msg = flux_request_encode("demo.set", "{\"level\":3}");
    const char *topic, *s;
    const void *data;
    int level, len;

    if (!msg || flux_request_decode(msg, &topic, &s) < 0)
        err(1, "flux_request_decode");
    printf("%s %s\n", topic, s);
    if (flux_request_unpack(msg, NULL, "{s:i}", "level", &level) < 0)
        err(1, "flux_request_unpack");
    printf("level %d\n", level);
    if (flux_request_decode_raw(msg, NULL, &data, &len) < 0)
        err(1, "flux_request_decode_raw");
    printf("%d bytes\n", len);
    if (flux_request_unpack(msg, NULL, "{s:s}", "name", &s) < 0)
        printf("name: %s\n", strerror(errno));
    flux_msg_destroy(msg);
    return 0;
}
/* Output:
 * demo.set {"level":3}
 * level 3
 * 12 bytes
 * name: Protocol error
 */
