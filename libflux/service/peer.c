/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One connection to this daemon, the router's or that of a client who calls us himself: its
 * messages are requests, believed as peer_cred_apply() says. The end of a client's own connection
 * is what SERVICE.disconnect is for the router's clients.
 *
 * Output that waits is bounded for each connection, and for all together: who does not read is
 * dropped, who does has an empty queue.
 *
 * Refuses: users other than the instance owner (unless the service allows guests), nobody's uid,
 * messages that break the protocol or are no requests: one logged reason, connection closed. */
#include <string.h>

#include "base/list.h"
#include "base/monotime.h"
#include "service/conn.h"
#include "service/log.h"
#include "service/state.h"
#include "wire/message.h"

#define FLUSH_WAIT_USEC 1000000
#define QUEUES_MAX      (256u << 20) /* bytes, of all connections */

DEFINE_CLEANUP(flux_msg_t *, flux_msg_destroy)

struct peer {
    struct origin origin;
    struct conn conn;
    struct peers *peers;
    bool is_client; /* it has sent requests of its own */
    TAILQ_ENTRY(peer) entry;
};

struct peers {
    struct service *svc;
    TAILQ_HEAD(, peer) list;
    struct log_ratelimit refused;
    struct log_burst dropped;
    size_t count;
    size_t queued_bytes; /* output that waits, when it was last summed up */
    size_t looks;        /* since then */
    bool holding;
};

static struct peer *peer_free(struct peer *p)
{
    if (p) {
        origin_deinit(&p->origin);
        TAILQ_REMOVE(&p->peers->list, p, entry);
        p->peers->count--;
        conn_deinit(&p->conn);
        free(p);
    }
    return NULL;
}

static size_t queued_bytes(const struct peer *p)
{
    return channel_stats(p->conn.ch)->queued_bytes;
}

/* Summed up once for as many questions as there are addends. */
static size_t all_queued_bytes(struct peers *peers)
{
    const struct peer *p;

    if (peers->looks++ % (peers->count + 1) != 0)
        return peers->queued_bytes;
    peers->queued_bytes = 0;
    TAILQ_FOREACH (p, &peers->list, entry)
        peers->queued_bytes += queued_bytes(p);
    return peers->queued_bytes;
}

/* Too much waits in all, and here no small part of it. */
static bool is_over(const struct peer *p)
{
    return queued_bytes(p) > QUEUES_MAX / (2 * p->peers->count) &&
           all_queued_bytes(p->peers) > QUEUES_MAX;
}

static int on_origin_send(struct origin *o, flux_msg_t *msg)
{
    struct peer *p = container_of(o, struct peer, origin);
    const int rc = is_over(p) ? -ENOBUFS : conn_send(&p->conn, msg);

    if (rc == -ENOBUFS)
        conn_drop(&p->conn, CONN_SLOW, "it does not read its answers");
    return rc;
}

/* Not begun: the next process does. Its reference goes with request_hand_on(). */
static const char *hold(struct peer *p, const flux_msg_t *msg)
{
    struct request *req;

    if (request_new(p->peers->svc, &p->origin, msg, &req) < 0)
        return "no memory for a request";
    req->held = true;
    return NULL;
}

static const char *on_message(struct conn *c, flux_msg_t *msg)
{
    struct peer *p = container_of(c, struct peer, conn);
    struct service *svc = p->peers->svc;

    if (msg_proto(msg)->type != FLUX_MSGTYPE_REQUEST)
        return "a message that is not a request";
    peer_cred_apply(channel_peer(c->ch), svc->owner, msg);
    p->is_client |= flux_msg_route_count(msg) <= 0;
    if (p->peers->holding)
        return hold(p, msg);
    dispatch_request(svc, &p->origin, msg);
    return NULL;
}

static void client_left(struct peer *p)
{
    struct service *svc = p->peers->svc;
    const struct flux_msg_cred cred = { channel_peer(p->conn.ch)->uid,
                                        channel_peer(p->conn.ch)->uid == svc->owner
                                            ? FLUX_ROLE_OWNER
                                            : FLUX_ROLE_USER };
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_REQUEST);

    svc->stats.disconnects++;
    if (svc->desc->on_disconnect && msg && flux_msg_set_cred(msg, cred) == 0)
        svc->desc->on_disconnect(msg, svc->arg);
}

