/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The public face of handles: open, close, clone, send, receive, requeue. What happens on the wire
 * is in conn.c; what happens with messages in a reactor is in dispatch.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errorx.h"
#include "base/monotime.h"
#include "rpc/dispatch.h"
#include "rpc/handle_impl.h"

#define SYSTEM_URI        "local:///run/flux/local"
#define CONNECT_TRY_USEC  (5 * 1000000ull) /* while the router's backlog is full */
#define CONNECT_WAIT_USEC 2000

flux_t *handle_new(struct connector *connector, const char *path, int flags)
{
    flux_t *h = calloc(1, sizeof(*h));
    int rc;

    if (!h) {
        connector->ops->free(connector);
        errno = ENOMEM;
        return NULL;
    }
    rc = connection_new(connector, path, flags, &h->conn);
    if (rc < 0) {
        free(h);
        errno = -rc;
        return NULL;
    }
    h->refcount = 1;
    h->conn->handle = h;
    h->conn->handles = 1;
    return h;
}

flux_t *handle_open_fd(int fd, int flags)
{
    struct connector *connector;
    int rc = connector_local_adopt(fd, &connector);

    if (rc < 0) {
        errno = -rc;
        return NULL;
    }
    return handle_new(connector, NULL, flags);
}

static int connect_path(const char *path, struct connector **ret)
{
    uint64_t deadline = monotime_usec() + CONNECT_TRY_USEC;
    int rc;

    while ((rc = connector_local_open(path, ret)) == -EAGAIN && monotime_usec() < deadline)
        (void)usleep(CONNECT_WAIT_USEC);
    return rc == -EACCES ? -EPERM : rc;
}

void handle_limit_waits(flux_t *h, double seconds, void (*on_stuck)(const char *topic, void *arg),
                        void *arg)
{
    h->conn->wait_limit = seconds;
    h->conn->on_stuck = on_stuck;
    h->conn->on_stuck_arg = arg;
}

static flux_t *open_local(const char *path, int flags, flux_error_t *error)
{
    struct connector *connector;
    int rc = *path ? connect_path(path, &connector) : -EINVAL;

    if (rc == 0)
        return handle_new(connector, path, flags);
    switch (-rc) {
    case ENOENT:
        errorx_set(error, "%s does not exist: is the Flux instance running?", path);
        break;
    case ECONNREFUSED:
        errorx_set(error, "nobody listens at %s: the Flux instance is not running", path);
        break;
    case EPERM:
        errorx_set(error, "access to %s is denied", path);
        break;
    default:
        errorx_set(error, "cannot connect to %s: %s", path, strerror(-rc));
    }
    errno = -rc;
    return NULL;
}

flux_t *flux_open_ex(const char *uri, int flags, flux_error_t *error)
{
    const int valid =
        FLUX_O_TRACE | FLUX_O_CLONE | FLUX_O_NONBLOCK | FLUX_O_MATCHDEBUG | FLUX_O_RECONNECT;

    if (flags & ~valid) {
        errorx_set(error, "flux_open: unknown flags 0x%x", (unsigned int)(flags & ~valid));
        errno = EINVAL;
        return NULL;
    }
    if (!uri)
        uri = getenv("FLUX_URI");
    if (!uri)
        uri = SYSTEM_URI;
    if (strncmp(uri, "local://", 8) == 0)
        return open_local(uri + 8, flags, error);
    if (strcmp(uri, "loop://") == 0) {
        struct connector *connector;

        if (connector_loop_open(&connector) == 0)
            return handle_new(connector, NULL, flags);
        errno = ENOMEM;
        return NULL;
    }
    errorx_set(error, "%s is not an instance URI that can be opened here (local://PATH or loop://)",
               uri);
    errno = EINVAL;
    return NULL;
}

flux_t *flux_open(const char *uri, int flags)
{
    return flux_open_ex(uri, flags, NULL);
}

flux_t *flux_clone(flux_t *orig)
{
    flux_t *h;

    if (!orig) {
        errno = EINVAL;
        return NULL;
    }
    h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->refcount = 1;
    h->conn = connection_ref(orig->conn);
    h->conn->handles++;
    return h;
}

static void report_leaks(const struct conn *conn)
{
    if ((conn->flags & FLUX_O_MATCHDEBUG) && conn->tags.used > 0)
        (void)fprintf(stderr, "flux_close: %u matchtags were not returned\n", conn->tags.used);
}

void flux_incref(flux_t *h)
{
    if (h)
        h->refcount++;
}

void flux_decref(flux_t *h)
{
    int saved_errno = errno;

    if (!h || --h->refcount > 0)
        return;
    h->refcount = 1; /* aux destructors may hold and release the handle */
    aux_deinit(&h->aux);
    h->dispatch = dispatch_close(h->dispatch);
    if (h->r)
        flux_reactor_decref(h->r);
    if (h->conn->handle == h)
        h->conn->handle = NULL;
    if (--h->conn->handles == 0) {
        report_leaks(h->conn);
        connection_close(h->conn);
    }
    connection_unref(h->conn);
    free(h);
    errno = saved_errno;
}

void flux_close(flux_t *h)
{
    flux_decref(h);
}

void flux_flags_set(flux_t *h, int flags)
{
    if (h)
        h->conn->flags |= flags;
}

void flux_flags_unset(flux_t *h, int flags)
{
    if (h)
        h->conn->flags &= ~flags;
}

int flux_flags_get(flux_t *h)
{
    return h ? h->conn->flags : 0;
}

void flux_get_msgcounters(flux_t *h, flux_msgcounters_t *mcs)
{
    if (mcs)
        *mcs = h ? h->conn->counters : (flux_msgcounters_t){ 0 };
}

