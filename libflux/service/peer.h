/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Connections to a daemon's own sockets. */
#ifndef SERVICE_PEER_H
#define SERVICE_PEER_H

#include <stddef.h>
#include "base/cleanup.h"
#include "service/origin.h"

struct service;
struct peer;
struct peers;

int peers_new(struct service *svc, struct peers **ret);
/* Closes all, after giving them up to a second to take what is queued. */
struct peers *peers_free(struct peers *peers);
DEFINE_CLEANUP(struct peers *, peers_free)

/* A connection was accepted: serve it or refuse it. Consumes fd. */
void peers_add(struct peers *peers, int fd);
void peers_stop_reading(struct peers *peers);
size_t peers_count(const struct peers *peers);

/* --- for handover.c */

/* From now on messages are not dispatched but held as requests for the next process; nothing more
 * is read from the kernel. */
void peers_hold(struct peers *peers);
/* The first after prev (NULL: of all); NULL: no more. */
struct peer *peers_next(struct peers *peers, struct peer *prev);
/* Take up a connection. Consumes fd. 0 or -errno. */
int peers_adopt(struct peers *peers, int fd, bool is_client, struct peer **ret);
struct origin *peer_origin(struct peer *p);
int peer_fd(const struct peer *p); /* lent */
bool peer_is_client(const struct peer *p);
/* Is it at its end, or does output still wait? Then it cannot be handed on. */
bool peer_is_busy(const struct peer *p);
void peer_flush_wait(struct peer *p, uint64_t end_usec);

#endif
