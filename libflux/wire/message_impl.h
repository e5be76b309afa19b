/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The inside of a message, for the files of this folder alone.
 *
 * A message is one allocation: this struct, room for routes and topic, and, when it was decoded,
 * the payload bytes. The payload is counted on its own, so that copies of a message and output
 * queues can hold it while the message's header goes on changing. A payload that lives inside a
 * message's allocation keeps that allocation (not the message) alive through block_refs. */
#ifndef WIRE_MESSAGE_IMPL_H
#define WIRE_MESSAGE_IMPL_H

#include <jansson.h>
#include "wire/message.h"

struct msg_payload {
    int refs;              /* 0: unused */
    struct flux_msg *home; /* the message that this struct is part of; NULL: allocated alone */
    const void *data;      /* NULL: only in fd so far */
    void *heap;            /* data to be freed; NULL: data lies in home's allocation */
    size_t size;
    int fd; /* sealed memfd or -EBADF */
};

struct flux_msg {
    int refs;
    int block_refs; /* one for the message, one while `own` is in use */
    struct msg_proto proto;
    uint8_t nroutes;
    uint8_t topic_size;  /* NUL excluded; 0: none */
    uint16_t topic_room; /* bytes at topic_space, NUL included */
    uint16_t routes_used;
    uint16_t routes_room;
    uint8_t route_size[MSG_ROUTES_MAX]; /* NUL excluded */
    char *routes;                       /* oldest hop first, each with its NUL */
    char *routes_heap;                  /* or NULL while routes lies in this allocation */
    char *topic;
    char *topic_space;
    char *topic_heap;
    struct msg_payload *payload; /* NULL: none */
    struct msg_payload own;
    json_t *json;     /* decoded payload, or NULL */
    char *last_error; /* of pack and unpack */
};

#define MSG_ROUTES_ROOM 72 /* bytes kept free in a new message: four hops of 16 digits */
#define MSG_TOPIC_ROOM  56

/* A message with room for this much; extra bytes for a payload lie behind, at *ret_extra. */
flux_msg_t *msg_alloc(int type, size_t routes_room, size_t topic_room, size_t extra,
                      void **ret_extra);

/* An empty payload that belongs to msg (whose old one is dropped) and is filled in by the caller.
 */
struct msg_payload *msg_payload_begin(flux_msg_t *msg);
void msg_payload_clear(flux_msg_t *msg);
struct msg_payload *msg_payload_ref(struct msg_payload *p);
struct msg_payload *msg_payload_unref(struct msg_payload *p);
int msg_payload_load(struct msg_payload *p);       /* read the memfd: 0 or -errno */
int msg_payload_make_memfd(struct msg_payload *p); /* keep it in a memfd too: 0 or -errno */

bool msg_topic_valid(const char *topic, size_t size);
int msg_set_topic_bytes(flux_msg_t *msg, const char *topic, size_t size);
int msg_push_route_bytes(flux_msg_t *msg, const char *id, size_t size); /* 0 or -errno */

/* Sizes and bytes of the pieces; inlined: the payload is counted as part of the datagram. */
size_t msg_head_size(const flux_msg_t *msg, size_t inline_payload_size);
size_t msg_write_head(const flux_msg_t *msg, size_t inline_payload_size, uint8_t *head);
void msg_write_tail(const flux_msg_t *msg, uint8_t tail[1 + MSG_PROTO_SIZE]);

#endif
