/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Rank 0 knows the inventory (configuration, else what every node says it has), which ranks are
 * excluded by configuration, which are drained (resource.eventlog in the KVS, read once at start)
 * and which are in the tree (the group broker.online). One scheduler at a time follows that with
 * resource.acquire (RFC 28). Every rank says what it has, and hands out its own topology.
 *
 * In a job of another instance that is not configured, ranks have what the job was given.
 *
 * A rank that comes is asked what it has before it is up; one that has less than is configured is
 * drained first. Without configuration the inventory is told when every rank has come, or
 * DISCOVERY_SECONDS after the start; ranks that come later are added. A rank that is away but was
 * there before (keep.c) is not waited for.
 *
 * A drain is answered when it is committed. If the outcome of a commit is unknown the process ends
 * and reads the eventlog again. */
#include <string.h>

#include <flux/hostlist.h>

#include "base/errorx.h"
#include "base/eventlog.h"
#include "resource/enclosing.h"
#include "resource/hardware.h"
#include "resource/keep.h"
#include "resource/manager.h"
#include "resource/online.h"
#include "resource/stock.h"
#include "service/log.h"
#include "service/waiting.h"

#define EVENTLOG_KEY      "resource.eventlog"
#define DISCOVERY_SECONDS 10.
#define NEWS_SECONDS      0.005 /* nodes that come at once are told at once */

struct manager {
    struct service *svc;
    bool norestrict;
    char *hostname; /* of this node, as the instance calls it */
    bool leader;    /* the rest up to xml is of rank 0 only */
    struct stock stock;
    flux_future_t *replay;       /* of the eventlog; NULL: done */
    struct keep *keep;           /* from then on; NULL: resources are configured */
    struct enclosing *enclosing; /* from then on */
    struct online *online;       /* from then on */
    struct census *census;
    flux_watcher_t *discovery; /* NULL: nothing is to be discovered */
    bool loaded;               /* the inventory can be told */
    struct request *acquire;   /* the scheduler, or NULL */
    struct idset *told;        /* what it was told to be up; NULL: nothing yet */
    struct idset *known;       /* the ranks that it was told of */
    bool grown;                /* there are ranks that it does not know */
    flux_watcher_t *news;      /* runs while there is something to tell it soon */
    char *xml;                 /* this node's topology, once somebody asked */
    struct waiting waiting;
};

/* A drain or undrain under way. */
struct change {
    struct manager *m;
    struct request *req; /* NULL: our own, of one rank that lacks something */
    uint32_t rank;
    json_t *event;
};

DEFINE_CLEANUP(struct idset *, idset_destroy)
DEFINE_CLEANUP(flux_kvs_txn_t *, flux_kvs_txn_destroy)

static void begin_again(struct manager *m, const char *why)
{
    log_err("%s: beginning again from scratch", why);
    service_exit(m->svc, SERVICE_EXIT_ROUTER);
}

static void show_status(struct manager *m)
{
    const struct stock *s = &m->stock;
    CLEANUP(idset_destroyp) struct idset *up = stock_up(s);

    if (up)
        service_status(m->svc, "%zu nodes, %zu cores, %zu gpus: %zu up, %zu drained",
                       rset_nnodes(s->all), rset_count(s->all, "core"), rset_count(s->all, "gpu"),
                       idset_count(up), idset_count(drain_ranks(s->drain)));
}

/* --- requests that came before the eventlog was read */

static int wait_until_loaded(struct manager *m, struct request *req,
                             int (*fn)(struct request *req, void *arg))
{
    if (!m->leader)
        return request_explain(req, ENOSYS, "rank 0 answers this, not rank %u",
                               service_rank(m->svc));
    return waiting_add(&m->waiting, req, fn, "resources are being read and too many wait for them");
}

/* --- resource.acquire */

static void on_acquire_gone(struct request *req, void *arg)
{
    struct manager *m = arg;

    if (m->acquire == req)
        m->acquire = request_unref(m->acquire);
}

