/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One connection to this daemon, normally the router's. Reads at most READ_BUDGET messages a
 * wake-up, then lets the others have their turn: peers with messages left in their channel (which
 * poll(2) does not see) are served again in the next pass of the loop, round robin.
 *
 * Refuses: users other than the instance owner (unless the service allows guests), nobody's uid,
 * messages that break the protocol or are no requests: one logged reason, connection closed.
 *
 * Invariant: a peer is freed only from its own watcher or from the pass over the backlog, never
 * from within send: a handler may answer many requests and must find the peer alive. */
#include <poll.h>
#include <string.h>

#include "base/list.h"
#include "base/monotime.h"
#include "service/log.h"
#include "service/state.h"
#include "wire/channel.h"
#include "wire/message.h"

#define READ_BUDGET     64
#define FLUSH_WAIT_USEC 1000000

struct peer {
    struct origin origin; /* first: send() gets the peer by it */
    struct peers *peers;
    struct channel *ch;
    flux_watcher_t *watcher;
    int events;
    bool lost;    /* to be freed when it is safe */
    bool backlog; /* in peers->backlog */
    TAILQ_ENTRY(peer) entry;
    TAILQ_ENTRY(peer) backlog_entry;
};

TAILQ_HEAD(peer_list, peer);

struct peers {
    struct service *svc;
    struct peer_list list;
    struct peer_list backlog;
    flux_watcher_t *prepare, *check, *idle;
    struct log_ratelimit refused;
    size_t count;
    bool stopped;
};

static struct peer *peer_free(struct peer *p)
{
    if (!p)
        return NULL;
    origin_deinit(&p->origin);
    if (p->backlog)
        TAILQ_REMOVE(&p->peers->backlog, p, backlog_entry);
    TAILQ_REMOVE(&p->peers->list, p, entry);
    p->peers->count--;
    flux_watcher_destroy(p->watcher);
    channel_free(p->ch);
    free(p);
    return NULL;
}

static void peer_to_backlog(struct peer *p)
{
    if (p->backlog)
        return;
    p->backlog = true;
    TAILQ_INSERT_TAIL(&p->peers->backlog, p, backlog_entry);
}

static void peer_update_events(struct peer *p)
{
    const int events =
        (p->peers->stopped ? 0 : FLUX_POLLIN) | (channel_pending(p->ch) ? FLUX_POLLOUT : 0);

    if (events != p->events)
        flux_fd_watcher_set_events(p->watcher, events);
    p->events = events;
}

static void log_bad(struct peer *p, const char *reason)
{
    const struct peer_cred *cred = channel_peer(p->ch);
    char user[32];
    const char *fields[] = { "MESSAGE_ID=" LOG_ID_BAD_PEER, user, NULL };

    (void)snprintf(user, sizeof(user), "FLUX_USERID=%u", cred->uid);
    p->peers->svc->stats.bad_peer++;
    log_fields(LOG_WARNING, fields, "dropped process %d of user %u: %s", (int)cred->pid, cred->uid,
               reason);
}

static void peer_lose(struct peer *p)
{
    p->lost = true;
    peer_to_backlog(p); /* freed by the pass over it */
}

static int on_origin_send(struct origin *o, flux_msg_t *msg)
{
    struct peer *p = container_of(o, struct peer, origin);
    int rc;

    if (p->lost)
        return -EPIPE;
    rc = channel_send(p->ch, msg);
    if (rc == -ENOBUFS)
        log_bad(p, "it does not read its answers");
    if (rc < 0)
        peer_lose(p);
    else if (channel_pending(p->ch))
        peer_update_events(p);
    return rc;
}

static const char *handle(struct peer *p, flux_msg_t *msg)
{
    struct service *svc = p->peers->svc;

    if (msg_proto(msg)->type != FLUX_MSGTYPE_REQUEST)
        return "it sent a message that is not a request";
    peer_cred_apply(channel_peer(p->ch), svc->owner, msg);
    dispatch_request(svc, &p->origin, msg);
    return NULL;
}

/* Up to READ_BUDGET messages. */
static void peer_read(struct peer *p)
{
    const char *reason = NULL;
    int rc = 0;

    for (int i = 0; i < READ_BUDGET && !p->lost && !p->peers->stopped; i++) {
        flux_msg_t *msg = NULL;

        rc = channel_recv(p->ch, &msg, &reason);
        if (rc < 0)
            break;
        reason = handle(p, msg);
        flux_msg_decref(msg);
        if (reason) {
            rc = -EPROTO;
            break;
        }
    }
    if (rc == -EPROTO)
        log_bad(p, reason ? reason : "it broke the protocol");
    if (rc < 0 && rc != -EAGAIN)
        peer_lose(p);
    else if (!p->lost && channel_has_input(p->ch))
        peer_to_backlog(p);
}

static void on_peer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct peer *p = arg;

    if ((revents & FLUX_POLLOUT) && channel_flush(p->ch) < 0)
        peer_lose(p);
    if (revents & (FLUX_POLLIN | FLUX_POLLERR))
        peer_read(p);
    if (p->lost)
        peer_free(p);
    else
        peer_update_events(p);
}

