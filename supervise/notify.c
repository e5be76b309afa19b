/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One datagram socket for all daemons. The kernel says which process wrote a datagram; whoever is
 * not of our own uid is ignored. Descriptors nobody takes are closed; truncated datagrams are
 * dropped with all they carry. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "supervise/notify.h"

#define DRAIN_BUDGET 256

struct notify_socket {
    int fd;
    notify_f cb;
    void *arg;
    flux_watcher_t *watcher;
};

static const char *value_of(const char *line, const char *key)
{
    size_t n = strlen(key);

    return strncmp(line, key, n) == 0 && line[n] == '=' ? line + n + 1 : NULL;
}

static bool is_one(const char *line, const char *key)
{
    const char *value = value_of(line, key);

    return value && strcmp(value, "1") == 0;
}

static void parse_line(const char *line, struct notification *n)
{
    const char *value;

    if (is_one(line, "READY"))
        n->ready = true;
    else if (is_one(line, "STOPPING"))
        n->stopping = true;
    else if (is_one(line, "RELOADING"))
        n->reloading = true;
    else if (is_one(line, "FDSTORE"))
        n->fdstore = true;
    else if (is_one(line, "FDSTOREREMOVE"))
        n->fdstore_remove = true;
    else if ((value = value_of(line, "WATCHDOG")))
        *(strcmp(value, "trigger") == 0 ? &n->watchdog_trigger : &n->watchdog) = true;
    else if ((value = value_of(line, "WATCHDOG_USEC")))
        (void)number_parse_u64(value, UINT64_MAX, &n->watchdog_usec);
    else if ((value = value_of(line, "EXTEND_TIMEOUT_USEC")))
        (void)number_parse_u64(value, UINT64_MAX, &n->extend_usec);
    else if ((value = value_of(line, "FDPOLL")))
        n->fdpoll_off = strcmp(value, "0") == 0;
    else if ((value = value_of(line, "FDNAME")))
        n->fdname = value;
    else if ((value = value_of(line, "STATUS")))
        n->status = value;
}

void notification_parse(char *text, struct notification *ret)
{
    char *save = NULL;

    memset(ret, 0, sizeof(*ret));
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        parse_line(line, ret);
}

struct received {
    char text[NOTIFY_MESSAGE_MAX + 1];
    struct ucred cred;
    int fds[NOTIFY_FDS_MAX];
    size_t nfds;
};

static void take_control(struct msghdr *h, struct received *r)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        size_t size = c->cmsg_len - CMSG_LEN(0);

        if (c->cmsg_level != SOL_SOCKET)
            continue;
        if (c->cmsg_type == SCM_CREDENTIALS && size == sizeof(r->cred)) {
            memcpy(&r->cred, CMSG_DATA(c), size);
        } else if (c->cmsg_type == SCM_RIGHTS) {
            memcpy(r->fds, CMSG_DATA(c), size);
            r->nfds = size / sizeof(int);
        }
    }
}

/* 0, -EAGAIN: nothing there, -EPROTO: to be skipped. */
static int receive(int fd, struct received *r)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(NOTIFY_FDS_MAX * sizeof(int))];
    } control;
    struct iovec iov = { r->text, NOTIFY_MESSAGE_MAX };
    struct msghdr h = { .msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = control.buf,
                        .msg_controllen = sizeof(control.buf) };
    ssize_t n = recvmsg(fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n < 0)
        return errno == EINTR ? -EPROTO : -EAGAIN;
    r->nfds = 0;
    r->cred = (struct ucred){ .uid = (uid_t)-1 };
    r->text[n] = '\0';
    take_control(&h, r);
    return (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || r->cred.uid != geteuid() ? -EPROTO : 0;
}

void notify_socket_drain(struct notify_socket *s)
{
    for (int i = 0; i < DRAIN_BUDGET; i++) {
        struct received r = { .nfds = 0 };
        struct notification n;
        int rc = receive(s->fd, &r);

        if (rc == -EAGAIN)
            return;
        if (rc == 0) {
            notification_parse(r.text, &n);
            n.fds = r.fds;
            n.nfds = r.nfds;
            s->cb(r.cred.pid, &n, s->arg);
        }
        for (size_t k = 0; k < r.nfds; k++)
            closep(&r.fds[k]);
    }
}

static void on_readable(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    notify_socket_drain(arg);
}

static int open_socket(const char *path)
{
    CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    const int on = 1;

    if (fd < 0)
        return -errno;
    if (strlen(path) >= sizeof(sa.sun_path))
        return -ENAMETOOLONG;
    strcpy(sa.sun_path, path);
    (void)unlink(path);
    if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
        return -errno;
    return TAKE_FD(fd);
}

int notify_socket_new(flux_reactor_t *r, const char *path, notify_f cb, void *arg,
                      struct notify_socket **ret)
{
    struct notify_socket *s = calloc(1, sizeof(*s));
    int rc;

    if (!s)
        return -ENOMEM;
    s->cb = cb;
    s->arg = arg;
    s->fd = rc = open_socket(path);
    if (rc >= 0) {
        s->watcher = flux_fd_watcher_create(r, s->fd, FLUX_POLLIN, on_readable, s);
        rc = s->watcher ? 0 : -ENOMEM;
    }
    if (rc < 0) {
        s = notify_socket_free(s);
        return rc;
    }
    flux_watcher_start(s->watcher);
    *ret = s;
    return 0;
}

struct notify_socket *notify_socket_free(struct notify_socket *s)
{
    if (s) {
        flux_watcher_destroy(s->watcher);
        closep(&s->fd);
        free(s);
    }
    return NULL;
}
