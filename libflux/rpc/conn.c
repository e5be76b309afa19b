/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A connection and its life: open, lost, connected again, dead.
 *
 * Invariants: connector is non-NULL exactly while the state is OPEN. When it is lost, every RPC in
 * flight is answered (with what was received already, else ECONNRESET) before connection_lost()
 * returns. The receive queue is bounded; a client that lets it overflow loses its connection, not
 * the router's memory. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <flux/response.h>

#include "base/cleanup.h"
#include "base/monotime.h"
#include "rpc/conn.h"
#include "rpc/dispatch.h"
#include "rpc/rpc.h"
#include "wire/message.h"

#define REFUSE_TOPIC     "broker.refuse"
#define QUEUE_MAX        (1u << 20) /* received messages nobody consumes */
#define RETRY_FOR_USEC   (30 * 1000000ull)
#define RETRY_FIRST_MSEC 10
#define RETRY_MAX_MSEC   500
#define CLOSE_FLUSH_USEC 1000000 /* how long closing waits for the router to take our output */
#define SEND_WAIT_USEC   (60 * 1000000ull)

int connection_new(struct connector *connector, const char *path, int flags, struct conn **ret)
{
    struct conn *conn = calloc(1, sizeof(*conn));

    if (!conn || (path && !(conn->path = strdup(path)))) {
        free(conn);
        connector->ops->free(connector);
        return -ENOMEM;
    }
    conn->refcount = 1;
    conn->flags = flags;
    conn->connector = connector;
    conn->state = CONN_OPEN;
    conn->lost_errnum = ECONNRESET;
    msgqueue_init(&conn->queue, &conn->tags);
    LIST_INIT(&conn->dispatchers);
    registration_init(&conn->registry);
    conn->epfd = -EBADF;
    conn->eventfd = -EBADF;
    *ret = conn;
    return 0;
}

struct conn *connection_ref(struct conn *conn)
{
    conn->refcount++;
    return conn;
}

struct conn *connection_unref(struct conn *conn)
{
    if (conn && --conn->refcount == 0) {
        connection_close(conn);
        connection_pollfd_deinit(conn);
        registration_deinit(&conn->registry);
        msgqueue_deinit(&conn->queue);
        matchtag_pool_deinit(&conn->tags);
        free(conn->lost_reason);
        free(conn->path);
        free(conn);
    }
    return NULL;
}

static int timeout_msec(uint64_t deadline_usec)
{
    uint64_t now;

    if (deadline_usec == CONN_FOREVER)
        return -1;
    now = monotime_usec();
    if (now >= deadline_usec)
        return 0;
    /* Rounded up, so that no caller spins through the last millisecond. */
    return (deadline_usec - now) / 1000 > 3600000 ? 3600000 : (deadline_usec - now + 999) / 1000;
}

/* Sends queued output until there is none or the deadline has passed. 0, -ETIMEDOUT, or what made
 * the transport fail. */
static int drain(struct connector *c, uint64_t deadline_usec)
{
    while (c->ops->pending(c)) {
        struct pollfd pfd = { .fd = c->ops->fd(c), .events = POLLOUT };
        int n = poll(&pfd, 1, timeout_msec(deadline_usec));
        int rc;

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return -ETIMEDOUT;
        rc = c->ops->flush(c);
        if (rc < 0 && rc != -EAGAIN)
            return rc;
    }
    return 0;
}

void connection_close(struct conn *conn)
{
    struct connector *c = conn->connector;

    if (c) {
        (void)drain(c, monotime_usec() + CLOSE_FLUSH_USEC);
        conn->connector = c->ops->free(c);
    }
    conn->state = CONN_DEAD;
}

void connection_tag_free(struct conn *conn, uint32_t tag)
{
    struct matchtag_slot *slot = matchtag_slot(&conn->tags, tag);
    struct msg_entry *e;

    if (!slot)
        return;
    while ((e = TAILQ_FIRST(&slot->queued)))
        flux_msg_decref(msgqueue_take(&conn->queue, e));
    matchtag_free(&conn->tags, tag);
}

