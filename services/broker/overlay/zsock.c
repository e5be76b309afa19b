/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* libzmq tells by an edge on one descriptor that something changed, and a send may swallow that
 * edge; so after each send the state is looked at before the loop sleeps (on_prepare). Connections
 * that end are seen through the socket's monitor. While there are no descriptors libzmq tries to
 * accept again and again; units and flux-supervise allow many, and a stranger keeps one for
 * HANDSHAKE_MSEC at most. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <zmq.h>

#include "broker/overlay/zsock.h"
#include "service/log.h"

#define HEARTBEAT_MSEC         5000
#define HEARTBEAT_TIMEOUT_MSEC 15000
#define HANDSHAKE_MSEC         3000
#define RECONNECT_MSEC         50
#define RECONNECT_MAX_MSEC     1000
#define HIGH_WATER             512 /* frames of up to OVERLAY_FRAME_MAX that libzmq may hold */
#define RETRY_SECONDS          0.001
#define BACKLOG                1024
#define EVENTS_A_TURN          256
#define FAILURES                                                                  \
    (ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | \
     ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)

struct zcontext {
    void *ctx;
    unsigned int serial; /* of monitors */
};

struct zsock {
    struct zcontext *z;
    flux_reactor_t *r;
    void *sock, *monitor;
    bool is_router;
    const struct zsock_ops *ops;
    void *arg;
    flux_watcher_t *fd, *prepare, *idle;
    flux_watcher_t *monitor_fd, *monitor_idle;
    flux_watcher_t *retry; /* there was no room: room for whom is not told */
    bool look;             /* an edge may have been swallowed */
    bool debug;
    zmq_msg_t in;
    bool in_used;
    bool more; /* the frame received last has parts that were not read */
};

/* In place of the C library's, in this process: libzmq sets the policy of each of its threads to
 * what it is, and aborts when it may not. The router's sandbox has no scheduling calls, and threads
 * keep what they have. */
__attribute__((visibility("default"))) int pthread_setschedparam(pthread_t thread, int policy,
                                                                 const struct sched_param *param)
{
    (void)thread;
    (void)policy;
    (void)param;
    return 0;
}

int zcontext_new(struct zcontext **ret)
{
    struct zcontext *z = calloc(1, sizeof(*z));

    if (!z)
        return -ENOMEM;
    z->ctx = zmq_ctx_new();
    if (!z->ctx) {
        free(z);
        return -ENOMEM;
    }
    *ret = z;
    return 0;
}

struct zcontext *zcontext_free(struct zcontext *z)
{
    if (z) {
        (void)zmq_ctx_term(z->ctx);
        free(z);
    }
    return NULL;
}

/* --- the loop */

static int events_of(void *sock)
{
    int events = 0;
    size_t size = sizeof(events);

    return zmq_getsockopt(sock, ZMQ_EVENTS, &events, &size) < 0 ? 0 : events;
}

static int fd_of(void *sock)
{
    int fd = -EBADF;
    size_t size = sizeof(fd);

    return zmq_getsockopt(sock, ZMQ_FD, &fd, &size) < 0 ? -EBADF : fd;
}

static void turn(struct zsock *s)
{
    (void)events_of(s->sock);   /* takes the edge */
    flux_watcher_stop(s->idle); /* on_ready may kick */
    if (s->ops->on_ready(s, s->arg))
        flux_watcher_start(s->idle);
}

static void on_fd(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    turn(arg);
}

static void on_idle(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    turn(arg);
}

static void on_prepare(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct zsock *s = arg;

    if (!s->look)
        return;
    s->look = false;
    if (events_of(s->sock) & ZMQ_POLLIN)
        flux_watcher_start(s->idle);
}

/* --- the monitor */

struct monitor_event {
    uint16_t type;
    uint32_t value;
    char address[128];
};

