/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The descriptor store of one daemon, as sd_pid_notify_with_fds(3) says: names are 1 to 255
 * printable ASCII characters without a colon; a descriptor that refers to a file already stored is
 * dropped; descriptors whose other end hung up are dropped unless the daemon said FDPOLL=0. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "supervise/fdstore.h"

static bool is_name(const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < n; i++) {
        if (name[i] < ' ' || name[i] > '~' || name[i] == ':')
            return false;
    }
    return n > 0 && n <= 255;
}

static bool is_same_file(int a, int b)
{
    struct stat sa, sb;

    return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino && sa.st_rdev == sb.st_rdev;
}

int fdstore_add(struct fdstore *s, int fd, const char *name, bool poll)
{
    CLEANUP(closep) int taken = fd;
    CLEANUP(freep) char *copy = NULL;
    struct stored_fd *bigger;

    if (!is_name(name))
        return -EINVAL;
    for (size_t i = 0; i < s->count; i++) {
        if (is_same_file(s->fds[i].fd, fd))
            return 0;
    }
    if (s->count >= s->max)
        return -ENOSPC;
    copy = strdup(name);
    bigger = realloc(s->fds, (s->count + 1) * sizeof(*bigger));
    if (bigger)
        s->fds = bigger;
    if (!copy || !bigger)
        return -ENOMEM;
    s->fds[s->count++] = (struct stored_fd){ TAKE_FD(taken), TAKE(copy), poll };
    return 0;
}

static void remove_nth(struct fdstore *s, size_t i)
{
    closep(&s->fds[i].fd);
    free(s->fds[i].name);
    s->count--;
    memmove(&s->fds[i], &s->fds[i + 1], (s->count - i) * sizeof(s->fds[0]));
}

void fdstore_remove(struct fdstore *s, const char *name)
{
    for (size_t i = s->count; i-- > 0;) {
        if (strcmp(s->fds[i].name, name) == 0)
            remove_nth(s, i);
    }
}

void fdstore_drop_dead(struct fdstore *s)
{
    for (size_t i = s->count; i-- > 0;) {
        struct pollfd pfd = { .fd = s->fds[i].fd };

        if (s->fds[i].poll && poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLHUP | POLLERR)))
            remove_nth(s, i);
    }
}

void fdstore_deinit(struct fdstore *s)
{
    while (s->count > 0)
        remove_nth(s, s->count - 1);
    free(s->fds);
    s->fds = NULL;
}
