/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Turns, corks and ends of connections.
 *
 * Turns: a connection reads at most READ_BUDGET messages, then the others have theirs. What is left
 * in its channel, which poll(2) does not see, is read in the next pass: its turn is queued and the
 * loop does not sleep.
 *
 * Corks: between this file's check watcher (the begin of a pass) and its prepare watcher (before
 * the loop may sleep) messages are only queued; prepare sends them together. Outside of that window
 * they are sent at once, so nothing is ever forgotten over a sleep.
 *
 * Starved ones (channel_starved()) are tried again by a timer that runs while there are any.
 *
 * Ends: a connection may end while somebody up the stack still uses it, so on_end is called from
 * its own watcher or from the turns only. Invariant: on_end is called exactly once, and nothing of
 * the connection is touched after it. */
#include <poll.h>

#include "base/monotime.h"
#include "service/conn.h"

#define READ_BUDGET  64
#define FEED_SECONDS (CHANNEL_STARVED_MSEC * 1e-3)

TAILQ_HEAD(conn_list, conn);

struct conn_loop {
    flux_reactor_t *r;
    struct conn_list turns;
    struct conn_list corked;
    struct conn_list starved;
    bool in_pass;
    flux_watcher_t *prepare, *check, *idle, *feed;
};

static void queue_turn(struct conn *c)
{
    if (c->turn)
        return;
    c->turn = true;
    TAILQ_INSERT_TAIL(&c->loop->turns, c, turn_entry);
}

void conn_drop(struct conn *c, enum conn_end end, const char *reason)
{
    if (c->ended)
        return;
    c->ended = true;
    c->end = end;
    c->reason = reason;
    queue_turn(c);
}

static void set_starved(struct conn *c, bool starved)
{
    if (starved == c->starved)
        return;
    c->starved = starved;
    if (starved) {
        TAILQ_INSERT_TAIL(&c->loop->starved, c, starved_entry);
        flux_watcher_start(c->loop->feed);
    } else {
        TAILQ_REMOVE(&c->loop->starved, c, starved_entry);
    }
}

static void update_events(struct conn *c)
{
    const bool starved = channel_starved(c->ch);
    const int events =
        (c->reading ? FLUX_POLLIN : 0) | (channel_pending(c->ch) && !starved ? FLUX_POLLOUT : 0);

    set_starved(c, starved);
    if (events == c->events)
        return;
    if (events && !c->events)
        flux_watcher_start(c->watcher);
    if (events)
        flux_fd_watcher_set_events(c->watcher, events);
    else
        flux_watcher_stop(c->watcher);
    c->events = events;
}

static void uncork(struct conn *c)
{
    c->corked = false;
    TAILQ_REMOVE(&c->loop->corked, c, cork_entry);
    if (channel_uncork(c->ch) < 0)
        conn_drop(c, CONN_CLOSED, NULL);
    else
        update_events(c);
}

int conn_send(struct conn *c, const flux_msg_t *msg)
{
    int rc;

    if (c->ended)
        return -EPIPE;
    if (c->loop->in_pass && !c->corked) {
        channel_cork(c->ch);
        c->corked = true;
        TAILQ_INSERT_TAIL(&c->loop->corked, c, cork_entry);
    }
    rc = channel_send(c->ch, msg);
    if (rc == -ENOBUFS && c->corked) { /* full of what was not even tried to send */
        uncork(c);
        rc = c->ended ? -EPIPE : channel_send(c->ch, msg);
    }
    if (rc == -EPIPE || rc == -ECONNRESET) {
        conn_drop(c, CONN_CLOSED, NULL);
        return -EPIPE;
    }
    if (!c->corked && !c->ended)
        update_events(c);
    return rc;
}

/* A zero-length record reads like the end of the stream; then the peer is still there. */
static bool is_still_open(struct conn *c)
{
    struct pollfd pfd = { .fd = channel_fd(c->ch), .events = POLLRDHUP };

    return poll(&pfd, 1, 0) == 0;
}

static void read_messages(struct conn *c)
{
    const char *reason = NULL;
    int rc = 0;

    for (int i = 0; i < READ_BUDGET && !c->ended && c->reading; i++) {
        flux_msg_t *msg = NULL;

        rc = channel_recv(c->ch, &msg, &reason);
        if (rc < 0)
            break;
        reason = c->ops->on_message(c, msg);
        flux_msg_decref(msg);
        if (reason) {
            conn_drop(c, CONN_PROTOCOL, reason);
            return;
        }
    }
    if (rc == -EPROTO)
        conn_drop(c, CONN_PROTOCOL, reason ? reason : "broken message");
    else if (rc == -ECONNRESET && is_still_open(c))
        conn_drop(c, CONN_PROTOCOL, "zero-length record");
    else if (rc < 0 && rc != -EAGAIN)
        conn_drop(c, CONN_CLOSED, NULL);
    else if (channel_has_input(c->ch) && c->reading)
        queue_turn(c);
}

static void end(struct conn *c)
{
    if (c->turn)
        TAILQ_REMOVE(&c->loop->turns, c, turn_entry);
    c->turn = false;
    c->ops->on_end(c, c->end, c->reason);
}