/* One event: a frame with its number and value, and one with the address. false: none. */
static bool monitor_recv(struct zsock *s, struct monitor_event *ret)
{
    const size_t head = sizeof(ret->type) + sizeof(ret->value);
    int more = 1;

    *ret = (struct monitor_event){ .type = 0 };
    for (int i = 0; more; i++) {
        zmq_msg_t part;

        (void)zmq_msg_init(&part);
        if (zmq_msg_recv(&part, s->monitor, ZMQ_DONTWAIT) < 0) {
            (void)zmq_msg_close(&part);
            return false;
        }
        if (i == 0 && zmq_msg_size(&part) >= head) {
            memcpy(&ret->type, zmq_msg_data(&part), sizeof(ret->type));
            memcpy(&ret->value, (uint8_t *)zmq_msg_data(&part) + sizeof(ret->type),
                   sizeof(ret->value));
        } else if (i == 1) {
            (void)snprintf(ret->address, sizeof(ret->address), "%.*s", (int)zmq_msg_size(&part),
                           (const char *)zmq_msg_data(&part));
        }
        more = zmq_msg_more(&part);
        (void)zmq_msg_close(&part);
    }
    return true;
}

static void log_event(const struct monitor_event *e)
{
    static const struct {
        int type;
        const char *text;
    } names[] = {
        { ZMQ_EVENT_CONNECTED, "connected" },
        { ZMQ_EVENT_CONNECT_DELAYED, "connecting" },
        { ZMQ_EVENT_CONNECT_RETRIED, "will connect again in a moment" },
        { ZMQ_EVENT_LISTENING, "listening" },
        { ZMQ_EVENT_BIND_FAILED, "cannot listen" },
        { ZMQ_EVENT_ACCEPTED, "accepted" },
        { ZMQ_EVENT_ACCEPT_FAILED, "cannot accept" },
        { ZMQ_EVENT_CLOSED, "closed" },
        { ZMQ_EVENT_CLOSE_FAILED, "cannot close" },
        { ZMQ_EVENT_DISCONNECTED, "disconnected" },
        { ZMQ_EVENT_MONITOR_STOPPED, "not watched any more" },
        { ZMQ_EVENT_HANDSHAKE_SUCCEEDED, "handshake done" },
        { ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL, "handshake failed" },
        { ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL, "handshake failed: not ZeroMQ as it should be" },
        { ZMQ_EVENT_HANDSHAKE_FAILED_AUTH, "handshake failed: the key was not accepted" },
    };
    const char *text = "something else";

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (names[i].type == e->type)
            text = names[i].text;
    log_info("zmq: %s: %s (%u)", e->address, text, e->value);
}

static void on_monitor(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct zsock *s = arg;
    bool ended = false, failed = false;
    struct monitor_event e;
    int n;

    (void)events_of(s->monitor);
    for (n = 0; n < EVENTS_A_TURN && monitor_recv(s, &e); n++) {
        ended = ended || e.type == ZMQ_EVENT_DISCONNECTED;
        failed = failed || (e.type & FAILURES);
        if (s->debug)
            log_event(&e);
    }
    if (n == EVENTS_A_TURN)
        flux_watcher_start(s->monitor_idle);
    else
        flux_watcher_stop(s->monitor_idle);
    if (failed)
        s->ops->on_disconnect(s, true, s->arg); /* must not free s */
    if (ended)
        s->ops->on_disconnect(s, false, s->arg);
}

static int monitor_open(struct zsock *s)
{
    const int none = 0;
    char uri[64];

    (void)snprintf(uri, sizeof(uri), "inproc://monitor-%u", s->z->serial++);
    s->monitor = zmq_socket(s->z->ctx, ZMQ_PAIR);
    if (!s->monitor || zmq_setsockopt(s->monitor, ZMQ_LINGER, &none, sizeof(none)) < 0 ||
        zmq_socket_monitor(s->sock, uri,
                           s->debug ? ZMQ_EVENT_ALL : ZMQ_EVENT_DISCONNECTED | FAILURES) < 0 ||
        zmq_connect(s->monitor, uri) < 0)
        return -errno;
    s->monitor_fd = flux_fd_watcher_create(s->r, fd_of(s->monitor), FLUX_POLLIN, on_monitor, s);
    s->monitor_idle = flux_idle_watcher_create(s->r, on_monitor, s);
    if (!s->monitor_fd || !s->monitor_idle)
        return -ENOMEM;
    flux_watcher_start(s->monitor_fd);
    (void)events_of(s->monitor); /* libzmq tells of news only those who have looked */
    return 0;
}

/* --- options */

