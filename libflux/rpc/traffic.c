/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Messages in and out of a connection: which line a request takes, what is read next, what is
 * waited for.
 *
 * Requests to one service all take the same way, in order: its own line from the first one on, or
 * the router's for good. The receive queue is bounded; a client that lets it overflow loses its
 * connection, not the router's memory. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/monotime.h"
#include "rpc/conn.h"
#include "rpc/dispatch.h"
#include "wire/message.h"

#define SEND_WAIT_USEC (60 * 1000000ull)

/* --- out --- */

static bool is_lost(int rc)
{
    return rc == -EPIPE || rc == -ECONNRESET || rc == -ENOTCONN || rc == -EPROTO || rc == -EBADF ||
           rc == -EIO;
}

/* One attempt. 1: the line was lost before the message was accepted. */
static int try_send(struct conn *conn, struct line *l, const flux_msg_t *msg, bool may_block)
{
    struct connector *c = l->connector;
    int rc = c->ops->send(c, msg);

    if (rc == -ENOBUFS) {
        if (!may_block)
            return -EAGAIN;
        if (line_fd(l) < 0)
            return -EDEADLK;
        rc = line_drain(l, monotime_usec() + SEND_WAIT_USEC);
        if (rc == 0)
            rc = c->ops->send(c, msg);
    }
    if (!is_lost(rc))
        return rc;
    connection_line_lost(conn, l, NULL);
    return 1;
}

static struct line *find_line(struct conn *conn, const char *path)
{
    struct line *l;

    TAILQ_FOREACH (l, &conn->lines, link) {
        if (l->path && strcmp(l->path, path) == 0)
            return l;
    }
    return NULL;
}

/* The line of the service that msg is for, connected if need be; NULL: the router's. */
static struct line *service_line(struct conn *conn, const flux_msg_t *msg)
{
    struct direct_service *s;
    struct line *l;

    if (msg_proto(msg)->type != FLUX_MSGTYPE_REQUEST || conn->state == CONN_DEAD)
        return NULL;
    if (!conn->direct.looked)
        direct_look(&conn->direct, conn->path);
    s = direct_find(&conn->direct, msg);
    if (!s)
        return NULL;
    l = find_line(conn, s->path);
    if (!l && connection_dial(conn, s->path, &l) < 0)
        direct_give_up(&conn->direct, s->path);
    return l;
}

/* 0: the router's line is there. */
static int await_router(struct conn *conn, bool may_block)
{
    if (conn->state == CONN_RETRYING) {
        if (!may_block)
            connection_retry(conn);
        else
            (void)connection_wait_retry(conn, CONN_FOREVER); /* bounded by retry_deadline_usec */
        if (conn->state == CONN_RETRYING)
            return -EAGAIN;
    }
    return conn->state == CONN_OPEN ? 0 : -conn->lost_errnum;
}

/* Somebody must send the rest: the reactor, if one serves this connection, else we. */
static int finish_sending(struct conn *conn, struct line *l, bool may_block)
{
    if (!line_pending(l) || !may_block || dispatch_conn_served(conn) ||
        !is_lost(line_drain(l, monotime_usec() + SEND_WAIT_USEC)))
        return 0;
    connection_line_lost(conn, l, NULL);
    return -ECONNRESET;
}

static void count(const flux_msg_t *msg, int *request, int *response, int *event, int *control)
{
    switch (msg_proto(msg)->type) {
    case FLUX_MSGTYPE_REQUEST:
        (*request)++;
        break;
    case FLUX_MSGTYPE_RESPONSE:
        (*response)++;
        break;
    case FLUX_MSGTYPE_EVENT:
        (*event)++;
        break;
    default:
        (*control)++;
    }
}

int connection_send(struct conn *conn, const flux_msg_t *msg, int flags, struct line **ret_line)
{
    flux_msgcounters_t *n = &conn->counters;
    bool may_block = !((conn->flags | flags) & FLUX_O_NONBLOCK);
    struct line *l;
    int rc;

    if ((conn->flags | flags) & FLUX_O_TRACE)
        flux_msg_fprint(stderr, msg);
    do {
        l = service_line(conn, msg);
        if (!l) {
            rc = await_router(conn, may_block);
            if (rc < 0)
                return rc;
            l = &conn->router;
        }
        rc = try_send(conn, l, msg, may_block);
    } while (rc > 0);
    if (rc < 0)
        return rc;
    count(msg, &n->request_tx, &n->response_tx, &n->event_tx, &n->control_tx);
    if (line_fd(l) < 0)
        connection_pollfd_raise(conn);
    if (ret_line)
        *ret_line = l;
    return finish_sending(conn, l, may_block);
}

static void flush_line(struct conn *conn, struct line *l)
{
    int rc = l->connector->ops->flush(l->connector);

    if (rc < 0 && rc != -EAGAIN)
        connection_line_lost(conn, l, NULL);
}

void connection_flush(struct conn *conn)
{
    struct line *l, *next;

    TAILQ_FOREACH_SAFE (l, &conn->lines, link, next) {
        if (line_pending(l))
            flush_line(conn, l);
        if (conn->state == CONN_DEAD)
            return; /* so are the others */
    }
}

