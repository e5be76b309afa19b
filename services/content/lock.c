/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flock(2), which ends with its process. The file has a byte once there was a store. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/errorx.h"
#include "content/lock.h"

#define TRIES          100
#define TRY_EVERY_MSEC 50

static int wait_for_lock(int fd, int tries)
{
    const struct timespec pause = { .tv_nsec = TRY_EVERY_MSEC * 1000000 };

    for (;;) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return -errno;
        if (--tries <= 0)
            return -EBUSY;
        (void)nanosleep(&pause, NULL);
    }
}

int lock_take(const char *path, bool wait, int *ret_fd, flux_error_t *error)
{
    CLEANUP(freep) char *name = NULL;
    CLEANUP(closep) int fd = -EBADF;
    int rc;

    if (asprintf(&name, "%s-lock", path) < 0) {
        name = NULL;
        return errorx_fail(error, ENOMEM, "out of memory");
    }
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return errorx_fail(error, errno, "%s: %s", name, strerror(errno));
    if ((rc = wait_for_lock(fd, wait ? TRIES : 1)) < 0)
        return errorx_fail(error, -rc, "%s: %s", path,
                           rc == -EBUSY ? "another flux-content runs on it" : strerror(-rc));
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int lock_check(const char *path, int fd, flux_error_t *error)
{
    struct stat st;

    if (access(path, F_OK) == 0 || errno != ENOENT || fstat(fd, &st) < 0 || st.st_size == 0)
        return 0;
    return errorx_fail(error, ENOENT,
                       "%s is missing, though a store was there: put a backup in its place, or "
                       "begin with what its journal has by 'flux content repair'",
                       path);
}

void lock_mark(int fd)
{
    (void)pwrite(fd, "\n", 1, 0);
}
