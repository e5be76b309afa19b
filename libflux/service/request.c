/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A request as a deferred handle. It begins in dispatch.c, and ends once: with its final answer,
 * when its last reference is dropped (ECANCELED if nothing was said and it has a matchtag, or
 * ECONNRESET when that happens because the daemon ends), or when
 * its client leaves. What ends it takes it out of its origin's list and of the index, and gives the
 * quota back; the memory stays until the last reference.
 *
 * Requests with matchtag 0 that want responses (RFC 27 and RFC 32 use them) may be answered any
 * number of times and end with the last reference.
 *
 * When the connection breaks under an answer the request has ended, and its on_gone comes when the
 * connection is taken down, not from within. An answer that cannot be sent for another reason (no
 * descriptor left for a large payload) becomes an error response, so that nobody waits for ever.
 *
 * The requests that a client sent over his own connection need no index: they end with it.
 *
 * Refuses: answers after the end (dropped, 0), answers to requests that want none (dropped, 0). */
#include <string.h>

#include "base/errorx.h"
#include "base/jsonx.h"
#include "service/log.h"
#include "service/state.h"
#include "wire/message.h"

struct route_requests {
    struct request_list requests;
    struct origin *origin; /* part of the key: two routers could name two clients alike */
    UT_hash_handle hh;
    char name[MSG_ROUTE_MAX + 1];
};

struct request_index {
    struct route_requests *routes;
};

void origin_init(struct origin *o, int (*send)(struct origin *o, flux_msg_t *msg))
{
    o->send = send;
    TAILQ_INIT(&o->requests);
}

void origin_deinit(struct origin *o)
{
    struct request *req;

    while ((req = TAILQ_FIRST(&o->requests)))
        request_lost(req);
}

int request_new(struct service *svc, struct origin *origin, const flux_msg_t *msg,
                struct request **ret)
{
    struct request *req = calloc(1, sizeof(*req));

    if (!req)
        return -ENOMEM;
    req->refs = 1;
    req->svc = svc;
    req->origin = origin;
    req->msg = flux_msg_incref(msg);
    TAILQ_INSERT_TAIL(&origin->requests, req, origin_entry);
    origin->count++;
    svc->nrequests++;
    *ret = req;
    return 0;
}

/* Has it come from its client himself, not through a router? */
static bool is_direct(const flux_msg_t *msg)
{
    return flux_msg_route_count(msg) <= 0;
}

int request_charge(struct request *req, flux_error_t *error)
{
    const uint32_t uid = msg_proto(req->msg)->userid;
    const size_t bytes = msg_payload_size(req->msg);
    int rc;

    if (is_direct(req->msg) && req->origin->count > ORIGIN_REQUESTS_MAX)
        return errorx_fail(error, EAGAIN,
                           "%u requests of this client are in flight: wait for answers",
                           ORIGIN_REQUESTS_MAX);
    rc = quota_charge(req->svc->quota, uid, bytes, error);
    if (rc < 0)
        return rc;
    req->charged = true;
    req->charged_uid = uid;
    req->charged_bytes = bytes;
    return 0;
}

int request_decode(struct request *req, const char *shape, flux_error_t *error)
{
    const void *data;
    int size;

    if (!flux_msg_has_payload(req->msg)) {
        req->json = json_object();
    } else {
        if (flux_msg_get_payload(req->msg, &data, &size) < 0)
            return -errno;
        if (size > 0 && ((const char *)data)[size - 1] == '\0')
            size--;
        req->json = jsonx_decode_object(data, size, error);
        if (!req->json)
            return -EPROTO;
    }
    return req->json ? jsonx_check_shape(req->json, shape, error) : -ENOMEM;
}

/* --- the index by client */

static const char *client_name(const flux_msg_t *msg)
{
    const char *name = flux_msg_route_first(msg);

    return name && strlen(name) <= MSG_ROUTE_MAX ? name : "";
}

