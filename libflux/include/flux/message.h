/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Messages: RFC 3 version 1. A message is reference counted; every accessor that returns a pointer
 * lends it for as long as the caller holds a reference and the message is not changed.
 * Functions return 0 or a value, or -1/NULL with errno: EINVAL for arguments that make no sense,
 * EPROTO for a message of the wrong type or without the part asked for, ENOMEM. */
#ifndef FLUX_MESSAGE_H
#define FLUX_MESSAGE_H

#include <flux/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FLUX_MSGTYPE_REQUEST    0x01
#define FLUX_MSGTYPE_RESPONSE   0x02
#define FLUX_MSGTYPE_EVENT      0x04
#define FLUX_MSGTYPE_CONTROL    0x08
#define FLUX_MSGTYPE_ANY        0x0f
#define FLUX_MSGTYPE_MASK       0x0f

#define FLUX_MSGFLAG_TOPIC      0x01
#define FLUX_MSGFLAG_PAYLOAD    0x02
#define FLUX_MSGFLAG_NORESPONSE 0x04
#define FLUX_MSGFLAG_ROUTE      0x08
#define FLUX_MSGFLAG_UPSTREAM   0x10
#define FLUX_MSGFLAG_PRIVATE    0x20
#define FLUX_MSGFLAG_STREAMING  0x40

#define FLUX_MATCHTAG_NONE      0u
#define FLUX_MATCHTAG_MAX       0x7fffffffu

struct flux_match {
    int typemask;           /* mask of FLUX_MSGTYPE_*, 0: any */
    uint32_t matchtag;      /* FLUX_MATCHTAG_NONE: any */
    const char *topic_glob; /* fnmatch(3) pattern, NULL or "": any */
};

#define FLUX_MATCH_ANY      ((struct flux_match){ FLUX_MSGTYPE_ANY, FLUX_MATCHTAG_NONE, NULL })
#define FLUX_MATCH_EVENT    ((struct flux_match){ FLUX_MSGTYPE_EVENT, FLUX_MATCHTAG_NONE, NULL })
#define FLUX_MATCH_REQUEST  ((struct flux_match){ FLUX_MSGTYPE_REQUEST, FLUX_MATCHTAG_NONE, NULL })
#define FLUX_MATCH_RESPONSE ((struct flux_match){ FLUX_MSGTYPE_RESPONSE, FLUX_MATCHTAG_NONE, NULL })

flux_msg_t *flux_msg_create(int type);
void flux_msg_destroy(flux_msg_t *msg); /* same as decref; NULL is fine; errno is kept */
const flux_msg_t *flux_msg_incref(const flux_msg_t *msg);
void flux_msg_decref(const flux_msg_t *msg);
flux_msg_t *flux_msg_copy(const flux_msg_t *msg, bool payload);

/* Serialized form, RFC 3 framing included. *buf is malloc'd, caller frees. */
int flux_msg_encode(const flux_msg_t *msg, void **buf, size_t *size);
flux_msg_t *flux_msg_decode(const void *buf, size_t size);

bool flux_msg_cmp(const flux_msg_t *msg, struct flux_match match);

int flux_msg_get_type(const flux_msg_t *msg, int *type);
int flux_msg_get_flags(const flux_msg_t *msg, uint8_t *flags);
int flux_msg_set_flags(flux_msg_t *msg, uint8_t flags);
bool flux_msg_is_private(const flux_msg_t *msg);
int flux_msg_set_private(flux_msg_t *msg);
bool flux_msg_is_streaming(const flux_msg_t *msg);
int flux_msg_set_streaming(flux_msg_t *msg);
bool flux_msg_is_noresponse(const flux_msg_t *msg);
int flux_msg_set_noresponse(flux_msg_t *msg);

int flux_msg_set_topic(flux_msg_t *msg, const char *topic); /* NULL clears */
int flux_msg_get_topic(const flux_msg_t *msg, const char **topic);

int flux_msg_set_payload(flux_msg_t *msg, const void *buf, int size); /* copies; NULL,0 clears */
int flux_msg_get_payload(const flux_msg_t *msg, const void **buf, int *size);
bool flux_msg_has_payload(const flux_msg_t *msg);
int flux_msg_set_string(flux_msg_t *msg, const char *s); /* payload with its NUL */
int flux_msg_get_string(const flux_msg_t *msg, const char **s);
int flux_msg_pack(flux_msg_t *msg, const char *fmt, ...);
int flux_msg_vpack(flux_msg_t *msg, const char *fmt, va_list ap);
int flux_msg_unpack(const flux_msg_t *msg, const char *fmt, ...);
int flux_msg_vunpack(const flux_msg_t *msg, const char *fmt, va_list ap);
/* Why the last (un)pack failed, a sentence; never NULL. */
const char *flux_msg_last_error(const flux_msg_t *msg);

int flux_msg_set_nodeid(flux_msg_t *msg, uint32_t nodeid);
int flux_msg_get_nodeid(const flux_msg_t *msg, uint32_t *nodeid);
int flux_msg_set_userid(flux_msg_t *msg, uint32_t userid);
int flux_msg_get_userid(const flux_msg_t *msg, uint32_t *userid);
int flux_msg_set_rolemask(flux_msg_t *msg, uint32_t rolemask);
int flux_msg_get_rolemask(const flux_msg_t *msg, uint32_t *rolemask);
int flux_msg_get_cred(const flux_msg_t *msg, struct flux_msg_cred *cred);
int flux_msg_set_cred(flux_msg_t *msg, struct flux_msg_cred cred);
/* 0 if the sender is the instance owner or the user userid; -1 EPERM otherwise. */
int flux_msg_authorize(const flux_msg_t *msg, uint32_t userid);
int flux_msg_set_errnum(flux_msg_t *msg, int errnum);
int flux_msg_get_errnum(const flux_msg_t *msg, int *errnum);
int flux_msg_set_seq(flux_msg_t *msg, uint32_t seq);
int flux_msg_get_seq(const flux_msg_t *msg, uint32_t *seq);
int flux_msg_set_control(flux_msg_t *msg, int type, int status);
int flux_msg_get_control(const flux_msg_t *msg, int *type, int *status);
int flux_msg_set_matchtag(flux_msg_t *msg, uint32_t matchtag);
int flux_msg_get_matchtag(const flux_msg_t *msg, uint32_t *matchtag);

/* Route stack. "First" is the hop nearest the sender, "last" the one added most recently. */
int flux_msg_route_enable(flux_msg_t *msg);
void flux_msg_route_disable(flux_msg_t *msg);
int flux_msg_route_clear(flux_msg_t *msg);
int flux_msg_route_push(flux_msg_t *msg, const char *id);
int flux_msg_route_delete_last(flux_msg_t *msg);
const char *flux_msg_route_first(const flux_msg_t *msg);
const char *flux_msg_route_last(const flux_msg_t *msg);
int flux_msg_route_count(const flux_msg_t *msg);    /* -1 EPROTO if routes are not enabled */
char *flux_msg_route_string(const flux_msg_t *msg); /* "a!b!c", malloc'd */
/* Do both messages come from the same sender? (first route and, where both lack one, userid) */
bool flux_msg_route_match_first(const flux_msg_t *a, const flux_msg_t *b);

const char *flux_msg_typestr(int type);
void flux_msg_fprint(void *file, const flux_msg_t *msg); /* file: FILE * */

#ifdef __cplusplus
}
#endif

#endif