/* What there is and what of it is up: the first answer, and again when the inventory has grown. */
static int tell_all(struct manager *m, struct request *req)
{
    CLEANUP(idset_destroyp) struct idset *up = stock_up(&m->stock);
    CLEANUP(freep) char *s = up ? idset_encode(up, IDSET_FLAG_RANGE) : NULL;
    struct idset *known;
    int rc;

    if (!s)
        return -ENOMEM;
    known = stock_shown(&m->stock, m->known);
    if (!known)
        return -ENOMEM;
    rc = request_respond_pack(req, "{s:o s:s}", "resources", stock_acquirable(&m->stock, m->known),
                              "up", s);
    idset_destroy(m->told);
    m->told = TAKE(up);
    idset_destroy(m->known);
    m->known = known;
    m->grown = false;
    return rc;
}

static int rpc_acquire(struct request *req, void *arg)
{
    struct manager *m = arg;

    if (!m->loaded)
        return wait_until_loaded(m, req, rpc_acquire);
    if (m->acquire)
        return request_fail(req, EBUSY, "another scheduler has acquired the resources");
    m->acquire = request_ref(req);
    request_on_gone(req, on_acquire_gone, m);
    idset_destroy(m->known);
    m->known = NULL;
    return tell_all(m, req);
}

/* Which ranks went up or down since the scheduler was told last. */
static int tell_changes(struct manager *m)
{
    CLEANUP(idset_destroyp) struct idset *now = m->told ? stock_up(&m->stock) : NULL;
    CLEANUP(idset_destroyp) struct idset *up = now ? idset_difference(now, m->told) : NULL;
    CLEANUP(idset_destroyp) struct idset *down = now ? idset_difference(m->told, now) : NULL;
    CLEANUP(freep) char *sup = up ? idset_encode(up, IDSET_FLAG_RANGE) : NULL;
    CLEANUP(freep) char *sdown = down ? idset_encode(down, IDSET_FLAG_RANGE) : NULL;

    if (!sup || !sdown)
        return -ENOMEM;
    idset_destroy(m->told);
    m->told = TAKE(now);
    if (!sup[0] && !sdown[0])
        return 0;
    return request_respond_pack(m->acquire, "{s:s* s:s*}", "up", sup[0] ? sup : NULL, "down",
                                sdown[0] ? sdown : NULL);
}

static void tell_scheduler(struct manager *m)
{
    flux_watcher_stop(m->news);
    if (m->loaded && m->keep && keep_put(m->keep, m->stock.all) < 0)
        log_notice("the inventory could not be kept: a node that is away may be forgotten");
    if (m->acquire && (m->grown ? tell_all(m, m->acquire) : tell_changes(m)) == -ENOMEM)
        begin_again(m, "out of memory");
    show_status(m);
}

static void on_news(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    tell_scheduler(arg);
}

static void tell_soon(struct manager *m)
{
    if (flux_watcher_is_active(m->news))
        return;
    flux_timer_watcher_reset(m->news, NEWS_SECONDS, 0.);
    flux_watcher_start(m->news);
}

/* --- resource.status, resource.topo-get */

static int rpc_status(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(freep) char *online = NULL;
    CLEANUP(freep) char *excluded = NULL;

    if (!m->loaded)
        return wait_until_loaded(m, req, rpc_status);
    online = idset_encode(m->stock.online, IDSET_FLAG_RANGE);
    excluded = idset_encode(m->stock.excluded, IDSET_FLAG_RANGE);
    if (!online || !excluded)
        return -ENOMEM;
    return request_respond_pack(req, "{s:o s:s s:o s:s}", "R", rset_encode(m->stock.all), "online",
                                online, "drain", drain_encode(m->stock.drain), "exclude", excluded);
}

static int rpc_topo_summary(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(idset_destroyp) struct idset *cores = NULL;
    CLEANUP(idset_destroyp) struct idset *gpus = NULL;
    CLEANUP(freep) char *score = NULL;
    CLEANUP(freep) char *sgpu = NULL;
    int rc = hardware_load(m->norestrict, &cores, &gpus);

    if (rc < 0)
        return request_explain(req, -rc, "the cores of this node cannot be counted: %s",
                               strerror(-rc));
    score = idset_encode(cores, IDSET_FLAG_RANGE);
    sgpu = idset_encode(gpus, IDSET_FLAG_RANGE);
    if (!score || !sgpu)
        return -ENOMEM;
    return request_respond_pack(req, "{s:s s:s s:s}", "hostname", m->hostname, "core", score, "gpu",
                                sgpu);
}