static struct route_requests *index_find(struct request_index *index, struct origin *origin,
                                         const char *name)
{
    struct route_requests *r;

    if (!index)
        return NULL;
    HASH_FIND_STR(index->routes, name, r);
    /* Names are random: two origins that use the same one do not happen by accident, and then only
     * the notice of a disconnect is lost. */
    return r && r->origin == origin ? r : NULL;
}

int request_keep(struct request *req)
{
    struct service *svc = req->svc;
    const char *name = client_name(req->msg);
    struct route_requests *r;

    if (req->ended || req->route || is_direct(req->msg))
        return 0;
    if (!svc->requests && !(svc->requests = calloc(1, sizeof(*svc->requests))))
        return -ENOMEM;
    r = index_find(svc->requests, req->origin, name);
    if (!r) {
        r = calloc(1, sizeof(*r));
        if (!r)
            return -ENOMEM;
        TAILQ_INIT(&r->requests);
        r->origin = req->origin;
        (void)snprintf(r->name, sizeof(r->name), "%s", name);
        HASH_ADD_STR(svc->requests->routes, name, r);
        if (!r->hh.tbl) {
            free(r);
            return -ENOMEM;
        }
    }
    req->route = r;
    TAILQ_INSERT_TAIL(&r->requests, req, route_entry);
    return 0;
}

static void index_remove(struct request *req)
{
    struct route_requests *r = req->route;

    if (!r)
        return;
    req->route = NULL;
    TAILQ_REMOVE(&r->requests, req, route_entry);
    if (TAILQ_EMPTY(&r->requests)) {
        HASH_DEL(req->svc->requests->routes, r);
        free(r);
    }
}

/* A request that came over a client's own connection; not the one that says that he leaves. */
static struct request *find_direct(struct origin *origin, const flux_msg_t *notice)
{
    struct request *req;

    TAILQ_FOREACH (req, &origin->requests, origin_entry) {
        if (req->msg != notice && is_direct(req->msg))
            return req;
    }
    return NULL;
}

void request_index_disconnect(struct service *svc, struct origin *origin, const flux_msg_t *msg)
{
    const char *name = client_name(msg);
    struct route_requests *r;
    struct request *req;

    while (is_direct(msg) && (req = find_direct(origin, msg)))
        request_lost(req);
    while ((r = index_find(svc->requests, origin, name)))
        request_lost(TAILQ_FIRST(&r->requests));
}

struct request_index *request_index_free(struct request_index *index)
{
    struct route_requests *r, *tmp;

    if (index) {
        HASH_ITER (hh, index->routes, r, tmp) {
            HASH_DEL(index->routes, r);
            free(r);
        }
        free(index);
    }
    return NULL;
}

size_t request_count(const struct service *svc)
{
    return svc->nrequests;
}

/* --- life */

/* Nothing more will be said; the connection still knows the request. */
static void request_close(struct request *req)
{
    req->ended = true;
    index_remove(req);
    if (req->charged)
        quota_release(req->svc->quota, req->charged_uid, req->charged_bytes);
    req->charged = false;
}

static void request_finish(struct request *req)
{
    if (!req->origin)
        return;
    request_close(req);
    TAILQ_REMOVE(&req->origin->requests, req, origin_entry);
    req->origin->count--;
    req->origin = NULL;
    req->svc->nrequests--;
}

void request_lost(struct request *req)
{
    void (*cb)(struct request *, void *) = req->on_gone;

    request_ref(req);
    request_finish(req);
    req->on_gone = NULL;
    if (cb)
        cb(req, req->on_gone_arg);
    request_unref(req);
}

struct request *request_ref(struct request *req)
{
    req->refs++;
    return req;
}

/* Nobody will answer it any more: a mistake, or this daemon is ending, and the next one may be
 * asked. */
static int forget(struct request *req)
{
    if (req->svc->running)
        return request_fail(req, ECANCELED, NULL);
    return request_fail(req, ECONNRESET, "flux-%s is being restarted", req->svc->desc->name);
}

