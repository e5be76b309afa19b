/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 *            connect                welcome
 *   NONE -----------> CONNECTING ------------> ONLINE
 *                      ^   | refused, ended      | ended, goodbye
 *                      |   v                     v
 *                      +- WAITING <--------------+
 *                                                | too late, refused, another session
 *   ONLINE --------> PAUSED -----------> ONLINE  |
 *           paused     |  welcome again          |
 *                      +-------------------------+
 *
 * Each attempt has a socket and an identity of its own, so that nothing of a former session can
 * reach the parent. What is sent before the first welcome waits for at most connect_timeout; once a
 * session was lost, nothing waits. While it is paused (node.h) all waits for restart_timeout; a
 * restarted router begins there. */
#include <sodium.h>
#include <string.h>

#include "base/monotime.h"
#include "broker/overlay/internal.h"
#include "broker/topology.h"
#include "service/log.h"

#define FRAMES_A_TURN 256
#define DELAY_MIN     0.05
#define DELAY_MAX     2.
#define DELAY_PAUSED  0.02

static const char *const state_names[] = {
    [PARENT_NONE] = "none",     [PARENT_CONNECTING] = "connecting", [PARENT_ONLINE] = "online",
    [PARENT_PAUSED] = "paused", [PARENT_WAITING] = "waiting",
};

const char *parent_state_name(enum parent_state state)
{
    return state_names[state];
}

static void set_state(struct parent *p, enum parent_state state)
{
    log_debug("parent: %s -> %s", state_names[p->state], state_names[state]);
    p->state = state;
    p->since_usec = monotime_usec();
}

static void drop_node(struct parent *p)
{
    struct node *n = TAKE(p->node);

    if (n)
        overlay_detach(p->overlay, n);
}

static void retry_in(struct parent *p, double seconds)
{
    flux_timer_watcher_reset(p->retry, seconds, 0.);
    flux_watcher_start(p->retry);
}

static const char SHUT_DOWN[] = "the instance was shut down";

/* The socket is closed later: this may be one of its callbacks. */
static void give_up(struct parent *p, const char *why)
{
    const bool was_online = p->state == PARENT_ONLINE || p->state == PARENT_PAUSED;
    const char *fields[] = { "MESSAGE_ID=" LOG_ID_NODE_LOST, NULL };

    if (p->state == PARENT_WAITING)
        return;
    if (why != p->error)
        (void)snprintf(p->error, sizeof(p->error), "%s", why);
    set_state(p, PARENT_WAITING);
    if (was_online) {
        if (why == SHUT_DOWN)
            log_notice("the parent %s (rank %u) has left: %s", p->host, p->rank, p->error);
        else
            log_fields(overlay_is_ending(p->overlay) ? LOG_INFO : LOG_WARNING, fields,
                       "the parent %s (rank %u) is lost: %s", p->host, p->rank, p->error);
        p->delay = DELAY_MIN;
        flux_watcher_stop(p->limit);
        drop_node(p);
        if (p->overlay->ops.on_parent)
            p->overlay->ops.on_parent(false, p->overlay->ops.arg);
    }
    retry_in(p, p->delay);
    p->delay = p->delay * 2 > DELAY_MAX ? DELAY_MAX : p->delay * 2;
}

static bool on_ready(struct zsock *s, void *arg);

static void on_disconnect(struct zsock *s, bool failed, void *arg)
{
    struct parent *p = arg;
    static struct log_ratelimit limit;

    if (failed && p->state != PARENT_PAUSED && log_ratelimit(&limit, 10))
        log_warning("%s, which should be the parent %s (rank %u), does not accept our key or is no "
                    "router of this instance",
                    p->uri, p->host, p->rank);
    /* What came before the end may not have been read yet. */
    while (!failed && p->state == PARENT_ONLINE && on_ready(s, p))
        ;
    if (p->state != PARENT_PAUSED) {
        give_up(p, failed ? "the key was not accepted" : "the connection ended");
        return;
    }
    p->dialling = false;                 /* also if it ended in the middle of a greeting */
    if (!overlay_is_pausing(p->overlay)) /* else our own next process does */
        retry_in(p, DELAY_PAUSED);
}

/* --- welcome or not */