void connection_cork(struct conn *conn)
{
    struct line *l;

    conn->corked = true;
    TAILQ_FOREACH (l, &conn->lines, link) {
        if (l->connector && l->connector->ops->cork)
            l->connector->ops->cork(l->connector);
    }
}

void connection_uncork(struct conn *conn)
{
    struct line *l, *next;

    conn->corked = false;
    TAILQ_FOREACH_SAFE (l, &conn->lines, link, next) {
        struct connector *c = l->connector;

        if (c && c->ops->uncork && c->ops->uncork(c) < 0)
            connection_line_lost(conn, l, NULL);
        if (conn->state == CONN_DEAD)
            return;
    }
}

/* --- in --- */

bool connection_has_input(const struct conn *conn)
{
    const struct line *l;

    TAILQ_FOREACH (l, &conn->lines, link) {
        if (l->connector && (l->readable || line_has_input(l)))
            return true;
    }
    return false;
}

void connection_look(struct conn *conn)
{
    struct line *l;

    TAILQ_FOREACH (l, &conn->lines, link)
        l->readable = l->connector != NULL;
}

/* What was fetched comes first, so that the others have their turn after it. */
static struct line *next_input(struct conn *conn)
{
    struct line *l;

    TAILQ_FOREACH (l, &conn->lines, link) {
        if (line_has_input(l))
            return l;
    }
    TAILQ_FOREACH (l, &conn->lines, link) {
        if (l->connector && l->readable)
            return l;
    }
    return NULL;
}

int connection_fetch(struct conn *conn, flux_msg_t **ret)
{
    flux_msgcounters_t *n = &conn->counters;
    struct line *l;

    while (conn->state != CONN_DEAD && (l = next_input(conn))) {
        const char *reason = NULL;
        int rc = connection_receive(conn, l, ret, &reason);

        if (rc == -ENOMEM)
            return rc;
        if (rc == 0) {
            count(*ret, &n->request_rx, &n->response_rx, &n->event_rx, &n->control_rx);
            if (conn->flags & FLUX_O_TRACE)
                flux_msg_fprint(stderr, *ret);
            return 0;
        }
        if (rc != -EAGAIN)
            connection_line_lost(conn, l, reason);
    }
    return conn->state == CONN_DEAD ? -conn->lost_errnum : -EAGAIN;
}

void connection_enqueue(struct conn *conn, flux_msg_t *msg)
{
    if (connection_orphaned(conn, msg)) {
        flux_msg_decref(msg);
        return;
    }
    if (conn->queue.count < CONN_QUEUE_MAX && msgqueue_put(&conn->queue, msg, false) == 0) {
        connection_pollfd_raise(conn);
        return;
    }
    flux_msg_decref(msg);
    connection_lost(conn, "too many messages were received and not consumed");
}

/* Waits for any of the lines. 1: something happened, 0: nothing did. */
static int poll_lines(struct conn *conn, uint64_t until_usec)
{
    struct pollfd pfds[DIRECT_MAX + 1];
    nfds_t count = 0;
    bool output = false;
    struct line *l;
    int n;

    TAILQ_FOREACH (l, &conn->lines, link) {
        if (line_fd(l) >= 0)
            pfds[count++] =
                (struct pollfd){ .fd = line_fd(l),
                                 .events = line_pending(l) ? POLLIN | POLLOUT : POLLIN };
    }
    if (count == 0 && until_usec == CONN_FOREVER)
        return -EDEADLK;
    n = spin_poll(&conn->spin, pfds, count);
    if (n == 0)
        n = poll(pfds, count, line_timeout_msec(until_usec));
    if (n <= 0)
        return n == 0 || errno == EINTR ? -n : -errno;
    count = 0;
    TAILQ_FOREACH (l, &conn->lines, link) {
        if (line_fd(l) < 0)
            continue;
        l->readable |= (pfds[count].revents & ~POLLOUT) != 0;
        output |= (pfds[count++].revents & POLLOUT) != 0;
    }
    if (output)
        connection_flush(conn);
    return 1;
}

int connection_wait(struct conn *conn, uint64_t deadline_usec)
{
    uint64_t until_usec = deadline_usec;
    const unsigned int losses = conn->losses;
    int rc;

    if (conn->state == CONN_RETRYING && !TAILQ_NEXT(&conn->router, link))
        return connection_wait_retry(conn, deadline_usec);
    if (connection_has_input(conn))
        return 0;
    connection_flush(conn); /* a corked transport has not tried yet */
    connection_retry(conn);
    if (conn->state == CONN_DEAD)
        return -conn->lost_errnum;
    if (connection_has_input(conn) || conn->losses != losses)
        return 0;
    if (conn->state == CONN_RETRYING && conn->retry_next_usec < until_usec)
        until_usec = conn->retry_next_usec;
    rc = poll_lines(conn, until_usec);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    return deadline_usec != CONN_FOREVER && monotime_usec() >= deadline_usec ? -ETIMEDOUT : 0;
}
