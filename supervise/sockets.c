/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Creates sockets below the run-time directory, which is ours alone: what lies at a path already is
 * left over from a run that was killed, and is replaced if it is a socket or a link. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/errorx.h"
#include "supervise/sockets.h"

int make_parents(const char *path, mode_t mode)
{
    CLEANUP(freep) char *dir = strdup(path);

    if (!dir)
        return -ENOMEM;
    for (char *p = strchr(dir + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = '\0';
        if (mkdir(dir, mode) < 0 && errno != EEXIST)
            return -errno;
        *p = '/';
    }
    return 0;
}

static int clear_way(const char *path)
{
    struct stat st;
    int rc = make_parents(path, 0755);

    if (rc < 0)
        return rc;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode) && !S_ISLNK(st.st_mode))
        return -EEXIST;
    return unlink(path) < 0 ? -errno : 0;
}

static int open_socket(const char *path, mode_t mode, int backlog)
{
    CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    int rc;

    if (fd < 0)
        return -errno;
    if (strlen(path) >= sizeof(sa.sun_path))
        return -ENAMETOOLONG;
    rc = clear_way(path);
    if (rc < 0)
        return rc;
    strcpy(sa.sun_path, path);
    /* Nobody can connect before listen(): no window between bind() and chmod(). */
    if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || chmod(path, mode) < 0 ||
        listen(fd, backlog) < 0)
        return -errno;
    return TAKE_FD(fd);
}

static int open_links(const struct socket_unit *u, flux_error_t *error)
{
    for (size_t i = 0; u->symlinks && u->symlinks[i]; i++) {
        int rc = clear_way(u->symlinks[i]);

        if (rc == 0 && symlink(u->listen[0], u->symlinks[i]) < 0)
            rc = -errno;
        if (rc < 0)
            return errorx_fail(error, -rc, "cannot create %s: %s", u->symlinks[i], strerror(-rc));
    }
    return 0;
}

int socket_unit_open(const struct socket_unit *u, int *ret_fds, flux_error_t *error)
{
    size_t n = 0;
    int rc = 0;

    for (; rc == 0 && u->listen[n]; n++) {
        ret_fds[n] = open_socket(u->listen[n], u->mode, u->backlog);
        if (ret_fds[n] < 0) {
            rc = errorx_fail(error, -ret_fds[n], "cannot create socket %s: %s", u->listen[n],
                             strerror(-ret_fds[n]));
            break;
        }
    }
    if (rc == 0)
        rc = open_links(u, error);
    while (rc < 0 && n-- > 0)
        closep(&ret_fds[n]);
    return rc;
}
