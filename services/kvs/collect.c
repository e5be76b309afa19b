/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* kvs.gc, kvs.hold, [kvs] gc-threshold, gc-size.
 *
 * While others want something, a tick of the loop reads one directory and the content store is busy
 * with us for a twentieth of the time, so a commit hardly waits; for half of it when the next
 * collection is due already, so that what is not needed is removed faster than it can be made. When
 * nobody wants anything there is no such rest. At which sequence of the primary namespace the last
 * collection began is a checkpoint of the content store ("kvs-gc"): the next one is due
 * gc-threshold commits later, also after a restart. It is due, too, when commits to whatever
 * namespace have stored gc-size bytes since then: other namespaces have versions of their own, and
 * few commits may be large. One that failed is tried again after a tenth of that. */
#include <errno.h>
#include <flux/kvs.h>
#include <string.h>
#include "base/errorx.h"
#include "base/fsd.h"
#include "base/monotime.h"
#include "base/number.h"
#include "kvs/collect.h"
#include "kvs/commit.h"
#include "kvs/gc.h"
#include "kvs/relay.h"
#include "service/log.h"

#define THRESHOLD_DEFAULT 100000 /* commits */
#define SIZE_DEFAULT      (4ull << 30)
#define GRACE_DEFAULT     60.    /* seconds */
#define RETRY_MIN         1000   /* commits */
#define BUSY_USEC         100000 /* after the last of them we are alone */
#define TICK_GRACE        0.1

enum { PACE_IDLE, PACE_BUSY, PACE_LATE };

/* How a collection goes on. The content store moves its journal between two steps of the sweep and,
 * when much of it waits, for half of the time during one: not to be overtaken, a step of one that
 * is late has more. */
static const struct pace {
    double tick; /* seconds */
    unsigned int directories;
    uint32_t rows;
    unsigned int rest;
} paces[] = {
    [PACE_IDLE] = { .tick = 0.005, .directories = 64, .rows = 2048, .rest = 0 },
    [PACE_BUSY] = { .tick = 0.001, .directories = 1, .rows = GC_ROWS, .rest = 19 },
    [PACE_LATE] = { .tick = 0.001, .directories = 4, .rows = 4096, .rest = 1 },
};

struct collector {
    struct manager *manager;
    flux_watcher_t *tick;
    int64_t threshold; /* 0: never by itself */
    uint64_t size;     /* bytes, 0: however much is stored */
    double grace;
    int64_t last;                  /* sequence at which the last one began, */
    int64_t due;                   /* the next one begins */
    uint64_t last_size, due_size;  /* the same as commit_bytes() */
    uint64_t activity, busy_until; /* until: in usec */
    uint64_t runs, failures;
    struct gc_result result; /* of the last one */
    LIST_HEAD(, waiter) waiting;
    LIST_HEAD(, holding) holdings;
};

/* A client who wants to know the outcome. */
struct waiter {
    LIST_ENTRY(waiter) link;
    struct request *req;
};

struct holding {
    LIST_ENTRY(holding) link;
    struct manager *manager;
    struct gc_hold hold;
    struct request *req;
};

/* --- ticks */

static int64_t sequence(const struct manager *m)
{
    const struct namespace *ns = namespace_find(m->kvs->namespaces, KVS_PRIMARY_NAMESPACE);

    return ns && ns->exists ? ns->seq : 0;
}

/* Has anybody wanted something lately? */
static bool is_busy(struct collector *c)
{
    const struct manager *m = c->manager;
    uint64_t activity = m->nlookups + commit_stats(m->kvs)->transactions;
    uint64_t now = monotime_usec();

    if (activity != c->activity || !commit_idle(m->kvs))
        c->busy_until = now + BUSY_USEC;
    c->activity = activity;
    return now < c->busy_until;
}

static bool is_late(const struct collector *c)
{
    const uint64_t stored = commit_bytes(c->manager->kvs);

    return c->threshold > 0 && (sequence(c->manager) >= c->last + c->threshold ||
                                (c->size > 0 && stored >= c->last_size + c->size));
}

