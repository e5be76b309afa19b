/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Remote procedure calls, the client's side: RFC 6.
 *
 * A response finds its RPC through the slot of its matchtag. While a caller blocks in
 * flux_rpc_get(), this file reads the connection itself and leaves what is not for it in the
 * receive queue, in order: no reactor, one sendmsg, one poll, one receive.
 *
 * Invariant: inflight means that the slot of tag points to the RPC. A tag outlives an RPC that is
 * destroyed too early, until its last response has come. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <flux/attr.h>
#include <flux/request.h>
#include <flux/response.h>

#include "base/cleanup.h"
#include "rpc/future_impl.h"
#include "rpc/handle_impl.h"
#include "rpc/rpc.h"
#include "wire/message.h"

struct rpc {
    flux_future_t *f;
    struct conn *conn;
    uint32_t tag;
    uint32_t nodeid;
    bool streaming;
    bool inflight;
    struct dispatch_user then_user, now_user;
    void (*on_answer)(flux_t *h, int errnum, void *arg);
    void *on_answer_arg;
    flux_free_f on_answer_free;
};

DEFINE_CLEANUP(flux_msg_t *, flux_msg_destroy)

static void release(struct rpc *rpc)
{
    rpc->inflight = false;
    dispatch_user_stop(&rpc->then_user);
    dispatch_user_stop(&rpc->now_user);
}

static void finish(struct rpc *rpc)
{
    connection_tag_free(rpc->conn, rpc->tag);
    release(rpc);
}

static void answered(struct rpc *rpc, int errnum)
{
    if (rpc->on_answer && rpc->conn->handle)
        rpc->on_answer(rpc->conn->handle, errnum, rpc->on_answer_arg);
    rpc->on_answer = NULL;
}

static void msg_free(void *arg)
{
    flux_msg_decref(arg);
}

void rpc_deliver(struct rpc *rpc, const flux_msg_t *msg)
{
    flux_future_t *f = rpc->f;
    const char *s = NULL;
    int errnum;

    if (flux_msg_get_errnum(msg, &errnum) < 0 || errnum < 0 || flux_msg_get_topic(msg, &s) < 0)
        errnum = EPROTO;
    if (!rpc->streaming || errnum) {
        finish(rpc);
        answered(rpc, errnum);
    }
    if (!errnum) {
        flux_future_fulfill(f, (void *)msg, msg_free);
        return;
    }
    if (flux_response_decode_error(msg, &s) < 0)
        s = NULL;
    flux_future_fulfill_error(f, errnum, s);
    flux_msg_decref(msg);
}

void rpc_fail(struct rpc *rpc, int errnum, const char *reason)
{
    finish(rpc);
    answered(rpc, errnum);
    flux_future_fulfill_error(rpc->f, errnum, reason);
}

bool rpc_started_on(const struct rpc *rpc, const struct dispatch *d)
{
    if (d)
        return rpc->then_user.d == d || rpc->now_user.d == d;
    return rpc->then_user.d || (rpc->now_user.d && future_now_running(rpc->f));
}

void rpc_on_answer(flux_future_t *f, void (*cb)(flux_t *h, int errnum, void *arg), void *arg,
                   flux_free_f free_arg)
{
    struct rpc *rpc = f->self;

    rpc->on_answer = cb;
    rpc->on_answer_arg = arg;
    rpc->on_answer_free = free_arg;
}

static void rpc_start(flux_future_t *f)
{
    struct rpc *rpc = f->self;
    struct dispatch_user *u = f->starting == CONTEXT_NOW ? &rpc->now_user : &rpc->then_user;
    flux_t *h = future_handle(f);
    struct matchtag_slot *slot;
    struct dispatch *d;

    if (!rpc->inflight || !h)
        return;
    d = dispatch_find(rpc->conn, future_reactor(f));
    if (!d && !(d = dispatch_get(h))) {
        rpc_fail(rpc, errno, NULL);
        return;
    }
    dispatch_user_stop(u);
    dispatch_user_start(d, u);
    slot = matchtag_slot(&rpc->conn->tags, rpc->tag);
    if (slot && !TAILQ_EMPTY(&slot->queued))
        dispatch_rescan(rpc->conn);
}

/* One message that was read while waiting for this RPC. */
static void sort(struct rpc *rpc, flux_msg_t *msg)
{
    uint32_t tag;
    int type;

    if (flux_msg_get_type(msg, &type) == 0 && type == FLUX_MSGTYPE_RESPONSE &&
        flux_msg_get_matchtag(msg, &tag) == 0 && tag == rpc->tag)
        rpc_deliver(rpc, msg);
    else
        connection_enqueue(rpc->conn, msg);
}

