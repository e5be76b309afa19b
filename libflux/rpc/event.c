/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Events: flux_event_decode(3), flux_event_subscribe(3), flux_event_publish(3).
 *
 * Subscriptions are counted here, so that the router sees each topic once, and remembered for a
 * reconnect. On loop:// every event that is sent is received. */
#include <errno.h>
#include <string.h>

#include <flux/event.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "rpc/handle_impl.h"
#include "rpc/rpc.h"

DEFINE_CLEANUP(flux_msg_t *, flux_msg_destroy)
DEFINE_CLEANUP(flux_future_t *, flux_future_destroy)

int flux_event_decode(const flux_msg_t *msg, const char **topic, const char **s)
{
    if (message_decode(msg, FLUX_MSGTYPE_EVENT, topic) < 0)
        return -1;
    return message_string(msg, s);
}

int flux_event_decode_raw(const flux_msg_t *msg, const char **topic, const void **data, int *len)
{
    if (!data || !len) {
        errno = EINVAL;
        return -1;
    }
    if (message_decode(msg, FLUX_MSGTYPE_EVENT, topic) < 0)
        return -1;
    return message_raw(msg, data, len);
}

int flux_event_unpack(const flux_msg_t *msg, const char **topic, const char *fmt, ...)
{
    va_list ap;
    int rc;

    if (!fmt) {
        errno = EINVAL;
        return -1;
    }
    if (message_decode(msg, FLUX_MSGTYPE_EVENT, topic) < 0)
        return -1;
    va_start(ap, fmt);
    rc = flux_msg_vunpack(msg, fmt, ap);
    va_end(ap);
    return rc;
}

flux_msg_t *flux_event_encode(const char *topic, const char *s)
{
    return message_encode(FLUX_MSGTYPE_EVENT, topic, s);
}

flux_msg_t *flux_event_encode_raw(const char *topic, const void *data, int len)
{
    return message_encode_raw(FLUX_MSGTYPE_EVENT, topic, data, len);
}

static flux_msg_t *event_vpack(const char *topic, const char *fmt, va_list ap)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = flux_event_encode(topic, NULL);

    if (!fmt)
        errno = EINVAL;
    if (!msg || !fmt || flux_msg_vpack(msg, fmt, ap) < 0)
        return NULL;
    return TAKE(msg);
}

flux_msg_t *flux_event_pack(const char *topic, const char *fmt, ...)
{
    flux_msg_t *msg;
    va_list ap;

    va_start(ap, fmt);
    msg = event_vpack(topic, fmt, ap);
    va_end(ap);
    return msg;
}

static bool is_loop(const flux_t *h)
{
    const struct line *l = &h->conn->router;

    return l->connector && line_fd(l) < 0;
}

flux_future_t *flux_event_subscribe_ex(flux_t *h, const char *topic, int flags)
{
    flux_future_t *f;
    int n;

    if (!h || !topic || flags) {
        errno = EINVAL;
        return NULL;
    }
    n = registration_add(&h->conn->registry.topics, topic);
    if (n < 0) {
        errno = -n;
        return NULL;
    }
    if (n > 1 || is_loop(h))
        f = rpc_answered(h);
    else
        f = flux_rpc_pack(h, "event.subscribe", FLUX_NODEID_ANY, 0, "{s:s}", "topic", topic);
    if (!f)
        (void)registration_remove(&h->conn->registry.topics, topic);
    return f;
}

flux_future_t *flux_event_unsubscribe_ex(flux_t *h, const char *topic, int flags)
{
    int n;

    if (!h || !topic || flags) {
        errno = EINVAL;
        return NULL;
    }
    n = registration_remove(&h->conn->registry.topics, topic);
    if (n < 0) {
        errno = -n;
        return NULL;
    }
    if (n > 0 || is_loop(h))
        return rpc_answered(h);
    return flux_rpc_pack(h, "event.unsubscribe", FLUX_NODEID_ANY, 0, "{s:s}", "topic", topic);
}

int flux_event_subscribe(flux_t *h, const char *topic)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = flux_event_subscribe_ex(h, topic, 0);

    if (!f)
        return -1;
    if (flux_future_get(f, NULL) == 0)
        return 0;
    (void)registration_remove(&h->conn->registry.topics, topic);
    return -1;
}

int flux_event_unsubscribe(flux_t *h, const char *topic)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = flux_event_unsubscribe_ex(h, topic, 0);

    return f ? flux_future_get(f, NULL) : -1;
}

static flux_future_t *publish(flux_t *h, const char *topic, int flags, const void *data, int len)
{
    CLEANUP(freep) char *text = NULL;

    if (!h || !topic || (flags & ~FLUX_MSGFLAG_PRIVATE) || len < 0) {
        errno = EINVAL;
        return NULL;
    }
    if (!data)
        return flux_rpc_pack(h, "event.publish", FLUX_NODEID_ANY, 0, "{s:s s:i}", "topic", topic,
                             "flags", flags);
    text = base64_encode(data, len, NULL);
    if (!text)
        return NULL;
    return flux_rpc_pack(h, "event.publish", FLUX_NODEID_ANY, 0, "{s:s s:i s:s}", "topic", topic,
                         "flags", flags, "payload", text);
}

flux_future_t *flux_event_publish(flux_t *h, const char *topic, int flags, const char *s)
{
    return publish(h, topic, flags, s, s ? strlen(s) + 1 : 0);
}

flux_future_t *flux_event_publish_pack(flux_t *h, const char *topic, int flags, const char *fmt,
                                       ...)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = NULL;
    const void *data;
    va_list ap;
    int len;

    va_start(ap, fmt);
    msg = event_vpack(topic, fmt, ap);
    va_end(ap);
    if (!msg || flux_msg_get_payload(msg, &data, &len) < 0)
        return NULL;
    return publish(h, topic, flags, data, len);
}

flux_future_t *flux_event_publish_raw(flux_t *h, const char *topic, int flags, const void *data,
                                      int len)
{
    return publish(h, topic, flags, data, len);
}

int flux_event_publish_get_seq(flux_future_t *f, int *seq)
{
    int n;

    if (flux_rpc_get_unpack(f, "{s:i}", "seq", &n) < 0)
        return -1;
    if (seq)
        *seq = n;
    return 0;
}