static bool is_due(const struct collector *c)
{
    return c->threshold > 0 && (sequence(c->manager) >= c->due ||
                                (c->size > 0 && commit_bytes(c->manager->kvs) >= c->due_size));
}

static void set_due(struct collector *c)
{
    c->due = c->last + c->threshold;
    c->due_size = c->last_size + c->size;
}

/* After one that failed. */
static void set_due_again(struct collector *c, int64_t commits)
{
    c->due = sequence(c->manager) + commits;
    c->due_size = commit_bytes(c->manager->kvs) + c->size / 10;
}

static const struct pace *choose_pace(struct collector *c)
{
    return &paces[!is_busy(c) ? PACE_IDLE : is_late(c) ? PACE_LATE : PACE_BUSY];
}

static void on_tick(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct collector *c = arg;
    struct kvs *k = c->manager->kvs;
    const struct pace *pace = choose_pace(c);
    enum gc_phase phase;
    double rest;

    gc_set_pace(k, pace->rows, pace->rest);
    gc_work(k, pace->directories);
    if ((phase = gc_phase(k)) == GC_IDLE)
        return;
    rest = phase == GC_GRACE ? TICK_GRACE : (double)gc_rest_usec(k) / 1e6;
    if (rest > TICK_GRACE) /* when nobody wants anything any more it goes on faster */
        rest = TICK_GRACE;
    flux_timer_watcher_reset(c->tick, rest > pace->tick ? rest : pace->tick, 0.);
    flux_watcher_start(c->tick);
}

/* --- the beginning and the end */

static json_t *pack_result(const struct gc_result *r)
{
    return json_pack("{s:I s:I s:I s:I s:I s:I s:f}", "marked", (json_int_t)r->marked, "missing",
                     (json_int_t)r->missing, "looked", (json_int_t)r->looked, "removed",
                     (json_int_t)r->removed, "bytes", (json_int_t)r->bytes, "returned",
                     (json_int_t)r->returned, "seconds", r->seconds);
}

static void answer(struct request *req, const struct gc_result *r)
{
    CLEANUP(json_decrefp) json_t *o = pack_result(r);

    if (r->err < 0)
        (void)request_fail(req, -r->err, "%s", r->error.text);
    else if (!o || request_respond_json(req, o) < 0)
        (void)request_fail(req, ENOMEM, NULL);
}

static void waiter_free(struct waiter *w)
{
    LIST_REMOVE(w, link);
    request_on_gone(w->req, NULL, NULL);
    request_unref(w->req);
    free(w);
}

static void on_collected(const struct gc_result *r, void *arg)
{
    struct collector *c = arg;
    int64_t retry = c->threshold / 10 > RETRY_MIN ? c->threshold / 10 : RETRY_MIN;
    struct waiter *w;

    c->result = *r;
    c->runs++;
    set_due(c);
    if (r->err == 0) {
        remote_note_collection(c->manager->remote, c->last);
        log_info("collected: %ju of %ju blobs removed, %ju bytes, in %.1f s", (uintmax_t)r->removed,
                 (uintmax_t)r->looked, (uintmax_t)r->bytes, r->seconds);
    } else {
        c->failures++;
        set_due_again(c, retry);
        log_warning("the collection of what is not needed was given up: %s", r->error.text);
    }
    if (r->missing > 0)
        log_warning("%ju blobs are referred to and missing: see `fluxctl content check`",
                    (uintmax_t)r->missing);
    while ((w = LIST_FIRST(&c->waiting))) {
        answer(w->req, r);
        waiter_free(w);
    }
}

static int begin(struct collector *c, double grace)
{
    int rc = gc_start(c->manager->kvs, grace, on_collected, c);

    if (rc < 0)
        return rc;
    c->last = sequence(c->manager);
    c->last_size = commit_bytes(c->manager->kvs);
    flux_timer_watcher_reset(c->tick, paces[PACE_BUSY].tick, 0.);
    flux_watcher_start(c->tick);
    return 0;
}

