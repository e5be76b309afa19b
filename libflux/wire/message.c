/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Messages: life cycle, flags, and the fields of the fixed header. Routes, topic and payload,
 * JSON, codec and printing have files of their own.
 *
 * Reference counts are plain integers: a message belongs to one thread. A message may be changed
 * while others hold references to it; what was handed to channel_send() keeps its old content. */
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "wire/message_impl.h"

#define FLAGS_ALL                                                                               \
    (FLUX_MSGFLAG_TOPIC | FLUX_MSGFLAG_PAYLOAD | FLUX_MSGFLAG_NORESPONSE | FLUX_MSGFLAG_ROUTE | \
     FLUX_MSGFLAG_UPSTREAM | FLUX_MSGFLAG_PRIVATE | FLUX_MSGFLAG_STREAMING)
/* Flags that follow from the parts a message has, and so cannot be set by hand. */
#define FLAGS_PARTS (FLUX_MSGFLAG_TOPIC | FLUX_MSGFLAG_PAYLOAD | FLUX_MSGFLAG_ROUTE)

static int fail(int errnum)
{
    errno = errnum;
    return -1;
}

flux_msg_t *msg_alloc(int type, size_t routes_room, size_t topic_room, size_t extra,
                      void **ret_extra)
{
    size_t head = (sizeof(flux_msg_t) + routes_room + topic_room + 7) & ~(size_t)7;
    flux_msg_t *msg = malloc(head + extra);

    if (!msg)
        return NULL;
    memset(msg, 0, sizeof(*msg));
    msg->refs = 1;
    msg->block_refs = 1;
    msg->proto.type = type;
    msg->proto.userid = FLUX_USERID_UNKNOWN;
    msg->proto.rolemask = FLUX_ROLE_NONE;
    msg->proto.aux1 = type == FLUX_MSGTYPE_REQUEST ? FLUX_NODEID_ANY : 0;
    msg->routes = (char *)(msg + 1);
    msg->routes_room = routes_room;
    msg->topic_space = msg->routes + routes_room;
    msg->topic_room = topic_room;
    msg->own.fd = -EBADF;
    if (ret_extra)
        *ret_extra = (char *)msg + head;
    return msg;
}

flux_msg_t *flux_msg_create(int type)
{
    flux_msg_t *msg;

    if (type != FLUX_MSGTYPE_REQUEST && type != FLUX_MSGTYPE_RESPONSE &&
        type != FLUX_MSGTYPE_EVENT && type != FLUX_MSGTYPE_CONTROL) {
        errno = EINVAL;
        return NULL;
    }
    msg = msg_alloc(type, MSG_ROUTES_ROOM, MSG_TOPIC_ROOM, 0, NULL);
    if (!msg)
        errno = ENOMEM;
    return msg;
}

static void msg_free(flux_msg_t *msg)
{
    int saved_errno = errno;

    json_decref(msg->json);
    free(msg->last_error);
    free(msg->topic_heap);
    free(msg->routes_heap);
    (void)msg_payload_unref(TAKE(msg->payload));
    if (--msg->block_refs == 0)
        free(msg);
    errno = saved_errno;
}

const flux_msg_t *flux_msg_incref(const flux_msg_t *msg)
{
    if (!msg) {
        errno = EINVAL;
        return NULL;
    }
    ((flux_msg_t *)msg)->refs++;
    return msg;
}

void flux_msg_decref(const flux_msg_t *const_msg)
{
    flux_msg_t *msg = (flux_msg_t *)const_msg;

    if (msg && --msg->refs == 0)
        msg_free(msg);
}

void flux_msg_destroy(flux_msg_t *msg)
{
    flux_msg_decref(msg);
}

DEFINE_CLEANUP(flux_msg_t *, flux_msg_destroy)

static int copy_routes(flux_msg_t *to, const flux_msg_t *from)
{
    const char *id = from->routes;

    to->proto.flags |= from->proto.flags & FLUX_MSGFLAG_ROUTE;
    for (int i = 0; i < from->nroutes; i++) {
        int rc = msg_push_route_bytes(to, id, from->route_size[i]);

        if (rc < 0)
            return rc;
        id += from->route_size[i] + 1;
    }
    return 0;
}