static int rpc_wait(flux_future_t *f, uint64_t deadline_usec)
{
    struct rpc *rpc = f->self;
    struct conn *conn = rpc->conn;

    while (!flux_future_is_ready(f)) {
        struct matchtag_slot *slot = matchtag_slot(&conn->tags, rpc->tag);
        struct msg_entry *e = rpc->inflight && slot ? TAILQ_FIRST(&slot->queued) : NULL;
        flux_msg_t *msg;
        int rc = 0;

        if (!rpc->inflight)
            return -EDEADLK; /* answered, and reset after that */
        if (e) {
            rpc_deliver(rpc, msgqueue_take(&conn->queue, e));
            continue;
        }
        if (!connection_has_input(conn))
            rc = connection_wait(conn, deadline_usec);
        if (rc == 0)
            rc = connection_fetch(conn, &msg);
        if (rc == 0)
            sort(rpc, msg);
        else if (rc != -EAGAIN && !flux_future_is_ready(f))
            return rc;
    }
    return 0;
}

static void rpc_destroy(flux_future_t *f)
{
    struct rpc *rpc = f->self;
    struct matchtag_slot *slot = matchtag_slot(&rpc->conn->tags, rpc->tag);

    if (rpc->inflight && slot) {
        if (rpc->conn->flags & FLUX_O_MATCHDEBUG)
            (void)fprintf(stderr, "flux_rpc: matchtag %u: destroyed before the %s response\n",
                          rpc->tag, rpc->streaming ? "final" : "");
        connection_tag_orphan(rpc->conn, rpc->tag, rpc->streaming);
    }
    release(rpc);
    if (rpc->on_answer_free)
        rpc->on_answer_free(rpc->on_answer_arg);
    connection_unref(rpc->conn);
    free(rpc);
}

static struct conn *rpc_conn(const flux_future_t *f)
{
    return ((const struct rpc *)f->self)->conn;
}

static const struct future_class rpc_class = {
    .start = rpc_start,
    .wait = rpc_wait,
    .conn = rpc_conn,
    .destroy = rpc_destroy,
};

DEFINE_CLEANUP(flux_future_t *, flux_future_destroy)

static flux_future_t *rpc_new(flux_t *h)
{
    struct rpc *rpc = calloc(1, sizeof(*rpc));

    if (!rpc)
        return NULL;
    rpc->f = future_create(&rpc_class, rpc);
    if (!rpc->f) {
        free(rpc);
        return NULL;
    }
    rpc->conn = connection_ref(h->conn);
    rpc->f->h = h;
    return rpc->f;
}

flux_future_t *rpc_answered(flux_t *h)
{
    flux_future_t *f = rpc_new(h);

    if (f)
        flux_future_fulfill(f, NULL, NULL);
    return f;
}

static int set_nodeid(flux_t *h, flux_msg_t *msg, uint32_t nodeid)
{
    uint8_t flags;

    if (nodeid != FLUX_NODEID_UPSTREAM)
        return flux_msg_set_nodeid(msg, nodeid);
    if (flux_get_rank(h, &nodeid) < 0 || flux_msg_get_flags(msg, &flags) < 0 ||
        flux_msg_set_flags(msg, flags | FLUX_MSGFLAG_UPSTREAM) < 0)
        return -1;
    return flux_msg_set_nodeid(msg, nodeid);
}

/* The tag's slot points to the RPC only once the request is on its way: a connection that is lost
 * and restored while sending must not fail what was not sent. */
static int send_with_tag(struct rpc *rpc, flux_msg_t *msg)
{
    struct matchtag_slot *slot;
    struct line *line = NULL;
    uint32_t tag = matchtag_alloc(&rpc->conn->tags, MATCHTAG_SENDING);
    int rc;

    if (tag == FLUX_MATCHTAG_NONE) {
        if (errno == EBUSY)
            errno = EAGAIN;
        return -1;
    }
    rc = flux_msg_set_matchtag(msg, tag) < 0 ? -errno : connection_send(rpc->conn, msg, 0, &line);
    if (rc < 0) {
        matchtag_free(&rpc->conn->tags, tag);
        errno = -rc;
        return -1;
    }
    slot = matchtag_slot(&rpc->conn->tags, tag);
    slot->state = MATCHTAG_RPC;
    slot->streaming = rpc->streaming;
    slot->rpc = rpc;
    slot->line = line;
    rpc->tag = tag;
    rpc->inflight = true;
    return 0;
}

