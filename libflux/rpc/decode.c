/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What decoding and encoding of requests, responses and events have in common. */
#include <errno.h>

#include "base/cleanup.h"
#include "rpc/rpc.h"

DEFINE_CLEANUP(flux_msg_t *, flux_msg_destroy)

/* What is wrong with a message is the sender's; lack of memory is not. */
static int protocol_error(void)
{
    if (errno != ENOMEM)
        errno = EPROTO;
    return -1;
}

int message_decode(const flux_msg_t *msg, int type, const char **topic)
{
    const char *name;
    int t;

    if (!msg) {
        errno = EINVAL;
        return -1;
    }
    if (flux_msg_get_type(msg, &t) < 0 || t != type || flux_msg_get_topic(msg, &name) < 0) {
        errno = EPROTO;
        return -1;
    }
    if (topic)
        *topic = name;
    return 0;
}

int message_string(const flux_msg_t *msg, const char **s)
{
    const char *text = NULL;

    if (flux_msg_has_payload(msg) && s && flux_msg_get_string(msg, &text) < 0)
        return protocol_error();
    if (s)
        *s = text;
    return 0;
}

int message_raw(const flux_msg_t *msg, const void **data, int *len)
{
    const void *buf = NULL;
    int size = 0;

    if (flux_msg_has_payload(msg) && flux_msg_get_payload(msg, &buf, &size) < 0)
        return protocol_error();
    if (data)
        *data = buf;
    if (len)
        *len = size;
    return 0;
}

static flux_msg_t *create(int type, const char *topic)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = NULL;

    if (!topic) {
        errno = EINVAL;
        return NULL;
    }
    msg = flux_msg_create(type);
    if (!msg || flux_msg_set_topic(msg, topic) < 0)
        return NULL;
    return TAKE(msg);
}

flux_msg_t *message_encode(int type, const char *topic, const char *s)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = create(type, topic);

    if (!msg || (s && flux_msg_set_string(msg, s) < 0))
        return NULL;
    return TAKE(msg);
}

flux_msg_t *message_encode_raw(int type, const char *topic, const void *data, int len)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = create(type, topic);

    if (!msg)
        return NULL;
    if (len < 0 || (data && flux_msg_set_payload(msg, data, len) < 0)) {
        if (len < 0)
            errno = EINVAL;
        return NULL;
    }
    return TAKE(msg);
}