flux_msg_t *flux_msg_copy(const flux_msg_t *msg, bool payload)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *cpy = NULL;

    if (!msg) {
        errno = EINVAL;
        return NULL;
    }
    cpy = msg_alloc(msg->proto.type, MSG_ROUTES_ROOM, MSG_TOPIC_ROOM, 0, NULL);
    if (!cpy)
        return NULL;
    cpy->proto = msg->proto;
    cpy->proto.flags &= ~FLAGS_PARTS;
    if (copy_routes(cpy, msg) < 0 ||
        (msg->topic_size > 0 && msg_set_topic_bytes(cpy, msg->topic, msg->topic_size) < 0)) {
        errno = ENOMEM;
        return NULL;
    }
    if (payload && msg->payload) {
        cpy->payload = msg_payload_ref(msg->payload);
        cpy->proto.flags |= FLUX_MSGFLAG_PAYLOAD;
        cpy->json = json_incref(msg->json);
    }
    return TAKE(cpy);
}

const struct msg_proto *msg_proto(const flux_msg_t *msg)
{
    return &msg->proto;
}

struct msg_proto *msg_proto_mut(flux_msg_t *msg)
{
    return &msg->proto;
}

static bool topic_matches(const char *topic, const char *glob)
{
    if (strpbrk(glob, "*?[\\"))
        return fnmatch(glob, topic, 0) == 0;
    return strcmp(glob, topic) == 0;
}

bool flux_msg_cmp(const flux_msg_t *msg, struct flux_match match)
{
    if (!msg)
        return false;
    if (match.typemask != 0 && !(match.typemask & msg->proto.type))
        return false;
    if (match.matchtag != FLUX_MATCHTAG_NONE) {
        if (!(msg->proto.type & (FLUX_MSGTYPE_REQUEST | FLUX_MSGTYPE_RESPONSE)) ||
            msg->proto.aux2 != match.matchtag)
            return false;
    }
    if (match.topic_glob && *match.topic_glob)
        return msg->topic_size > 0 && topic_matches(msg->topic, match.topic_glob);
    return true;
}

int flux_msg_get_type(const flux_msg_t *msg, int *type)
{
    if (!msg || !type)
        return fail(EINVAL);
    *type = msg->proto.type;
    return 0;
}

int flux_msg_get_flags(const flux_msg_t *msg, uint8_t *flags)
{
    if (!msg || !flags)
        return fail(EINVAL);
    *flags = msg->proto.flags;
    return 0;
}

int flux_msg_set_flags(flux_msg_t *msg, uint8_t flags)
{
    if (!msg || (flags & ~FLAGS_ALL) || ((flags ^ msg->proto.flags) & FLAGS_PARTS))
        return fail(EINVAL);
    msg->proto.flags = flags;
    return 0;
}

static int set_flag(flux_msg_t *msg, uint8_t flag, int typemask)
{
    if (!msg || !(msg->proto.type & typemask))
        return fail(EINVAL);
    msg->proto.flags |= flag;
    return 0;
}

bool flux_msg_is_private(const flux_msg_t *msg)
{
    return msg && (msg->proto.flags & FLUX_MSGFLAG_PRIVATE);
}

int flux_msg_set_private(flux_msg_t *msg)
{
    return set_flag(msg, FLUX_MSGFLAG_PRIVATE, FLUX_MSGTYPE_ANY);
}

bool flux_msg_is_streaming(const flux_msg_t *msg)
{
    return msg && (msg->proto.flags & FLUX_MSGFLAG_STREAMING);
}

/* No response and many responses exclude each other (RFC 3): the last one said counts. */
int flux_msg_set_streaming(flux_msg_t *msg)
{
    if (msg)
        msg->proto.flags &= ~FLUX_MSGFLAG_NORESPONSE;
    return set_flag(msg, FLUX_MSGFLAG_STREAMING, FLUX_MSGTYPE_ANY);
}

bool flux_msg_is_noresponse(const flux_msg_t *msg)
{
    return msg && (msg->proto.flags & FLUX_MSGFLAG_NORESPONSE);
}

int flux_msg_set_noresponse(flux_msg_t *msg)
{
    if (msg)
        msg->proto.flags &= ~FLUX_MSGFLAG_STREAMING;
    return set_flag(msg, FLUX_MSGFLAG_NORESPONSE, FLUX_MSGTYPE_ANY);
}

/* The two auxiliary words mean different things per type; asking a message of another type is
 * EPROTO. */
static int check_type(const flux_msg_t *msg, const void *out, int typemask)
{
    if (!msg || !out)
        return fail(EINVAL);
    if (!(msg->proto.type & typemask))
        return fail(EPROTO);
    return 0;
}

int flux_msg_set_nodeid(flux_msg_t *msg, uint32_t nodeid)
{
    if (check_type(msg, msg, FLUX_MSGTYPE_REQUEST) < 0)
        return -1;
    if (nodeid == FLUX_NODEID_UPSTREAM) /* is a flag on the wire, never a node */
        return fail(EINVAL);
    msg->proto.aux1 = nodeid;
    return 0;
}