static void on_end(struct conn *c, enum conn_end end, const char *reason)
{
    struct peer *p = container_of(c, struct peer, conn);
    const struct peer_cred *cred = channel_peer(c->ch);
    char user[32];
    const char *id =
        end == CONN_SLOW ? "MESSAGE_ID=" LOG_ID_SLOW_CLIENT : "MESSAGE_ID=" LOG_ID_BAD_PEER;
    const char *fields[] = { id, user, NULL };

    (void)snprintf(user, sizeof(user), "FLUX_USERID=%u", cred->uid);
    if (end == CONN_PROTOCOL || end == CONN_SLOW) {
        p->peers->svc->stats.bad_peer++;
        if (log_burst(&p->peers->dropped, LOG_DROPS, LOG_DROPS_SECONDS))
            log_fields(LOG_WARNING, fields, "dropped process %d of user %u: %s%s", (int)cred->pid,
                       cred->uid, reason, p->peers->dropped.suffix);
    }
    if (p->is_client)
        client_left(p);
    peer_free(p);
}

static const struct conn_ops ops = { .on_message = on_message, .on_end = on_end };

int peers_new(struct service *svc, struct peers **ret)
{
    struct peers *peers = calloc(1, sizeof(*peers));

    if (!peers)
        return -ENOMEM;
    peers->svc = svc;
    TAILQ_INIT(&peers->list);
    *ret = peers;
    return 0;
}

struct peers *peers_free(struct peers *peers)
{
    const uint64_t end_usec = monotime_usec() + FLUSH_WAIT_USEC;
    struct peer *p;

    if (peers) {
        TAILQ_FOREACH (p, &peers->list, entry)
            conn_flush_wait(&p->conn, end_usec);
        while ((p = TAILQ_FIRST(&peers->list)))
            peer_free(p);
        free(peers);
    }
    return NULL;
}

static bool is_welcome(struct peers *peers, int fd)
{
    struct peer_cred cred = { .uid = (uid_t)-1 };
    const int rc = peer_cred_get(fd, &cred);
    const char *fields[] = { "MESSAGE_ID=" LOG_ID_BAD_PEER, NULL };

    if (rc == 0 && (cred.uid == peers->svc->owner || peers->svc->desc->allow_guests))
        return true;
    peers->svc->stats.refused++;
    if (log_ratelimit(&peers->refused, 5))
        log_fields(LOG_WARNING, fields,
                   "refused a connection of user %d: only the instance owner may connect here",
                   (int)cred.uid);
    return false;
}

static int peer_new(struct peers *peers, int fd, struct peer **ret)
{
    struct channel_limits limits = channel_limits_default;
    struct channel *ch = NULL;
    struct peer *p;
    int rc;

    /* Large payloads stay in their memfd until a handler reads them, after the quota is charged. */
    limits.read_memfd = false;
    rc = channel_new(fd, &limits, &ch);
    if (rc < 0)
        return rc;
    p = calloc(1, sizeof(*p));
    if (!p) {
        channel_free(ch);
        return -ENOMEM;
    }
    rc = conn_init(&p->conn, peers->svc->conns, ch, &ops);
    if (rc < 0) {
        free(p);
        return rc;
    }
    origin_init(&p->origin, on_origin_send);
    p->peers = peers;
    TAILQ_INSERT_TAIL(&peers->list, p, entry);
    peers->count++;
    *ret = p;
    return 0;
}

void peers_add(struct peers *peers, int fd)
{
    struct peer *p;
    int rc;

    if (!is_welcome(peers, fd)) {
        (void)close(fd);
        return;
    }
    rc = peer_new(peers, fd, &p);
    if (rc < 0)
        log_err("cannot serve a new connection: %s", strerror(-rc));
}

void peers_stop_reading(struct peers *peers)
{
    struct peer *p;

    TAILQ_FOREACH (p, &peers->list, entry)
        conn_stop_reading(&p->conn);
}

size_t peers_count(const struct peers *peers)
{
    return peers->count;
}

/* --- for handover.c */

void peers_hold(struct peers *peers)
{
    struct peer *p;

    peers->holding = true;
    peers_stop_reading(peers);
    TAILQ_FOREACH (p, &peers->list, entry)
        conn_handle_fetched(&p->conn);
}

struct peer *peers_next(struct peers *peers, struct peer *prev)
{
    return prev ? TAILQ_NEXT(prev, entry) : TAILQ_FIRST(&peers->list);
}

int peers_adopt(struct peers *peers, int fd, bool is_client, struct peer **ret)
{
    int rc = peer_new(peers, fd, ret);

    if (rc == 0)
        (*ret)->is_client = is_client;
    return rc;
}

struct origin *peer_origin(struct peer *p)
{
    return &p->origin;
}

int peer_fd(const struct peer *p)
{
    return channel_fd(p->conn.ch);
}

bool peer_is_client(const struct peer *p)
{
    return p->is_client;
}

bool peer_is_busy(const struct peer *p)
{
    return p->conn.ended || channel_pending(p->conn.ch);
}

void peer_flush_wait(struct peer *p, uint64_t end_usec)
{
    conn_flush_wait(&p->conn, end_usec);
}
