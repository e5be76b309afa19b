/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Sealed memfds, which carry payloads that are too large for a datagram. What arrives is accepted
 * only if nobody can change it any more (all four seals), it is a regular file, we may read it, and
 * its size is within the limit. Nothing here maps memory. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdwrite.h"
#include "wire/message.h"

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int msg_memfd_check(int fd, size_t limit, size_t *ret_size)
{
    struct stat st;
    int seals, flags;

    if (fstat(fd, &st) < 0)
        return -EINVAL;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    seals = fcntl(fd, F_GET_SEALS); /* fails on anything but shared memory */
    if (seals < 0 || (seals & SEALS) != SEALS)
        return -EPERM;
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_WRONLY)
        return -EPERM;
    if (st.st_size < 0 || (uint64_t)st.st_size > limit)
        return -EFBIG;
    *ret_size = st.st_size;
    return 0;
}

int msg_memfd_create(const void *data, size_t size)
{
    CLEANUP(closep) int fd = memfd_create("flux-payload", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int rc;

    if (fd < 0)
        return -errno;
    rc = fd_write_all(fd, data, size);
    if (rc < 0)
        return rc;
    if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
        return -errno;
    return TAKE_FD(fd);
}
