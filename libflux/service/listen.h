/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Listening sockets passed by the service manager, by name. */
#ifndef SERVICE_LISTEN_H
#define SERVICE_LISTEN_H

#include <flux/reactor.h>
#include "base/cleanup.h"

struct listeners;

/* Adopts what LISTEN_FDS names; on_accept consumes the connection. 0 or -errno. */
int listeners_new(flux_reactor_t *r, void (*on_accept)(int fd, void *arg), void *arg,
                  struct listeners **ret);
struct listeners *listeners_free(struct listeners *l);
DEFINE_CLEANUP(struct listeners *, listeners_free)

size_t listeners_count(const struct listeners *l);
/* Steal the first descriptor of this name: a listening socket or one from the descriptor store.
 * -ENOENT. */
int listeners_take(struct listeners *l, const char *name);
/* When no descriptor is left, a reserve lets each one be accepted all the same, to be refused: fd
 * is lent. Without this they wait in the kernel until there are descriptors again. */
void listeners_refuse_with(struct listeners *l, void (*refuse)(int fd, void *arg));
int listeners_start(struct listeners *l);
void listeners_stop(struct listeners *l);

#endif
