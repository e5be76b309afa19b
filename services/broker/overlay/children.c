/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One ROUTER socket for all children. A session begins with a hello under an identity that the
 * child's process made up for it; whoever says something else first is not answered.
 *
 * Refused, with a reason: a rank that is not directly below, a key that is not that rank's, another
 * size, no common version, a rank that is connected already. The last is found out by asking: a
 * process that is gone takes no message, and then the new one is let in.
 *
 * libzmq does not say which peer went, only that one did: then each is sent a sign of life, and
 * those that do not take it are gone. It may tell so before the message queue knows, so this is
 * repeated for a second.
 *
 * A session that is paused (node.h) has no connection, and is not missed until its time is over: a
 * hello that names it lets it go on. Any other hello of that rank means that it does not. */
#include <sodium.h>
#include <string.h>

#include "base/errorx.h"
#include "base/monotime.h"
#include "broker/overlay/internal.h"
#include "broker/topology.h"
#include "service/log.h"

#define FRAMES_A_TURN 256
#define LAST_TURNS    4
#define PROBES        5
#define PROBE_SECONDS 0.2

static const char STOPPED[] = "it was stopped";

static struct child *find_by_id(struct children *cs, const uint8_t *id)
{
    struct child *c;

    HASH_FIND(hh, cs->by_id, id, ZSOCK_ID_SIZE, c);
    return c;
}

static int by_rank(const void *a, const void *b)
{
    const uint32_t rank = *(const uint32_t *)a, other = ((const struct child *)b)->rank;

    return rank < other ? -1 : rank > other;
}

struct child *children_find(struct children *cs, uint32_t rank)
{
    return cs->count > 0 ? bsearch(&rank, cs->all, cs->count, sizeof(*cs->all), by_rank) : NULL;
}

/* --- the end of a session */

static void child_lost(struct children *cs, struct child *c)
{
    const char *fields[] = { "MESSAGE_ID=" LOG_ID_NODE_LOST, NULL };
    struct node *n = TAKE(c->node);

    HASH_DEL(cs->by_id, c);
    (void)node_send_control(n, NODE_GOODBYE, NULL, 0); /* it may live, and begin anew */
    c->lost_usec = monotime_usec();
    (void)snprintf(c->error, sizeof(c->error), "%s", n->lost);
    if (overlay_is_ending(cs->overlay))
        log_info("%s (rank %u) has left: %s", c->host, c->rank, n->lost);
    else if (c->left)
        log_notice("%s (rank %u) has left: %s", c->host, c->rank, n->lost);
    else
        log_fields(LOG_WARNING, fields, "%s (rank %u) and what is below it are lost: %s", c->host,
                   c->rank, n->lost);
    idset_destroy(c->online);
    c->online = NULL;
    overlay_detach(cs->overlay, n);
    overlay_changed(cs->overlay);
}

void children_tell_state(struct children *cs, struct child *c)
{
    const uint8_t state = (uint8_t)cs->overlay->state;

    if (cs->overlay->state >= 0)
        (void)node_send_control(c->node, NODE_STATE, &state, sizeof(state));
}

void children_reap(struct children *cs)
{
    for (size_t i = 0; i < cs->count; i++)
        if (cs->all[i].node && cs->all[i].node->lost)
            child_lost(cs, &cs->all[i]);
}

/* Of one that is held nothing is known. */
static bool is_gone(struct child *c)
{
    return c->node->lost || node_send_control(c->node, NODE_ALIVE, NULL, 0) == -EHOSTUNREACH;
}

static void probe_all(struct children *cs)
{
    for (size_t i = 0; i < cs->count; i++)
        if (cs->all[i].node && is_gone(&cs->all[i]))
            overlay_lose(cs->overlay, cs->all[i].node, "the connection ended");
}

static void on_probe(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct children *cs = arg;

    probe_all(cs);
    if (--cs->probes <= 0)
        flux_watcher_stop(w);
}

static bool on_ready(struct zsock *s, void *arg);

static void on_disconnect(struct zsock *s, bool failed, void *arg)
{
    struct children *cs = arg;
    static struct log_ratelimit limit;

    if (failed) {
        if (log_ratelimit(&limit, 5))
            log_warning("somebody who is no router of this instance, or has another key, tried to "
                        "connect to %s (%llu times since the last message)",
                        cs->uri, (unsigned long long)limit.dropped + 1);
        return;
    }
    /* What it said before its end, a goodbye perhaps, may not have been read yet. */
    for (int i = 0; i < LAST_TURNS && on_ready(s, cs); i++)
        continue;
    if (cs->probes <= 0) /* else strangers could make us send without end */
        probe_all(cs);
    cs->probes = PROBES;
    flux_watcher_start(cs->probe);
}

