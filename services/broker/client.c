/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Connections of the router: who may connect, what is taken from them, what happens when they go.
 *
 * Refuses at the door, with a sentence (an error response "broker.refuse", matchtag 0, before the
 * end of the connection): nobody's uids, users other than the owner unless access.allow-guest-user,
 * more than GUEST_CONNECTIONS_MAX connections of a guest. root counts as the owner if
 * access.allow-root-owner. Drops, with one logged reason: who breaks the protocol, who does not
 * read.
 *
 * Invariant: a client is freed in on_end only, which the connection calls outside of everything
 * else; until then the router may still hold it. */
#include <pwd.h>
#include <malloc.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>

#include "base/monotime.h"
#include "broker/client.h"
#include "broker/overlay.h"
#include "broker/router.h"
#include "service/log.h"
#include "service/refusal.h"
#include "wire/message.h"

#define FLUSH_WAIT_USEC 500000
#define TRIM_BYTES      (8u << 20)
#define REFUSAL_SIZE    512
#define REMOTES_MIN     256

static void make_name(char ret[CLIENT_NAME_SIZE])
{
    uint8_t bytes[(CLIENT_NAME_SIZE - 1) / 2];

    randombytes_buf(bytes, sizeof(bytes));
    (void)sodium_bin2hex(ret, CLIENT_NAME_SIZE, bytes, sizeof(bytes));
}

bool client_is_guest(const struct client *c)
{
    return c->cred.uid != c->clients->users.owner;
}

struct client *clients_find(const struct clients *cs, const char *name)
{
    struct client *c;

    HASH_FIND_STR(cs->by_name, name, c);
    return c;
}

bool client_is_local(const struct client *c)
{
    return c->kind == CLIENT_ACCEPTED || c->kind == CLIENT_SERVICE;
}

/* --- messages */

static const char *on_message(struct conn *conn, flux_msg_t *msg)
{
    struct client *c = container_of(conn, struct client, conn);
    struct router *r = c->clients->router;

    c->active = flux_reactor_now(service_reactor(c->clients->svc));
    if (c->kind == CLIENT_SERVICE) {
        if (msg_proto(msg)->type != FLUX_MSGTYPE_RESPONSE)
            return "a service sent something other than a response";
        return router_response(r, c, msg);
    }
    peer_cred_apply(&c->cred, c->clients->users.owner, msg);
    switch (msg_proto(msg)->type) {
    case FLUX_MSGTYPE_REQUEST:
        return router_request(r, c, msg);
    case FLUX_MSGTYPE_RESPONSE:
        return router_response(r, c, msg);
    case FLUX_MSGTYPE_EVENT:
        return router_event(r, c, msg);
    default:
        return "a control message";
    }
}

static size_t queued_bytes(const struct client *c)
{
    return channel_stats(c->conn.ch)->queued_bytes;
}

/* Summed up once for as many questions as there are addends. */
static size_t user_queued_bytes(struct user *u)
{
    const struct client *c;

    if (u->looks++ % (u->nclients + 1) != 0)
        return u->queued_bytes;
    u->queued_bytes = 0;
    TAILQ_FOREACH (c, &u->clients, user_entry)
        u->queued_bytes += queued_bytes(c);
    return u->queued_bytes;
}

/* All connections of the user together have too much waiting, and this one no small part of it. Who
 * reads has an empty queue. */
static bool is_over(const struct client *c)
{
    const size_t limit = client_is_guest(c) ? GUEST_QUEUE_BYTES : OWNER_QUEUE_BYTES;

    return c->user && queued_bytes(c) > limit / (2 * c->user->nclients) &&
           user_queued_bytes(c->user) > limit;
}

int client_try_send(struct client *c, const flux_msg_t *msg)
{
    if (c->clients->router->handed_on)
        return 0;
    if (c->kind == CLIENT_NODE)
        return overlay_send(c->node, msg);
    if (c->kind == CLIENT_REMOTE)
        return overlay_send(c->via->node, msg);
    return is_over(c) ? -ENOBUFS : conn_send(&c->conn, msg);
}

int client_send(struct client *c, const flux_msg_t *msg)
{
    const int rc = client_try_send(c, msg);

    if (rc == -ENOBUFS && !client_is_local(c))
        overlay_node_drop(c->via ? c->via->node : c->node, "it does not take what is sent to it");
    else if (rc == -ENOBUFS)
        conn_drop(&c->conn, CONN_SLOW, "it does not read what was sent to it");
    return rc;
}

bool client_is_busy(const struct client *c)
{
    const struct channel_stats *s;

    if (!client_is_local(c))
        return overlay_node_is_busy(c->via ? c->via->node : c->node);
    s = channel_stats(c->conn.ch);
    return s->queued_bytes > channel_limits_default.queue_bytes / 2 ||
           s->queued_messages > channel_limits_default.queue_messages / 2;
}