void collector_check(struct manager *m)
{
    struct collector *c = m->collector;
    int rc;

    if (!c || m->stopping || gc_phase(m->kvs) != GC_IDLE || !is_due(c))
        return;
    if ((rc = begin(c, c->grace)) < 0) {
        set_due_again(c, RETRY_MIN);
        log_warning("cannot begin a collection: %s", strerror(-rc));
    }
}

/* --- requests */

static void on_waiter_gone(struct request *req, void *arg)
{
    waiter_free(arg);
}

int rpc_gc(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct collector *c = m->collector;
    double grace;
    struct waiter *w;
    int rc;

    if (m->follower)
        return relay_request(m, req);
    grace = c->grace;
    if ((rc = request_unpack(req, "{s?F}", "grace", &grace)) < 0)
        return rc;
    if (!(grace >= 0. && grace < 1e6))
        return request_explain(req, EINVAL, "grace is a number of seconds");
    if ((rc = begin(c, grace)) < 0 && rc != -EALREADY)
        return rc;
    if (!(w = calloc(1, sizeof(*w))))
        return -ENOMEM;
    w->req = request_ref(req);
    LIST_INSERT_HEAD(&c->waiting, w, link);
    request_on_gone(req, on_waiter_gone, w);
    return 0;
}

static void holding_free(struct holding *h)
{
    LIST_REMOVE(h, link);
    gc_release(h->manager->kvs, &h->hold);
    request_on_gone(h->req, NULL, NULL);
    request_unref(h->req);
    free(h);
}

static void on_holding_gone(struct request *req, void *arg)
{
    holding_free(arg);
}

static void try_hold(struct holding *h)
{
    int rc = gc_guard_hold(h->manager->kvs, &h->hold);

    if (rc == -EAGAIN)
        return;
    if (rc == 0) {
        (void)request_respond(h->req, "{}");
        return;
    }
    (void)request_fail(h->req, -rc, "%s",
                       rc == -ENOENT ? "it is not in the content store any more" : strerror(-rc));
    holding_free(h);
}

static void on_guarded(struct gc_guard *guard)
{
    try_hold(container_of(guard, struct holding, hold.guard));
}

int rpc_hold(struct request *req, void *arg)
{
    struct manager *m = arg;
    enum digest_algorithm alg;
    struct holding *h;
    const char *ref;
    int rc;

    if (m->follower)
        return relay_watch(m, req, NULL);
    if ((rc = request_unpack(req, "{s:s}", "rootref", &ref)) < 0)
        return rc;
    if (!(h = calloc(1, sizeof(*h))))
        return -ENOMEM;
    if (blobref_parse(ref, &alg, h->hold.root) < 0 || alg != m->kvs->params.hash) {
        free(h);
        return request_explain(req, EINVAL, "rootref is not a blobref of this instance's hash");
    }
    h->manager = m;
    h->hold.guard.done = on_guarded;
    h->req = request_ref(req);
    LIST_INSERT_HEAD(&m->collector->holdings, h, link);
    gc_hold(m->kvs, &h->hold);
    request_on_gone(req, on_holding_gone, h);
    try_hold(h);
    return 0;
}

bool collector_cancel(struct manager *m, const struct request *req, uint32_t matchtag)
{
    struct holding *h;

    if (!m->collector)
        return false;
    LIST_FOREACH(h, &m->collector->holdings, link)
    {
        if (matchtag_of(h->req) == matchtag && request_same_client(h->req, req)) {
            (void)request_end(h->req);
            holding_free(h);
            return true;
        }
    }
    return false;
}

/* --- all of it */

