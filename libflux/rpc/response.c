/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Response messages: flux_respond(3), flux_response_decode(3). A request that wants no response
 * gets none, whatever the handler does. */
#include <errno.h>
#include <stdio.h>

#include <flux/response.h>

#include "base/cleanup.h"
#include "rpc/rpc.h"
#include "wire/message.h"

DEFINE_CLEANUP(flux_msg_t *, flux_msg_destroy)

static int decode(const flux_msg_t *msg, const char **topic)
{
    int errnum;

    if (message_decode(msg, FLUX_MSGTYPE_RESPONSE, topic) < 0)
        return -1;
    if (flux_msg_get_errnum(msg, &errnum) < 0 || errnum < 0)
        errnum = EPROTO;
    if (!errnum)
        return 0;
    errno = errnum;
    return -1;
}

int flux_response_decode(const flux_msg_t *msg, const char **topic, const char **s)
{
    return decode(msg, topic) < 0 ? -1 : message_string(msg, s);
}

int flux_response_decode_raw(const flux_msg_t *msg, const char **topic, const void **data, int *len)
{
    if (!data || !len) {
        errno = EINVAL;
        return -1;
    }
    return decode(msg, topic) < 0 ? -1 : message_raw(msg, data, len);
}

int flux_response_decode_error(const flux_msg_t *msg, const char **errstr)
{
    const char *s;
    int errnum;

    if (!errstr) {
        errno = EINVAL;
        return -1;
    }
    if (message_decode(msg, FLUX_MSGTYPE_RESPONSE, NULL) < 0)
        return -1;
    if (flux_msg_get_errnum(msg, &errnum) < 0 || errnum == 0) {
        errno = EPROTO;
        return -1;
    }
    if (message_string(msg, &s) < 0)
        return -1;
    if (!s) {
        errno = ENOENT;
        return -1;
    }
    *errstr = s;
    return 0;
}

flux_msg_t *flux_response_derive(const flux_msg_t *request, int errnum)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = NULL;
    struct msg_proto *proto;

    if (message_decode(request, FLUX_MSGTYPE_REQUEST, NULL) < 0) {
        errno = EINVAL;
        return NULL;
    }
    msg = flux_msg_copy(request, false);
    if (!msg)
        return NULL;
    proto = msg_proto_mut(msg);
    proto->type = FLUX_MSGTYPE_RESPONSE;
    proto->flags &= ~(FLUX_MSGFLAG_NORESPONSE | FLUX_MSGFLAG_UPSTREAM);
    proto->userid = FLUX_USERID_UNKNOWN;
    proto->rolemask = FLUX_ROLE_NONE;
    proto->aux1 = errnum; /* aux2 stays: the matchtag */
    return TAKE(msg);
}

/* 1: no answer is wanted. */
static int derive(flux_t *h, const flux_msg_t *request, int errnum, flux_msg_t **ret)
{
    if (!h || !request) {
        errno = EINVAL;
        return -1;
    }
    if (flux_msg_is_noresponse(request))
        return 1;
    *ret = flux_response_derive(request, errnum);
    return *ret ? 0 : -1;
}

int flux_respond(flux_t *h, const flux_msg_t *request, const char *s)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = NULL;
    int rc = derive(h, request, 0, &msg);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (s && flux_msg_set_string(msg, s) < 0)
        return -1;
    return flux_send(h, msg, 0);
}

int flux_respond_pack(flux_t *h, const flux_msg_t *request, const char *fmt, ...)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = NULL;
    va_list ap;
    int rc = derive(h, request, 0, &msg);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    va_start(ap, fmt);
    rc = flux_msg_vpack(msg, fmt, ap);
    va_end(ap);
    return rc < 0 ? -1 : flux_send(h, msg, 0);
}

int flux_respond_raw(flux_t *h, const flux_msg_t *request, const void *data, int length)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = NULL;
    int rc = derive(h, request, 0, &msg);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (data && flux_msg_set_payload(msg, data, length) < 0)
        return -1;
    return flux_send(h, msg, 0);
}

int flux_respond_error(flux_t *h, const flux_msg_t *request, int errnum, const char *errmsg)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = NULL;
    int rc;

    if (errnum == 0) {
        errno = EINVAL;
        return -1;
    }
    rc = derive(h, request, errnum, &msg);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (errmsg && flux_msg_set_string(msg, errmsg) < 0)
        return -1;
    return flux_send(h, msg, 0);
}

int rpc_respond_unknown(flux_t *h, const flux_msg_t *request, const char *topic)
{
    char text[320];

    (void)snprintf(text, sizeof(text), "unknown service method: %s", topic);
    return flux_respond_error(h, request, ENOSYS, text);
}

int rpc_respond_denied(flux_t *h, const flux_msg_t *request)
{
    return flux_respond_error(h, request, EPERM, "the request requires the instance owner's role");
}
