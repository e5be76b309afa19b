/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Connections to a daemon's own sockets. */
#ifndef SERVICE_PEER_H
#define SERVICE_PEER_H

#include <stddef.h>
#include "base/cleanup.h"

struct service;
struct peers;

int peers_new(struct service *svc, struct peers **ret);
/* Closes all, after giving them up to a second to take what is queued. */
struct peers *peers_free(struct peers *peers);
DEFINE_CLEANUP(struct peers *, peers_free)

/* A connection was accepted: serve it or refuse it. Consumes fd. */
void peers_add(struct peers *peers, int fd);
void peers_stop_reading(struct peers *peers);
size_t peers_count(const struct peers *peers);

#endif
