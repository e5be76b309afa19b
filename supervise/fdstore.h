/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Descriptors that a daemon leaves with its manager (FDSTORE=1) to get them back when it starts
 * again. */
#ifndef SUPERVISE_FDSTORE_H
#define SUPERVISE_FDSTORE_H

#include <stdbool.h>
#include <stddef.h>

struct stored_fd {
    int fd;
    char *name;
    bool poll; /* dropped when its other end is closed */
};

struct fdstore {
    size_t max;
    size_t count;
    struct stored_fd *fds;
};

/* Consumes fd in every case. 0 stored or there already; -ENOSPC, -EINVAL (name), -ENOMEM. */
int fdstore_add(struct fdstore *s, int fd, const char *name, bool poll);
void fdstore_remove(struct fdstore *s, const char *name); /* all of that name */
void fdstore_drop_dead(struct fdstore *s);
void fdstore_deinit(struct fdstore *s);

#endif
