/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* resource.drain and resource.undrain, and the drains that are our own: an event each, answered and
 * applied when it is committed. If the outcome of a commit is unknown the process begins again from
 * the eventlog. Refuses ranks that are drained for a reason already, or are not drained, unless the
 * mode says otherwise. */
#include <string.h>

#include "base/errorx.h"
#include "base/eventlog.h"
#include "resource/internal.h"
#include "resource/inventory.h"

/* A drain or undrain under way. */
struct change {
    struct manager *m;
    struct request *req; /* NULL: our own, of one rank that lacks something */
    uint32_t rank;
    json_t *event;
};

DEFINE_CLEANUP(flux_kvs_txn_t *, flux_kvs_txn_destroy)

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
        manager_begin_again(m, "it is not known whether a drain was stored");
        return;
    }
    if (rc == 0)
        rc = drain_apply(m->stock.drain, c->event);
    if (change_finish(c, rc) < 0) {
        manager_begin_again(m, "a node that lacks resources could not be drained");
        return;
    }
    acquire_tell(m);
    if (c->req && rc == 0)
        (void)request_respond(c->req, "{}");
}

int change_commit(struct manager *m, struct request *req, uint32_t rank, json_t *event)
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

int rpc_drain(struct request *req, void *arg)
{
    struct manager *m = arg;
    int mode = drain_mode(request_json(req));
    CLEANUP(idset_destroyp) struct idset *ranks = NULL;
    CLEANUP(idset_destroyp) struct idset *drained = NULL;
    CLEANUP(freep) char *hosts = NULL;
    int rc;

    if (!m->loaded)
        return manager_wait_loaded(m, req, rpc_drain);
    if (mode < 0)
        return request_explain(req, EINVAL,
                               "mode is none of refuse, update, overwrite, force-overwrite");
    if ((rc = change_targets(m, req, &ranks)) < 0)
        return rc;
    if (!(drained = drained_before(m, ranks)) || !(hosts = stock_nodelist(&m->stock, ranks)))
        return -ENOMEM;
    if (mode == 0 && idset_count(drained) > 0)
        return refuse_ranks(m, req, drained, "already drained");
    return change_commit(
        m, req, 0,
        drain_event(&(struct drain_order){
            .ranks = ranks,
            .nodelist = hosts[0] ? hosts : NULL,
            .reason = json_string_value(json_object_get(request_json(req), "reason")),
            .overwrite = mode > 0 ? (enum drain_overwrite)(mode - 1) : DRAIN_KEEP }));
}

int rpc_undrain(struct request *req, void *arg)
{
    struct manager *m = arg;
    const json_t *o = request_json(req);
    const char *mode = json_string_value(json_object_get(o, "mode"));
    CLEANUP(idset_destroyp) struct idset *ranks = NULL;
    CLEANUP(idset_destroyp) struct idset *wrong = NULL;
    CLEANUP(freep) char *hosts = NULL;
    int rc;

    if (!m->loaded)
        return manager_wait_loaded(m, req, rpc_undrain);
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
    return change_commit(m, req, 0,
                         undrain_event(ranks, hosts[0] ? hosts : NULL,
                                       json_string_value(json_object_get(o, "reason"))));
}
