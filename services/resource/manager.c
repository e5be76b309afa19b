/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Rank 0 knows the inventory (configuration, else hwloc of this node), which ranks are excluded by
 * configuration and which are drained (resource.eventlog in the KVS, read once at start). One
 * scheduler at a time follows that with resource.acquire (RFC 28). Every rank hands out its own
 * topology.
 *
 * A drain is answered when it is committed. If the outcome of a commit is unknown the process ends
 * and reads the eventlog again.
 *
 * Not here yet: inventory gathered from ranks other than 0 when nothing is configured, and ranks
 * going up and down with the tree. Every rank below the instance's size counts as online. */
#include <string.h>

#include "base/errorx.h"
#include "base/eventlog.h"
#include "resource/drain.h"
#include "resource/hardware.h"
#include "resource/inventory.h"
#include "resource/manager.h"
#include "service/log.h"
#include "service/waiting.h"

#define EVENTLOG_KEY "resource.eventlog"

struct manager {
    struct service *svc;
    bool norestrict;
    struct rset *all;       /* the whole inventory; NULL on ranks other than 0 */
    struct idset *excluded; /* by configuration */
    struct idset *online;
    struct drain *drain;
    flux_future_t *replay; /* of the eventlog; NULL: done */
    bool loaded;
    struct request *acquire; /* the scheduler, or NULL */
    char *xml;               /* this node's topology, once somebody asked */
    struct waiting waiting;
};

/* A drain or undrain under way. */
struct change {
    struct manager *m;
    struct request *req;
    json_t *event;
};

DEFINE_CLEANUP(struct rset *, rset_free)
DEFINE_CLEANUP(struct idset *, idset_destroy)
DEFINE_CLEANUP(flux_kvs_txn_t *, flux_kvs_txn_destroy)

/* --- what is up */

/* Online and neither drained nor excluded. */
static struct idset *up_ranks(const struct manager *m)
{
    CLEANUP(idset_destroyp) struct idset *up = idset_copy(m->online);

    if (!up || idset_subtract(up, m->excluded) < 0 || idset_subtract(up, drain_ranks(m->drain)) < 0)
        return NULL;
    return TAKE(up);
}

static void show_status(struct manager *m)
{
    CLEANUP(idset_destroyp) struct idset *up = up_ranks(m);

    if (up)
        service_status(m->svc, "%zu nodes, %zu cores, %zu gpus: %zu up, %zu drained",
                       rset_nnodes(m->all), rset_count(m->all, "core"), rset_count(m->all, "gpu"),
                       idset_count(up), idset_count(drain_ranks(m->drain)));
}

/* --- requests that came before the eventlog was read */

