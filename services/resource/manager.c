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
 * there before (keep.c) is not waited for. */
#include <string.h>

#include <flux/hostlist.h>

#include "base/errorx.h"
#include "resource/enclosing.h"
#include "resource/hardware.h"
#include "resource/internal.h"
#include "resource/keep.h"
#include "resource/online.h"
#include "service/log.h"

#define DISCOVERY_SECONDS 10.

void manager_begin_again(struct manager *m, const char *why)
{
    log_err("%s: beginning again from scratch", why);
    service_exit(m->svc, SERVICE_EXIT_ROUTER);
}

int manager_wait_loaded(struct manager *m, struct request *req,
                        int (*fn)(struct request *req, void *arg))
{
    if (!m->leader)
        return request_explain(req, ENOSYS, "rank 0 answers this, not rank %u",
                               service_rank(m->svc));
    return waiting_add(&m->waiting, req, fn, "resources are being read and too many wait for them");
}

/* --- ranks come and go */

static void begin_to_serve(struct manager *m)
{
    flux_error_t error = { .text = "" };

    if (m->loaded)
        return;
    if (stock_settle(&m->stock, &error) < 0) {
        manager_begin_again(m, error.text[0] ? error.text : "out of memory");
        return;
    }
    m->loaded = true;
    flux_watcher_stop(m->discovery);
    acquire_tell(m);
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
    return change_commit(m, NULL, rank,
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
    acquire_tell_soon(m);
    if (rc < 0)
        manager_begin_again(m, "a node could not be taken up");
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
        manager_begin_again(m, "out of memory");
        return;
    }
    census_forget(m->census, gone);
    acquire_tell(m);
    if (ask(m, came) < 0)
        manager_begin_again(m, "nodes cannot be asked what they have");
    else
        consider_serving(m);
}

/* --- start */

static void on_enclosing(const struct rset *r, void *arg)
{
    struct manager *m = arg;

    if ((r && stock_set_given(&m->stock, r, service_size(m->svc)) < 0) ||
        online_new(m->svc, on_online, m, &m->online) < 0)
        manager_begin_again(m, "the group broker.online cannot be followed");
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
        manager_begin_again(m, "out of memory");
}

/* What was drained is known; what there is comes next. */
static int on_replayed(struct manager *m)
{
    if (m->stock.configured)
        return enclosing_new(m->svc, on_enclosing, m, &m->enclosing);
    return keep_new(m->svc, on_kept, m, &m->keep);
}

/* What is drained is not known: nothing is given out. */
static void refuse(struct manager *m, int errnum, const char *why)
{
    log_err("%s cannot be read: %s", EVENTLOG_KEY, why);
    if (service_wait_for_kvs(m->svc, EVENTLOG_KEY, errnum, why) < 0)
        service_exit(m->svc, SERVICE_EXIT_ROUTER);
    else
        waiting_refuse(&m->waiting, errnum, why);
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
        refuse(m, -rc, error.text[0] ? error.text : flux_future_error_string(f));
    } else if (on_replayed(m) < 0) {
        manager_begin_again(m, "out of memory");
    }
    flux_future_destroy(m->replay);
    m->replay = NULL;
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
    if ((rc = census_new(m->svc, on_summary, m, &m->census)) < 0 || (rc = acquire_init(m)) < 0 ||
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
    acquire_tell(m);
    return 0;
}

/* --- methods */

static int rpc_wake(struct request *req, void *arg)
{
    return 0;
}

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
