/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Request messages: flux_request_decode(3), flux_request_encode(3). */
#include <errno.h>

#include <flux/request.h>

#include "rpc/rpc.h"

int flux_request_decode(const flux_msg_t *msg, const char **topic, const char **s)
{
    if (message_decode(msg, FLUX_MSGTYPE_REQUEST, topic) < 0)
        return -1;
    return message_string(msg, s);
}

int flux_request_decode_raw(const flux_msg_t *msg, const char **topic, const void **data, int *len)
{
    if (!data || !len) {
        errno = EINVAL;
        return -1;
    }
    if (message_decode(msg, FLUX_MSGTYPE_REQUEST, topic) < 0)
        return -1;
    return message_raw(msg, data, len);
}

int flux_request_unpack(const flux_msg_t *msg, const char **topic, const char *fmt, ...)
{
    va_list ap;
    int rc;

    if (!fmt) {
        errno = EINVAL;
        return -1;
    }
    if (message_decode(msg, FLUX_MSGTYPE_REQUEST, topic) < 0)
        return -1;
    va_start(ap, fmt);
    rc = flux_msg_vunpack(msg, fmt, ap);
    va_end(ap);
    return rc;
}

flux_msg_t *flux_request_encode(const char *topic, const char *s)
{
    return message_encode(FLUX_MSGTYPE_REQUEST, topic, s);
}

flux_msg_t *flux_request_encode_raw(const char *topic, const void *data, int len)
{
    return message_encode_raw(FLUX_MSGTYPE_REQUEST, topic, data, len);
}