static void on_ready(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct conn *c = arg;

    if (revents & FLUX_POLLOUT) {
        if (channel_flush(c->ch) < 0)
            conn_drop(c, CONN_CLOSED, NULL);
    }
    if (revents & FLUX_POLLIN)
        read_messages(c);
    else if ((revents & FLUX_POLLERR) && !(revents & FLUX_POLLOUT))
        conn_drop(c, CONN_CLOSED, NULL);
    if (c->ended)
        end(c);
    else if (!c->corked)
        update_events(c);
}

static void on_prepare(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct conn_loop *loop = arg;
    struct conn *c;

    while ((c = TAILQ_FIRST(&loop->corked)))
        uncork(c);
    loop->in_pass = false;
    if (!TAILQ_EMPTY(&loop->turns))
        flux_watcher_start(loop->idle); /* do not sleep */
}

static void on_check(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct conn_loop *loop = arg;
    struct conn *c;
    size_t n = 0;

    loop->in_pass = true;
    flux_watcher_stop(loop->idle);
    TAILQ_FOREACH (c, &loop->turns, turn_entry)
        n++; /* one turn each: who is added meanwhile waits for the next pass */
    for (; n > 0 && (c = TAILQ_FIRST(&loop->turns)); n--) {
        TAILQ_REMOVE(&loop->turns, c, turn_entry);
        c->turn = false;
        if (!c->ended)
            read_messages(c);
        if (c->ended)
            end(c);
    }
}

static void on_feed(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct conn_loop *loop = arg;
    struct conn *c, *tmp;

    TAILQ_FOREACH_SAFE (c, &loop->starved, starved_entry, tmp) {
        if (channel_flush(c->ch) < 0)
            conn_drop(c, CONN_SLOW, NULL);
        if (c->ended)
            set_starved(c, false);
        else
            update_events(c);
    }
    if (TAILQ_EMPTY(&loop->starved))
        flux_watcher_stop(w);
}

static void on_idle(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
}

int conn_loop_new(flux_reactor_t *r, struct conn_loop **ret)
{
    CLEANUP(conn_loop_freep) struct conn_loop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        return -ENOMEM;
    loop->r = r;
    TAILQ_INIT(&loop->turns);
    TAILQ_INIT(&loop->corked);
    TAILQ_INIT(&loop->starved);
    loop->prepare = flux_prepare_watcher_create(r, on_prepare, loop);
    loop->check = flux_check_watcher_create(r, on_check, loop);
    loop->idle = flux_idle_watcher_create(r, on_idle, loop);
    loop->feed = flux_timer_watcher_create(r, FEED_SECONDS, FEED_SECONDS, on_feed, loop);
    if (!loop->prepare || !loop->check || !loop->idle || !loop->feed)
        return -ENOMEM;
    flux_watcher_unref(loop->prepare);
    flux_watcher_unref(loop->check);
    flux_watcher_start(loop->prepare);
    flux_watcher_start(loop->check);
    *ret = TAKE(loop);
    return 0;
}

struct conn_loop *conn_loop_free(struct conn_loop *loop)
{
    if (loop) {
        flux_watcher_destroy(loop->feed);
        flux_watcher_destroy(loop->idle);
        flux_watcher_destroy(loop->check);
        flux_watcher_destroy(loop->prepare);
        free(loop);
    }
    return NULL;
}

int conn_init(struct conn *c, struct conn_loop *loop, struct channel *ch,
              const struct conn_ops *ops)
{
    *c = (struct conn){ .loop = loop, .ops = ops, .ch = ch, .reading = true };
    c->events = FLUX_POLLIN;
    c->watcher = flux_fd_watcher_create(loop->r, channel_fd(ch), FLUX_POLLIN, on_ready, c);
    if (!c->watcher) {
        c->ch = channel_free(ch);
        return -ENOMEM;
    }
    flux_watcher_start(c->watcher);
    return 0;
}

void conn_deinit(struct conn *c)
{
    if (c->turn)
        TAILQ_REMOVE(&c->loop->turns, c, turn_entry);
    if (c->corked)
        TAILQ_REMOVE(&c->loop->corked, c, cork_entry);
    if (c->starved)
        TAILQ_REMOVE(&c->loop->starved, c, starved_entry);
    c->turn = c->corked = c->starved = false;
    flux_watcher_destroy(c->watcher);
    c->watcher = NULL;
    c->ch = channel_free(c->ch);
}

void conn_stop_reading(struct conn *c)
{
    c->reading = false;
    update_events(c);
}

void conn_handle_fetched(struct conn *c)
{
    while (!c->ended && channel_has_input(c->ch)) {
        const char *reason = NULL;
        flux_msg_t *msg = NULL;

        if (channel_recv(c->ch, &msg, &reason) < 0) {
            conn_drop(c, CONN_CLOSED, NULL);
            return;
        }
        reason = c->ops->on_message(c, msg);
        flux_msg_decref(msg);
        if (reason)
            conn_drop(c, CONN_PROTOCOL, reason);
    }
}

void conn_flush_wait(struct conn *c, uint64_t end_usec)
{
    if (c->corked)
        uncork(c);
    while (!c->ended && channel_flush(c->ch) == 0 && channel_pending(c->ch)) {
        struct pollfd pfd = { .fd = channel_fd(c->ch), .events = POLLOUT };
        const uint64_t now_usec = monotime_usec();

        if (now_usec >= end_usec)
            return;
        if (channel_starved(c->ch))
            (void)poll(NULL, 0, CHANNEL_STARVED_MSEC);
        else if (poll(&pfd, 1, (int)((end_usec - now_usec) / 1000) + 1) <= 0)
            return;
    }
}