/* --- its beginning */

static bool key_is_good(const struct children *cs, const char *key, uint32_t rank)
{
    const struct overlay_config *conf = &cs->overlay->conf;

    return !conf->key_matches || conf->key_matches(key, rank, conf->arg);
}

static int refuse_key(const struct children *cs, const char *key, uint32_t rank,
                      flux_error_t *error)
{
    const struct overlay_config *conf = &cs->overlay->conf;
    const char *owner = conf->key_owner ? conf->key_owner(key, conf->arg) : NULL;

    return errorx_fail(error, EPERM, "the key of %s does not belong to rank %u",
                       owner && *owner ? owner : "nobody we know", rank);
}

static int check_hello(struct children *cs, struct child *c, const struct hello *h, const char *key,
                       flux_error_t *error)
{
    const struct overlay_config *conf = &cs->overlay->conf;
    struct hello ours;
    int rc;

    overlay_hello(cs->overlay, &ours);
    rc = hello_version(&ours, h, error);
    if (rc < 0)
        return rc;
    if (overlay_is_ending(cs->overlay))
        return errorx_fail(error, ESHUTDOWN, "the instance is being shut down");
    if (h->size != conf->size)
        return errorx_fail(error, EINVAL,
                           "%s is configured for an instance of %u nodes, %s for one of %u",
                           h->host, h->size, conf->hostname, conf->size);
    if (!c)
        return errorx_fail(error, EINVAL,
                           "rank %u is not directly below rank %u: is the tree's "
                           "shape configured alike on both?",
                           h->rank, conf->rank);
    if (!key_is_good(cs, key, h->rank))
        return refuse_key(cs, key, h->rank, error);
    if (c->node && strcmp(c->uuid, h->uuid) != 0 && !c->node->paused && !is_gone(c))
        return errorx_fail(error, EADDRINUSE, "rank %u is connected already, by %s", h->rank,
                           c->host);
    return 0;
}

static void refuse(struct children *cs, const uint8_t *id, const struct hello *h, struct child *c,
                   int errnum, const char *reason)
{
    const char *fields[] = { "MESSAGE_ID=" LOG_ID_NODE_REFUSED, NULL };
    struct refusal r = { .errnum = errnum };
    CLEANUP(freep) char *text = NULL;
    static struct log_ratelimit limit;

    (void)snprintf(r.reason, sizeof(r.reason), "%s", reason);
    text = refusal_encode(&r);
    if (c && !c->node)
        (void)snprintf(c->error, sizeof(c->error), "refused: %s", reason);
    if (log_ratelimit(&limit, 1))
        log_fields(LOG_WARNING, fields, "refused rank %u of host %s: %s", h->rank, h->host, reason);
    if (text)
        (void)node_send_stranger(cs->sock, id, NODE_REFUSED, text, strlen(text));
}

static int say_welcome(struct children *cs, struct node *n, bool goes_on)
{
    struct hello ours;
    CLEANUP(freep) char *text = NULL;

    overlay_hello(cs->overlay, &ours);
    if (goes_on)
        (void)snprintf(ours.session, sizeof(ours.session), "%s", n->session);
    text = hello_encode(&ours);
    return text ? node_send_control(n, NODE_WELCOME, text, strlen(text)) : -ENOMEM;
}

static int welcome(struct children *cs, struct node *n, const struct hello *theirs)
{
    const struct history *history = &cs->overlay->history;
    const bool heal = theirs->epoch[0] && strcmp(theirs->epoch, cs->overlay->epoch) == 0 &&
                      history_covers(history, theirs->event_seq);
    int rc = say_welcome(cs, n, false);

    for (uint32_t seq = theirs->event_seq + 1; heal && rc == 0 && seq < history->next; seq++)
        rc = node_send(n, history_get(history, seq));
    return rc;
}

/* What is known of a child from its hello. */
static void set_child(struct children *cs, struct child *c, const struct zframe *f,
                      const struct hello *h)
{
    struct hello ours;

    overlay_hello(cs->overlay, &ours);
    c->node->version = hello_version(&ours, h, NULL);
    memcpy(c->node->id, f->id, sizeof(c->node->id));
    HASH_ADD_KEYPTR(hh, cs->by_id, c->node->id, ZSOCK_ID_SIZE, c);
    (void)snprintf(c->uuid, sizeof(c->uuid), "%s", h->uuid);
    (void)snprintf(c->key, sizeof(c->key), "%s", f->key);
    (void)snprintf(c->host, sizeof(c->host), "%s", h->host);
    c->error[0] = '\0';
}

static bool is_resumed(const struct child *c, const struct hello *h)
{
    return c->node && node_is_paused(c->node) && !c->node->lost && h->session[0] &&
           strcmp(h->session, c->node->session) == 0;
}

