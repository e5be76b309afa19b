/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Relays. A request goes to the KVS of rank 0 with the userid and roles of its client, so that rank
 * 0 judges it as it would its own clients'. A client that leaves takes its watches with it; what
 * else is under way is finished there and its answer forgotten.
 *
 * Read-after-write: the answer of a commit is held until the root that it names, or a later one, is
 * this node's. Normally the event is first or close behind; relays_settle() is for when it was
 * lost.
 *
 * Invariant: a relay that is held has no future under way and its answer's text. Those are a list
 * of their own, because each new root looks at it. */
#include <errno.h>
#include <string.h>
#include "base/base64.h"
#include "kvs/follower.h"
#include "kvs/relay.h"

DEFINE_CLEANUP(flux_msg_t *, flux_msg_destroy)

enum relay_kind { RELAY_PLAIN, RELAY_COMMIT, RELAY_STREAM };

struct relay {
    TAILQ_ENTRY(relay) link;
    struct manager *manager;
    struct request *req;
    flux_future_t *f;
    enum relay_kind kind;
    char *answer; /* held */
    json_int_t seq;
};

struct relays {
    TAILQ_HEAD(relay_list, relay) sent; /* and not answered to the end */
    struct relay_list held;
    struct relays_stats stats;
};

int relays_new(struct manager *m, struct relays **ret)
{
    struct relays *rs = calloc(1, sizeof(*rs));

    if (!rs)
        return -ENOMEM;
    TAILQ_INIT(&rs->sent);
    TAILQ_INIT(&rs->held);
    *ret = rs;
    return 0;
}

static void relay_free(struct relay *r)
{
    struct relays *rs = r->manager->relays;

    TAILQ_REMOVE(r->answer ? &rs->held : &rs->sent, r, link);
    rs->stats.count--;
    if (r->kind == RELAY_STREAM)
        rs->stats.streams--;
    request_on_gone(r->req, NULL, NULL);
    request_unref(r->req);
    flux_future_destroy(r->f);
    free(r->answer);
    free(r);
}

static struct relay *relay_first(struct relays *rs)
{
    return TAILQ_EMPTY(&rs->sent) ? TAILQ_FIRST(&rs->held) : TAILQ_FIRST(&rs->sent);
}

struct relays *relays_free(struct relays *rs)
{
    struct relay *r;

    if (rs) {
        while ((r = relay_first(rs)))
            relay_free(r);
        free(rs);
    }
    return NULL;
}

/* --- sending */

static int encode(const struct request *req, const char *topic, const char *payload,
                  flux_msg_t **ret)
{
    const struct flux_msg_cred cred = { .userid = request_userid(req),
                                        .rolemask = request_is_owner(req) ? FLUX_ROLE_OWNER
                                                                          : FLUX_ROLE_USER };
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = flux_request_encode(topic, payload);

    if (!msg || flux_msg_set_cred(msg, cred) < 0)
        return -errno;
    *ret = TAKE(msg);
    return 0;
}

static void send_cancel(struct relay *r)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = NULL;
    char payload[64];

    (void)snprintf(payload, sizeof(payload), "{\"matchtag\":%u}", flux_rpc_get_matchtag(r->f));
    if (encode(r->req, "kvs-watch.cancel", payload, &msg) == 0)
        flux_future_destroy(
            flux_rpc_message(service_flux(r->manager->svc), msg, 0, FLUX_RPC_NORESPONSE));
}

static void on_relay_gone(struct request *req, void *arg)
{
    struct relay *r = arg;

    if (r->kind == RELAY_STREAM)
        send_cancel(r);
    relay_free(r);
}

static void hold_or_answer(struct relay *r, const char *text)
{
    CLEANUP(json_decrefp) json_t *o = json_loads(text ? text : "", 0, NULL);
    struct manager *m = r->manager;
    char *copy;

    if (json_unpack(o, "{s:I}", "rootseq", &r->seq) < 0 ||
        r->seq <= follower_version(m->follower) || !(copy = strdup(text))) {
        (void)request_respond(r->req, text);
        relay_free(r);
        return;
    }
    TAILQ_REMOVE(&m->relays->sent, r, link);
    TAILQ_INSERT_TAIL(&m->relays->held, r, link);
    r->answer = copy;
    flux_future_destroy(r->f);
    r->f = NULL;
    follower_expect(m->follower, r->seq);
}

static void on_relay(flux_future_t *f, void *arg)
{
    struct relay *r = arg;
    const char *text = NULL;

    if (flux_rpc_get(f, &text) < 0) {
        if (errno == ENODATA)
            (void)request_end(r->req);
        else
            (void)request_fail(r->req, errno, "%s", flux_future_error_string(f));
        relay_free(r);
    } else if (r->kind == RELAY_STREAM) {
        (void)request_respond(r->req, text);
        flux_future_reset(f);
    } else if (r->kind == RELAY_COMMIT) {
        hold_or_answer(r, text);
    } else {
        (void)request_respond(r->req, text);
        relay_free(r);
    }
}

