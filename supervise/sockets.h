/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Listening sockets of socket units. */
#ifndef SUPERVISE_SOCKETS_H
#define SUPERVISE_SOCKETS_H

#include "supervise/unit.h"

/* Creates one listening SEQPACKET socket per path, parent directories and the symbolic links.
 * ret_fds has room for strv_count(u->listen). 0 or -errno with a sentence; nothing stays open on
 * failure. */
int socket_unit_open(const struct socket_unit *u, int *ret_fds, flux_error_t *error);
int make_parents(const char *path, mode_t mode); /* of the file at path: 0 or -errno */

#endif
