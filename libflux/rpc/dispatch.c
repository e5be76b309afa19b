/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The dispatcher's engine: watchers, reading, order.
 *
 * A socket watcher is not enough, because messages also wait in the channel (up to 16 are fetched
 * at once), in the receive queue (a synchronous call has put them there) and on loop://. So a
 * prepare watcher looks for such work and makes the loop not block; the check watcher behind it
 * does the work. One wake-up handles a bounded number of messages.
 *
 * Invariant: while somebody waits for messages (users, running handlers) or something is deferred,
 * the watchers are started; else they are not, so that the reactor can end. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "loop/stopping.h"
#include "rpc/dispatch.h"
#include "rpc/handle_impl.h"
#include "rpc/rpc.h"

#define BUDGET       64 /* messages of one wake-up */
#define RETRY_PERIOD 0.02

struct line_watch {
    LIST_ENTRY(line_watch) link;
    struct dispatch *d;
    struct line *line;
    struct connector *connector; /* of the line when this was made */
    flux_watcher_t *w;
};
LIST_HEAD(line_watch_list, line_watch);

struct dispatch {
    int refcount;
    flux_t *h; /* NULL once closed */
    struct conn *conn;
    flux_reactor_t *r;
    LIST_ENTRY(dispatch) conn_link;
    struct handlers *handlers;
    LIST_HEAD(, dispatch_user) users;
    TAILQ_HEAD(, deferred) deferred;
    unsigned int ndeferred;
    flux_watcher_t *prepare_w, *check_w, *idle_w;
    struct line_watch_list watches; /* one for each line that is connected */
    flux_watcher_t *retry_w;        /* exists while the connection is being restored */
    bool armed;
    bool in_step;
    bool stop_error; /* tell the reactor that the connection is lost */
    int64_t seen;    /* sequence of the last queue entry that was left to others */
};

static void step(struct dispatch *d);

static bool is_root(const struct dispatch *d)
{
    return d->conn->handle == d->h;
}

static bool wanted(const struct dispatch *d)
{
    return d->h && (!LIST_EMPTY(&d->users) || !TAILQ_EMPTY(&d->deferred) || d->stop_error ||
                    handlers_running(d->handlers) > 0);
}

static bool has_work(const struct dispatch *d)
{
    return !TAILQ_EMPTY(&d->deferred) || d->stop_error || connection_has_input(d->conn) ||
           msgqueue_after(&d->conn->queue, d->seen);
}

static void on_fd(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct line_watch *lw = arg; /* gone once the line is lost */
    struct dispatch *d = dispatch_ref(lw->d);

    if (revents & (FLUX_POLLIN | FLUX_POLLERR))
        lw->line->readable = true;
    if (revents & FLUX_POLLOUT)
        connection_flush(d->conn);
    if (revents & (FLUX_POLLIN | FLUX_POLLERR))
        step(d);
    dispatch_unref(d);
}

static void on_retry(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct dispatch *d = arg;

    connection_retry(d->conn);
}

static void on_prepare(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct dispatch *d = arg;
    struct line_watch *lw;

    if (has_work(d))
        flux_watcher_start(d->idle_w);
    LIST_FOREACH(lw, &d->watches, link)
    {
        int out = line_pending(lw->line) ? FLUX_POLLOUT : 0;

        flux_fd_watcher_set_events(lw->w, FLUX_POLLIN | out);
    }
}

static void on_check(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct dispatch *d = arg;

    flux_watcher_stop(d->idle_w);
    if (has_work(d))
        step(d);
}

static void on_idle(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
}

static struct line_watch *watch_free(struct line_watch *lw)
{
    if (lw) {
        flux_watcher_destroy(lw->w);
        free(lw);
    }
    return NULL;
}

