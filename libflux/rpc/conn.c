/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A connection and its life: open, lost, connected again, dead; and the lines to services, which
 * come and go.
 *
 * Invariants: the router's line has a connector exactly while the state is OPEN, others as long as
 * they exist. When a line is lost, every RPC in flight on it is answered (with what was received
 * already, else ECONNRESET) before connection_lost() returns. Nothing survives the death of the
 * router's line. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <flux/response.h>

#include "base/cleanup.h"
#include "base/daemonname.h"
#include "base/monotime.h"
#include "rpc/conn.h"
#include "rpc/dispatch.h"
#include "rpc/rpc.h"
#include "wire/message.h"

#define REFUSE_TOPIC     "broker.refuse"
#define RETRY_FOR_USEC   (30 * 1000000ull)
#define RETRY_FIRST_MSEC 10
#define RETRY_MAX_MSEC   500
#define CLOSE_FLUSH_USEC 1000000 /* how long closing waits for the router to take our output */

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
    line_init(&conn->router);
    conn->router.connector = connector;
    TAILQ_INIT(&conn->lines);
    TAILQ_INSERT_HEAD(&conn->lines, &conn->router, link);
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
        direct_deinit(&conn->direct);
        free(conn->lost_reason);
        free(conn->path);
        free(conn);
    }
    return NULL;
}

static struct line *line_free(struct conn *conn, struct line *l)
{
    TAILQ_REMOVE(&conn->lines, l, link);
    line_deinit(l);
    free(l);
    return NULL;
}

void connection_close(struct conn *conn)
{
    uint64_t deadline_usec = monotime_usec() + CLOSE_FLUSH_USEC;
    struct line *l;

    TAILQ_FOREACH (l, &conn->lines, link)
        (void)line_drain(l, deadline_usec);
    while ((l = TAILQ_LAST(&conn->lines, line_list)) && l != &conn->router)
        l = line_free(conn, l);
    line_deinit(&conn->router);
    conn->state = CONN_DEAD;
}

