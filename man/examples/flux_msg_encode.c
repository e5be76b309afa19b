/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <flux/core.h>

int main(void)
{
    flux_msg_t *msg = flux_request_encode("demo.method", "{\"a\":1}");
    flux_msg_t *copy;
    const char *topic;
    void *buf;
    size_t size;
    int a;

    if (!msg || flux_msg_encode(msg, &buf, &size) < 0)
        err(1, "flux_msg_encode");
    if (!(copy = flux_msg_decode(buf, size)))
        err(1, "flux_msg_decode");
    if (flux_request_unpack(copy, &topic, "{s:i}", "a", &a) < 0)
        err(1, "flux_request_unpack");
    printf("%s %s a=%d\n", flux_msg_typestr(FLUX_MSGTYPE_REQUEST), topic, a);
    flux_msg_destroy(copy);
    if (!flux_msg_decode(buf, size - 1))
        printf("cut short: %s\n", strerror(errno));
    free(buf);
    flux_msg_destroy(msg);
    return 0;
}
/* Output:
 * request demo.method a=1
 * cut short: Protocol error
 */