static int on_origin_send(struct origin *o, flux_msg_t *msg)
{
    return client_send(container_of(o, struct client, origin), msg);
}

/* --- the end */

static void client_free(struct client *c)
{
    struct clients *cs = c->clients;

    if (c->hh.tbl)
        HASH_DEL(cs->by_name, c);
    if (c->user) {
        TAILQ_REMOVE(&c->user->clients, c, user_entry);
        c->user->nclients--;
        users_release(&cs->users, c->user);
    }
    json_decref(c->announced);
    free(c->routes);
    if (client_is_local(c))
        conn_deinit(&c->conn);
    free(c);
}

static void log_dropped(struct client *c, enum conn_end end, const char *reason)
{
    char uid[32], pid[32];
    const char *id =
        end == CONN_SLOW ? "MESSAGE_ID=" LOG_ID_SLOW_CLIENT : "MESSAGE_ID=" LOG_ID_BAD_PEER;
    const char *fields[] = { id, uid, pid, NULL };
    struct log_burst *drops = &c->clients->drops[client_is_guest(c)];

    (void)snprintf(uid, sizeof(uid), "FLUX_USERID=%u", c->cred.uid);
    (void)snprintf(pid, sizeof(pid), "FLUX_PID=%d", (int)c->pid);
    if (end == CONN_SLOW)
        c->clients->slow++;
    else
        c->clients->bad++;
    if (log_burst(drops, LOG_DROPS, LOG_DROPS_SECONDS))
        log_fields(LOG_WARNING, fields, "dropped the client with pid %d of user %u: %s%s",
                   (int)c->pid, c->cred.uid, reason, drops->suffix);
}

static void on_end(struct conn *conn, enum conn_end end, const char *reason)
{
    struct client *c = container_of(conn, struct client, conn);

    struct clients *cs = c->clients;

    cs->freed_bytes += queued_bytes(c);
    if (end == CONN_PROTOCOL || end == CONN_SLOW)
        log_dropped(c, end, reason);
    origin_deinit(&c->origin);
    router_client_gone(cs->router, c);
    client_free(c);
    if (cs->freed_bytes > TRIM_BYTES) {
        (void)malloc_trim(0); /* give the memory of slow clients back to the system */
        cs->freed_bytes = 0;
    }
}

static const struct conn_ops ops = { .on_message = on_message, .on_end = on_end };

/* It gets its place in the tables. On failure it is freed. */
static int client_enter(struct clients *cs, struct client *c)
{
    origin_init(&c->origin, on_origin_send);
    inflight_client_init(&c->inflight, cs->next_id);
    link_end_init(&c->links, cs->next_id++);
    subscriber_init(&c->events);
    memberships_init(&c->memberships);
    c->active = flux_reactor_now(service_reactor(cs->svc));
    HASH_ADD_STR(cs->by_name, name, c);
    if (!c->hh.tbl) {
        client_free(c);
        return -ENOMEM;
    }
    return 0;
}

/* --- other nodes */

static struct client *far_client(struct clients *cs, enum client_kind kind, const char *name)
{
    struct client *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->kind = kind;
    c->clients = cs;
    c->cred = (struct peer_cred){ .uid = cs->users.owner, .pid = -1 };
    (void)snprintf(c->name, sizeof(c->name), "%s", name);
    return client_enter(cs, c) == 0 ? c : NULL;
}

int clients_add_node(struct clients *cs, struct node *node, const char *name, struct client **ret)
{
    char made[CLIENT_NAME_SIZE];

    if (!name)
        make_name(made);
    *ret = far_client(cs, CLIENT_NODE, name ? name : made);
    if (!*ret)
        return -ENOMEM;
    (*ret)->node = node;
    return 0;
}

static void remove_far(struct client *c)
{
    struct clients *cs = c->clients;

    cs->nremotes -= c->kind == CLIENT_REMOTE;
    origin_deinit(&c->origin);
    router_client_gone(cs->router, c);
    client_free(c);
}

void clients_remove_node(struct clients *cs, struct client *node)
{
    struct client *c, *tmp;

    HASH_ITER (hh, cs->by_name, c, tmp)
        if (c->via == node)
            remove_far(c);
    remove_far(node);
}

static bool has_purpose(const struct client *c)
{
    return c->inflight.count > 0 || c->origin.count > 0 || !TAILQ_EMPTY(&c->links.list);
}

/* Remote clients are never told off: whoever has asked nothing that is still open, and has left
 * (its own router has told so to all it had asked), is dropped when their number has doubled. */
