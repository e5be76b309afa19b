/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Follows rank 0.
 *
 *     kvs.follow --root--> following: events move the root --lost--> again, after a pause
 *
 * The events are subscribed to before the root is asked for, so none is missed in between. While
 * the tree is broken the root stays where it is: what is read is what was known last. When rank 0
 * is reached again it tells its root, and each watch looks for what is different. Events of others
 * than the instance owner are not believed.
 *
 * Invariant: requests are held only while no root has ever been known. */
#include <errno.h>
#include "kvs/follow.h"
#include "kvs/follower.h"
#include "kvs/relay.h"
#include "kvs/update.h"
#include "service/log.h"

#define RETRY_MIN     0.05 /* seconds */
#define RETRY_MAX     2.
#define EXPECT_WITHIN 3. /* seconds that an event may come after the answer of its commit */

struct held {
    TAILQ_ENTRY(held) link;
    struct follower *follower;
    struct request *req;
    int (*fn)(struct request *req, void *arg);
};

struct follower {
    struct manager *manager;
    flux_future_t *stream;
    flux_watcher_t *retry;
    flux_watcher_t *expect;
    bool expecting;
    int64_t expected; /* the version that is to be known when the timer ends */
    double pause;
    bool lost; /* told the log */
    TAILQ_HEAD(, held) helds;
    struct follower_stats stats;
};

static void held_free(struct held *h)
{
    TAILQ_REMOVE(&h->follower->helds, h, link);
    request_on_gone(h->req, NULL, NULL);
    request_unref(h->req);
    free(h);
}

int64_t follower_version(const struct follower *fw)
{
    const struct namespace *ns =
        namespace_find(fw->manager->kvs->namespaces, KVS_PRIMARY_NAMESPACE);

    return ns && ns->exists ? ns->seq : -1;
}

static bool has_root(const struct follower *fw)
{
    return follower_version(fw) >= 0;
}

static void on_held_gone(struct request *req, void *arg)
{
    held_free(arg);
}

bool follower_hold(struct follower *fw, struct request *req,
                   int (*fn)(struct request *req, void *arg))
{
    struct held *h;

    if (has_root(fw) || !(h = calloc(1, sizeof(*h))))
        return false;
    h->follower = fw;
    h->req = request_ref(req);
    h->fn = fn;
    TAILQ_INSERT_TAIL(&fw->helds, h, link);
    request_on_gone(req, on_held_gone, h);
    return true;
}

static void run_held(struct follower *fw)
{
    struct held *h;

    while ((h = TAILQ_FIRST(&fw->helds))) {
        CLEANUP(request_unrefp) struct request *req = request_ref(h->req);
        int (*fn)(struct request * req, void *arg) = h->fn;
        int rc;

        held_free(h);
        if ((rc = fn(req, fw->manager)) < 0)
            fail_lookup(req, -rc);
    }
}

static void fail_held(struct follower *fw, int errnum, const char *why)
{
    struct held *h;

    while ((h = TAILQ_FIRST(&fw->helds))) {
        (void)request_fail(h->req, errnum, "the root of the key-value store is not known here: %s",
                           why);
        held_free(h);
    }
}

void follower_take(struct follower *fw, const json_t *update)
{
    int rc = update_apply(fw->manager->kvs, update);

    if (rc < 0) {
        log_warning("a root that rank 0 announced is not usable: %s", strerror(-rc));
        return;
    }
    if (rc == UPDATE_OLD)
        return;
    fw->stats.updates++;
    if (rc == UPDATE_GAP)
        fw->stats.gaps++;
    versions_check(fw->manager);
    relays_check(fw->manager);
    run_held(fw);
}