static int rpc_topo_get(struct request *req, void *arg)
{
    struct manager *m = arg;
    int rc = m->xml ? 0 : hardware_xml(m->norestrict, &m->xml);

    if (rc < 0)
        return request_explain(req, -rc, "hwloc cannot load the topology of this node: %s",
                               strerror(-rc));
    return request_respond_pack(req, "{s:s}", "xml", m->xml);
}

static int rpc_wake(struct request *req, void *arg)
{
    return 0;
}

/* --- resource.drain, resource.undrain */

static void change_free(struct change *c)
{
    if (c) {
        json_decref(c->event);
        request_unref(c->req);
        free(c);
    }
}
DEFINE_CLEANUP(struct change *, change_free)

/* Answers who asked; what we drained ourselves may be told to be online now. */
static int change_finish(struct change *c, int rc)
{
    if (!c->req)
        return rc < 0 ? rc : stock_check(&c->m->stock, c->rank);
    if (rc < 0)
        return request_fail(c->req, -rc, "the drain state could not be stored: %s", strerror(-rc));
    return 0;
}

static void on_change_committed(flux_future_t *f, void *arg)
{
    CLEANUP(change_freep) struct change *c = arg;
    struct manager *m = c->m;
    int rc = flux_future_get(f, NULL) < 0 ? -errno : 0;

    flux_future_destroy(f);
    if (rc == -ECONNRESET || rc == -EIO) {
        begin_again(m, "it is not known whether a drain was stored");
        return;
    }
    if (rc == 0)
        rc = drain_apply(m->stock.drain, c->event);
    if (change_finish(c, rc) < 0) {
        begin_again(m, "a node that lacks resources could not be drained");
        return;
    }
    tell_scheduler(m);
    if (c->req && rc == 0)
        (void)request_respond(c->req, "{}");
}

/* Steals event. req NULL: of our own, about rank. */
static int commit_change(struct manager *m, struct request *req, uint32_t rank, json_t *event)
{
    CLEANUP(change_freep) struct change *c = calloc(1, sizeof(*c));
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = flux_kvs_txn_create();
    CLEANUP(freep) char *line = event ? eventlog_entry_encode(event) : NULL;
    flux_future_t *f;

    if (!c || !line || !txn) {
        json_decref(event);
        return -ENOMEM;
    }
    c->m = m;
    c->event = event;
    c->rank = rank;
    c->req = req ? request_ref(req) : NULL;
    if (flux_kvs_txn_put(txn, FLUX_KVS_APPEND, EVENTLOG_KEY, line) < 0)
        return -errno;
    f = flux_kvs_commit(service_flux(m->svc), KVS_PRIMARY_NAMESPACE, 0, txn);
    if (!f || flux_future_then(f, -1., on_change_committed, c) < 0) {
        int rc = -errno;

        flux_future_destroy(f);
        return rc;
    }
    (void)TAKE(c);
    return 0;
}

static int change_targets(struct manager *m, struct request *req, struct idset **ret)
{
    const char *targets = json_string_value(json_object_get(request_json(req), "targets"));
    flux_error_t error = { .text = "" };
    int rc = inventory_targets(m->stock.all, targets, ret, &error);

    return rc < 0 ? request_explain(req, -rc, "%s", error.text) : 0;
}

/* "2,4 (node2,node4)": ranks and their hosts, for a refusal; malloc'd. */
static char *name_ranks(const struct manager *m, const struct idset *ranks)
{
    CLEANUP(freep) char *ids = idset_encode(ranks, IDSET_FLAG_RANGE);
    CLEANUP(freep) char *hosts = stock_nodelist(&m->stock, ranks);
    char *text = NULL;

    if (!ids || !hosts || asprintf(&text, "%s (%s)", ids, hosts) < 0)
        return NULL;
    return text;
}