static int watch_line(struct dispatch *d, struct line *l)
{
    struct line_watch *lw = calloc(1, sizeof(*lw));

    if (!lw)
        return -ENOMEM;
    *lw = (struct line_watch){ .d = d, .line = l, .connector = l->connector };
    lw->w = flux_fd_watcher_create(d->r, line_fd(l), FLUX_POLLIN, on_fd, lw);
    if (!lw->w) {
        watch_free(lw);
        return -ENOMEM;
    }
    LIST_INSERT_HEAD(&d->watches, lw, link);
    return 0;
}

/* Compares only: the watch's line may be freed. */
static bool is_watching(const struct line_watch *lw, const struct line *l)
{
    return lw->line == l && lw->connector == l->connector;
}

static bool has_line(const struct dispatch *d, const struct line_watch *lw)
{
    const struct line *l;

    TAILQ_FOREACH (l, &d->conn->lines, link) {
        if (is_watching(lw, l))
            return true;
    }
    return false;
}

static bool has_watch(const struct dispatch *d, const struct line *l)
{
    const struct line_watch *lw;

    LIST_FOREACH(lw, &d->watches, link)
    {
        if (is_watching(lw, l))
            return true;
    }
    return false;
}

/* Make the socket and retry watchers those of the connection's present state. */
static int update_transport(struct dispatch *d)
{
    struct line_watch *lw, *next;
    struct line *l;
    int rc = 0;

    for (lw = LIST_FIRST(&d->watches); lw; lw = next) {
        next = LIST_NEXT(lw, link);
        if (!has_line(d, lw)) {
            LIST_REMOVE(lw, link);
            watch_free(lw);
        }
    }
    TAILQ_FOREACH (l, &d->conn->lines, link) {
        if (line_fd(l) >= 0 && !has_watch(d, l) && rc == 0)
            rc = watch_line(d, l);
    }
    if (d->retry_w && d->conn->state != CONN_RETRYING) {
        flux_watcher_destroy(d->retry_w);
        d->retry_w = NULL;
    }
    if (!d->retry_w && d->conn->state == CONN_RETRYING)
        d->retry_w = flux_timer_watcher_create(d->r, 0., RETRY_PERIOD, on_retry, d);
    return rc;
}

static void set_active(flux_watcher_t *w, bool active)
{
    if (active)
        flux_watcher_start(w);
    else
        flux_watcher_stop(w);
}

static void set_armed(struct dispatch *d, bool armed)
{
    struct line_watch *lw;

    d->armed = armed;
    set_active(d->prepare_w, armed);
    set_active(d->check_w, armed);
    set_active(d->retry_w, armed);
    LIST_FOREACH(lw, &d->watches, link)
    {
        set_active(lw->w, armed);
    }
    if (!armed)
        flux_watcher_stop(d->idle_w);
}

/* Within a step the watchers stay as they are: what is stopped now is often started again by the
 * next continuation. */
static void update(struct dispatch *d)
{
    if (!d->in_step && wanted(d) != d->armed)
        set_armed(d, !d->armed);
}

static struct dispatch *dispatch_new(flux_t *h)
{
    struct dispatch *d = calloc(1, sizeof(*d));
    flux_reactor_t *r = flux_get_reactor(h);
    int rc;

    if (!d || !r) {
        free(d);
        return NULL;
    }
    d->refcount = 1;
    d->h = h;
    d->conn = connection_ref(h->conn);
    flux_reactor_incref(r);
    d->r = r;
    d->seen = INT64_MIN;
    LIST_INIT(&d->watches);
    LIST_INIT(&d->users);
    TAILQ_INIT(&d->deferred);
    LIST_INSERT_HEAD(&h->conn->dispatchers, d, conn_link);
    d->handlers = handlers_new(d);
    d->prepare_w = flux_prepare_watcher_create(r, on_prepare, d);
    d->check_w = flux_check_watcher_create(r, on_check, d);
    d->idle_w = flux_idle_watcher_create(r, on_idle, d);
    rc = update_transport(d);
    if (!d->handlers || !d->prepare_w || !d->check_w || !d->idle_w || rc < 0) {
        dispatch_close(d);
        errno = ENOMEM;
        return NULL;
    }
    return d;
}