void request_forget(struct request *req)
{
    request_ref(req);
    if (msg_proto(req->msg)->aux2 != FLUX_MATCHTAG_NONE)
        (void)forget(req);
    request_finish(req);
    request_unref(req);
}

void request_hand_on(struct request *req)
{
    const bool held = req->held; /* then the reference of request_new() is still there */

    request_ref(req);
    req->on_gone = NULL;
    request_finish(req);
    if (held)
        request_unref(req);
    request_unref(req);
}

struct request *request_unref(struct request *req)
{
    if (!req || --req->refs > 0)
        return NULL;
    if (!req->ended) {
        req->refs++; /* the answer below must not come back here */
        if (!req->answered && msg_proto(req->msg)->aux2 != FLUX_MATCHTAG_NONE)
            (void)forget(req);
    }
    request_finish(req);
    json_decref(req->resume);
    json_decref(req->json);
    free(req->sentence);
    flux_msg_decref(req->msg);
    free(req);
    return NULL;
}

void request_on_gone(struct request *req, void (*cb)(struct request *req, void *arg), void *arg)
{
    req->on_gone = cb;
    req->on_gone_arg = arg;
}

/* --- what it says */

struct service *request_service(const struct request *req)
{
    return req->svc;
}

const flux_msg_t *request_msg(const struct request *req)
{
    return req->msg;
}

const char *request_topic(const struct request *req)
{
    return msg_topic(req->msg);
}

uint32_t request_userid(const struct request *req)
{
    return msg_proto(req->msg)->userid;
}

bool request_is_owner(const struct request *req)
{
    return msg_proto(req->msg)->rolemask & FLUX_ROLE_OWNER;
}

bool request_is_streaming(const struct request *req)
{
    return msg_proto(req->msg)->flags & FLUX_MSGFLAG_STREAMING;
}

bool request_is_noresponse(const struct request *req)
{
    return msg_proto(req->msg)->flags & FLUX_MSGFLAG_NORESPONSE;
}

bool request_gone(const struct request *req)
{
    return req->ended;
}

const json_t *request_resume(const struct request *req)
{
    return req->resume;
}

const json_t *request_json(const struct request *req)
{
    return req->json;
}

int request_unpack(const struct request *req, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = req->json ? json_vunpack_ex(req->json, NULL, 0, fmt, ap) : -1;
    va_end(ap);
    return rc < 0 ? -EPROTO : 0;
}

void request_raw(const struct request *req, const void **ret_data, size_t *ret_size)
{
    int size = 0;

    *ret_data = NULL;
    if (flux_msg_get_payload(req->msg, ret_data, &size) < 0)
        size = 0;
    *ret_size = (size_t)size;
}

bool request_same_client(const struct request *a, const struct request *b)
{
    if (flux_msg_route_count(a->msg) <= 0 && flux_msg_route_count(b->msg) <= 0)
        return a->origin && a->origin == b->origin;
    return flux_msg_route_match_first(a->msg, b->msg);
}

uint64_t request_client_hash(const struct request *req, uint32_t number)
{
    const bool direct = is_direct(req->msg);
    uint64_t hash = 14695981039346656037u ^ number;

    /* A request that has ended has no origin any more, a routed one has its name still. */
    if (direct)
        hash ^= (uintptr_t)req->origin;
    for (const char *p = direct ? "" : client_name(req->msg); *p; p++)
        hash = (hash ^ (unsigned char)*p) * 1099511628211u;
    return hash;
}

/* --- answers */

static bool answers_many(const struct request *req)
{
    return request_is_streaming(req) || msg_proto(req->msg)->aux2 == FLUX_MATCHTAG_NONE;
}

static bool connection_is_lost(int rc)
{
    return rc == -EPIPE || rc == -ECONNRESET || rc == -ENOBUFS;
}