static int wait_until_loaded(struct manager *m, struct request *req,
                             int (*fn)(struct request *req, void *arg))
{
    if (!m->all)
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

static json_t *acquirable(const struct manager *m)
{
    CLEANUP(rset_freep) struct rset *r = NULL;

    if (rset_new(&r) < 0)
        return NULL;
    for (size_t i = 0; i < rset_nnodes(m->all); i++) {
        const struct rset_rank *rr = rset_nth(m->all, i);

        if (!idset_test(m->excluded, rr->rank) &&
            rset_add(r, rr->rank, rr->hostname, rr->cores, rr->gpus) < 0)
            return NULL;
    }
    return rset_encode(r);
}

static int rpc_acquire(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(idset_destroyp) struct idset *up = NULL;
    CLEANUP(freep) char *s = NULL;

    if (!m->loaded)
        return wait_until_loaded(m, req, rpc_acquire);
    if (m->acquire)
        return request_fail(req, EBUSY, "another scheduler has acquired the resources");
    up = up_ranks(m);
    s = up ? idset_encode(up, IDSET_FLAG_RANGE) : NULL;
    if (!s)
        return -ENOMEM;
    m->acquire = request_ref(req);
    request_on_gone(req, on_acquire_gone, m);
    return request_respond_pack(req, "{s:o s:s}", "resources", acquirable(m), "up", s);
}

/* Tell the scheduler which ranks went up or down compared to before. */
static void tell_scheduler(struct manager *m, const struct idset *before)
{
    CLEANUP(idset_destroyp) struct idset *now = up_ranks(m);
    CLEANUP(idset_destroyp) struct idset *up = now ? idset_difference(now, before) : NULL;
    CLEANUP(idset_destroyp) struct idset *down = now ? idset_difference(before, now) : NULL;
    CLEANUP(freep) char *sup = up ? idset_encode(up, IDSET_FLAG_RANGE) : NULL;
    CLEANUP(freep) char *sdown = down ? idset_encode(down, IDSET_FLAG_RANGE) : NULL;

    if (!sup || !sdown) {
        log_err("out of memory: beginning again from scratch");
        service_exit(m->svc, SERVICE_EXIT_ROUTER);
        return;
    }
    if (m->acquire && (sup[0] || sdown[0]))
        (void)request_respond_pack(m->acquire, "{s:s* s:s*}", "up", sup[0] ? sup : NULL, "down",
                                   sdown[0] ? sdown : NULL);
    show_status(m);
}

/* --- resource.status, resource.topo-get */

static int rpc_status(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(freep) char *online = NULL;
    CLEANUP(freep) char *excluded = NULL;

    if (!m->loaded)
        return wait_until_loaded(m, req, rpc_status);
    online = idset_encode(m->online, IDSET_FLAG_RANGE);
    excluded = idset_encode(m->excluded, IDSET_FLAG_RANGE);
    if (!online || !excluded)
        return -ENOMEM;
    return request_respond_pack(req, "{s:o s:s s:o s:s}", "R", rset_encode(m->all), "online",
                                online, "drain", drain_encode(m->drain), "exclude", excluded);
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

static void on_change_committed(flux_future_t *f, void *arg)
{
    CLEANUP(change_freep) struct change *c = arg;
    struct manager *m = c->m;
    CLEANUP(idset_destroyp) struct idset *before = up_ranks(m);
    int rc = flux_future_get(f, NULL) < 0 ? -errno : 0;

    flux_future_destroy(f);
    if (rc == -ECONNRESET || rc == -EIO || !before) {
        log_err("it is not known whether a drain was stored: beginning again from scratch");
        service_exit(m->svc, SERVICE_EXIT_ROUTER);
        return;
    }
    if (rc == 0)
        rc = drain_apply(m->drain, c->event);
    if (rc < 0) {
        (void)request_fail(c->req, -rc, "the drain state could not be stored: %s", strerror(-rc));
        return;
    }
    tell_scheduler(m, before);
    (void)request_respond(c->req, "{}");
}

/* Steals event. */
static int commit_change(struct manager *m, struct request *req, json_t *event)
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
    c->req = request_ref(req);
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
    int rc = inventory_targets(m->all, targets, ret, &error);

    return rc < 0 ? request_explain(req, -rc, "%s", error.text) : 0;
}

static int rpc_drain(struct request *req, void *arg)
{
    struct manager *m = arg;
    const char *reason = json_string_value(json_object_get(request_json(req), "reason"));
    CLEANUP(idset_destroyp) struct idset *ranks = NULL;
    int rc;

    if (!m->loaded)
        return wait_until_loaded(m, req, rpc_drain);
    if ((rc = change_targets(m, req, &ranks)) < 0)
        return rc;
    return commit_change(m, req, drain_event(ranks, reason));
}

static int rpc_undrain(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(idset_destroyp) struct idset *ranks = NULL;
    int rc;

    if (!m->loaded)
        return wait_until_loaded(m, req, rpc_undrain);
    if ((rc = change_targets(m, req, &ranks)) < 0)
        return rc;
    return commit_change(m, req, undrain_event(ranks));
}

/* --- start */

static void on_replay(flux_future_t *f, void *arg)
{
    struct manager *m = arg;
    flux_error_t error = { .text = "" };
    const char *eventlog = "";
    int rc = flux_kvs_lookup_get(f, &eventlog) < 0 ? -errno : 0;

    if (rc == 0)
        rc = drain_replay(m->drain, eventlog ? eventlog : "", &error);
    if (rc < 0 && rc != -ENOENT) {
        log_err("%s cannot be read: %s", EVENTLOG_KEY,
                error.text[0] ? error.text : flux_future_error_string(f));
        service_exit(m->svc, SERVICE_EXIT_ROUTER);
    } else {
        m->loaded = true;
        show_status(m);
        waiting_serve(&m->waiting, m);
    }
    flux_future_destroy(m->replay);
    m->replay = NULL;
}

static int read_hardware(struct manager *m)
{
    CLEANUP(idset_destroyp) struct idset *cores = NULL;
    CLEANUP(idset_destroyp) struct idset *gpus = NULL;
    CLEANUP(rset_freep) struct rset *all = NULL;
    char hostname[256] = "";
    int rc = hardware_load(m->norestrict, &cores, &gpus);

    if (rc < 0) {
        log_err("hwloc cannot tell the cores of this node: %s", strerror(-rc));
        return rc;
    }
    (void)gethostname(hostname, sizeof(hostname) - 1);
    if (rset_new(&all) < 0 || rset_add(all, 0, hostname, cores, gpus) < 0)
        return -ENOMEM;
    if (service_size(m->svc) > 1)
        log_warning("nothing is configured in [resource]: only the cores of rank 0 are used");
    m->all = TAKE(all);
    return 0;
}

static int read_inventory(struct manager *m, flux_error_t *error)
{
    const json_t *exclude = service_config_get(m->svc, "resource.exclude");
    int rc = inventory_from_config(service_config(m->svc), &m->all, error);

    if (rc == INVENTORY_NONE)
        rc = read_hardware(m);
    if (rc < 0)
        return rc;
    if (exclude && !json_is_string(exclude))
        return errorx_fail(error, EINVAL, "resource.exclude: must be a string");
    if (exclude)
        return inventory_targets(m->all, json_string_value(exclude), &m->excluded, error);
    m->excluded = idset_create(0, IDSET_FLAG_AUTOGROW);
    return m->excluded ? 0 : -ENOMEM;
}

static int find_online(struct manager *m)
{
    m->online = rset_ranks(m->all);
    if (!m->online)
        return -ENOMEM;
    for (unsigned int id = idset_last(m->online);
         id != IDSET_INVALID_ID && id >= service_size(m->svc); id = idset_last(m->online))
        (void)idset_clear(m->online, id);
    return 0;
}

static int start_leader(struct manager *m)
{
    const char *fields[] = { "MESSAGE_ID=" LOG_ID_CONFIG_BAD, NULL };
    flux_error_t error = { .text = "" };
    int rc = read_inventory(m, &error);

    if (rc < 0) {
        log_fields(LOG_ERR, fields, "no resources: %s", error.text[0] ? error.text : strerror(-rc));
        return rc;
    }
    if ((rc = find_online(m)) < 0 || (rc = drain_new(&m->drain)) < 0)
        return rc;
    m->replay = flux_kvs_lookup(service_flux(m->svc), KVS_PRIMARY_NAMESPACE, 0, EVENTLOG_KEY);
    return m->replay && flux_future_then(m->replay, -1., on_replay, m) == 0 ? 0 : -errno;
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
    request_unref(m->acquire);
    flux_future_destroy(m->replay);
    drain_free(m->drain);
    idset_destroy(m->online);
    idset_destroy(m->excluded);
    rset_free(m->all);
    free(m);
    return NULL;
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
      .in = "targets:s reason?:s",
      .fn = rpc_drain },
    { .topic = "resource.undrain", .roles = ROLE_OWNER, .in = "targets:s", .fn = rpc_undrain },
};

const struct service_desc resource_desc = {
    .name = "resource",
    .methods = methods,
    .nmethods = ARRAY_SIZE(methods),
};