/* It is another session than the one that was to go on, if any was. */
static int begin_session(struct parent *p, const struct hello *h)
{
    struct overlay *o = p->overlay;

    if (p->state == PARENT_PAUSED) {
        drop_node(p);
        if (o->ops.on_parent)
            o->ops.on_parent(false, o->ops.arg);
    }
    overlay_take_epoch(o, h);
    if (!p->node && (node_new(p->sock, p->rank, p->host, NULL, &p->node) < 0 ||
                     overlay_attach(o, p->node, NULL) < 0)) {
        p->node = node_free(p->node);
        return -ENOMEM;
    }
    p->node->held = false;
    (void)sodium_bin2hex(p->node->session, sizeof(p->node->session), p->id, sizeof(p->id));
    return 0;
}

static bool is_resumed(const struct parent *p, const struct hello *h)
{
    return p->state == PARENT_PAUSED && h->session[0] && strcmp(h->session, p->node->session) == 0;
}

/* In a session that goes on the events do, too, as they were queued. */
static void go_online(struct parent *p, const struct hello *h, bool resumed)
{
    struct overlay *o = p->overlay;
    struct hello ours;

    overlay_hello(o, &ours);
    p->node->version = hello_version(&ours, h, NULL);
    (void)snprintf(p->node->host, sizeof(p->node->host), "%s", h->host);
    p->dialling = false;
    p->was_online = true;
    p->delay = DELAY_MIN;
    p->error[0] = '\0';
    set_state(p, PARENT_ONLINE);
    if (resumed)
        log_info("the session with the parent %s (rank %u) goes on", p->host, p->rank);
    else
        log_info("connected to the parent %s (rank %u)", p->host, p->rank);
    (void)node_flush(p->node);
    overlay_changed(o);
    if (!resumed && o->ops.on_parent)
        o->ops.on_parent(true, o->ops.arg);
    overlay_on_joined(o, p->node);
}

static void handle_welcome(struct parent *p, const void *data, size_t size)
{
    struct hello h;
    bool resumed;

    if ((p->state != PARENT_CONNECTING && p->state != PARENT_PAUSED) ||
        hello_decode(data, size, &h) < 0)
        return;
    resumed = is_resumed(p, &h);
    if (p->uuid[0] && strcmp(p->uuid, h.uuid) != 0)
        log_notice("%s (rank %u) was started anew", h.host, p->rank);
    (void)snprintf(p->uuid, sizeof(p->uuid), "%s", h.uuid);
    (void)snprintf(p->host, sizeof(p->host), "%s", h.host);
    flux_watcher_stop(p->limit);
    if (resumed) {
        node_resume(p->node);
    } else if (begin_session(p, &h) < 0) {
        give_up(p, "out of memory");
        return;
    }
    go_online(p, &h, resumed);
}

static void handle_refusal(struct parent *p, const void *data, size_t size)
{
    const char *fields[] = { "MESSAGE_ID=" LOG_ID_NODE_REFUSED, NULL };
    static struct log_ratelimit limit;
    struct refusal r;

    if (refusal_decode(data, size, &r) < 0)
        return;
    if (log_ratelimit(&limit, 10))
        log_fields(r.errnum == ESHUTDOWN ? LOG_INFO : LOG_ERR, fields,
                   "the parent %s (rank %u) refuses this node: %s", p->host, p->rank, r.reason);
    (void)snprintf(p->error, sizeof(p->error), "it refuses this node: %.200s", r.reason);
    p->delay = DELAY_MAX / 2;
    give_up(p, p->error);
}

static void handle_epoch(struct parent *p, const void *data, size_t size)
{
    struct hello h;

    if (p->state == PARENT_ONLINE && hello_decode(data, size, &h) == 0)
        overlay_take_epoch(p->overlay, &h);
}

static void handle_state(const struct parent *p, const uint8_t *data, size_t size)
{
    const struct overlay *o = p->overlay;

    if (p->state == PARENT_ONLINE && size == 1 && o->ops.on_state)
        o->ops.on_state(data[0], o->ops.arg);
}

