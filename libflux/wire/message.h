/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the transport and the router need of a message beyond <flux/message.h>: the decoded header,
 * and a payload that may stay in a sealed memfd until somebody reads it. */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include <sys/types.h>
#include <flux/message.h>

#define MSG_PROTO_SIZE  20
#define MSG_TOPIC_MAX   255         /* bytes, NUL excluded */
#define MSG_ROUTES_MAX  16          /* hops */
#define MSG_ROUTE_MAX   64          /* bytes of one hop's name */
#define MSG_PAYLOAD_MAX (1u << 30)  /* bytes; also bounds a memfd */
#define MSG_INLINE_MAX  (64u << 10) /* a larger payload travels as a memfd */

struct msg_proto {
    uint8_t type;
    uint8_t flags;
    uint32_t userid;
    uint32_t rolemask;
    uint32_t aux1; /* nodeid, errnum, sequence, control type */
    uint32_t aux2; /* matchtag, control status */
};

/* The fixed header, for the router's fast path. Never NULL for a message. */
const struct msg_proto *msg_proto(const flux_msg_t *msg);
struct msg_proto *msg_proto_mut(flux_msg_t *msg);
const char *msg_topic(const flux_msg_t *msg); /* "" if none */

/* Payload size without reading a memfd. */
size_t msg_payload_size(const flux_msg_t *msg);
/* The memfd that holds the payload, or -EBADF. Lent. */
int msg_payload_fd(const flux_msg_t *msg);
/* Give the message a payload in a memfd that was checked (msg_memfd_check); consumes fd. */
int msg_set_payload_fd(flux_msg_t *msg, int fd, size_t size);
/* 0, or -EPERM/-EINVAL/-EFBIG: needs the four seals, a regular file, size <= limit. */
int msg_memfd_check(int fd, size_t limit, size_t *ret_size);
int msg_memfd_create(const void *data, size_t size); /* sealed; fd or -errno */

/* Framed encoding in pieces for sendmsg: head (malloc-free scratch of the caller), payload (lent),
 * tail. With a memfd payload the payload part is empty and fd is set. head_size <= MSG_HEAD_MAX. */
#define MSG_HEAD_MAX (8 + MSG_ROUTES_MAX * (5 + MSG_ROUTE_MAX) + 1 + 5 + MSG_TOPIC_MAX + 1 + 5)
struct msg_pieces {
    uint8_t head[MSG_HEAD_MAX];
    size_t head_size;
    const void *payload;
    size_t payload_size;
    uint8_t tail[1 + MSG_PROTO_SIZE];
    size_t tail_size;
    int fd; /* -EBADF or lent memfd */
};
int msg_encode_pieces(const flux_msg_t *msg, struct msg_pieces *ret);
size_t msg_encode_size(const flux_msg_t *msg); /* bytes of one datagram */

/* Decode one framed message; everything is copied into one allocation. fd: a checked memfd or
 * -EBADF; consumed on success. 0 or -EPROTO; the reason is a string constant. */
int msg_decode(const void *buf, size_t size, int fd, size_t fd_size, flux_msg_t **ret,
               const char **ret_reason);

#endif