json_t *collector_stats(const struct manager *m)
{
    const struct collector *c = m->collector;
    const enum gc_phase phase = gc_phase(m->kvs);
    json_t *o = pack_result(phase == GC_IDLE ? &c->result : gc_progress(m->kvs));

    if (!o || json_object_set_new(o, "phase", json_string(gc_phase_name(phase))) < 0 ||
        json_object_set_new(o, "runs", json_integer((json_int_t)c->runs)) < 0 ||
        json_object_set_new(o, "failures", json_integer((json_int_t)c->failures)) < 0 ||
        json_object_set_new(o, "due", json_integer(c->threshold ? (json_int_t)c->due : 0)) < 0) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static int read_threshold(const json_t *kvs, int64_t *ret, flux_error_t *error)
{
    const json_t *o = json_object_get(kvs, "gc-threshold");

    *ret = THRESHOLD_DEFAULT;
    if (o && (!json_is_integer(o) || json_integer_value(o) < 0))
        return errorx_fail(error, EINVAL, "kvs.gc-threshold: not a number of commits");
    if (o)
        *ret = json_integer_value(o);
    return 0;
}

static int read_size(const json_t *kvs, uint64_t *ret, flux_error_t *error)
{
    const json_t *o = json_object_get(kvs, "gc-size");

    *ret = SIZE_DEFAULT;
    if (json_is_integer(o) && json_integer_value(o) >= 0)
        *ret = (uint64_t)json_integer_value(o);
    else if (o && (!json_is_string(o) || number_parse_size(json_string_value(o), ret) < 0))
        return errorx_fail(error, EINVAL, "kvs.gc-size: not a number of bytes");
    return 0;
}

static int read_grace(const json_t *kvs, double *ret, flux_error_t *error)
{
    const json_t *o = json_object_get(kvs, "gc-grace");
    double seconds = json_number_value(o);

    *ret = GRACE_DEFAULT;
    if (o && ((!json_is_number(o) &&
               (!json_is_string(o) || fsd_parse(json_string_value(o), &seconds) < 0)) ||
              !(seconds >= 0. && seconds < 1e6)))
        return errorx_fail(error, EINVAL, "kvs.gc-grace: not a duration");
    if (o)
        *ret = seconds;
    return 0;
}

int collector_configure(struct collector *c, const json_t *config, flux_error_t *error)
{
    const json_t *kvs = json_object_get(config, "kvs");
    int64_t threshold;
    uint64_t size;
    double grace;
    int rc;

    if (!c)
        return 0;
    if ((rc = read_threshold(kvs, &threshold, error)) < 0 ||
        (rc = read_size(kvs, &size, error)) < 0 || (rc = read_grace(kvs, &grace, error)) < 0)
        return rc;
    c->threshold = threshold;
    c->size = size;
    c->grace = grace;
    set_due(c);
    return 0;
}

int collector_new(struct manager *m, struct collector **ret)
{
    struct collector *c = calloc(1, sizeof(*c));
    flux_error_t error;

    if (!c)
        return -ENOMEM;
    c->manager = m;
    c->threshold = THRESHOLD_DEFAULT;
    c->size = SIZE_DEFAULT;
    c->grace = GRACE_DEFAULT;
    LIST_INIT(&c->waiting);
    LIST_INIT(&c->holdings);
    c->last = remote_last_collection(m->remote);
    set_due(c);
    if (collector_configure(c, service_config(m->svc), &error) < 0)
        log_warning("%s; collections keep to what is usual", error.text);
    if (!(c->tick = flux_timer_watcher_create(service_reactor(m->svc), paces[PACE_BUSY].tick, 0.,
                                              on_tick, c))) {
        free(c);
        return -ENOMEM;
    }
    *ret = c;
    return 0;
}

struct collector *collector_free(struct collector *c)
{
    if (c) {
        flux_watcher_destroy(c->tick);
        while (!LIST_EMPTY(&c->waiting))
            waiter_free(LIST_FIRST(&c->waiting));
        while (!LIST_EMPTY(&c->holdings))
            holding_free(LIST_FIRST(&c->holdings));
        free(c);
    }
    return NULL;
}
