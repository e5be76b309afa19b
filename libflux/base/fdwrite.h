/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* All of a buffer into a descriptor that blocks: a file, a memfd, a pipe that somebody reads. Not
 * for a daemon's sockets. */
#ifndef BASE_FDWRITE_H
#define BASE_FDWRITE_H

#include <stddef.h>

/* 0 when all size bytes are written, or -errno; then some of them may be. Interruptions by signals
 * are none. */
int fd_write_all(int fd, const void *data, size_t size);

#endif
