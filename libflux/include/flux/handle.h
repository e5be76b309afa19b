/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Broker handle: a connection to the router of this node (or a loop back to itself). Not
 * thread-safe: one thread at a time. See flux_open(3), flux_send(3), flux_recv(3),
 * flux_pollevents(3). */
#ifndef FLUX_HANDLE_H
#define FLUX_HANDLE_H

#include <errno.h>
#include <string.h>
#include <flux/message.h>
#include <flux/reactor.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FLUX_O_TRACE      1
#define FLUX_O_CLONE      2
#define FLUX_O_NONBLOCK   4
#define FLUX_O_MATCHDEBUG 8
/* When the router goes away: what was in flight fails with ECONNRESET, then the handle connects
 * again (for at most 30 s; sends block or, with NONBLOCK, fail EAGAIN meanwhile) and repeats its
 * event subscriptions and service registrations. Without it every later call fails ECONNRESET. */
#define FLUX_O_RECONNECT 0x100

#define FLUX_RQ_HEAD     1
#define FLUX_RQ_TAIL     2

typedef void (*flux_fatal_f)(const char *msg, void *arg);
typedef int (*flux_comms_error_f)(flux_t *h, void *arg);

/* uri: "local://PATH" (a SEQPACKET socket), "loop://", or NULL: $FLUX_URI, then the system instance
 * (local:///run/flux/local). Errors: ENOENT no such socket, ECONNREFUSED nobody listens, EPERM
 * refused, EINVAL not a URI. flux_open_ex also says so in words. */
flux_t *flux_open(const char *uri, int flags);
flux_t *flux_open_ex(const char *uri, int flags, flux_error_t *error);
void flux_close(flux_t *h);
flux_t *flux_clone(flux_t *orig);
void flux_incref(flux_t *h);
void flux_decref(flux_t *h);

void flux_flags_set(flux_t *h, int flags);
void flux_flags_unset(flux_t *h, int flags);
int flux_flags_get(flux_t *h);

/* Messages that went through a handle and its clones since it was opened or they were cleared. */
struct flux_msgcounters {
    int request_tx, request_rx;
    int response_tx, response_rx;
    int event_tx, event_rx;
    int control_tx, control_rx;
};
typedef struct flux_msgcounters flux_msgcounters_t;

void flux_get_msgcounters(flux_t *h, flux_msgcounters_t *mcs);
void flux_clr_msgcounters(flux_t *h);

/* Called when the connection is lost and not re-established. Return 0: handled, -1: not. */
void flux_comms_error_set(flux_t *h, flux_comms_error_f cb, void *arg);
/* Called after FLUX_O_RECONNECT has connected anew. */
void flux_reconnect_set(flux_t *h, flux_comms_error_f cb, void *arg);

void *flux_aux_get(flux_t *h, const char *name);
int flux_aux_set(flux_t *h, const char *name, void *aux, flux_free_f destroy);

void flux_fatal_set(flux_t *h, flux_fatal_f fun, void *arg);
void flux_fatal_error(flux_t *h, const char *fun, const char *msg);
#define FLUX_FATAL(h)                                         \
    do {                                                      \
        flux_fatal_error((h), __FUNCTION__, strerror(errno)); \
    } while (0)

int flux_send(flux_t *h, const flux_msg_t *msg, int flags);
flux_msg_t *flux_recv(flux_t *h, struct flux_match match, int flags);
int flux_requeue(flux_t *h, const flux_msg_t *msg, int flags);
int flux_pollevents(flux_t *h);
int flux_pollfd(flux_t *h);

uint32_t flux_matchtag_alloc(flux_t *h); /* FLUX_MATCHTAG_NONE if none is left (errno EBUSY) */
void flux_matchtag_free(flux_t *h, uint32_t matchtag);
uint32_t flux_matchtag_avail(flux_t *h);

flux_reactor_t *flux_get_reactor(flux_t *h);
int flux_set_reactor(flux_t *h, flux_reactor_t *r);

#ifdef __cplusplus
}
#endif

#endif