void follower_on_event(struct follower *fw, const flux_msg_t *msg)
{
    CLEANUP(json_decrefp) json_t *update = NULL;
    struct flux_msg_cred cred;
    const char *topic, *text;

    if (flux_event_decode(msg, &topic, &text) < 0 || strcmp(topic, SETROOT_TOPIC) != 0 || !text ||
        flux_msg_get_cred(msg, &cred) < 0 || !(cred.rolemask & FLUX_ROLE_OWNER))
        return;
    if ((update = json_loads(text, JSON_REJECT_DUPLICATES, NULL)))
        follower_take(fw, update);
}

/* --- the stream */

static void lost(struct follower *fw, int errnum, const char *why)
{
    if (!fw->lost)
        log_warning("rank 0 cannot be followed: %s; serving the root known last", why);
    fw->lost = true;
    fail_held(fw, errnum, why);
    relays_settle(fw->manager);
    flux_future_destroy(fw->stream);
    fw->stream = NULL;
    flux_timer_watcher_reset(fw->retry, fw->pause, 0.);
    flux_watcher_start(fw->retry);
    fw->pause = fw->pause * 2 < RETRY_MAX ? fw->pause * 2 : RETRY_MAX;
}

static void on_follow(flux_future_t *f, void *arg)
{
    struct follower *fw = arg;
    CLEANUP(json_decrefp) json_t *root = NULL;
    const char *text;

    if (flux_rpc_get(f, &text) < 0) {
        lost(fw, errno, flux_future_error_string(f));
        return;
    }
    if (fw->lost)
        log_info("following rank 0 again");
    fw->lost = false;
    fw->pause = RETRY_MIN;
    if (text && (root = json_loads(text, 0, NULL)))
        follower_take(fw, root);
    flux_future_reset(f);
}

static void follow(struct follower *fw)
{
    fw->stream =
        flux_rpc(service_flux(fw->manager->svc), "kvs.follow", NULL, 0, FLUX_RPC_STREAMING);
    if (!fw->stream || flux_future_then(fw->stream, -1., on_follow, fw) < 0)
        lost(fw, errno, strerror(errno));
}

static void on_retry(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    follow(arg);
}

static void on_expect(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct follower *fw = arg;
    int64_t version;

    fw->expecting = false;
    if (follower_version(fw) < fw->expected)
        relays_settle(fw->manager);
    else if (relays_waiting(fw->manager, &version)) /* for events of later commits */
        follower_expect(fw, version);
}

void follower_expect(struct follower *fw, int64_t version)
{
    if (fw->expecting)
        return;
    fw->expecting = true;
    fw->expected = version;
    flux_timer_watcher_reset(fw->expect, EXPECT_WITHIN, 0.);
    flux_watcher_start(fw->expect);
}

struct follower_stats follower_stats(const struct follower *fw)
{
    return fw->stats;
}

int follower_new(struct manager *m, struct follower **ret)
{
    struct follower *fw = calloc(1, sizeof(*fw));
    flux_reactor_t *r = service_reactor(m->svc);

    if (!fw)
        return -ENOMEM;
    fw->manager = m;
    fw->pause = RETRY_MIN;
    TAILQ_INIT(&fw->helds);
    if (!(fw->retry = flux_timer_watcher_create(r, RETRY_MIN, 0., on_retry, fw)) ||
        !(fw->expect = flux_timer_watcher_create(r, EXPECT_WITHIN, 0., on_expect, fw)) ||
        flux_event_subscribe(service_flux(m->svc), SETROOT_TOPIC) < 0) {
        int errnum = errno;

        log_err("cannot follow rank 0: %s", strerror(errnum));
        follower_free(fw);
        return -errnum;
    }
    *ret = fw;
    follow(fw);
    return 0;
}

struct follower *follower_free(struct follower *fw)
{
    if (fw) {
        while (!TAILQ_EMPTY(&fw->helds))
            held_free(TAILQ_FIRST(&fw->helds));
        flux_future_destroy(fw->stream);
        flux_watcher_destroy(fw->retry);
        flux_watcher_destroy(fw->expect);
        free(fw);
    }
    return NULL;
}