void connection_fatal(struct conn *conn, const char *fun, const char *msg)
{
    char text[256];

    if (!conn->fatal || conn->fatal_called)
        return;
    conn->fatal_called = true;
    (void)snprintf(text, sizeof(text), "%s: %s", fun, msg);
    conn->fatal(text, conn->fatal_arg);
}

/* What came before the end counts; the rest is answered for the router. */
static void fail_in_flight(struct conn *conn, const char *reason)
{
    uint32_t last = matchtag_last(&conn->tags);

    for (uint32_t tag = 1; tag <= last; tag++) {
        struct matchtag_slot *slot = matchtag_slot(&conn->tags, tag);
        struct msg_entry *e;

        while (slot && slot->state == MATCHTAG_RPC && slot->rpc &&
               (e = TAILQ_FIRST(&slot->queued))) {
            rpc_deliver(slot->rpc, msgqueue_take(&conn->queue, e));
            slot = matchtag_slot(&conn->tags, tag);
        }
        if (!slot || slot->state != MATCHTAG_RPC)
            continue;
        if (slot->rpc)
            rpc_fail(slot->rpc, conn->lost_errnum, reason);
        else
            connection_tag_free(conn, tag);
    }
}

static void die(struct conn *conn, const char *reason)
{
    conn->state = CONN_DEAD;
    connection_pollfd_raise(conn);
    (void)connection_ref(conn);
    errno = conn->lost_errnum;
    connection_fatal(conn, "flux", reason);
    if (conn->on_lost) {
        errno = conn->lost_errnum;
        conn->loss_handled = conn->on_lost(conn->handle, conn->on_lost_arg) == 0;
    }
    dispatch_conn_changed(conn);
    (void)connection_unref(conn);
}

static bool is_refusal(const flux_msg_t *msg)
{
    uint32_t tag;
    int errnum;

    return msg_proto(msg)->type == FLUX_MSGTYPE_RESPONSE &&
           strcmp(msg_topic(msg), REFUSE_TOPIC) == 0 && flux_msg_get_matchtag(msg, &tag) == 0 &&
           tag == FLUX_MATCHTAG_NONE && flux_msg_get_errnum(msg, &errnum) == 0 && errnum > 0;
}

/* As the connector's, but a refusal is the end. */
static int receive(struct conn *conn, flux_msg_t **ret, const char **ret_reason)
{
    int rc = conn->connector->ops->recv(conn->connector, ret, ret_reason);
    const char *text;

    if (rc < 0 || conn->greeted)
        return rc;
    conn->greeted = true;
    if (!is_refusal(*ret))
        return 0;
    (void)flux_msg_get_errnum(*ret, &conn->lost_errnum);
    if (flux_response_decode_error(*ret, &text) < 0)
        text = "the router refused the connection";
    conn->lost_reason = strdup(text);
    flux_msg_decref(*ret);
    *ret_reason = NULL;
    return -ECONNRESET;
}

/* A router that answers and then goes away has answered. */
static void take_last_input(struct conn *conn)
{
    const char *reason;
    flux_msg_t *msg;

    while (conn->queue.count < QUEUE_MAX && receive(conn, &msg, &reason) == 0) {
        if (msgqueue_put(&conn->queue, msg, false) < 0) {
            flux_msg_decref(msg);
            return;
        }
    }
}

void connection_lost(struct conn *conn, const char *reason)
{
    if (conn->state != CONN_OPEN)
        return;
    if (!conn->lost_reason)
        take_last_input(conn);
    if (conn->lost_reason)
        reason = conn->lost_reason;
    else if (!reason)
        reason = "the connection to the router was lost";
    conn->connector = conn->connector->ops->free(conn->connector);
    if (conn->lost_reason || !(conn->flags & FLUX_O_RECONNECT) || !conn->path) {
        conn->state = CONN_DEAD;
        fail_in_flight(conn, reason);
        die(conn, reason);
        return;
    }
    conn->state = CONN_RETRYING;
    conn->retry_msec = RETRY_FIRST_MSEC;
    conn->retry_next_usec = monotime_usec();
    conn->retry_deadline_usec = conn->retry_next_usec + RETRY_FOR_USEC;
    fail_in_flight(conn, reason);
    dispatch_conn_changed(conn);
}

