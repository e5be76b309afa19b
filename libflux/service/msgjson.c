/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The payload is part of it, also where it travels as a descriptor otherwise. */
#include "base/base64.h"
#include "base/cleanup.h"
#include "service/msgjson.h"

json_t *msgjson_encode(const flux_msg_t *msg)
{
    CLEANUP(freep) char *text = NULL;
    CLEANUP(freep) void *buf = NULL;
    size_t size, len;

    if (flux_msg_encode(msg, &buf, &size) < 0)
        return NULL;
    text = base64_encode(buf, size, &len);
    return text ? json_stringn_nocheck(text, len) : NULL;
}

flux_msg_t *msgjson_decode(const json_t *o)
{
    CLEANUP(freep) void *buf = NULL;
    size_t size = 0;

    if (json_is_string(o))
        buf = base64_decode(json_string_value(o), json_string_length(o), &size);
    return buf ? flux_msg_decode(buf, size) : NULL;
}
