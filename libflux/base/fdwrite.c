/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A write(2) that was cut short is followed by another one, which then says why. */
#include "base/fdwrite.h"

#include <errno.h>
#include <unistd.h>

int fd_write_all(int fd, const void *data, size_t size)
{
    const char *p = data;

    while (size > 0) {
        const ssize_t n = write(fd, p, size);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            p += n;
            size -= (size_t)n;
        }
    }
    return 0;
}
