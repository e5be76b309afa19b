/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Decode foreign bytes, call every accessor, and require that encoding gives the same bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink; /* the bytes that accessors return are really read */

static void use(const void *p, size_t n)
{
    const uint8_t *s = p;

    for (size_t i = 0; i < n; i++)
        sink += s[i];
}

static void use_string(const char *s)
{
    if (s)
        use(s, strlen(s));
}

static void read_parts(const flux_msg_t *msg)
{
    const char *s = NULL;
    const void *buf;
    char *routes;
    int n;

    if (flux_msg_get_topic(msg, &s) == 0)
        use_string(s);
    use_string(msg_topic(msg));
    if (flux_msg_get_payload(msg, &buf, &n) == 0)
        use(buf, n);
    if (flux_msg_get_string(msg, &s) == 0)
        use_string(s);
    if (flux_msg_unpack(msg, "{s?s}", "key", &s) == 0)
        use_string(s);
    use_string(flux_msg_last_error(msg));
    use_string(flux_msg_route_first(msg));
    use_string(flux_msg_route_last(msg));
    sink += flux_msg_route_count(msg);
    routes = flux_msg_route_string(msg);
    use_string(routes);
    free(routes);
}

static void read_header(const flux_msg_t *msg)
{
    struct flux_msg_cred cred;
    uint32_t u;
    uint8_t flags;
    int i, k;

    sink += flux_msg_get_type(msg, &i) + flux_msg_get_flags(msg, &flags) +
            flux_msg_get_nodeid(msg, &u) + flux_msg_get_userid(msg, &u) +
            flux_msg_get_rolemask(msg, &u) + flux_msg_get_cred(msg, &cred) +
            flux_msg_get_errnum(msg, &i) + flux_msg_get_seq(msg, &u) +
            flux_msg_get_control(msg, &i, &k) + flux_msg_get_matchtag(msg, &u);
    sink += flux_msg_cmp(msg, FLUX_MATCH_EVENT) + flux_msg_is_private(msg) +
            flux_msg_authorize(msg, 1000) + msg_payload_size(msg) + msg_encode_size(msg);
}

static void require_same(const flux_msg_t *msg, const uint8_t *data, size_t size)
{
    void *buf;
    size_t n;

    if (flux_msg_encode(msg, &buf, &n) < 0 || n != size || memcmp(buf, data, n) != 0)
        abort();
    free(buf);
}

static void change(flux_msg_t *msg)
{
    if (flux_msg_route_count(msg) >= 0) {
        if (flux_msg_route_push(msg, "0123456789abcdef") == 0)
            (void)flux_msg_route_delete_last(msg);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *null;
    flux_msg_t *msg = flux_msg_decode(data, size);
    flux_msg_t *cpy;

    if (!msg)
        return 0;
    if (!null)
        null = fopen("/dev/null", "w");
    read_parts(msg);
    read_header(msg);
    flux_msg_fprint(null, msg);
    require_same(msg, data, size);
    change(msg);
    require_same(msg, data, size);
    cpy = flux_msg_copy(msg, true);
    flux_msg_destroy(msg);
    require_same(cpy, data, size);
    flux_msg_destroy(cpy);
    return 0;
}
