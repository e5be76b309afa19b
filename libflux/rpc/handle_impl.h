/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A handle: one user's view of a connection, with its own reactor, dispatcher and aux items. */
#ifndef RPC_HANDLE_IMPL_H
#define RPC_HANDLE_IMPL_H

#include <flux/handle.h>
#include "rpc/aux.h"
#include "rpc/conn.h"
#include "rpc/limit.h"

struct flux_handle {
    int refcount;
    struct conn *conn;
    struct aux aux;
    flux_reactor_t *r;         /* NULL until asked for or set; a reference */
    struct dispatch *dispatch; /* NULL until needed */
};

/* A handle on a transport that is there already; consumes the connector. NULL with errno. */
flux_t *handle_new(struct connector *connector, const char *path, int flags);
/* A handle on a connected SEQPACKET socket; consumes fd. For tests and the router. */
flux_t *handle_open_fd(int fd, int flags);

#endif
