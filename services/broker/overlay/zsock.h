/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A ZeroMQ socket on the event loop. The only interface to ZeroMQ: nobody else includes <zmq.h>.
 *
 * What libzmq leaves open by default is closed: frames larger than OVERLAY_FRAME_MAX end the
 * connection (a stranger cannot make us allocate), heartbeats find half-open connections, a
 * handshake has three seconds, what cannot be delivered is an error and not silently dropped. */
#ifndef OVERLAY_ZSOCK_H
#define OVERLAY_ZSOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <flux/reactor.h>
#include "base/cleanup.h"
#include "wire/message.h"

#define OVERLAY_FRAME_MAX (MSG_INLINE_MAX + MSG_HEAD_MAX + 4096u)
#define ZSOCK_ID_SIZE     16
#define ZSOCK_KEY_SIZE    41 /* Z85, with its NUL */

struct zcontext;
struct zsock;

int zcontext_new(struct zcontext **ret);
struct zcontext *zcontext_free(struct zcontext *z); /* after its sockets */
DEFINE_CLEANUP(struct zcontext *, zcontext_free)

struct zsock_options {
    const uint8_t *id;      /* child: ZSOCK_ID_SIZE bytes; NULL: the parent's side */
    const char *public_key; /* own, Z85; NULL: no CURVE */
    const char *secret_key;
    const char *server_key; /* child: the parent's public key */
    bool ipv6;
    bool debug; /* log what happens to connections */
    int tcp_user_timeout_msec;
    int connect_timeout_msec;
};

struct zsock_ops {
    /* There may be something to receive, or room to send again. Called again at the next turn of
     * the loop if it returns true (its budget is spent). */
    bool (*on_ready)(struct zsock *s, void *arg);
    /* A connection to or from somebody ended, or could not be authenticated (failed). */
    void (*on_disconnect)(struct zsock *s, bool failed, void *arg);
};

int zsock_new(struct zcontext *z, flux_reactor_t *r, const struct zsock_options *opts,
              const struct zsock_ops *ops, void *arg, struct zsock **ret);
/* What is queued is dropped unless linger_msec allows it to go out. */
struct zsock *zsock_free(struct zsock *s, int linger_msec);

/* 0 or -errno. ret_uri (size URI_MAX, may be NULL): where it listens, with the port that "*" got.
 */
int zsock_bind(struct zsock *s, const char *uri, char *ret_uri, size_t size);
int zsock_connect(struct zsock *s, const char *uri);

/* on_ready is called at the next turn of the loop. */
void zsock_kick(struct zsock *s);

/* One frame, made of up to three parts. id: to whom (parent's side), or NULL. 0; -EAGAIN: no room
 * now (on_ready follows); -EHOSTUNREACH: nobody of this id is connected. */
int zsock_send(struct zsock *s, const uint8_t *id, const struct msg_pieces *p);

struct zframe {
    uint8_t id[ZSOCK_ID_SIZE]; /* from whom (parent's side) */
    const void *data;          /* lent until the next call */
    size_t size;
    const char *key; /* public, of the sender; "" without CURVE */
};
/* 0, -EAGAIN, -EPROTO (something that no router sends: ignored). */
int zsock_recv(struct zsock *s, struct zframe *ret);

/* --- ZAP: who may connect. */
struct zap;
int zap_new(struct zcontext *z, flux_reactor_t *r,
            bool (*allowed)(const char *public_key, void *arg), void *arg, struct zap **ret);
struct zap *zap_free(struct zap *zap);

#endif