static const char *handle_control(struct parent *p, const struct node_control *c)
{
    switch (c->type) {
    case NODE_WELCOME:
        handle_welcome(p, c->data, c->size);
        return NULL;
    case NODE_REFUSED:
        handle_refusal(p, c->data, c->size);
        return NULL;
    case NODE_EPOCH:
        handle_epoch(p, c->data, c->size);
        return NULL;
    case NODE_GOODBYE:
        return "it ended the session";
    case NODE_STATE:
        handle_state(p, c->data, c->size);
        return NULL;
    case NODE_PAUSE:
    case NODE_PAUSED:
        if (p->state == PARENT_ONLINE)
            overlay_handle_pause(p->overlay, p->node, c->type);
        return NULL;
    default:
        return NULL;
    }
}

/* Before the welcome there may be no node: then only control messages make sense. */
static const char *handle(struct parent *p, const struct zframe *f)
{
    struct node_control control;
    const char *reason = NULL;
    flux_msg_t *msg = NULL;

    if (p->state != PARENT_ONLINE)
        (void)node_control_parse(f->data, f->size, &control);
    else if (node_receive(p->node, f->data, f->size, &msg, &control, &reason) < 0)
        return reason;
    reason = msg ? overlay_message(p->overlay, p->node, msg) : handle_control(p, &control);
    flux_msg_destroy(msg);
    return reason;
}

static bool on_ready(struct zsock *s, void *arg)
{
    struct parent *p = arg;
    const char *reason = NULL;
    struct zframe f;
    int n;

    for (n = 0; n < FRAMES_A_TURN && !reason && p->state != PARENT_WAITING; n++) {
        const int rc = zsock_recv(s, &f);

        if (rc == -EPROTO)
            continue;
        if (rc < 0)
            break;
        reason = handle(p, &f);
    }
    if (!reason && p->state == PARENT_ONLINE && !p->node->lost &&
        node_flush(p->node) == -EHOSTUNREACH)
        reason = "the connection ended";
    if (reason)
        give_up(p, reason);
    return n == FRAMES_A_TURN;
}

/* --- an attempt */

static int open_socket(struct parent *p)
{
    static const struct zsock_ops ops = { .on_ready = on_ready, .on_disconnect = on_disconnect };
    const struct overlay_config *conf = &p->overlay->conf;
    const struct zsock_options opts = { .id = p->id,
                                        .public_key = p->key ? conf->public_key : NULL,
                                        .secret_key = conf->secret_key,
                                        .server_key = p->key,
                                        .ipv6 = conf->ipv6,
                                        .debug = conf->debug,
                                        .tcp_user_timeout_msec =
                                            (int)(conf->tcp_user_timeout * 1000),
                                        .connect_timeout_msec =
                                            (int)(conf->connect_timeout * 1000) };
    int rc;

    randombytes_buf(p->id, sizeof(p->id));
    p->id[0] |= 1; /* identities that begin with a zero byte are libzmq's own */
    rc = zsock_new(p->overlay->zmq, p->overlay->reactor, &opts, &ops, p, &p->sock);
    return rc < 0 ? rc : zsock_connect(p->sock, p->uri);
}

static int say_hello(struct parent *p)
{
    struct hello h;
    CLEANUP(freep) char *text = NULL;

    overlay_hello(p->overlay, &h);
    if (p->state == PARENT_PAUSED)
        (void)snprintf(h.session, sizeof(h.session), "%s", p->node->session);
    text = hello_encode(&h);
    return text ? node_send_stranger(p->sock, NULL, NODE_HELLO, text, strlen(text)) : -ENOMEM;
}

static int attempt(struct parent *p)
{
    int rc;

    p->sock = zsock_free(p->sock, 0);
    rc = open_socket(p);
    if (rc == 0)
        rc = say_hello(p);
    if (rc == 0) {
        if (p->node)
            p->node->sock = p->sock;
        p->dialling = true;
        if (p->state != PARENT_PAUSED)
            set_state(p, PARENT_CONNECTING);
    }
    return rc;
}

static void on_retry(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct parent *p = arg;
    const bool trusted = !p->key || p->key[0];
    const int rc = trusted ? attempt(p) : -EKEYREJECTED;

    if (rc < 0) {
        if (p->state == PARENT_WAITING)
            p->state = PARENT_CONNECTING;
        give_up(p, trusted ? strerror(-rc) : "there is no good key of it in bootstrap.keydir");
    }
}

