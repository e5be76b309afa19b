/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* RFC 3 version 1 encoding with its framing.
 *
 *   FF EE 00 12 | length u32 | part ... | PROTO part
 *   part:  size u8 (0..254) data, or 255, size u32 (>= 255), data
 *   parts: [route (newest first) ... empty] [topic] [payload] PROTO(20 bytes)
 *
 * Decoding is strict: there is one encoding of a message and everything else is refused, so that
 * encode(decode(x)) == x. Refused: lengths that do not add up, long sizes that fit the short form,
 * unknown flags, types, versions, missing or superfluous parts, empty or oversized routes and
 * topics, a memfd together with payload bytes. Everything is copied into one allocation. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "wire/message_impl.h"

#define FRAME_SIZE    8
#define FRAME_MAGIC   0xffee0012u
#define PROTO_MAGIC   0x8e
#define PROTO_VERSION 1
#define TAIL_SIZE     (1 + MSG_PROTO_SIZE)

static uint32_t get32(const uint8_t *p)
{
    uint32_t n;

    memcpy(&n, p, sizeof(n));
    return ntohl(n);
}

static uint8_t *put32(uint8_t *p, uint32_t n)
{
    n = htonl(n);
    memcpy(p, &n, sizeof(n));
    return p + sizeof(n);
}

static size_t size_of_size(size_t size)
{
    return size < 255 ? 1 : 5;
}

static uint8_t *put_size(uint8_t *p, size_t size)
{
    if (size < 255) {
        *p++ = size;
        return p;
    }
    *p++ = 255;
    return put32(p, size);
}

static uint8_t *put_part(uint8_t *p, const void *data, size_t size)
{
    p = put_size(p, size);
    memcpy(p, data, size);
    return p + size;
}

size_t msg_head_size(const flux_msg_t *msg, size_t inline_payload_size)
{
    size_t size = FRAME_SIZE;

    if (msg->proto.flags & FLUX_MSGFLAG_ROUTE)
        size += msg->routes_used + 1; /* each hop: NUL here, size byte there; and the delimiter */
    if (msg->proto.flags & FLUX_MSGFLAG_TOPIC)
        size += size_of_size(msg->topic_size) + msg->topic_size;
    if (msg->proto.flags & FLUX_MSGFLAG_PAYLOAD)
        size += size_of_size(inline_payload_size);
    return size;
}

size_t msg_write_head(const flux_msg_t *msg, size_t inline_payload_size, uint8_t *head)
{
    size_t size = msg_head_size(msg, inline_payload_size);
    uint8_t *p = put32(head, FRAME_MAGIC);

    p = put32(p, size - FRAME_SIZE + inline_payload_size + TAIL_SIZE);
    if (msg->proto.flags & FLUX_MSGFLAG_ROUTE) {
        const char *id = msg->routes + msg->routes_used;

        for (int i = msg->nroutes - 1; i >= 0; i--) {
            id -= msg->route_size[i] + 1;
            p = put_part(p, id, msg->route_size[i]);
        }
        *p++ = 0;
    }
    if (msg->proto.flags & FLUX_MSGFLAG_TOPIC)
        p = put_part(p, msg->topic, msg->topic_size);
    if (msg->proto.flags & FLUX_MSGFLAG_PAYLOAD)
        p = put_size(p, inline_payload_size);
    return p - head;
}

void msg_write_tail(const flux_msg_t *msg, uint8_t tail[TAIL_SIZE])
{
    uint8_t *p = tail;

    *p++ = MSG_PROTO_SIZE;
    *p++ = PROTO_MAGIC;
    *p++ = PROTO_VERSION;
    *p++ = msg->proto.type;
    *p++ = msg->proto.flags;
    p = put32(p, msg->proto.userid);
    p = put32(p, msg->proto.rolemask);
    p = put32(p, msg->proto.aux1);
    (void)put32(p, msg->proto.aux2);
}

static bool goes_by_memfd(const flux_msg_t *msg)
{
    const struct msg_payload *p = msg->payload;

    return p && (p->size > MSG_INLINE_MAX || !p->data);
}

static bool may_travel(const flux_msg_t *msg)
{
    return msg->topic_size > 0 || msg->proto.type == FLUX_MSGTYPE_CONTROL;
}