int flux_msg_get_nodeid(const flux_msg_t *msg, uint32_t *nodeid)
{
    if (check_type(msg, nodeid, FLUX_MSGTYPE_REQUEST) < 0)
        return -1;
    *nodeid = msg->proto.aux1;
    return 0;
}

int flux_msg_set_errnum(flux_msg_t *msg, int errnum)
{
    if (check_type(msg, msg, FLUX_MSGTYPE_RESPONSE) < 0)
        return -1;
    msg->proto.aux1 = errnum;
    return 0;
}

int flux_msg_get_errnum(const flux_msg_t *msg, int *errnum)
{
    if (check_type(msg, errnum, FLUX_MSGTYPE_RESPONSE) < 0)
        return -1;
    *errnum = msg->proto.aux1;
    return 0;
}

int flux_msg_set_seq(flux_msg_t *msg, uint32_t seq)
{
    if (check_type(msg, msg, FLUX_MSGTYPE_EVENT) < 0)
        return -1;
    msg->proto.aux1 = seq;
    return 0;
}

int flux_msg_get_seq(const flux_msg_t *msg, uint32_t *seq)
{
    if (check_type(msg, seq, FLUX_MSGTYPE_EVENT) < 0)
        return -1;
    *seq = msg->proto.aux1;
    return 0;
}

int flux_msg_set_control(flux_msg_t *msg, int type, int status)
{
    if (check_type(msg, msg, FLUX_MSGTYPE_CONTROL) < 0)
        return -1;
    msg->proto.aux1 = type;
    msg->proto.aux2 = status;
    return 0;
}

int flux_msg_get_control(const flux_msg_t *msg, int *type, int *status)
{
    if (check_type(msg, msg, FLUX_MSGTYPE_CONTROL) < 0)
        return -1;
    if (type)
        *type = msg->proto.aux1;
    if (status)
        *status = msg->proto.aux2;
    return 0;
}

int flux_msg_set_matchtag(flux_msg_t *msg, uint32_t matchtag)
{
    if (check_type(msg, msg, FLUX_MSGTYPE_REQUEST | FLUX_MSGTYPE_RESPONSE) < 0)
        return -1;
    msg->proto.aux2 = matchtag;
    return 0;
}

int flux_msg_get_matchtag(const flux_msg_t *msg, uint32_t *matchtag)
{
    if (check_type(msg, matchtag, FLUX_MSGTYPE_REQUEST | FLUX_MSGTYPE_RESPONSE) < 0)
        return -1;
    *matchtag = msg->proto.aux2;
    return 0;
}

int flux_msg_set_userid(flux_msg_t *msg, uint32_t userid)
{
    if (!msg)
        return fail(EINVAL);
    msg->proto.userid = userid;
    return 0;
}

int flux_msg_get_userid(const flux_msg_t *msg, uint32_t *userid)
{
    if (!msg || !userid)
        return fail(EINVAL);
    *userid = msg->proto.userid;
    return 0;
}

int flux_msg_set_rolemask(flux_msg_t *msg, uint32_t rolemask)
{
    if (!msg)
        return fail(EINVAL);
    msg->proto.rolemask = rolemask;
    return 0;
}

int flux_msg_get_rolemask(const flux_msg_t *msg, uint32_t *rolemask)
{
    if (!msg || !rolemask)
        return fail(EINVAL);
    *rolemask = msg->proto.rolemask;
    return 0;
}

int flux_msg_get_cred(const flux_msg_t *msg, struct flux_msg_cred *cred)
{
    if (!msg || !cred)
        return fail(EINVAL);
    cred->userid = msg->proto.userid;
    cred->rolemask = msg->proto.rolemask;
    return 0;
}

int flux_msg_set_cred(flux_msg_t *msg, struct flux_msg_cred cred)
{
    if (!msg)
        return fail(EINVAL);
    msg->proto.userid = cred.userid;
    msg->proto.rolemask = cred.rolemask;
    return 0;
}

int flux_msg_authorize(const flux_msg_t *msg, uint32_t userid)
{
    if (!msg)
        return fail(EINVAL);
    if (msg->proto.rolemask & FLUX_ROLE_OWNER)
        return 0;
    if ((msg->proto.rolemask & FLUX_ROLE_USER) && userid != FLUX_USERID_UNKNOWN &&
        msg->proto.userid == userid)
        return 0;
    return fail(EPERM);
}
