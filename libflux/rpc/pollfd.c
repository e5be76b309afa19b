/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux_pollfd(3) and flux_pollevents(3): one descriptor that stays the same over reconnects and
 * also shows messages that no socket shows any more. It is an epoll set of the sockets and
 * an eventfd, all edge-triggered. Programs that use the handle's own dispatcher never create it. */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "rpc/conn.h"

static int watch(int epfd, int fd, uint32_t events)
{
    struct epoll_event ev = { .events = events | EPOLLET };

    return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

void connection_pollfd_attach(struct conn *conn, const struct line *l)
{
    if (conn->epfd < 0)
        return;
    if (line_fd(l) >= 0)
        (void)watch(conn->epfd, line_fd(l), EPOLLIN | EPOLLOUT | EPOLLRDHUP);
    connection_pollfd_raise(conn);
}

void connection_pollfd_raise(struct conn *conn)
{
    uint64_t one = 1;

    if (conn->eventfd >= 0)
        (void)!write(conn->eventfd, &one, sizeof(one));
}

int connection_pollfd(struct conn *conn)
{
    CLEANUP(closep) int epfd = -EBADF;
    CLEANUP(closep) int evfd = -EBADF;
    const struct line *l;
    int rc;

    if (conn->epfd >= 0)
        return conn->epfd;
    epfd = epoll_create1(EPOLL_CLOEXEC);
    evfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (epfd < 0 || evfd < 0)
        return -errno;
    rc = watch(epfd, evfd, EPOLLIN);
    if (rc < 0)
        return rc;
    conn->epfd = TAKE_FD(epfd);
    conn->eventfd = TAKE_FD(evfd);
    TAILQ_FOREACH (l, &conn->lines, link)
        connection_pollfd_attach(conn, l);
    return conn->epfd;
}

static bool is_readable(const struct line *l)
{
    struct pollfd pfd = { .fd = line_fd(l), .events = POLLIN };

    return line_has_input(l) || (pfd.fd >= 0 && poll(&pfd, 1, 0) > 0);
}

/* Requests may go out by any line: one that is full is as good as all. */
static int socket_events(struct conn *conn)
{
    int events = conn->state == CONN_OPEN ? FLUX_POLLOUT : 0;
    const struct line *l;

    connection_flush(conn);
    TAILQ_FOREACH (l, &conn->lines, link) {
        if (line_pending(l))
            events &= ~FLUX_POLLOUT;
        if (is_readable(l))
            events |= FLUX_POLLIN;
    }
    return events;
}

int connection_pollevents(struct conn *conn)
{
    int events = 0;

    if (conn->epfd >= 0) {
        struct epoll_event ev[DIRECT_MAX + 2];

        /* Forget the edges seen so far: what they announced is looked at now. */
        (void)epoll_wait(conn->epfd, ev, ARRAY_SIZE(ev), 0);
    }
    connection_retry(conn);
    if (conn->state != CONN_DEAD)
        events = socket_events(conn);
    if (conn->state == CONN_DEAD)
        events = FLUX_POLLERR;
    if (conn->queue.count > 0)
        events |= FLUX_POLLIN;
    return events;
}

void connection_pollfd_deinit(struct conn *conn)
{
    closep(&conn->eventfd);
    closep(&conn->epfd);
    conn->eventfd = -EBADF;
    conn->epfd = -EBADF;
}