static int resume(struct children *cs, struct child *c, const struct zframe *f,
                  const struct hello *h)
{
    int rc;

    HASH_DEL(cs->by_id, c);
    set_child(cs, c, f, h);
    node_resume(c->node);
    log_info("the session with %s (rank %u) goes on", h->host, h->rank);
    rc = say_welcome(cs, c->node, true);
    children_tell_state(cs, c);
    return rc < 0 ? rc : node_flush(c->node);
}

static int begin(struct children *cs, struct child *c, const struct zframe *f,
                 const struct hello *h)
{
    struct node *n;
    int rc;

    if (c->node) {
        overlay_lose(cs->overlay, c->node,
                     c->node->paused ? "it was restarted and had forgotten its session"
                                     : "it began a new session");
        child_lost(cs, c);
    }
    rc = node_new(cs->sock, h->rank, h->host, f->id, &n);
    if (rc < 0)
        return rc;
    c->online = idset_create(0, IDSET_FLAG_AUTOGROW);
    if (!c->online || idset_set(c->online, h->rank) < 0 ||
        overlay_attach(cs->overlay, n, NULL) < 0) {
        (void)node_free(n);
        idset_destroy(c->online);
        c->online = NULL;
        return -ENOMEM;
    }
    c->node = n;
    c->left = false;
    set_child(cs, c, f, h);
    (void)sodium_bin2hex(n->session, sizeof(n->session), f->id, ZSOCK_ID_SIZE);
    log_info("%s (rank %u) has joined%s", h->host, h->rank, c->lost_usec ? " again" : "");
    rc = welcome(cs, n, h);
    children_tell_state(cs, c);
    overlay_changed(cs->overlay);
    return rc;
}

static void handle_hello(struct children *cs, const struct zframe *f)
{
    struct node_control control;
    int rc;
    flux_error_t error = { .text = "" };
    struct child *c;
    struct hello h;

    if (!node_control_parse(f->data, f->size, &control) || control.type != NODE_HELLO ||
        hello_decode(control.data, control.size, &h) < 0 || overlay_is_pausing(cs->overlay))
        return; /* it tries again with the next process */
    c = children_find(cs, h.rank);
    rc = check_hello(cs, c, &h, f->key, &error);
    if (rc < 0)
        refuse(cs, f->id, &h, c, -rc, error.text);
    else if (c && is_resumed(c, &h))
        (void)resume(cs, c, f, &h);
    else
        (void)begin(cs, c, f, &h);
}

/* --- what they say */

static void set_online(struct children *cs, struct child *c, const void *data, size_t size)
{
    struct idset *set = size > 0 ? idset_ndecode(data, strnlen(data, size)) : NULL;

    if (!set)
        return;
    (void)idset_set(set, c->rank);
    idset_destroy(c->online);
    c->online = set;
    overlay_changed(cs->overlay);
}

/* NULL, or why it is to be dropped. */
static const char *handle(struct children *cs, struct child *c, const struct zframe *f)
{
    const char *reason = NULL;
    struct node_control control;
    flux_msg_t *msg;

    if (node_receive(c->node, f->data, f->size, &msg, &control, &reason) < 0)
        return reason;
    reason = NULL;
    if (msg)
        reason = overlay_message(cs->overlay, c->node, msg);
    else if (control.type == NODE_ONLINE)
        set_online(cs, c, control.data, control.size);
    else if (control.type == NODE_GOODBYE)
        reason = STOPPED;
    else if (control.type == NODE_PAUSE || control.type == NODE_PAUSED)
        overlay_handle_pause(cs->overlay, c->node, control.type);
    c->left = reason == STOPPED;
    flux_msg_destroy(msg);
    return reason;
}

static bool on_ready(struct zsock *s, void *arg)
{
    struct children *cs = arg;
    struct zframe f;
    int n, rc;

    for (n = 0; n < FRAMES_A_TURN; n++) {
        struct child *c;
        const char *reason = NULL;

        rc = zsock_recv(s, &f);
        if (rc == -EPROTO)
            continue;
        if (rc < 0)
            break;
        c = find_by_id(cs, f.id);
        if (!c)
            handle_hello(cs, &f);
        else if (!c->node->lost)
            reason = handle(cs, c, &f);
        if (reason)
            overlay_lose(cs->overlay, c->node, reason);
    }
    for (size_t i = 0; i < cs->count; i++)
        if (cs->all[i].node && !cs->all[i].node->lost &&
            node_flush(cs->all[i].node) == -EHOSTUNREACH)
            overlay_lose(cs->overlay, cs->all[i].node, "the connection ended");
    return n == FRAMES_A_TURN;
}