static int set_int(void *sock, int option, int value)
{
    return zmq_setsockopt(sock, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int set_limits(struct zsock *s, const struct zsock_options *o)
{
    const int64_t frame_max = OVERLAY_FRAME_MAX;
    int rc;

    if (zmq_setsockopt(s->sock, ZMQ_MAXMSGSIZE, &frame_max, sizeof(frame_max)) < 0)
        return -errno;
    if ((rc = set_int(s->sock, ZMQ_SNDHWM, HIGH_WATER)) < 0 ||
        (rc = set_int(s->sock, ZMQ_RCVHWM, HIGH_WATER)) < 0 ||
        (rc = set_int(s->sock, ZMQ_LINGER, 0)) < 0 ||
        (rc = set_int(s->sock, ZMQ_BACKLOG, BACKLOG)) < 0 ||
        (rc = set_int(s->sock, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MSEC)) < 0 ||
        (rc = set_int(s->sock, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MSEC)) < 0 ||
        (rc = set_int(s->sock, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MSEC)) < 0 ||
        (rc = set_int(s->sock, ZMQ_HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MSEC)) < 0 ||
        (rc = set_int(s->sock, ZMQ_TCP_MAXRT, o->tcp_user_timeout_msec)) < 0)
        return rc;
    return set_int(s->sock, ZMQ_IPV6, o->ipv6);
}

static int set_child(struct zsock *s, const struct zsock_options *o)
{
    int rc;

    if (zmq_setsockopt(s->sock, ZMQ_ROUTING_ID, o->id, ZSOCK_ID_SIZE) < 0)
        return -errno;
    if ((rc = set_int(s->sock, ZMQ_RECONNECT_IVL, RECONNECT_MSEC)) < 0 ||
        (rc = set_int(s->sock, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MSEC)) < 0)
        return rc;
    return set_int(s->sock, ZMQ_CONNECT_TIMEOUT, o->connect_timeout_msec);
}

static int set_curve(struct zsock *s, const struct zsock_options *o)
{
    int rc = 0;

    if (!o->public_key)
        return 0;
    if (s->is_router)
        rc = set_int(s->sock, ZMQ_CURVE_SERVER, 1);
    else if (zmq_setsockopt(s->sock, ZMQ_CURVE_SERVERKEY, o->server_key, strlen(o->server_key)) < 0)
        rc = -errno;
    if (rc == 0 &&
        (zmq_setsockopt(s->sock, ZMQ_CURVE_PUBLICKEY, o->public_key, strlen(o->public_key)) < 0 ||
         zmq_setsockopt(s->sock, ZMQ_CURVE_SECRETKEY, o->secret_key, strlen(o->secret_key)) < 0))
        rc = -errno;
    return rc;
}

static int watch(struct zsock *s)
{
    s->fd = flux_fd_watcher_create(s->r, fd_of(s->sock), FLUX_POLLIN, on_fd, s);
    s->idle = flux_idle_watcher_create(s->r, on_idle, s);
    s->prepare = flux_prepare_watcher_create(s->r, on_prepare, s);
    s->retry = flux_timer_watcher_create(s->r, 0., 0., on_idle, s);
    if (!s->fd || !s->idle || !s->retry || !s->prepare)
        return -ENOMEM;
    flux_watcher_start(s->fd);
    flux_watcher_start(s->prepare);
    s->look = true;
    return 0;
}

static void zsock_freep(struct zsock **s)
{
    (void)zsock_free(*s, 0);
}

int zsock_new(struct zcontext *z, flux_reactor_t *r, const struct zsock_options *opts,
              const struct zsock_ops *ops, void *arg, struct zsock **ret)
{
    CLEANUP(zsock_freep) struct zsock *s = calloc(1, sizeof(*s));
    int rc;

    if (!s)
        return -ENOMEM;
    *s = (struct zsock){
        .z = z, .r = r, .ops = ops, .arg = arg, .is_router = !opts->id, .debug = opts->debug
    };
    s->sock = zmq_socket(z->ctx, s->is_router ? ZMQ_ROUTER : ZMQ_DEALER);
    if (!s->sock)
        return -errno;
    if ((rc = set_limits(s, opts)) < 0 || (rc = set_curve(s, opts)) < 0 ||
        (rc = s->is_router ? set_int(s->sock, ZMQ_ROUTER_MANDATORY, 1) : set_child(s, opts)) < 0 ||
        (rc = monitor_open(s)) < 0 || (rc = watch(s)) < 0)
        return rc;
    *ret = TAKE(s);
    return 0;
}

struct zsock *zsock_free(struct zsock *s, int linger_msec)
{
    if (!s)
        return NULL;
    flux_watcher_destroy(s->monitor_idle);
    flux_watcher_destroy(s->monitor_fd);
    flux_watcher_destroy(s->retry);
    flux_watcher_destroy(s->prepare);
    flux_watcher_destroy(s->idle);
    flux_watcher_destroy(s->fd);
    if (s->in_used)
        (void)zmq_msg_close(&s->in);
    if (s->sock) {
        (void)zmq_socket_monitor(s->sock, NULL, 0);
        (void)set_int(s->sock, ZMQ_LINGER, linger_msec);
        (void)zmq_close(s->sock);
    }
    if (s->monitor)
        (void)zmq_close(s->monitor);
    free(s);
    return NULL;
}

int zsock_bind(struct zsock *s, const char *uri, char *ret_uri, size_t size)
{
    if (zmq_bind(s->sock, uri) < 0)
        return -errno;
    if (ret_uri && zmq_getsockopt(s->sock, ZMQ_LAST_ENDPOINT, ret_uri, &size) < 0)
        return -errno;
    return 0;
}

int zsock_connect(struct zsock *s, const char *uri)
{
    return zmq_connect(s->sock, uri) < 0 ? -errno : 0;
}

void zsock_kick(struct zsock *s)
{
    flux_watcher_start(s->idle);
}

/* --- frames */

static int make_frame(zmq_msg_t *frame, const struct msg_pieces *p)
{
    uint8_t *to;

    if (zmq_msg_init_size(frame, p->head_size + p->payload_size + p->tail_size) < 0)
        return -errno;
    to = zmq_msg_data(frame);
    memcpy(to, p->head, p->head_size);
    if (p->payload_size)
        memcpy(to + p->head_size, p->payload, p->payload_size);
    memcpy(to + p->head_size + p->payload_size, p->tail, p->tail_size);
    return 0;
}

int zsock_send(struct zsock *s, const uint8_t *id, const struct msg_pieces *p)
{
    zmq_msg_t frame;
    int rc = 0;

    s->look = true;
    if (id && zmq_send(s->sock, id, ZSOCK_ID_SIZE, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        rc = -errno;
    if (rc == 0 && (rc = make_frame(&frame, p)) == 0 &&
        zmq_msg_send(&frame, s->sock, ZMQ_DONTWAIT) < 0) {
        rc = -errno;
        (void)zmq_msg_close(&frame);
    }
    if (rc == -EAGAIN && !flux_watcher_is_active(s->retry)) {
        flux_timer_watcher_reset(s->retry, RETRY_SECONDS, 0.);
        flux_watcher_start(s->retry);
    }
    return rc;
}

static int recv_part(struct zsock *s)
{
    if (s->in_used)
        (void)zmq_msg_close(&s->in);
    s->in_used = true;
    (void)zmq_msg_init(&s->in);
    if (zmq_msg_recv(&s->in, s->sock, ZMQ_DONTWAIT) < 0)
        return -errno;
    s->more = zmq_msg_more(&s->in);
    return 0;
}

static int skip_rest(struct zsock *s)
{
    while (s->more)
        if (recv_part(s) < 0)
            break;
    return -EPROTO;
}

int zsock_recv(struct zsock *s, struct zframe *ret)
{
    int rc = recv_part(s);

    if (rc < 0)
        return rc;
    if (s->is_router) {
        if (zmq_msg_size(&s->in) != ZSOCK_ID_SIZE || !s->more)
            return skip_rest(s);
        memcpy(ret->id, zmq_msg_data(&s->in), ZSOCK_ID_SIZE);
        rc = recv_part(s);
        if (rc < 0)
            return rc;
    }
    if (s->more)
        return skip_rest(s);
    ret->data = zmq_msg_data(&s->in);
    ret->size = zmq_msg_size(&s->in);
    ret->key = zmq_msg_gets(&s->in, "User-Id");
    if (!ret->key)
        ret->key = "";
    return 0;
}

/* --- ZAP (ZeroMQ RFC 27) */

enum {
    ZAP_VERSION,
    ZAP_ID,
    ZAP_DOMAIN,
    ZAP_ADDRESS,
    ZAP_ROUTING,
    ZAP_MECHANISM,
    ZAP_KEY,
    ZAP_PARTS
};

struct zap {
    void *sock;
    flux_watcher_t *fd;
    bool (*allowed)(const char *public_key, void *arg);
    void *arg;
};

struct zap_request {
    char parts[ZAP_PARTS][256];
    size_t sizes[ZAP_PARTS];
    unsigned int count;
};

static int zap_recv(struct zap *zap, struct zap_request *req)
{
    int more = 1;

    *req = (struct zap_request){ 0 };
    while (more) {
        char buf[256];
        size_t size = sizeof(more);
        const int n = zmq_recv(zap->sock, buf, sizeof(buf), ZMQ_DONTWAIT);

        if (n < 0)
            return -errno;
        if (req->count < ZAP_PARTS && (size_t)n < sizeof(buf)) {
            memcpy(req->parts[req->count], buf, (size_t)n);
            req->sizes[req->count] = (size_t)n;
        }
        req->count++;
        if (zmq_getsockopt(zap->sock, ZMQ_RCVMORE, &more, &size) < 0)
            return -errno;
    }
    return 0;
}

/* The key is the name of its owner from here on: who else it may be for changes. */
static bool zap_judge(struct zap *zap, const struct zap_request *req, char key[ZSOCK_KEY_SIZE])
{
    if (req->count != ZAP_PARTS || strcmp(req->parts[ZAP_MECHANISM], "CURVE") != 0 ||
        req->sizes[ZAP_KEY] != 32 ||
        !zmq_z85_encode(key, (const uint8_t *)req->parts[ZAP_KEY], req->sizes[ZAP_KEY]))
        return false;
    return zap->allowed(key, zap->arg);
}

static void on_zap(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct zap *zap = arg;
    struct zap_request req;

    (void)events_of(zap->sock);
    while (zap_recv(zap, &req) == 0) {
        char key[ZSOCK_KEY_SIZE] = "";
        const bool good = zap_judge(zap, &req, key);
        const char *reply[] = { "1.0",
                                req.parts[ZAP_ID],
                                good ? "200" : "400",
                                good ? "OK" : "no such key here",
                                good ? key : "",
                                "" };

        for (size_t i = 0; i < ARRAY_SIZE(reply); i++) {
            const size_t size = i == ZAP_ID ? req.sizes[ZAP_ID] : strlen(reply[i]);

            (void)zmq_send(zap->sock, reply[i], size, i + 1 < ARRAY_SIZE(reply) ? ZMQ_SNDMORE : 0);
        }
    }
}

int zap_new(struct zcontext *z, flux_reactor_t *r,
            bool (*allowed)(const char *public_key, void *arg), void *arg, struct zap **ret)
{
    struct zap *zap = calloc(1, sizeof(*zap));
    int rc = 0;

    if (!zap)
        return -ENOMEM;
    *zap = (struct zap){ .allowed = allowed, .arg = arg, .sock = zmq_socket(z->ctx, ZMQ_REP) };
    if (!zap->sock || set_int(zap->sock, ZMQ_LINGER, 0) < 0 ||
        zmq_bind(zap->sock, "inproc://zeromq.zap.01") < 0)
        rc = -errno;
    else
        zap->fd = flux_fd_watcher_create(r, fd_of(zap->sock), FLUX_POLLIN, on_zap, zap);
    if (rc == 0 && !zap->fd)
        rc = -ENOMEM;
    if (rc < 0) {
        (void)zap_free(zap);
        return rc;
    }
    flux_watcher_start(zap->fd);
    (void)events_of(zap->sock);
    *ret = zap;
    return 0;
}

struct zap *zap_free(struct zap *zap)
{
    if (zap) {
        flux_watcher_destroy(zap->fd);
        if (zap->sock)
            (void)zmq_close(zap->sock);
        free(zap);
    }
    return NULL;
}