static int refuse_ranks(struct manager *m, struct request *req, const struct idset *ranks,
                        const char *why)
{
    CLEANUP(freep) char *names = name_ranks(m, ranks);

    return request_explain(req, EINVAL, "%s %s %s %s", idset_count(ranks) > 1 ? "ranks" : "rank",
                           names ? names : "?", idset_count(ranks) > 1 ? "are" : "is", why);
}

static const char *const drain_modes[] = {
    "refuse",         /* not a rank that is drained for a reason already */
    "update",         /* DRAIN_KEEP */
    "overwrite",      /* DRAIN_REASON */
    "force-overwrite" /* DRAIN_ALL */
};

/* 0 refuse, 1 + enum drain_overwrite, -EINVAL. */
static int drain_mode(const json_t *o)
{
    const char *s = json_string_value(json_object_get(o, "mode"));

    for (size_t i = 0; s && i < ARRAY_SIZE(drain_modes); i++)
        if (strcmp(s, drain_modes[i]) == 0)
            return (int)i;
    return s ? -EINVAL : 0;
}

/* Those of ranks that are drained, with a reason. */
static struct idset *drained_before(const struct manager *m, const struct idset *ranks)
{
    CLEANUP(idset_destroyp)
    struct idset *drained = idset_intersect(drain_ranks(m->stock.drain), ranks);

    if (!drained)
        return idset_create(0, IDSET_FLAG_AUTOGROW);
    for (unsigned int id = idset_first(drained); id != IDSET_INVALID_ID;
         id = idset_next(drained, id))
        if (!drain_has_reason(m->stock.drain, id))
            (void)idset_clear(drained, id);
    return TAKE(drained);
}

static int rpc_drain(struct request *req, void *arg)
{
    struct manager *m = arg;
    int mode = drain_mode(request_json(req));
    CLEANUP(idset_destroyp) struct idset *ranks = NULL;
    CLEANUP(idset_destroyp) struct idset *drained = NULL;
    CLEANUP(freep) char *hosts = NULL;
    int rc;

    if (!m->loaded)
        return wait_until_loaded(m, req, rpc_drain);
    if (mode < 0)
        return request_explain(req, EINVAL,
                               "mode is none of refuse, update, overwrite, force-overwrite");
    if ((rc = change_targets(m, req, &ranks)) < 0)
        return rc;
    if (!(drained = drained_before(m, ranks)) || !(hosts = stock_nodelist(&m->stock, ranks)))
        return -ENOMEM;
    if (mode == 0 && idset_count(drained) > 0)
        return refuse_ranks(m, req, drained, "already drained");
    return commit_change(
        m, req, 0,
        drain_event(&(struct drain_order){
            .ranks = ranks,
            .nodelist = hosts[0] ? hosts : NULL,
            .reason = json_string_value(json_object_get(request_json(req), "reason")),
            .overwrite = mode > 0 ? (enum drain_overwrite)(mode - 1) : DRAIN_KEEP }));
}

static int rpc_undrain(struct request *req, void *arg)
{
    struct manager *m = arg;
    const json_t *o = request_json(req);
    const char *mode = json_string_value(json_object_get(o, "mode"));
    CLEANUP(idset_destroyp) struct idset *ranks = NULL;
    CLEANUP(idset_destroyp) struct idset *wrong = NULL;
    CLEANUP(freep) char *hosts = NULL;
    int rc;

    if (!m->loaded)
        return wait_until_loaded(m, req, rpc_undrain);
    if ((rc = change_targets(m, req, &ranks)) < 0)
        return rc;
    if (!(wrong = idset_difference(ranks, drain_ranks(m->stock.drain))))
        return -ENOMEM;
    if (idset_count(wrong) > 0 && (!mode || strcmp(mode, "force") != 0))
        return refuse_ranks(m, req, wrong, "not drained");
    (void)idset_subtract(ranks, wrong);
    if (idset_count(ranks) == 0)
        return request_respond(req, "{}");
    if (!(hosts = stock_nodelist(&m->stock, ranks)))
        return -ENOMEM;
    return commit_change(m, req, 0,
                         undrain_event(ranks, hosts[0] ? hosts : NULL,
                                       json_string_value(json_object_get(o, "reason"))));
}

