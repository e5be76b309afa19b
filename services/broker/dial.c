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

DEFINE_CLEANUP(DIR *, closedir)

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

static DIR *open_listing(const struct dial *d, size_t i)
{
    const int fd = open_directory(d, i);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    if (!dir && fd >= 0)
        (void)close(fd);
    return dir;
}

/* The plain socket that a name stands for: itself, or what it is a link to. */
static bool find_socket(DIR *dir, const char *name, char ret[SERVICE_NAME_SIZE])
{
    struct stat st, other;
    struct dirent *e;

    if (fstatat(dirfd(dir), name, &st, 0) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    (void)snprintf(ret, SERVICE_NAME_SIZE, "%s", name);
    while ((e = readdir(dir)))
        if (service_name_valid(e->d_name) &&
            fstatat(dirfd(dir), e->d_name, &other, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISSOCK(other.st_mode) && other.st_ino == st.st_ino && other.st_dev == st.st_dev)
            (void)snprintf(ret, SERVICE_NAME_SIZE, "%.*s", SERVICE_NAME_MAX, e->d_name);
    return true;
}

int dial_resolve(const struct dial *d, const char *name, char ret[DIAL_PATH_SIZE])
{
    char found[SERVICE_NAME_SIZE];

    if (!service_name_valid(name))
        return -EINVAL;
    for (size_t i = 0; i < directory_count(d); i++) {
        CLEANUP(closedirp) DIR *dir = open_listing(d, i);

        if (!dir || !find_socket(dir, name, found))
            continue;
        (void)snprintf(ret, DIAL_PATH_SIZE, "%s/%s", directories[i], found);
        return 0;
    }
    return -ENOENT;
}

void dial_foreach(const struct dial *d, void (*cb)(const char *name, void *arg), void *arg)
{
    for (size_t i = 0; i < directory_count(d); i++) {
        CLEANUP(closedirp) DIR *dir = open_listing(d, i);
        struct dirent *e;

        while (dir && (e = readdir(dir)))
            if (service_name_valid(e->d_name) && is_socket(dirfd(dir), e->d_name))
                cb(e->d_name, arg);
    }
}