struct dispatch *dispatch_get(flux_t *h)
{
    if (!h->dispatch)
        h->dispatch = dispatch_new(h);
    return h->dispatch;
}

struct dispatch *dispatch_find(struct conn *conn, flux_reactor_t *r)
{
    struct dispatch *d;

    LIST_FOREACH(d, &conn->dispatchers, conn_link)
    {
        if (d->r == r)
            return d;
    }
    return NULL;
}

struct dispatch *dispatch_ref(struct dispatch *d)
{
    d->refcount++;
    return d;
}

struct dispatch *dispatch_unref(struct dispatch *d)
{
    if (d && --d->refcount == 0) {
        flux_reactor_decref(d->r);
        connection_unref(d->conn);
        free(d);
    }
    return NULL;
}

struct dispatch *dispatch_close(struct dispatch *d)
{
    struct deferred *item;
    struct dispatch_user *u;
    struct line_watch *lw;

    if (!d)
        return NULL;
    d->h = NULL;
    LIST_REMOVE(d, conn_link);
    while ((u = LIST_FIRST(&d->users)))
        dispatch_user_stop(u);
    while ((item = TAILQ_FIRST(&d->deferred)))
        dispatch_cancel(item);
    d->handlers = handlers_free(d->handlers);
    flux_watcher_destroy(d->retry_w);
    while ((lw = LIST_FIRST(&d->watches))) {
        LIST_REMOVE(lw, link);
        watch_free(lw);
    }
    flux_watcher_destroy(d->idle_w);
    flux_watcher_destroy(d->check_w);
    flux_watcher_destroy(d->prepare_w);
    return dispatch_unref(d);
}

void dispatch_user_start(struct dispatch *d, struct dispatch_user *u)
{
    if (u->d || !d->h)
        return;
    u->d = d;
    LIST_INSERT_HEAD(&d->users, u, link);
    update(d);
}

void dispatch_user_stop(struct dispatch_user *u)
{
    struct dispatch *d = u->d;

    if (!d)
        return;
    LIST_REMOVE(u, link);
    u->d = NULL;
    if (d->h)
        update(d);
}

int dispatch_defer(struct dispatch *d, struct deferred *item)
{
    if (!d->h)
        return -ESHUTDOWN;
    if (item->d)
        return 0;
    item->d = d;
    TAILQ_INSERT_TAIL(&d->deferred, item, link);
    d->ndeferred++;
    update(d);
    return 0;
}

void dispatch_cancel(struct deferred *item)
{
    struct dispatch *d = item->d;

    if (!d)
        return;
    TAILQ_REMOVE(&d->deferred, item, link);
    d->ndeferred--;
    item->d = NULL;
    if (d->h)
        update(d);
}

bool dispatch_conn_served(const struct conn *conn)
{
    struct dispatch *d;

    LIST_FOREACH(d, &conn->dispatchers, conn_link)
    {
        if (d->armed)
            return true;
    }
    return false;
}

int dispatch_conn_changed(struct conn *conn)
{
    struct dispatch *d;
    int result = 0;

    LIST_FOREACH(d, &conn->dispatchers, conn_link)
    {
        bool armed = d->armed;
        int rc;

        if (conn->state == CONN_DEAD && !conn->loss_handled && armed)
            d->stop_error = true;
        if (armed)
            set_armed(d, false);
        rc = update_transport(d);
        if (rc < 0)
            result = rc;
        if (armed)
            set_armed(d, true);
    }
    return result;
}

void dispatch_rescan(struct conn *conn)
{
    struct dispatch *d;

    LIST_FOREACH(d, &conn->dispatchers, conn_link)
    d->seen = INT64_MIN;
}

struct handlers *dispatch_handlers(struct dispatch *d)
{
    return d->handlers;
}

void dispatch_handlers_changed(struct dispatch *d, bool rescan)
{
    if (rescan)
        d->seen = INT64_MIN;
    if (d->h)
        update(d);
}