/* --- ranks come and go */

static void begin_to_serve(struct manager *m)
{
    flux_error_t error = { .text = "" };

    if (m->loaded)
        return;
    if (stock_settle(&m->stock, &error) < 0) {
        begin_again(m, error.text[0] ? error.text : "out of memory");
        return;
    }
    m->loaded = true;
    flux_watcher_stop(m->discovery);
    tell_scheduler(m);
    waiting_serve(&m->waiting, m);
}

/* Is the inventory complete, as far as it can be known? */
static void consider_serving(struct manager *m)
{
    if (stock_is_complete(&m->stock, service_size(m->svc)))
        begin_to_serve(m);
}

static void on_discovery_timeout(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct manager *m = arg;

    log_warning("%zu of %u nodes have come: those that come later are added",
                rset_nnodes(m->stock.all), service_size(m->svc));
    begin_to_serve(m);
}

/* It is up when that is stored, and so never. */
static int drain_lacking(struct manager *m, uint32_t rank, const char *why)
{
    CLEANUP(idset_destroyp) struct idset *ranks = idset_create(0, IDSET_FLAG_AUTOGROW);
    CLEANUP(freep) char *host = NULL;
    const char *fields[] = { "MESSAGE_ID=" LOG_ID_NODE_LACKS, NULL };

    log_fields(LOG_ERR, fields, "%s: drained", why);
    if (idset_test(drain_ranks(m->stock.drain), rank))
        return stock_check(&m->stock, rank);
    if (!ranks || idset_set(ranks, rank) < 0 || !(host = stock_nodelist(&m->stock, ranks)))
        return -ENOMEM;
    return commit_change(m, NULL, rank,
                         drain_event(&(struct drain_order){
                             .ranks = ranks, .nodelist = host[0] ? host : NULL, .reason = why }));
}

static void on_summary(const struct census_answer *answer, void *arg)
{
    struct manager *m = arg;
    flux_error_t error = { .text = "" };
    int rc = stock_answer(&m->stock, answer, &error);

    if (rc == STOCK_LACKS)
        rc = drain_lacking(m, answer->rank, error.text);
    m->grown |= rc == STOCK_GREW;
    tell_soon(m);
    if (rc < 0)
        begin_again(m, "a node could not be taken up");
    else
        consider_serving(m);
}

/* Rank 0 needs no message to itself. */
static int ask_self(struct manager *m)
{
    CLEANUP(idset_destroyp) struct idset *cores = NULL;
    CLEANUP(idset_destroyp) struct idset *gpus = NULL;
    int rc = hardware_load(m->norestrict, &cores, &gpus);

    if (rc < 0) {
        log_err("the cores of this node cannot be counted: %s", strerror(-rc));
        return rc;
    }
    on_summary(&(struct census_answer){ .hostname = m->hostname, .cores = cores, .gpus = gpus }, m);
    return 0;
}

static int ask(struct manager *m, struct idset *came)
{
    int rc = 0;

    if (idset_test(came, 0)) {
        rc = ask_self(m);
        (void)idset_clear(came, 0);
    }
    return rc < 0 ? rc : census_ask(m->census, came);
}

static void on_online(const struct idset *ranks, void *arg)
{
    struct manager *m = arg;
    CLEANUP(idset_destroyp) struct idset *came = NULL;
    CLEANUP(idset_destroyp) struct idset *gone = NULL;

    if (stock_set_online(&m->stock, ranks, &came, &gone) < 0) {
        begin_again(m, "out of memory");
        return;
    }
    census_forget(m->census, gone);
    tell_scheduler(m);
    if (ask(m, came) < 0)
        begin_again(m, "nodes cannot be asked what they have");
    else
        consider_serving(m);
}

/* --- start */

static void on_enclosing(const struct rset *r, void *arg)
{
    struct manager *m = arg;

    if ((r && stock_set_given(&m->stock, r, service_size(m->svc)) < 0) ||
        online_new(m->svc, on_online, m, &m->online) < 0)
        begin_again(m, "the group broker.online cannot be followed");
}