int msg_encode_pieces(const flux_msg_t *msg, struct msg_pieces *ret)
{
    size_t inline_size = 0;

    if (!may_travel(msg))
        return -EPROTO;
    ret->payload = NULL;
    ret->payload_size = 0;
    ret->fd = -EBADF;
    if (goes_by_memfd(msg)) {
        int rc = msg_payload_make_memfd(msg->payload);

        if (rc < 0)
            return rc;
        ret->fd = msg->payload->fd;
    } else if (msg->payload) {
        inline_size = ret->payload_size = msg->payload->size;
        ret->payload = msg->payload->data;
    }
    ret->head_size = msg_write_head(msg, inline_size, ret->head);
    msg_write_tail(msg, ret->tail);
    ret->tail_size = TAIL_SIZE;
    return 0;
}

size_t msg_encode_size(const flux_msg_t *msg)
{
    size_t inline_size = goes_by_memfd(msg) ? 0 : msg_payload_size(msg);

    return msg_head_size(msg, inline_size) + inline_size + TAIL_SIZE;
}

int flux_msg_encode(const flux_msg_t *msg, void **buf, size_t *size)
{
    size_t payload_size, head_size;
    uint8_t *p;
    int rc = 0;

    if (!msg || !buf || !size) {
        errno = EINVAL;
        return -1;
    }
    if (msg->payload)
        rc = msg_payload_load(msg->payload);
    if (rc < 0) {
        errno = -rc;
        return -1;
    }
    payload_size = msg_payload_size(msg);
    head_size = msg_head_size(msg, payload_size);
    p = malloc(head_size + payload_size + TAIL_SIZE);
    if (!p)
        return -1;
    (void)msg_write_head(msg, payload_size, p);
    if (payload_size > 0)
        memcpy(p + head_size, msg->payload->data, payload_size);
    msg_write_tail(msg, p + head_size + payload_size);
    *buf = p;
    *size = head_size + payload_size + TAIL_SIZE;
    return 0;
}

/* --- decoding --- */

struct part {
    const uint8_t *data;
    size_t size;
};

struct cursor {
    const uint8_t *p;
    const uint8_t *end;
};

struct parsed {
    struct msg_proto proto;
    int nroutes;
    size_t routes_size; /* with a NUL each */
    struct part routes[MSG_ROUTES_MAX];
    struct part topic;
    struct part payload;
};

static bool next_part(struct cursor *c, struct part *ret)
{
    size_t size;

    if (c->p == c->end)
        return false;
    size = *c->p++;
    if (size == 255) {
        if (c->end - c->p < 4)
            return false;
        size = get32(c->p);
        c->p += 4;
        if (size < 255)
            return false;
    }
    if (size > (size_t)(c->end - c->p))
        return false;
    *ret = (struct part){ .data = c->p, .size = size };
    c->p += size;
    return true;
}

static const char *parse_proto(const uint8_t *p, struct msg_proto *ret)
{
    if (p[0] != PROTO_MAGIC)
        return "bad magic number in the header block";
    if (p[1] != PROTO_VERSION)
        return "unknown protocol version";
    *ret = (struct msg_proto){
        .type = p[2],
        .flags = p[3],
        .userid = get32(p + 4),
        .rolemask = get32(p + 8),
        .aux1 = get32(p + 12),
        .aux2 = get32(p + 16),
    };
    if (ret->flags & 0x80)
        return "unknown flag";
    switch (ret->type) {
    case FLUX_MSGTYPE_REQUEST:
    case FLUX_MSGTYPE_RESPONSE:
    case FLUX_MSGTYPE_EVENT:
        return (ret->flags & FLUX_MSGFLAG_TOPIC) ? NULL : "message without a topic";
    case FLUX_MSGTYPE_CONTROL:
        if (ret->flags & (FLUX_MSGFLAG_TOPIC | FLUX_MSGFLAG_PAYLOAD | FLUX_MSGFLAG_ROUTE))
            return "control message with parts";
        return NULL;
    default:
        return "unknown message type";
    }
}