static int connect_again(struct conn *conn)
{
    int rc = connector_local_open(conn->path, &conn->connector);

    if (rc < 0)
        return rc;
    conn->state = CONN_OPEN;
    conn->greeted = false;
    rc = registration_replay(&conn->registry, conn);
    if (rc < 0) {
        conn->connector = conn->connector->ops->free(conn->connector);
        conn->state = CONN_RETRYING;
    }
    return rc;
}

void connection_retry(struct conn *conn)
{
    uint64_t now = monotime_usec();

    if (conn->state != CONN_RETRYING || now < conn->retry_next_usec)
        return;
    if (connect_again(conn) == 0) {
        connection_pollfd_attach(conn);
        dispatch_conn_changed(conn);
        if (conn->on_reconnect)
            (void)conn->on_reconnect(conn->handle, conn->on_reconnect_arg);
        return;
    }
    if (now >= conn->retry_deadline_usec) {
        die(conn, "the router did not come back");
        return;
    }
    conn->retry_next_usec = now + conn->retry_msec * 1000ull;
    conn->retry_msec =
        conn->retry_msec * 2 > RETRY_MAX_MSEC ? RETRY_MAX_MSEC : conn->retry_msec * 2;
}

/* Block until the connection is OPEN again, DEAD, or the deadline has passed. */
static int wait_retry(struct conn *conn, uint64_t deadline_usec)
{
    for (;;) {
        uint64_t until;

        connection_retry(conn);
        if (conn->state != CONN_RETRYING)
            return conn->state == CONN_OPEN ? 0 : -conn->lost_errnum;
        if (monotime_usec() >= deadline_usec)
            return -ETIMEDOUT;
        until = deadline_usec < conn->retry_next_usec ? deadline_usec : conn->retry_next_usec;
        (void)poll(NULL, 0, timeout_msec(until));
    }
}

static bool is_lost(int rc)
{
    return rc == -EPIPE || rc == -ECONNRESET || rc == -ENOTCONN || rc == -EPROTO || rc == -EBADF ||
           rc == -EIO;
}

/* One attempt. 1: the connection was lost before the message was accepted. */
static int try_send(struct conn *conn, const flux_msg_t *msg, bool may_block)
{
    struct connector *c = conn->connector;
    int rc = c->ops->send(c, msg);

    if (rc == -ENOBUFS) {
        if (!may_block)
            return -EAGAIN;
        if (c->ops->fd(c) < 0)
            return -EDEADLK;
        rc = drain(c, monotime_usec() + SEND_WAIT_USEC);
        if (rc == 0)
            rc = c->ops->send(c, msg);
    }
    if (!is_lost(rc))
        return rc;
    connection_lost(conn, NULL);
    return 1;
}

static void count(const flux_msg_t *msg, int *request, int *response, int *event, int *control)
{
    int type = 0;

    (void)flux_msg_get_type(msg, &type);
    if (type == FLUX_MSGTYPE_REQUEST)
        (*request)++;
    else if (type == FLUX_MSGTYPE_RESPONSE)
        (*response)++;
    else if (type == FLUX_MSGTYPE_EVENT)
        (*event)++;
    else
        (*control)++;
}