static struct matchtag_slot *slot_of(const struct conn *conn, const flux_msg_t *msg)
{
    uint32_t tag;
    int type;

    if (flux_msg_get_type(msg, &type) < 0 || type != FLUX_MSGTYPE_RESPONSE ||
        flux_msg_get_matchtag(msg, &tag) < 0)
        return NULL;
    return matchtag_slot(&conn->tags, tag);
}

/* Is this message for us, or should it wait for another dispatcher? */
static bool accepts(struct dispatch *d, const flux_msg_t *msg)
{
    struct matchtag_slot *slot = slot_of(d->conn, msg);

    if (slot && slot->rpc)
        return rpc_started_on(slot->rpc, d) || (is_root(d) && !rpc_started_on(slot->rpc, NULL));
    return is_root(d) || handlers_match(d->handlers, msg);
}

static void no_handler(struct dispatch *d, const flux_msg_t *msg)
{
    const char *topic;
    int type;

    if (flux_msg_get_type(msg, &type) == 0 && type == FLUX_MSGTYPE_REQUEST &&
        flux_msg_get_topic(msg, &topic) == 0)
        (void)rpc_respond_unknown(d->h, msg, topic);
}

static void deliver(struct dispatch *d, const flux_msg_t *msg)
{
    struct matchtag_slot *slot = slot_of(d->conn, msg);

    if (slot && slot->rpc) {
        rpc_deliver(slot->rpc, msg);
        return;
    }
    if (!connection_orphaned(d->conn, msg) && !handlers_call(d->handlers, d->h, msg) && d->h)
        no_handler(d, msg);
    flux_msg_decref(msg);
}

/* Next message for this dispatcher, NULL if there is none. */
static const flux_msg_t *next(struct dispatch *d)
{
    struct conn *conn = d->conn;
    struct msg_entry *e;
    flux_msg_t *msg;

    while ((e = msgqueue_after(&conn->queue, d->seen))) {
        if (accepts(d, e->msg))
            return msgqueue_take(&conn->queue, e);
        d->seen = e->seq;
    }
    while (connection_has_input(conn)) {
        if (connection_fetch(conn, &msg) < 0)
            return NULL;
        if (accepts(d, msg))
            return msg;
        connection_enqueue(conn, msg);
        d->seen = conn->queue.next_tail - 1;
    }
    return NULL;
}

/* May the step go on? */
static bool goes_on(const struct dispatch *d)
{
    return d->h && !reactor_is_stopping(d->r);
}

static void run_deferred(struct dispatch *d)
{
    unsigned int n = d->ndeferred; /* what is deferred meanwhile waits for the next message */
    struct deferred *item;

    while (n-- > 0 && goes_on(d) && (item = TAILQ_FIRST(&d->deferred))) {
        TAILQ_REMOVE(&d->deferred, item, link);
        d->ndeferred--;
        item->d = NULL;
        item->cb(item->arg);
    }
}

static void step(struct dispatch *d)
{
    bool nested = d->in_step;

    (void)dispatch_ref(d);
    d->in_step = true;
    connection_cork(d->conn);
    run_deferred(d);
    for (int i = 0; i < BUDGET && goes_on(d); i++) {
        const flux_msg_t *msg = next(d);

        if (!msg)
            break;
        deliver(d, msg);
        run_deferred(d);
    }
    connection_uncork(d->conn);
    d->in_step = nested;
    if (d->h && d->stop_error && TAILQ_EMPTY(&d->deferred)) {
        d->stop_error = false;
        errno = ECONNRESET;
        flux_reactor_stop_error(d->r);
    }
    if (d->h)
        update(d);
    dispatch_unref(d);
}

int flux_dispatch_requeue(flux_t *h)
{
    if (!h) {
        errno = EINVAL;
        return -1;
    }
    /* What a clone had no taker for has never left the queue: only look at it again. */
    dispatch_rescan(h->conn);
    return 0;
}