static void drop_idle_remotes(struct clients *cs)
{
    struct client *c, *tmp;

    if (cs->nremotes < REMOTES_MIN || cs->nremotes < 2 * cs->nremotes_kept)
        return;
    HASH_ITER (hh, cs->by_name, c, tmp)
        if (c->kind == CLIENT_REMOTE && !has_purpose(c))
            remove_far(c);
    cs->nremotes_kept = cs->nremotes;
}

/* A keyed hash of the route stack: on the way back it leads to the neighbour, and nobody can make
 * up another that does. */
static int name_remote(const struct clients *cs, const struct client *via, const flux_msg_t *msg,
                       char ret[CLIENT_NAME_SIZE])
{
    CLEANUP(freep) char *routes = flux_msg_route_string(msg);
    CLEANUP(freep) char *text = NULL;
    uint8_t hash[crypto_shorthash_BYTES];

    if (!routes || asprintf(&text, "%s!%s", routes, via->name) < 0)
        return -ENOMEM;
    (void)crypto_shorthash(hash, (const uint8_t *)text, strlen(text), cs->route_key);
    (void)sodium_bin2hex(ret, CLIENT_NAME_SIZE, hash, sizeof(hash));
    return 0;
}

int clients_adopt_remote(struct clients *cs, struct client *via, const char *name,
                         const char *routes, uid_t uid, struct client **ret)
{
    struct client *c = clients_find(cs, name) ? NULL : far_client(cs, CLIENT_REMOTE, name);

    if (!c)
        return -ENOMEM;
    c->via = via;
    cs->nremotes++;
    c->cred.uid = uid;
    c->routes = strdup(routes);
    if (!c->routes) {
        remove_far(c);
        return -ENOMEM;
    }
    *ret = c;
    return 0;
}

struct client *clients_remote(struct clients *cs, struct client *via, const flux_msg_t *request)
{
    char name[CLIENT_NAME_SIZE];
    struct client *c;

    if (name_remote(cs, via, request, name) < 0)
        return NULL;
    c = clients_find(cs, name);
    if (!c) {
        drop_idle_remotes(cs);
        c = far_client(cs, CLIENT_REMOTE, name);
        if (!c)
            return NULL;
        c->via = via;
        cs->nremotes++;
        c->routes = flux_msg_route_string(request);
        if (!c->routes) {
            remove_far(c);
            return NULL;
        }
    }
    c->cred.uid = msg_proto(request)->rolemask & FLUX_ROLE_OWNER ? cs->users.owner
                                                                 : msg_proto(request)->userid;
    return c->kind == CLIENT_REMOTE && c->via == via ? c : NULL;
}

/* --- the beginning */

/* Consumes ch. */
static int client_new(struct clients *cs, struct channel *ch, enum client_kind kind,
                      const char *name, struct client **ret)
{
    struct client *c = calloc(1, sizeof(*c));
    int rc;

    if (!c) {
        channel_free(ch);
        return -ENOMEM;
    }
    c->kind = kind;
    c->clients = cs;
    c->cred = *channel_peer(ch);
    c->pid = c->cred.pid;
    if (name)
        (void)snprintf(c->name, sizeof(c->name), "%s", name);
    else
        make_name(c->name);
    rc = conn_init(&c->conn, cs->conns, ch, &ops);
    if (rc < 0) {
        free(c);
        return rc;
    }
    rc = client_enter(cs, c);
    if (rc == 0)
        *ret = c;
    return rc;
}

static int service_new_client(struct clients *cs, struct channel *ch, const char *name,
                              struct client **ret)
{
    const int rc = client_new(cs, ch, CLIENT_SERVICE, name, ret);

    /* The socket lies in the owner's directory; whoever made it listen (often PID 1, as root)
     * serves for the owner. */
    if (rc == 0)
        (*ret)->cred.uid = cs->users.owner;
    return rc;
}

int clients_add_service(struct clients *cs, struct channel *ch, struct client **ret)
{
    return service_new_client(cs, ch, NULL, ret);
}

static bool is_allowed(const struct clients *cs, struct peer_cred *cred)
{
    if (cred->uid == 0 && cs->users.owner != 0 && cs->allow_root_owner)
        cred->uid = cs->users.owner;
    return cred->uid == cs->users.owner || cs->allow_guests;
}

/* Consumes fd. */
static void refuse(struct clients *cs, int fd, const struct peer_cred *cred, int errnum,
                   const char *why)
{
    CLEANUP(closep) int taken = fd;
    static struct log_ratelimit limit;
    const char *fields[] = { "MESSAGE_ID=" LOG_ID_BAD_PEER, NULL };

    cs->refused++;
    if (log_ratelimit(&limit, 5))
        log_fields(LOG_NOTICE, fields, "refused a connection of user %d (pid %d): %s",
                   (int)cred->uid, (int)cred->pid, why);
    refusal_send(taken, errnum, why);
}