/* --- the backlog: those who have more in their channel, and those to be freed */

static void on_prepare(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct peers *peers = arg;

    if (!TAILQ_EMPTY(&peers->backlog))
        flux_watcher_start(peers->idle); /* do not sleep */
}

static void on_check(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct peers *peers = arg;
    struct peer *p;
    size_t n = 0;

    flux_watcher_stop(peers->idle);
    TAILQ_FOREACH (p, &peers->backlog, backlog_entry)
        n++; /* one turn each: who is added meanwhile waits for the next pass */
    for (; n > 0 && (p = TAILQ_FIRST(&peers->backlog)); n--) {
        TAILQ_REMOVE(&peers->backlog, p, backlog_entry);
        p->backlog = false;
        if (!p->lost)
            peer_read(p);
        if (p->lost)
            peer_free(p);
    }
}

static void on_idle(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
}

int peers_new(struct service *svc, struct peers **ret)
{
    CLEANUP(peers_freep) struct peers *peers = calloc(1, sizeof(*peers));

    if (!peers)
        return -ENOMEM;
    peers->svc = svc;
    TAILQ_INIT(&peers->list);
    TAILQ_INIT(&peers->backlog);
    peers->prepare = flux_prepare_watcher_create(svc->reactor, on_prepare, peers);
    peers->check = flux_check_watcher_create(svc->reactor, on_check, peers);
    peers->idle = flux_idle_watcher_create(svc->reactor, on_idle, peers);
    if (!peers->prepare || !peers->check || !peers->idle)
        return -ENOMEM;
    flux_watcher_start(peers->prepare);
    flux_watcher_start(peers->check);
    *ret = TAKE(peers);
    return 0;
}

/* Answers given just before the end still go out, if the peers read them. */
static void flush_all(struct peers *peers)
{
    const uint64_t end_usec = monotime_usec() + FLUSH_WAIT_USEC;
    struct peer *p;

    TAILQ_FOREACH (p, &peers->list, entry) {
        while (!p->lost && channel_flush(p->ch) == 0 && channel_pending(p->ch)) {
            struct pollfd pfd = { .fd = channel_fd(p->ch), .events = POLLOUT };
            const uint64_t now_usec = monotime_usec();

            if (now_usec >= end_usec || poll(&pfd, 1, (int)((end_usec - now_usec) / 1000) + 1) <= 0)
                break;
        }
    }
}

struct peers *peers_free(struct peers *peers)
{
    struct peer *p;

    if (peers) {
        flush_all(peers);
        while ((p = TAILQ_FIRST(&peers->list)))
            peer_free(p);
        flux_watcher_destroy(peers->idle);
        flux_watcher_destroy(peers->check);
        flux_watcher_destroy(peers->prepare);
        free(peers);
    }
    return NULL;
}

static bool is_welcome(struct peers *peers, int fd)
{
    struct peer_cred cred = { .uid = (uid_t)-1 };
    const int rc = peer_cred_get(fd, &cred);

    if (rc == 0 && (cred.uid == peers->svc->owner || peers->svc->desc->allow_guests))
        return true;
    peers->svc->stats.refused++;
    if (log_ratelimit(&peers->refused, 5)) {
        const char *fields[] = { "MESSAGE_ID=" LOG_ID_BAD_PEER, NULL };

        log_fields(LOG_WARNING, fields,
                   "refused a connection of user %d: only the router of the instance owner may "
                   "connect here",
                   (int)cred.uid);
    }
    return false;
}

static int peer_new(struct peers *peers, int fd)
{
    struct channel_limits limits = channel_limits_default;
    struct peer *p = calloc(1, sizeof(*p));
    int rc;

    if (!p) {
        (void)close(fd);
        return -ENOMEM;
    }
    /* Large payloads stay in their memfd until a handler reads them, after the quota is charged. */
    limits.read_memfd = false;
    rc = channel_new(fd, &limits, &p->ch);
    if (rc == 0) {
        p->watcher =
            flux_fd_watcher_create(peers->svc->reactor, channel_fd(p->ch), FLUX_POLLIN, on_peer, p);
        rc = p->watcher ? 0 : -ENOMEM;
    }
    if (rc < 0) {
        channel_free(p->ch);
        free(p);
        return rc;
    }
    origin_init(&p->origin, on_origin_send);
    p->peers = peers;
    p->events = FLUX_POLLIN;
    TAILQ_INSERT_TAIL(&peers->list, p, entry);
    peers->count++;
    flux_watcher_start(p->watcher);
    return 0;
}

void peers_add(struct peers *peers, int fd)
{
    int rc;

    if (!is_welcome(peers, fd)) {
        (void)close(fd);
        return;
    }
    rc = peer_new(peers, fd);
    if (rc < 0)
        log_err("cannot serve a new connection: %s", strerror(-rc));
}

void peers_stop_reading(struct peers *peers)
{
    struct peer *p;

    peers->stopped = true;
    TAILQ_FOREACH (p, &peers->list, entry)
        peer_update_events(p);
}

size_t peers_count(const struct peers *peers)
{
    return peers->count;
}