/* Sends msg, which is the caller's to change. */
static flux_future_t *rpc_send(flux_t *h, flux_msg_t *msg, uint32_t nodeid, int flags)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    struct rpc *rpc;
    int rc;

    if ((flags & ~(FLUX_RPC_NORESPONSE | FLUX_RPC_STREAMING)) ||
        flags == (FLUX_RPC_NORESPONSE | FLUX_RPC_STREAMING)) {
        errno = EINVAL;
        return NULL;
    }
    f = rpc_new(h);
    if (!f || set_nodeid(h, msg, nodeid) < 0)
        return NULL;
    rpc = f->self;
    if (rpc->conn->wait_limit > 0.)
        (void)snprintf(rpc->conn->last_topic, sizeof(rpc->conn->last_topic), "%s", msg_topic(msg));
    rpc->nodeid = nodeid;
    rpc->streaming = flags & FLUX_RPC_STREAMING;
    if (flags & FLUX_RPC_NORESPONSE) {
        if (flux_msg_set_noresponse(msg) < 0)
            return NULL;
        rc = connection_send(rpc->conn, msg, 0, NULL);
        if (rc < 0) {
            errno = -rc;
            return NULL;
        }
        flux_future_fulfill(f, NULL, NULL);
        return TAKE(f);
    }
    if (rpc->streaming && flux_msg_set_streaming(msg) < 0)
        return NULL;
    if (send_with_tag(rpc, msg) < 0) {
        if (!rpc->conn->lost_reason)
            return NULL;
        flux_future_fulfill_error(f, errno, rpc->conn->lost_reason);
    }
    return TAKE(f);
}

flux_future_t *flux_rpc(flux_t *h, const char *topic, const char *s, uint32_t nodeid, int flags)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = NULL;

    if (!h || !topic) {
        errno = EINVAL;
        return NULL;
    }
    msg = flux_request_encode(topic, s);
    return msg ? rpc_send(h, msg, nodeid, flags) : NULL;
}

flux_future_t *flux_rpc_raw(flux_t *h, const char *topic, const void *data, int len,
                            uint32_t nodeid, int flags)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = NULL;

    if (!h || !topic) {
        errno = EINVAL;
        return NULL;
    }
    msg = flux_request_encode_raw(topic, data, len);
    return msg ? rpc_send(h, msg, nodeid, flags) : NULL;
}

flux_future_t *flux_rpc_vpack(flux_t *h, const char *topic, uint32_t nodeid, int flags,
                              const char *fmt, va_list ap)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = NULL;

    if (!h || !topic || !fmt) {
        errno = EINVAL;
        return NULL;
    }
    msg = flux_request_encode(topic, NULL);
    if (!msg || flux_msg_vpack(msg, fmt, ap) < 0)
        return NULL;
    return rpc_send(h, msg, nodeid, flags);
}

flux_future_t *flux_rpc_pack(flux_t *h, const char *topic, uint32_t nodeid, int flags,
                             const char *fmt, ...)
{
    flux_future_t *f;
    va_list ap;

    va_start(ap, fmt);
    f = flux_rpc_vpack(h, topic, nodeid, flags, fmt, ap);
    va_end(ap);
    return f;
}

flux_future_t *flux_rpc_message(flux_t *h, const flux_msg_t *msg, uint32_t nodeid, int flags)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *copy = NULL;
    int type;

    if (!h || !msg || flux_msg_get_type(msg, &type) < 0 || type != FLUX_MSGTYPE_REQUEST) {
        errno = EINVAL;
        return NULL;
    }
    copy = flux_msg_copy(msg, true);
    return copy ? rpc_send(h, copy, nodeid, flags) : NULL;
}

int flux_rpc_get(flux_future_t *f, const char **s)
{
    const void *msg;

    if (flux_future_get(f, &msg) < 0)
        return -1;
    return flux_response_decode(msg, NULL, s);
}

int flux_rpc_get_raw(flux_future_t *f, const void **data, int *len)
{
    const void *msg;
    const void *d;
    int n;

    if (flux_future_get(f, &msg) < 0 || flux_response_decode_raw(msg, NULL, &d, &n) < 0)
        return -1;
    if (!d) {
        errno = EPROTO;
        return -1;
    }
    if (data)
        *data = d;
    if (len)
        *len = n;
    return 0;
}

int flux_rpc_get_unpack(flux_future_t *f, const char *fmt, ...)
{
    const void *msg;
    va_list ap;
    int rc;

    if (!fmt) {
        errno = EINVAL;
        return -1;
    }
    if (flux_future_get(f, &msg) < 0 || flux_response_decode(msg, NULL, NULL) < 0)
        return -1;
    va_start(ap, fmt);
    rc = flux_msg_vunpack(msg, fmt, ap);
    va_end(ap);
    return rc;
}

static const struct rpc *rpc_of(const flux_future_t *f)
{
    while (f && f->class != &rpc_class)
        f = f->with;
    return f ? f->self : NULL;
}

uint32_t flux_rpc_get_matchtag(flux_future_t *f)
{
    const struct rpc *rpc = rpc_of(f);

    return rpc ? rpc->tag : FLUX_MATCHTAG_NONE;
}

uint32_t flux_rpc_get_nodeid(flux_future_t *f)
{
    const struct rpc *rpc = rpc_of(f);

    return rpc ? rpc->nodeid : FLUX_NODEID_ANY;
}