/* Consumes fd. */
static int accept_channel(struct clients *cs, int fd, const struct peer_cred *cred,
                          const char *name, struct client **ret)
{
    struct channel_limits limits = channel_limits_default;
    struct channel *ch = NULL;
    struct user *user = NULL;
    int rc;

    limits.read_memfd = false;
    if (cred->uid != cs->users.owner) {
        limits.queue_bytes = GUEST_CONN_BYTES;
        limits.queue_messages = GUEST_CONN_MESSAGES;
        limits.payload_bytes = GUEST_PAYLOAD_BYTES;
    }
    rc = users_get(&cs->users, cred->uid, &user);
    if (rc < 0) {
        refuse(cs, fd, cred, -rc,
               rc == -EMFILE ? "you have too many connections to this instance" : strerror(-rc));
        return rc;
    }
    rc = channel_new(fd, &limits, &ch);
    if (rc == 0)
        rc = client_new(cs, ch, CLIENT_ACCEPTED, name, ret);
    if (rc < 0) {
        if (user)
            users_release(&cs->users, user);
        return rc;
    }
    (*ret)->cred = *cred;
    (*ret)->user = user;
    user->nclients++;
    TAILQ_INSERT_TAIL(&user->clients, *ret, user_entry);
    return 0;
}

/* Writes why not. */
static bool check_cred(const struct clients *cs, int fd, struct peer_cred *ret,
                       char why[REFUSAL_SIZE])
{
    *ret = (struct peer_cred){ .uid = (uid_t)-1, .pid = -1 };
    if (peer_cred_get(fd, ret) < 0)
        (void)snprintf(why, REFUSAL_SIZE, "who connects cannot be known here");
    else if (!is_allowed(cs, ret))
        (void)snprintf(why, REFUSAL_SIZE,
                       "this instance belongs to user %s and admits its owner only "
                       "(access.allow-%s is not set)",
                       cs->owner, ret->uid == 0 ? "root-owner" : "guest-user");
    else
        return true;
    return false;
}

void clients_accept(struct clients *cs, int fd)
{
    struct peer_cred cred;
    char why[REFUSAL_SIZE];
    struct client *c;

    if (!check_cred(cs, fd, &cred, why))
        refuse(cs, fd, &cred, EPERM, why);
    else if (accept_channel(cs, fd, &cred, NULL, &c) == 0)
        cs->accepted++;
}

int clients_adopt(struct clients *cs, int fd, enum client_kind kind, const char *name,
                  struct client **ret)
{
    struct channel_limits limits = channel_limits_default;
    struct channel *ch = NULL;
    char why[REFUSAL_SIZE];
    struct peer_cred cred;
    int rc;

    if (clients_find(cs, name) || (kind == CLIENT_ACCEPTED && !check_cred(cs, fd, &cred, why))) {
        (void)close(fd);
        return -EPERM;
    }
    if (kind == CLIENT_ACCEPTED)
        return accept_channel(cs, fd, &cred, name, ret);
    limits.read_memfd = false;
    rc = channel_new(fd, &limits, &ch);
    return rc < 0 ? rc : service_new_client(cs, ch, name, ret);
}

/* Once, at the start: look-ups may block. */
static void name_owner(struct clients *cs)
{
    const struct passwd *pw = getpwuid(cs->users.owner);

    if (pw && strlen(pw->pw_name) < sizeof(cs->owner))
        (void)snprintf(cs->owner, sizeof(cs->owner), "%s", pw->pw_name);
    else
        (void)snprintf(cs->owner, sizeof(cs->owner), "%u", (unsigned int)cs->users.owner);
}

int clients_init(struct clients *cs, struct service *svc, struct conn_loop *conns,
                 struct router *router)
{
    *cs = (struct clients){ .svc = svc, .conns = conns, .router = router };
    cs->users.owner = service_owner(svc);
    name_owner(cs);
    if (sodium_init() < 0)
        return -EIO;
    randombytes_buf(cs->route_key, sizeof(cs->route_key));
    return 0;
}

void clients_deinit(struct clients *cs)
{
    const uint64_t end_usec = monotime_usec() + FLUSH_WAIT_USEC;
    struct client *c, *tmp;

    HASH_ITER (hh, cs->by_name, c, tmp)
        if (client_is_local(c))
            conn_flush_wait(&c->conn, end_usec);
    HASH_ITER (hh, cs->by_name, c, tmp) {
        origin_deinit(&c->origin);
        router_forget(cs->router, c);
        client_free(c);
    }
}

void clients_stop_reading(struct clients *cs)
{
    struct client *c, *tmp;

    HASH_ITER (hh, cs->by_name, c, tmp)
        if (client_is_local(c) && c->ntargets == 0) /* services still answer */
            conn_stop_reading(&c->conn);
}