/* Hosts by rank: those that are configured, else those that the routers know. */
struct hosts {
    struct hostlist *hl; /* NULL: the routers do not know */
    struct drain_hosts by_rank;
};

static void hosts_deinit(struct hosts *h)
{
    hostlist_destroy(h->hl);
    free(h->by_rank.names);
}

static int hosts_init(struct hosts *h, struct manager *m)
{
    const char *attr = flux_attr_get(service_flux(m->svc), "hostlist");
    const size_t nnodes = rset_nnodes(m->stock.all);
    const size_t last = nnodes > 0 ? rset_nth(m->stock.all, nnodes - 1)->rank + 1 : 0;
    const size_t count = last > service_size(m->svc) ? last : service_size(m->svc);

    h->hl = attr ? hostlist_decode(attr) : NULL;
    h->by_rank.names = calloc(count, sizeof(*h->by_rank.names));
    if (!h->by_rank.names)
        return -ENOMEM;
    h->by_rank.count = count;
    for (size_t i = 0; i < count; i++) {
        const struct rset_rank *rr = rset_find(m->stock.all, (uint32_t)i);

        h->by_rank.names[i] = rr && rr->hostname ? rr->hostname
                              : h->hl            ? hostlist_nth(h->hl, (int)i)
                                                 : NULL;
    }
    return 0;
}

static int replay(struct manager *m, const char *eventlog, flux_error_t *error)
{
    CLEANUP(hosts_deinit) struct hosts hosts = { .hl = NULL };
    const int rc = hosts_init(&hosts, m);

    if (rc < 0)
        return rc;
    return drain_replay(m->stock.drain, eventlog,
                        hosts.hl || m->stock.configured ? &hosts.by_rank : NULL, error);
}

static void on_kept(const struct rset *r, void *arg)
{
    struct manager *m = arg;
    CLEANUP(hosts_deinit) struct hosts hosts = { .hl = NULL };
    int rc = r ? hosts_init(&hosts, m) : 0;

    if (r && rc == 0)
        rc = stock_remember(&m->stock, r, &hosts.by_rank);
    if (rc < 0 || enclosing_new(m->svc, on_enclosing, m, &m->enclosing) < 0)
        begin_again(m, "out of memory");
}

/* What was drained is known; what there is comes next. */
static int on_replayed(struct manager *m)
{
    if (m->stock.configured)
        return enclosing_new(m->svc, on_enclosing, m, &m->enclosing);
    return keep_new(m->svc, on_kept, m, &m->keep);
}

static void on_replay(flux_future_t *f, void *arg)
{
    struct manager *m = arg;
    flux_error_t error = { .text = "" };
    const char *eventlog = "";
    int rc = flux_kvs_lookup_get(f, &eventlog) < 0 ? -errno : 0;

    if (rc == 0)
        rc = replay(m, eventlog ? eventlog : "", &error);
    if (rc < 0 && rc != -ENOENT) {
        log_err("%s cannot be read: %s", EVENTLOG_KEY,
                error.text[0] ? error.text : flux_future_error_string(f));
        service_exit(m->svc, SERVICE_EXIT_ROUTER);
    } else if (on_replayed(m) < 0) {
        begin_again(m, "out of memory");
    }
    flux_future_destroy(m->replay);
    m->replay = NULL;
}

static int watch_news(struct manager *m)
{
    m->news = flux_timer_watcher_create(service_reactor(m->svc), NEWS_SECONDS, 0., on_news, m);
    return m->news ? 0 : -ENOMEM;
}

static int start_discovery(struct manager *m)
{
    if (m->stock.configured)
        return 0;
    m->discovery = flux_timer_watcher_create(service_reactor(m->svc), DISCOVERY_SECONDS, 0.,
                                             on_discovery_timeout, m);
    if (!m->discovery)
        return -ENOMEM;
    flux_watcher_start(m->discovery);
    return 0;
}