static void on_limit(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct parent *p = arg;

    if (p->state == PARENT_PAUSED) {
        give_up(p, OVERLAY_NOT_RESUMED);
        return;
    }
    log_warning("no connection to the parent %s (rank %u) at %s in %.0f s%s%s; still trying",
                p->host, p->rank, p->uri, p->overlay->conf.connect_timeout, p->error[0] ? ": " : "",
                p->error);
    drop_node(p);
}

static void limit_in(struct parent *p, double seconds)
{
    flux_timer_watcher_reset(p->limit, seconds, 0.);
    flux_watcher_start(p->limit);
}

static int new_node(struct parent *p)
{
    if (!p->host[0])
        (void)snprintf(p->host, sizeof(p->host), "rank %u", p->rank);
    if (node_new(NULL, p->rank, p->host, NULL, &p->node) < 0 ||
        overlay_attach(p->overlay, p->node, NULL) < 0) {
        p->node = node_free(p->node);
        return -ENOMEM;
    }
    p->node->held = true;
    return 0;
}

int parent_connect(struct parent *p)
{
    const struct overlay_config *conf = &p->overlay->conf;
    int rc = 0;

    p->rank = topology_parent(conf->topo, conf->rank);
    if (!p->node)
        rc = new_node(p);
    if (rc == 0)
        rc = attempt(p);
    if (rc < 0)
        return rc;
    limit_in(p, p->state == PARENT_PAUSED ? conf->restart_timeout : conf->connect_timeout);
    return 0;
}

/* --- the session goes on with another process */

void parent_on_paused(struct parent *p)
{
    set_state(p, PARENT_PAUSED);
    limit_in(p, p->overlay->conf.restart_timeout);
}

void parent_adopt(struct parent *p, struct node *n, const struct hello *h)
{
    p->node = n;
    p->was_online = true;
    (void)snprintf(p->uuid, sizeof(p->uuid), "%s", h->uuid);
    (void)snprintf(p->host, sizeof(p->host), "%s", h->host);
    set_state(p, PARENT_PAUSED);
}

void parent_abandon(struct parent *p)
{
    flux_watcher_stop(p->retry);
    flux_watcher_stop(p->limit);
    if (p->node)
        (void)node_send_control(p->node, NODE_GOODBYE, NULL, 0);
    drop_node(p);
    set_state(p, PARENT_NONE);
}

void parent_tick(struct parent *p, uint64_t now_usec)
{
    const double idle = (double)(now_usec - (p->node ? p->node->tx_usec : now_usec)) * 1e-6;

    if (p->state == PARENT_ONLINE && !p->node->lost && idle >= p->overlay->conf.torpid_min / 2)
        (void)node_send_control(p->node, NODE_ALIVE, NULL, 0);
}

void parent_set_key(struct parent *p, const char *key)
{
    char *copy;

    if (!p->key || strcmp(p->key, key) == 0)
        return;
    copy = strdup(key);
    if (!copy)
        return; /* the old one is not good there either */
    free(p->key);
    p->key = copy;
    give_up(p, "its key was changed");
}

void parent_leave(struct parent *p)
{
    if (p->state != PARENT_ONLINE && p->state != PARENT_PAUSED)
        return;
    (void)node_send_control(p->node, NODE_GOODBYE, NULL, 0);
    give_up(p, SHUT_DOWN);
}

void parent_reap(struct parent *p)
{
    if (p->node && p->node->lost)
        give_up(p, p->node->lost);
}

int parent_init(struct parent *p, struct overlay *o)
{
    *p = (struct parent){ .overlay = o, .delay = DELAY_MIN };
    p->retry = flux_timer_watcher_create(o->reactor, 0., 0., on_retry, p);
    p->limit = flux_timer_watcher_create(o->reactor, 0., 0., on_limit, p);
    return p->retry && p->limit ? 0 : -ENOMEM;
}

void parent_deinit(struct parent *p)
{
    if (!p->overlay->handed_on && (p->state == PARENT_ONLINE || p->state == PARENT_PAUSED))
        (void)node_send_control(p->node, NODE_GOODBYE, NULL, 0);
    drop_node(p);
    flux_watcher_destroy(p->limit);
    flux_watcher_destroy(p->retry);
    p->sock = zsock_free(p->sock, 200);
    free(p->uri);
    free(p->key);
}