/* Consumes response (may be NULL: out of memory). */
static int send_one(struct request *req, flux_msg_t *response)
{
    int rc = response ? 0 : -ENOMEM;

    if (rc == 0 && request_is_streaming(req) && flux_msg_set_streaming(response) < 0)
        rc = -errno;
    if (rc == 0)
        rc = req->origin->send(req->origin, response);
    flux_msg_destroy(response);
    return rc;
}

static int send_error(struct request *req, int errnum)
{
    flux_msg_t *response = flux_response_derive(req->msg, errnum);

    if (response)
        (void)flux_msg_set_string(response, "the answer could not be sent");
    return send_one(req, response);
}

/* Consumes response (may be NULL: out of memory). An answer that cannot be sent ends the request.
 */
static int send_response(struct request *req, flux_msg_t *response, bool final)
{
    int rc = send_one(req, response);

    req->answered = true;
    if (rc < 0 && !connection_is_lost(rc)) {
        (void)send_error(req, -rc);
        final = true;
    }
    if (final)
        request_finish(req);
    else if (rc < 0)
        request_close(req);
    return rc;
}

/* A request that wants no response ends with the first attempt to give one. */
static bool nothing_to_say(struct request *req)
{
    if (!req->ended && request_is_noresponse(req))
        request_finish(req);
    return req->ended;
}

static int respond_data(struct request *req, const void *data, size_t size)
{
    flux_msg_t *response;

    if (nothing_to_say(req))
        return 0;
    if (size > MSG_PAYLOAD_MAX)
        return request_fail(req, EFBIG, "the answer has %zu bytes, more than a message can carry",
                            size);
    response = flux_response_derive(req->msg, 0);
    if (response && data && flux_msg_set_payload(response, data, (int)size) < 0) {
        flux_msg_destroy(response);
        response = NULL;
    }
    return send_response(req, response, !answers_many(req));
}

int request_respond(struct request *req, const char *json)
{
    return respond_data(req, json, json ? strlen(json) + 1 : 0);
}

int request_respond_raw(struct request *req, const void *data, size_t size)
{
    return respond_data(req, data, size);
}

int request_respond_json(struct request *req, const json_t *o)
{
    CLEANUP(freep) char *s = NULL;
    size_t size = 0;

    if (nothing_to_say(req))
        return 0;
    s = jsonx_encode(o, &size);
    if (!s)
        return request_fail(req, ENOMEM, "out of memory while encoding the answer");
    return respond_data(req, s, size);
}

int request_respond_pack(struct request *req, const char *fmt, ...)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    json_error_t error;
    va_list ap;

    va_start(ap, fmt);
    o = json_vpack_ex(&error, 0, fmt, ap);
    va_end(ap);
    if (!o)
        return request_fail(req, EINVAL, "the answer could not be built: %s", error.text);
    return request_respond_json(req, o);
}

int request_end(struct request *req)
{
    return request_fail(req, ENODATA, NULL);
}

int request_fail(struct request *req, int errnum, const char *fmt, ...)
{
    char text[1024];
    flux_msg_t *response;

    if (nothing_to_say(req))
        return 0;
    if (errnum != ENODATA)
        req->svc->stats.errors++;
    response = flux_response_derive(req->msg, errnum > 0 ? errnum : EINVAL);
    if (response && fmt) {
        va_list ap;

        va_start(ap, fmt);
        (void)vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        (void)flux_msg_set_string(response, text);
    }
    (void)send_response(req, response, true);
    return 0;
}

int request_explain(struct request *req, int errnum, const char *fmt, ...)
{
    va_list ap;

    free(req->sentence);
    va_start(ap, fmt);
    if (vasprintf(&req->sentence, fmt, ap) < 0)
        req->sentence = NULL;
    va_end(ap);
    return -errnum;
}

int request_refuse(struct request *req, int rc)
{
    return request_fail(req, -rc, req->sentence ? "%s" : NULL, req->sentence);
}