static int relay_send(struct manager *m, struct request *req, enum relay_kind kind,
                      const char *payload)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = NULL;
    struct relay *r;
    int rc = encode(req, request_topic(req), payload, &msg);

    if (rc < 0)
        return rc;
    if (!(r = calloc(1, sizeof(*r))))
        return -ENOMEM;
    r->manager = m;
    r->kind = kind;
    r->req = request_ref(req);
    TAILQ_INSERT_TAIL(&m->relays->sent, r, link);
    m->relays->stats.count++;
    m->relays->stats.sent++;
    if (kind == RELAY_STREAM)
        m->relays->stats.streams++;
    r->f = flux_rpc_message(service_flux(m->svc), msg, 0,
                            kind == RELAY_STREAM ? FLUX_RPC_STREAMING : 0);
    if (!r->f || flux_future_then(r->f, -1., on_relay, r) < 0) {
        rc = -errno;
        relay_free(r);
        return rc;
    }
    request_on_gone(req, on_relay_gone, r);
    return 0;
}

static int relay_as_it_is(struct manager *m, struct request *req, enum relay_kind kind)
{
    const char *payload;

    if (flux_request_decode(request_msg(req), NULL, &payload) < 0)
        return -errno;
    return relay_send(m, req, kind, payload);
}

int relay_request(struct manager *m, struct request *req)
{
    return relay_as_it_is(m, req, RELAY_PLAIN);
}

int relay_commit(struct manager *m, struct request *req)
{
    const char *ns = json_string_value(json_object_get(request_json(req), "namespace"));
    const bool primary = ns && strcmp(ns, KVS_PRIMARY_NAMESPACE) == 0;

    return relay_as_it_is(m, req, primary ? RELAY_COMMIT : RELAY_PLAIN);
}

int relay_watch(struct manager *m, struct request *req, const struct watch_progress *progress)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(freep) char *last = NULL;
    CLEANUP(freep) char *payload = NULL;
    size_t len;

    if (!progress || !progress->delivered)
        return relay_as_it_is(m, req, RELAY_STREAM);
    if (!(o = json_copy((json_t *)request_json(req))) ||
        !(last = base64_encode(progress->last, sizeof(progress->last), &len)) ||
        json_object_set_new(
            o, "resume",
            json_pack("{s:I s:s}", "offset", (json_int_t)progress->offset, "last", last)) < 0 ||
        !(payload = json_dumps(o, JSON_COMPACT)))
        return -ENOMEM;
    return relay_send(m, req, RELAY_STREAM, payload);
}

bool relay_watch_cancel(struct manager *m, struct request *req, uint32_t matchtag)
{
    struct relay *r;

    TAILQ_FOREACH (r, &m->relays->sent, link) {
        if (r->kind == RELAY_STREAM && matchtag_of(r->req) == matchtag &&
            request_same_client(r->req, req)) {
            send_cancel(r);
            (void)request_end(r->req);
            relay_free(r);
            return true;
        }
    }
    return false;
}

/* --- roots */

void relays_check(struct manager *m)
{
    const int64_t seq = follower_version(m->follower);
    struct relay *r, *tmp;

    TAILQ_FOREACH_SAFE (r, &m->relays->held, link, tmp) {
        if (r->seq <= seq) {
            (void)request_respond(r->req, r->answer);
            relay_free(r);
        }
    }
}

static const struct relay *latest_waiting(const struct manager *m)
{
    const struct relay *latest = NULL;
    const struct relay *r;

    TAILQ_FOREACH (r, &m->relays->held, link)
        if (!latest || r->seq > latest->seq)
            latest = r;
    return latest;
}

void relays_settle(struct manager *m)
{
    const struct relay *latest = latest_waiting(m);

    if (latest) {
        CLEANUP(json_decrefp) json_t *o = json_loads(latest->answer, 0, NULL);

        (void)json_object_set_new(o, "namespace", json_string(KVS_PRIMARY_NAMESPACE));
        follower_take(m->follower, o);
    }
}

bool relays_waiting(const struct manager *m, int64_t *ret_version)
{
    const struct relay *latest = latest_waiting(m);

    if (latest)
        *ret_version = latest->seq;
    return latest != NULL;
}

bool relays_idle(const struct manager *m)
{
    return !m->relays || m->relays->stats.count == m->relays->stats.streams;
}

void relays_end(struct manager *m)
{
    struct relay *r;

    while (m->relays && (r = relay_first(m->relays))) {
        (void)request_fail(r->req, ECONNRESET, "flux-kvs of this node is restarting");
        relay_free(r);
    }
}

struct relays_stats relays_stats(const struct manager *m)
{
    return m->relays->stats;
}
