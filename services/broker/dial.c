/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Connecting to service sockets. The directory is opened first and the socket reached through that
 * descriptor, so that what was checked is what is used; the name has passed service_name_valid()
 * and cannot leave the directory. Symbolic links are followed: socket units make them (Symlinks=)
 * for further names of one service, and only the instance owner can write there. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "broker/dial.h"
#include "broker/name.h"

static const char *const directories[] = { "node", "leader" };

static size_t directory_count(const struct dial *d)
{
    return d->rank == 0 ? 2 : 1; /* a router of another rank does not look in leader/ */
}

static int open_directory(const struct dial *d, size_t i)
{
    CLEANUP(freep) char *path = NULL;
    int fd;

    if (asprintf(&path, "%s/%s", d->rundir, directories[i]) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

static bool is_socket(int dirfd, const char *name)
{
    struct stat st;

    return fstatat(dirfd, name, &st, 0) == 0 && S_ISSOCK(st.st_mode);
}

int dial_connect(const struct dial *d, const char *name, struct channel **ret)
{
    if (!service_name_valid(name))
        return -EINVAL;
    for (size_t i = 0; i < directory_count(d); i++) {
        CLEANUP(closep) int dirfd = open_directory(d, i);
        struct channel_limits limits = channel_limits_default;
        char path[32 + SERVICE_NAME_SIZE];

        if (dirfd < 0 || !is_socket(dirfd, name))
            continue;
        limits.read_memfd = false;
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, name);
        return channel_connect(path, &limits, ret);
    }
    return -ENOENT;
}

bool dial_exists(const struct dial *d, const char *name)
{
    if (!service_name_valid(name))
        return false;
    for (size_t i = 0; i < directory_count(d); i++) {
        CLEANUP(closep) int dirfd = open_directory(d, i);

        if (dirfd >= 0 && is_socket(dirfd, name))
            return true;
    }
    return false;
}

void dial_foreach(const struct dial *d, void (*cb)(const char *name, void *arg), void *arg)
{
    for (size_t i = 0; i < directory_count(d); i++) {
        const int dirfd = open_directory(d, i);
        DIR *dir = dirfd >= 0 ? fdopendir(dirfd) : NULL;
        struct dirent *e;

        if (!dir) {
            if (dirfd >= 0)
                (void)close(dirfd);
            continue;
        }
        while ((e = readdir(dir)))
            if (service_name_valid(e->d_name) && is_socket(dirfd, e->d_name))
                cb(e->d_name, arg);
        (void)closedir(dir);
    }
}
