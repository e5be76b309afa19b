/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* JSON payloads. The decoded object is kept with the message, so that several unpacks of one
 * message decode once. Payloads that are not one JSON object with its NUL are refused (RFC 3). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/jsonx.h"
#include "wire/message_impl.h"

static void set_error(const flux_msg_t *const_msg, const char *text)
{
    flux_msg_t *msg = (flux_msg_t *)const_msg;

    free(msg->last_error);
    msg->last_error = text ? strdup(text) : NULL;
}

const char *flux_msg_last_error(const flux_msg_t *msg)
{
    if (!msg)
        return "there is no message";
    return msg->last_error ? msg->last_error : "";
}

static int fail(const flux_msg_t *msg, int errnum, const char *text)
{
    set_error(msg, text);
    errno = errnum;
    return -1;
}

static int decode(const flux_msg_t *const_msg)
{
    flux_msg_t *msg = (flux_msg_t *)const_msg;
    flux_error_t error;
    const char *s;

    if (msg->json)
        return 0;
    if (flux_msg_get_string(msg, &s) < 0)
        return fail(msg, errno, "the payload is not a string that ends with NUL");
    if (!s)
        return fail(msg, EPROTO, "the message has no payload");
    msg->json = jsonx_decode_object(s, msg->payload->size - 1, &error);
    return msg->json ? 0 : fail(msg, errno, error.text);
}

int flux_msg_vunpack(const flux_msg_t *msg, const char *fmt, va_list ap)
{
    const int saved_errno = errno;
    json_error_t error;

    if (!msg || !fmt || *fmt == '\0') {
        errno = EINVAL;
        return -1;
    }
    set_error(msg, NULL);
    if (decode(msg) < 0)
        return -1;
    errno = 0;
    if (json_vunpack_ex(msg->json, &error, 0, fmt, ap) < 0)
        return fail(msg, jsonx_errno(EPROTO), error.text);
    errno = saved_errno;
    return 0;
}

int flux_msg_unpack(const flux_msg_t *msg, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = flux_msg_vunpack(msg, fmt, ap);
    va_end(ap);
    return rc;
}

int flux_msg_vpack(flux_msg_t *msg, const char *fmt, va_list ap)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(freep) char *s = NULL;
    json_error_t error;

    if (!msg || !fmt || *fmt == '\0') {
        errno = EINVAL;
        return -1;
    }
    set_error(msg, NULL);
    errno = 0;
    o = json_vpack_ex(&error, 0, fmt, ap);
    if (!o)
        return fail(msg, jsonx_errno(EINVAL), error.text);
    if (!json_is_object(o))
        return fail(msg, EINVAL, "a payload must be a JSON object");
    s = json_dumps(o, JSON_COMPACT);
    if (!s)
        return fail(msg, ENOMEM, "out of memory");
    if (flux_msg_set_string(msg, s) < 0)
        return fail(msg, errno, "the payload could not be set");
    return 0;
}

int flux_msg_pack(flux_msg_t *msg, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = flux_msg_vpack(msg, fmt, ap);
    va_end(ap);
    return rc;
}