void children_multicast(struct children *cs, const flux_msg_t *msg)
{
    for (size_t i = 0; i < cs->count; i++)
        if (cs->all[i].node)
            (void)overlay_send(cs->all[i].node, msg);
}

void children_tell_epoch(struct children *cs)
{
    struct hello ours;
    CLEANUP(freep) char *text = NULL;

    overlay_hello(cs->overlay, &ours);
    text = hello_encode(&ours);
    for (size_t i = 0; i < cs->count; i++) {
        struct node *n = cs->all[i].node;

        if (n && !n->lost && (!text || node_queue_control(n, NODE_EPOCH, text, strlen(text)) < 0))
            overlay_lose(cs->overlay, n, "it cannot be told that events are counted anew");
    }
}

static void check_torpid(struct children *cs, struct child *c, uint64_t now_usec)
{
    const double seconds = (double)(now_usec - c->node->rx_usec) * 1e-6;
    const double limit = cs->overlay->conf.torpid_max;
    const bool torpid = limit > 0 && seconds > limit;

    if (torpid == c->node->torpid)
        return;
    c->node->torpid = torpid;
    if (torpid)
        log_warning("%s (rank %u) is connected but has been silent for %.0f s", c->host, c->rank,
                    seconds);
    else
        log_notice("%s (rank %u) speaks again", c->host, c->rank);
}

void children_tick(struct children *cs, uint64_t now_usec)
{
    for (size_t i = 0; i < cs->count; i++) {
        struct child *c = &cs->all[i];

        if (!c->node || c->node->lost)
            continue;
        if (c->node->paused && now_usec >= c->node->resume_by_usec)
            overlay_lose(cs->overlay, c->node, OVERLAY_NOT_RESUMED);
        else if (is_gone(c))
            overlay_lose(cs->overlay, c->node, "the connection ended");
        else if (!c->node->held)
            check_torpid(cs, c, now_usec);
    }
}

void children_check_keys(struct children *cs)
{
    for (size_t i = 0; i < cs->count; i++) {
        struct child *c = &cs->all[i];

        if (c->node && !c->node->lost && !key_is_good(cs, c->key, c->rank))
            overlay_lose(cs->overlay, c->node, "its key is not good any more");
    }
}

/* --- */

static int listen_at(struct children *cs)
{
    static const struct zsock_ops ops = { .on_ready = on_ready, .on_disconnect = on_disconnect };
    struct overlay *o = cs->overlay;
    const struct zsock_options opts = { .public_key = o->conf.public_key,
                                        .secret_key = o->conf.secret_key,
                                        .ipv6 = o->conf.ipv6,
                                        .debug = o->conf.debug,
                                        .tcp_user_timeout_msec =
                                            (int)(o->conf.tcp_user_timeout * 1000) };
    int rc = zsock_new(o->zmq, o->reactor, &opts, &ops, cs, &cs->sock);

    return rc < 0 ? rc : zsock_bind(cs->sock, o->conf.bind, cs->uri, sizeof(cs->uri));
}

int children_init(struct children *cs, struct overlay *o)
{
    const uint32_t *ranks;

    *cs = (struct children){ .overlay = o };
    cs->count = o->conf.bind ? topology_children(o->conf.topo, o->conf.rank, &ranks) : 0;
    if (cs->count == 0)
        return 0;
    cs->all = calloc(cs->count, sizeof(*cs->all));
    cs->probe = flux_timer_watcher_create(o->reactor, PROBE_SECONDS, PROBE_SECONDS, on_probe, cs);
    if (!cs->all || !cs->probe)
        return -ENOMEM;
    for (size_t i = 0; i < cs->count; i++)
        cs->all[i].rank = ranks[i];
    return listen_at(cs);
}

void children_adopt(struct children *cs, struct child *c, struct node *n, const struct hello *h,
                    const char *key)
{
    c->node = n;
    HASH_ADD_KEYPTR(hh, cs->by_id, n->id, ZSOCK_ID_SIZE, c);
    (void)snprintf(c->uuid, sizeof(c->uuid), "%s", h->uuid);
    (void)snprintf(c->host, sizeof(c->host), "%s", h->host);
    (void)snprintf(c->key, sizeof(c->key), "%s", key);
}

void children_deinit(struct children *cs)
{
    for (size_t i = 0; i < cs->count; i++) {
        struct child *c = &cs->all[i];

        if (c->node) {
            HASH_DEL(cs->by_id, c);
            if (!cs->overlay->handed_on)
                (void)node_send_control(c->node, NODE_GOODBYE, NULL, 0);
            overlay_detach(cs->overlay, TAKE(c->node));
        }
        idset_destroy(c->online);
    }
    flux_watcher_destroy(cs->probe);
    cs->sock = zsock_free(cs->sock, 200);
    free(cs->all);
}