int connection_dial(struct conn *conn, const char *path, struct line **ret)
{
    CLEANUP(freep) char *where = direct_path(conn->path, path);
    struct line *l = where ? calloc(1, sizeof(*l)) : NULL;
    int rc;

    if (!l)
        return -ENOMEM;
    line_init(l);
    l->path = strdup(path);
    rc = l->path ? connector_local_open(where, &l->connector) : -ENOMEM;
    if (rc < 0) {
        line_deinit(l);
        free(l);
        return rc;
    }
    TAILQ_INSERT_TAIL(&conn->lines, l, link);
    if (conn->corked)
        l->connector->ops->cork(l->connector);
    rc = dispatch_conn_changed(conn);
    if (rc < 0) { /* its answers would go unnoticed */
        TAILQ_REMOVE(&conn->lines, l, link);
        (void)dispatch_conn_changed(conn);
        line_deinit(l);
        free(l);
        return rc;
    }
    connection_pollfd_attach(conn, l);
    *ret = l;
    return 0;
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

bool connection_orphaned(struct conn *conn, const flux_msg_t *msg)
{
    struct matchtag_slot *slot;
    uint32_t tag;
    int type, errnum;

    if (flux_msg_get_type(msg, &type) < 0 || type != FLUX_MSGTYPE_RESPONSE ||
        flux_msg_get_matchtag(msg, &tag) < 0)
        return false;
    slot = matchtag_slot(&conn->tags, tag);
    if (!slot || slot->state != MATCHTAG_RPC || slot->rpc)
        return false;
    if (!slot->streaming || (flux_msg_get_errnum(msg, &errnum) == 0 && errnum != 0))
        connection_tag_free(conn, tag);
    return true;
}

void connection_tag_orphan(struct conn *conn, uint32_t tag, bool streaming)
{
    struct matchtag_slot *slot = matchtag_slot(&conn->tags, tag);

    slot->rpc = NULL;
    slot->streaming = streaming;
    if (conn->state == CONN_DEAD || !slot->line->connector)
        connection_tag_free(conn, tag);
    while (slot->state == MATCHTAG_RPC && !TAILQ_EMPTY(&slot->queued)) {
        const flux_msg_t *msg = msgqueue_take(&conn->queue, TAILQ_FIRST(&slot->queued));

        (void)connection_orphaned(conn, msg);
        flux_msg_decref(msg);
    }
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

/* What came before the end counts; the rest is answered for the other end. */
static void fail_in_flight(struct conn *conn, const struct line *l, int errnum, const char *reason)
{
    uint32_t last = matchtag_last(&conn->tags);

    for (uint32_t tag = 1; tag <= last; tag++) {
        struct matchtag_slot *slot = matchtag_slot(&conn->tags, tag);
        struct msg_entry *e;

        if (!slot || slot->line != l)
            continue;
        while (slot && slot->state == MATCHTAG_RPC && slot->rpc &&
               (e = TAILQ_FIRST(&slot->queued))) {
            rpc_deliver(slot->rpc, msgqueue_take(&conn->queue, e));
            slot = matchtag_slot(&conn->tags, tag);
        }
        if (!slot || slot->state != MATCHTAG_RPC)
            continue;
        if (slot->rpc)
            rpc_fail(slot->rpc, errnum, reason);
        else
            connection_tag_free(conn, tag);
    }
}

/* A service went away. Requests that were answered by nobody so far fail as the router would have
 * it; a service that always closes before its first answer does not want to be called directly. */
static void service_lost(struct conn *conn, struct line *l)
{
    const char *slash = strrchr(l->path, '/');
    const int errnum = l->refused_errnum ? l->refused_errnum : ECONNRESET;
    char reason[128];
    flux_msg_t *msg;

    if (l->refused_reason)
        (void)snprintf(reason, sizeof(reason), "%s", l->refused_reason);
    else
        (void)snprintf(reason, sizeof(reason), "flux-%s went away",
                       daemonname(slash ? slash + 1 : l->path));
    conn->losses++;
    if (!l->greeted)
        direct_failed(&conn->direct, l->path);
    TAILQ_REMOVE(&conn->lines, l, link);
    (void)dispatch_conn_changed(conn); /* nobody watches its descriptor any more */
    fail_in_flight(conn, l, errnum, reason);
    while ((msg = line_raw_fail(l, errnum, reason)))
        connection_enqueue(conn, msg);
    line_deinit(l);
    free(l);
}

static void lose_services(struct conn *conn)
{
    struct line *l;

    while ((l = TAILQ_LAST(&conn->lines, line_list)) && l != &conn->router)
        service_lost(conn, l);
}

static void die(struct conn *conn, const char *reason)
{
    (void)connection_ref(conn);
    conn->state = CONN_DEAD;
    lose_services(conn);
    connection_pollfd_raise(conn);
    errno = conn->lost_errnum;
    connection_fatal(conn, "flux", reason);
    if (conn->on_lost) {
        errno = conn->lost_errnum;
        conn->loss_handled = conn->on_lost(conn->handle, conn->on_lost_arg) == 0;
    }
    (void)dispatch_conn_changed(conn);
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

/* The router's refusal is the end. */
static int check_greeting(struct conn *conn, flux_msg_t *msg)
{
    const char *text;

    conn->router.greeted = true;
    if (!is_refusal(msg))
        return 0;
    (void)flux_msg_get_errnum(msg, &conn->lost_errnum);
    if (flux_response_decode_error(msg, &text) < 0)
        text = "the router refused the connection";
    conn->lost_reason = strdup(text);
    return -ECONNRESET;
}

static int take_refusal(struct line *l, flux_msg_t *msg)
{
    const char *text;

    (void)flux_msg_get_errnum(msg, &l->refused_errnum);
    if (!l->refused_reason && flux_response_decode_error(msg, &text) == 0)
        l->refused_reason = strdup(text);
    return -ECONNRESET;
}

/* Services answer, and say nothing else, unless they turn us away at the door: then this line has
 * ended, and the next request tries again. */
static int check_answer(struct line *l, flux_msg_t *msg)
{
    const bool first = !l->greeted;

    l->greeted = true;
    if (first && is_refusal(msg))
        return take_refusal(l, msg);
    if (msg_proto(msg)->type != FLUX_MSGTYPE_RESPONSE)
        return -EPROTO;
    line_raw_answered(l, msg);
    return 0;
}

int connection_receive(struct conn *conn, struct line *l, flux_msg_t **ret, const char **ret_reason)
{
    int rc;

    if (!line_has_input(l))
        l->readable = false; /* the kernel is asked now */
    rc = l->connector->ops->recv(l->connector, ret, ret_reason);
    if (rc < 0)
        return rc;
    if (l != &conn->router)
        rc = check_answer(l, *ret);
    else if (!l->greeted)
        rc = check_greeting(conn, *ret);
    if (rc < 0) {
        flux_msg_decref(*ret);
        *ret_reason = NULL;
    }
    return rc;
}

/* Whoever answers and then goes away has answered. */
static void take_last_input(struct conn *conn, struct line *l)
{
    const char *reason;
    flux_msg_t *msg;

    while (conn->queue.count < CONN_QUEUE_MAX && connection_receive(conn, l, &msg, &reason) == 0) {
        if (msgqueue_put(&conn->queue, msg, false) < 0) {
            flux_msg_decref(msg);
            return;
        }
    }
}

void connection_line_lost(struct conn *conn, struct line *l, const char *reason)
{
    if (l == &conn->router) {
        connection_lost(conn, reason);
        return;
    }
    take_last_input(conn, l);
    service_lost(conn, l);
}

void connection_lost(struct conn *conn, const char *reason)
{
    bool again = (conn->flags & FLUX_O_RECONNECT) && conn->path;

    if (conn->state != CONN_OPEN)
        return;
    if (!conn->lost_reason)
        take_last_input(conn, &conn->router);
    if (conn->lost_reason)
        reason = conn->lost_reason;
    else if (!reason)
        reason = "the connection to the router was lost";
    line_deinit(&conn->router);
    conn->router.readable = false;
    conn->losses++;
    conn->state = again && !conn->lost_reason ? CONN_RETRYING : CONN_DEAD;
    if (conn->state == CONN_DEAD) {
        fail_in_flight(conn, &conn->router, conn->lost_errnum, reason);
        die(conn, reason);
        return;
    }
    conn->retry_msec = RETRY_FIRST_MSEC;
    conn->retry_next_usec = monotime_usec();
    conn->retry_deadline_usec = conn->retry_next_usec + RETRY_FOR_USEC;
    fail_in_flight(conn, &conn->router, conn->lost_errnum, reason);
    (void)dispatch_conn_changed(conn);
}

static int connect_again(struct conn *conn)
{
    int rc = connector_local_open(conn->path, &conn->router.connector);

    if (rc < 0)
        return rc;
    conn->state = CONN_OPEN;
    conn->router.greeted = false;
    rc = registration_replay(&conn->registry, conn);
    if (rc < 0) {
        line_deinit(&conn->router);
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
        connection_pollfd_attach(conn, &conn->router);
        (void)dispatch_conn_changed(conn);
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

int connection_wait_retry(struct conn *conn, uint64_t deadline_usec)
{
    for (;;) {
        uint64_t until;

        connection_retry(conn);
        if (conn->state != CONN_RETRYING)
            return conn->state == CONN_OPEN ? 0 : -conn->lost_errnum;
        if (monotime_usec() >= deadline_usec)
            return -ETIMEDOUT;
        until = deadline_usec < conn->retry_next_usec ? deadline_usec : conn->retry_next_usec;
        (void)poll(NULL, 0, line_timeout_msec(until));
    }
}