static int start_leader(struct manager *m)
{
    flux_error_t error = { .text = "" };
    int rc = stock_init(&m->stock, service_config(m->svc), &error);

    m->leader = true;
    if (rc < 0) {
        char sentence[sizeof(error.text) + 32];

        (void)snprintf(sentence, sizeof(sentence), "no resources: %s",
                       error.text[0] ? error.text : strerror(-rc));
        service_misconfigured(m->svc, sentence, NULL, NULL);
        return rc;
    }
    if ((rc = census_new(m->svc, on_summary, m, &m->census)) < 0 || (rc = watch_news(m)) < 0 ||
        (rc = start_discovery(m)) < 0)
        return rc;
    m->replay = flux_kvs_lookup(service_flux(m->svc), KVS_PRIMARY_NAMESPACE, 0, EVENTLOG_KEY);
    return m->replay && flux_future_then(m->replay, -1., on_replay, m) == 0 ? 0 : -errno;
}

static int read_hostname(struct manager *m)
{
    const char *attr = flux_attr_get(service_flux(m->svc), "hostname");
    char name[256] = "";

    if (!attr)
        (void)gethostname(name, sizeof(name) - 1);
    m->hostname = strdup(attr ? attr : name);
    return m->hostname ? 0 : -ENOMEM;
}

int manager_new(struct service *svc, struct manager **ret)
{
    CLEANUP(manager_freep) struct manager *m = calloc(1, sizeof(*m));
    int rc;

    if (!m)
        return -ENOMEM;
    m->svc = svc;
    m->norestrict = json_is_true(service_config_get(svc, "resource.norestrict"));
    waiting_init(&m->waiting);
    if (read_hostname(m) < 0)
        return -ENOMEM;
    if (service_rank(svc) == 0 && (rc = start_leader(m)) < 0)
        return rc;
    *ret = TAKE(m);
    return 0;
}

struct manager *manager_free(struct manager *m)
{
    if (!m)
        return NULL;
    waiting_deinit(&m->waiting);
    free(m->xml);
    free(m->hostname);
    request_unref(m->acquire);
    flux_watcher_destroy(m->news);
    flux_watcher_destroy(m->discovery);
    idset_destroy(m->told);
    idset_destroy(m->known);
    census_free(m->census);
    online_free(m->online);
    enclosing_free(m->enclosing);
    keep_free(m->keep);
    flux_future_destroy(m->replay);
    stock_deinit(&m->stock);
    free(m);
    return NULL;
}

/* --- the configuration is read again */

/* Of [resource] only exclude can change while we run. The scheduler takes ranks that it knows and
 * that are excluded now for down; those that it does not know it is told of. */
static int on_config(const json_t *config, void *arg, flux_error_t *error)
{
    struct manager *m = arg;
    CLEANUP(idset_destroyp) struct idset *shown = NULL;
    int rc;

    if (!m->leader)
        return 0;
    if ((rc = stock_set_exclude(&m->stock, config, error)) < 0)
        return rc;
    if (!m->acquire)
        return 0;
    if (!(shown = stock_shown(&m->stock, NULL)) || idset_subtract(shown, m->known) < 0)
        return -ENOMEM;
    m->grown |= idset_count(shown) > 0;
    tell_scheduler(m);
    return 0;
}

/* --- methods */

static const struct rpc_method methods[] = {
    { .topic = "resource.acquire",
      .roles = ROLE_OWNER,
      .flags = RPC_METHOD_STREAMING | RPC_METHOD_SESSION,
      .fn = rpc_acquire },
    { .topic = "resource.status",
      .roles = ROLE_USER,
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_status },
    { .topic = "resource.topo-summary",
      .roles = ROLE_OWNER,
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_topo_summary },
    { .topic = "resource.topo-get",
      .roles = ROLE_USER,
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_topo_get },
    { .topic = "resource.wake",
      .roles = ROLE_OWNER,
      .flags = RPC_METHOD_NORESPONSE,
      .fn = rpc_wake },
    { .topic = "resource.drain",
      .roles = ROLE_OWNER,
      .in = "targets:s reason?:s mode?:s",
      .fn = rpc_drain },
    { .topic = "resource.undrain",
      .roles = ROLE_OWNER,
      .in = "targets:s reason?:s mode?:s",
      .fn = rpc_undrain },
};

const struct service_desc resource_desc = {
    .name = "resource",
    .methods = methods,
    .nmethods = ARRAY_SIZE(methods),
    .on_config = on_config,
};