int connection_send(struct conn *conn, const flux_msg_t *msg, int flags)
{
    flux_msgcounters_t *n = &conn->counters;
    bool may_block = !((conn->flags | flags) & FLUX_O_NONBLOCK);
    struct connector *c;
    int rc;

    if ((conn->flags | flags) & FLUX_O_TRACE)
        flux_msg_fprint(stderr, msg);
    do {
        if (conn->state == CONN_RETRYING) {
            if (!may_block)
                connection_retry(conn);
            else
                (void)wait_retry(conn, CONN_FOREVER); /* bounded by retry_deadline_usec */
            if (conn->state == CONN_RETRYING)
                return -EAGAIN;
        }
        if (conn->state != CONN_OPEN)
            return -conn->lost_errnum;
        rc = try_send(conn, msg, may_block);
    } while (rc > 0);
    if (rc < 0)
        return rc;
    count(msg, &n->request_tx, &n->response_tx, &n->event_tx, &n->control_tx);
    c = conn->connector;
    if (c->ops->fd(c) < 0)
        connection_pollfd_raise(conn);
    if (!c->ops->pending(c) || !may_block)
        return 0;
    /* Somebody must send the rest: the reactor, if one serves this connection, else we. */
    if (dispatch_conn_served(conn))
        return 0;
    rc = drain(c, monotime_usec() + SEND_WAIT_USEC);
    if (is_lost(rc))
        connection_lost(conn, NULL);
    return 0;
}

void connection_flush(struct conn *conn)
{
    struct connector *c = conn->connector;
    int rc;

    if (!c || !c->ops->pending(c))
        return;
    rc = c->ops->flush(c);
    if (rc < 0 && rc != -EAGAIN)
        connection_lost(conn, NULL);
}

int connection_fetch(struct conn *conn, flux_msg_t **ret)
{
    flux_msgcounters_t *n = &conn->counters;
    const char *reason = NULL;
    int rc;

    if (conn->state == CONN_RETRYING)
        return -EAGAIN;
    if (conn->state != CONN_OPEN)
        return -conn->lost_errnum;
    rc = receive(conn, ret, &reason);
    if (rc == -EAGAIN || rc == -ENOMEM)
        return rc;
    if (rc < 0) {
        connection_lost(conn, reason);
        return conn->state == CONN_DEAD ? -conn->lost_errnum : -EAGAIN;
    }
    count(*ret, &n->request_rx, &n->response_rx, &n->event_rx, &n->control_rx);
    if (conn->flags & FLUX_O_TRACE)
        flux_msg_fprint(stderr, *ret);
    return 0;
}

void connection_enqueue(struct conn *conn, flux_msg_t *msg)
{
    if (conn->queue.count < QUEUE_MAX && msgqueue_put(&conn->queue, msg, false) == 0) {
        connection_pollfd_raise(conn);
        return;
    }
    flux_msg_decref(msg);
    connection_lost(conn, "too many messages were received and not consumed");
}

bool connection_has_input(const struct conn *conn)
{
    return conn->connector && conn->connector->ops->has_input(conn->connector);
}

int connection_wait(struct conn *conn, uint64_t deadline_usec)
{
    struct connector *c = conn->connector;
    struct pollfd pfd;
    int n;

    if (conn->state == CONN_RETRYING)
        return wait_retry(conn, deadline_usec);
    if (conn->state != CONN_OPEN)
        return -conn->lost_errnum;
    if (c->ops->has_input(c))
        return 0;
    connection_flush(conn); /* a corked transport has not tried yet */
    if (!(c = conn->connector))
        return 0;
    pfd = (struct pollfd){ .fd = c->ops->fd(c), .events = POLLIN };
    if (pfd.fd < 0 && deadline_usec == CONN_FOREVER)
        return -EDEADLK;
    if (c->ops->pending(c))
        pfd.events |= POLLOUT;
    n = poll(&pfd, 1, timeout_msec(deadline_usec));
    if (n < 0 && errno != EINTR)
        return -errno;
    if (n == 0)
        return deadline_usec != CONN_FOREVER && monotime_usec() >= deadline_usec ? -ETIMEDOUT : 0;
    if (n > 0 && (pfd.revents & POLLOUT))
        connection_flush(conn);
    return 0;
}
