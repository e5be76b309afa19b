/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Stored are one descriptor for each connection, "peer-N", and "state", JSON in a sealed memfd:
 *
 *     {"version":1, "peers":[{"name":"peer-N", "client":BOOL,
 *                             "requests":[{"msg":BASE64, "resume"?:OBJECT}, ...]}, ...]}
 *
 * The requests are whole messages (RFC 3), with the credentials they were given when they came: of
 * methods that may be begun again (RPC_METHOD_RESUME; "resume" is what the daemon wants to find
 * then), and those that were read and not begun. Nothing else is left in this process: what was
 * queued has been sent, and what was not read waits in the kernel.
 *
 * Not stored, so that they end with the process: connections that carry a protocol of two daemons
 * with a greeting of its own (RPC_METHOD_SESSION), those that do not take their output in time,
 * those beyond PEERS_MAX or with more than BYTES_MAX of requests. After a crash there is no state
 * and nothing is taken up: listen.c closes what is left in the store. */
#include <string.h>

#include "base/base64.h"
#include "base/monotime.h"
#include "service/fdstore.h"
#include "service/handover.h"
#include "service/log.h"
#include "service/state.h"
#include "wire/message.h"

#define STATE_VERSION   1
#define PEERS_MAX       1000 /* FileDescriptorStoreMax= of the units is 1024 */
#define BYTES_MAX       (16u << 20)
#define FLUSH_WAIT_USEC 500000
#define NAME_SIZE       32

DEFINE_CLEANUP(flux_msg_t *, flux_msg_destroy)

/* --- save */

static json_t *encode_message(const flux_msg_t *msg)
{
    CLEANUP(freep) char *text = NULL;
    CLEANUP(freep) void *buf = NULL;
    size_t size, len;

    if (flux_msg_encode(msg, &buf, &size) < 0)
        return NULL;
    text = base64_encode(buf, size, &len);
    return text ? json_stringn_nocheck(text, len) : NULL;
}

static json_t *encode_request(struct request *req)
{
    struct service *svc = req->svc;
    json_t *resume = NULL;

    if (!req->held && svc->desc->on_handover)
        resume = svc->desc->on_handover(req, svc->arg);
    else if (req->resume)
        resume = json_incref(req->resume);
    return json_pack("{s:o s:o*}", "msg", encode_message(req->msg), "resume", resume);
}

static json_t *encode_requests(const struct origin *o)
{
    CLEANUP(json_decrefp) json_t *requests = json_array();
    struct request *req;
    size_t bytes = 0;

    TAILQ_FOREACH (req, &o->requests, origin_entry) {
        bytes += msg_payload_size(req->msg);
        if (bytes > BYTES_MAX || json_array_append_new(requests, encode_request(req)) < 0)
            return NULL;
    }
    return TAKE(requests);
}

/* 0: the connection and what is known of it are on their way; -errno: not. */
static int save_peer(struct peer *p, size_t n, json_t *peers)
{
    char name[NAME_SIZE];
    json_t *requests;
    int rc;

    if (peer_is_busy(p) || peer_origin(p)->session)
        return -EPIPE;
    requests = encode_requests(peer_origin(p));
    if (!requests)
        return -EFBIG;
    (void)snprintf(name, sizeof(name), "peer-%zu", n);
    rc = fdstore_put(name, peer_fd(p));
    if (rc < 0)
        json_decref(requests);
    else if (json_array_append_new(peers, json_pack("{s:s s:b s:o}", "name", name, "client",
                                                    peer_is_client(p), "requests", requests)) < 0)
        rc = -ENOMEM;
    return rc;
}

/* Nobody of those who are told "being restarted" was begun with, or it is not known how far that
 * came. */
static void refuse_the_rest(struct origin *o)
{
    struct request *req, *tmp;

    TAILQ_FOREACH_SAFE (req, &o->requests, origin_entry, tmp)
        if (!req->held && !req->resumable && !o->session)
            request_forget(req);
}

/* The next process answers: here they have ended, silently. */
static void give_up(struct origin *o)
{
    struct request *req;

    while ((req = TAILQ_FIRST(&o->requests)))
        request_hand_on(req);
}

static void settle(struct peers *peers)
{
    const uint64_t end_usec = monotime_usec() + FLUSH_WAIT_USEC;
    struct peer *p;

    peers_hold(peers);
    for (p = peers_next(peers, NULL); p; p = peers_next(peers, p))
        refuse_the_rest(peer_origin(p));
    for (p = peers_next(peers, NULL); p; p = peers_next(peers, p))
        peer_flush_wait(p, end_usec);
}

void handover_save(struct service *svc)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    json_t *peers;
    struct peer *p;
    size_t n = 0;

    if (!fdstore_possible() || peers_count(svc->peers) == 0)
        return;
    settle(svc->peers);
    o = json_pack("{s:i s:[]}", "version", STATE_VERSION, "peers");
    peers = json_object_get(o, "peers");
    for (p = peers_next(svc->peers, NULL); o && p && n < PEERS_MAX; p = peers_next(svc->peers, p)) {
        if (save_peer(p, n, peers) < 0)
            continue;
        give_up(peer_origin(p));
        n++;
    }
    if (n > 0 && fdstore_put_json("state", o) == 0)
        fdstore_settle();
    log_info("%zu of %zu connections wait for the next process", n, peers_count(svc->peers));
}

/* --- restore */

static void resume_request(struct service *svc, struct peer *p, const json_t *o)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = NULL;
    CLEANUP(freep) void *buf = NULL;
    const json_t *text = json_object_get(o, "msg");
    size_t size = 0;

    if (json_is_string(text))
        buf = base64_decode(json_string_value(text), json_string_length(text), &size);
    msg = buf ? flux_msg_decode(buf, size) : NULL;
    if (msg && msg_proto(msg)->type == FLUX_MSGTYPE_REQUEST)
        dispatch_resume(svc, peer_origin(p), msg, json_object_get(o, "resume"));
}

static int restore_peer(struct service *svc, const json_t *o)
{
    const char *name;
    struct peer *p;
    json_t *requests;
    const json_t *value;
    size_t i;
    int client, fd, rc;

    if (json_unpack((json_t *)o, "{s:s s:b s:o}", "name", &name, "client", &client, "requests",
                    &requests) < 0)
        return -EPROTO;
    fd = fdstore_take(svc, name);
    if (fd < 0)
        return fd;
    rc = peers_adopt(svc->peers, fd, client, &p);
    if (rc < 0)
        return rc;
    json_array_foreach (requests, i, value)
        resume_request(svc, p, value);
    return 0;
}

void handover_restore(struct service *svc)
{
    CLEANUP(json_decrefp) json_t *o = fdstore_take_json(svc, "state");
    const json_t *value;
    size_t i, n = 0;

    if (json_integer_value(json_object_get(o, "version")) != STATE_VERSION)
        return;
    json_array_foreach (json_object_get(o, "peers"), i, value)
        n += restore_peer(svc, value) == 0;
    log_info("took up %zu connections of the process before", n);
}