static const char *parse_routes(struct cursor *c, struct parsed *ret)
{
    struct part part;

    for (;;) {
        if (!next_part(c, &part))
            return "bad part size";
        if (part.size == 0)
            return NULL;
        if (ret->nroutes == MSG_ROUTES_MAX)
            return "too many routes";
        if (part.size > MSG_ROUTE_MAX || memchr(part.data, '\0', part.size))
            return "bad route";
        ret->routes[ret->nroutes++] = part;
        ret->routes_size += part.size + 1;
    }
}

static const char *parse_parts(struct cursor *c, struct parsed *ret)
{
    if (ret->proto.flags & FLUX_MSGFLAG_ROUTE) {
        const char *reason = parse_routes(c, ret);

        if (reason)
            return reason;
    }
    if (ret->proto.flags & FLUX_MSGFLAG_TOPIC) {
        if (!next_part(c, &ret->topic))
            return "bad part size";
        if (!msg_topic_valid((const char *)ret->topic.data, ret->topic.size))
            return "bad topic";
    }
    if ((ret->proto.flags & FLUX_MSGFLAG_PAYLOAD) && !next_part(c, &ret->payload))
        return "bad part size";
    if (ret->payload.size > MSG_PAYLOAD_MAX)
        return "payload too large";
    return c->p == c->end ? NULL : "parts that the flags do not announce";
}

static const char *parse(const uint8_t *buf, size_t size, struct parsed *ret)
{
    struct cursor c;
    const char *reason;

    if (size < FRAME_SIZE + TAIL_SIZE)
        return "message too short";
    c = (struct cursor){ .p = buf + FRAME_SIZE, .end = buf + size - TAIL_SIZE };
    if (get32(buf) != FRAME_MAGIC)
        return "bad magic number";
    if (get32(buf + 4) != size - FRAME_SIZE)
        return "length does not match";
    if (*c.end != MSG_PROTO_SIZE)
        return "bad part size";
    reason = parse_proto(c.end + 1, &ret->proto);
    return reason ? reason : parse_parts(&c, ret);
}

/* Everything was checked and room was made: nothing here can fail. */
static void fill(flux_msg_t *msg, const struct parsed *p)
{
    msg->proto = p->proto;
    for (int i = p->nroutes - 1; i >= 0; i--)
        (void)msg_push_route_bytes(msg, (const char *)p->routes[i].data, p->routes[i].size);
    if (p->topic.size > 0)
        (void)msg_set_topic_bytes(msg, (const char *)p->topic.data, p->topic.size);
}

static flux_msg_t *build(const struct parsed *p, int fd, size_t fd_size)
{
    void *space;
    flux_msg_t *msg = msg_alloc(p->proto.type, p->routes_size + MSG_ROUTES_ROOM, p->topic.size + 1,
                                p->payload.size, &space);
    struct msg_payload *payload;

    if (!msg)
        return NULL;
    fill(msg, p);
    if (!(p->proto.flags & FLUX_MSGFLAG_PAYLOAD))
        return msg;
    payload = msg_payload_begin(msg); /* uses msg->own: no allocation */
    if (fd >= 0) {
        payload->fd = fd;
        payload->size = fd_size;
        return msg;
    }
    payload->data = p->payload.size > 0 ? memcpy(space, p->payload.data, p->payload.size) : "";
    payload->size = p->payload.size;
    return msg;
}

int msg_decode(const void *buf, size_t size, int fd, size_t fd_size, flux_msg_t **ret,
               const char **ret_reason)
{
    struct parsed p = { .nroutes = 0 };
    const char *reason = parse(buf, size, &p);

    if (!reason && fd >= 0 && (!(p.proto.flags & FLUX_MSGFLAG_PAYLOAD) || p.payload.size > 0))
        reason = "file descriptor where none belongs";
    if (reason) {
        *ret_reason = reason;
        return -EPROTO;
    }
    *ret = build(&p, fd, fd_size);
    if (!*ret) {
        *ret_reason = "out of memory";
        return -ENOMEM;
    }
    return 0;
}

flux_msg_t *flux_msg_decode(const void *buf, size_t size)
{
    const char *reason;
    flux_msg_t *msg;
    int rc;

    if (!buf) {
        errno = EINVAL;
        return NULL;
    }
    rc = msg_decode(buf, size, -EBADF, 0, &msg, &reason);
    if (rc < 0) {
        errno = -rc;
        return NULL;
    }
    return msg;
}