void flux_clr_msgcounters(flux_t *h)
{
    if (h)
        h->conn->counters = (flux_msgcounters_t){ 0 };
}

void flux_comms_error_set(flux_t *h, flux_comms_error_f cb, void *arg)
{
    if (h) {
        h->conn->on_lost = cb;
        h->conn->on_lost_arg = arg;
    }
}

void flux_reconnect_set(flux_t *h, flux_comms_error_f cb, void *arg)
{
    if (h) {
        h->conn->on_reconnect = cb;
        h->conn->on_reconnect_arg = arg;
    }
}

void *flux_aux_get(flux_t *h, const char *name)
{
    if (!h) {
        errno = EINVAL;
        return NULL;
    }
    return aux_get(&h->aux, name);
}

int flux_aux_set(flux_t *h, const char *name, void *aux, flux_free_f destroy)
{
    if (!h) {
        errno = EINVAL;
        return -1;
    }
    return aux_set(&h->aux, name, aux, destroy);
}

void flux_fatal_set(flux_t *h, flux_fatal_f fun, void *arg)
{
    if (h) {
        h->conn->fatal = fun;
        h->conn->fatal_arg = arg;
        h->conn->fatal_called = false;
    }
}

void flux_fatal_error(flux_t *h, const char *fun, const char *msg)
{
    if (h)
        connection_fatal(h->conn, fun ? fun : "flux", msg ? msg : "fatal error");
}

static int check(int rc)
{
    if (rc >= 0)
        return rc;
    errno = -rc;
    return -1;
}

int flux_send(flux_t *h, const flux_msg_t *msg, int flags)
{
    struct line *line = NULL;
    int rc;

    if (!h || !msg || (flags & ~(FLUX_O_TRACE | FLUX_O_NONBLOCK)))
        return check(-EINVAL);
    rc = connection_send(h->conn, msg, flags, &line);
    if (rc == 0 && line != &h->conn->router)
        line_raw_sent(line, msg);
    return check(rc);
}

static flux_msg_t *take_match(struct conn *conn, struct flux_match match, int64_t *seen)
{
    struct msg_entry *e;

    while ((e = msgqueue_after(&conn->queue, *seen))) {
        if (flux_msg_cmp(e->msg, match))
            return (flux_msg_t *)msgqueue_take(&conn->queue, e);
        *seen = e->seq;
    }
    return NULL;
}

flux_msg_t *flux_recv(flux_t *h, struct flux_match match, int flags)
{
    int64_t seen = INT64_MIN;

    if (!h || (flags & ~(FLUX_O_TRACE | FLUX_O_NONBLOCK))) {
        errno = EINVAL;
        return NULL;
    }
    if ((h->conn->flags | flags) & FLUX_O_NONBLOCK)
        connection_look(h->conn);
    for (;;) {
        flux_msg_t *msg = take_match(h->conn, match, &seen);
        int rc;

        if (msg)
            return msg;
        rc = connection_fetch(h->conn, &msg);
        if (rc == 0) {
            connection_enqueue(h->conn, msg);
            continue;
        }
        if ((msg = take_match(h->conn, match, &seen)))
            return msg; /* the loss of a line has answered it */
        if (rc == -EAGAIN && !((h->conn->flags | flags) & FLUX_O_NONBLOCK))
            rc = connection_wait(h->conn, CONN_FOREVER);
        if (rc == 0)
            continue;
        if ((msg = take_match(h->conn, match, &seen)))
            return msg;
        errno = -rc;
        return NULL;
    }
}

int flux_requeue(flux_t *h, const flux_msg_t *msg, int flags)
{
    int rc;

    if (!h || !msg || (flags != FLUX_RQ_HEAD && flags != FLUX_RQ_TAIL))
        return check(-EINVAL);
    rc = msgqueue_put(&h->conn->queue, flux_msg_incref(msg), flags == FLUX_RQ_HEAD);
    if (rc < 0) {
        flux_msg_decref(msg);
        return check(rc);
    }
    dispatch_rescan(h->conn);
    connection_pollfd_raise(h->conn);
    return 0;
}

int flux_pollevents(flux_t *h)
{
    return check(h ? connection_pollevents(h->conn) : -EINVAL);
}

int flux_pollfd(flux_t *h)
{
    return check(h ? connection_pollfd(h->conn) : -EINVAL);
}

uint32_t flux_matchtag_alloc(flux_t *h)
{
    if (!h) {
        errno = EINVAL;
        return FLUX_MATCHTAG_NONE;
    }
    return matchtag_alloc(&h->conn->tags, MATCHTAG_USER);
}

void flux_matchtag_free(flux_t *h, uint32_t matchtag)
{
    struct matchtag_slot *slot = h ? matchtag_slot(&h->conn->tags, matchtag) : NULL;

    if (slot && slot->state == MATCHTAG_USER)
        connection_tag_free(h->conn, matchtag);
}

uint32_t flux_matchtag_avail(flux_t *h)
{
    return h ? MATCHTAG_LIMIT - h->conn->tags.used : 0;
}

flux_reactor_t *flux_get_reactor(flux_t *h)
{
    if (!h) {
        errno = EINVAL;
        return NULL;
    }
    if (!h->r)
        h->r = flux_reactor_create(0);
    return h->r;
}

int flux_set_reactor(flux_t *h, flux_reactor_t *r)
{
    if (!h || !r)
        return check(-EINVAL);
    if (h->r)
        return check(-EEXIST);
    flux_reactor_incref(r);
    h->r = r;
    return 0;
}
