/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* resource.acquire (RFC 28): one scheduler at a time is told what there is and what of it is up,
 * then what changes. Nodes that come at once are told at once. What it was told is remembered, so
 * that only changes go out; when the inventory has grown it is told all anew. */
#include "resource/internal.h"
#include "resource/keep.h"
#include "service/log.h"

#define NEWS_SECONDS 0.005

static void show_status(struct manager *m)
{
    const struct stock *s = &m->stock;
    CLEANUP(idset_destroyp) struct idset *up = stock_up(s);

    if (up)
        service_status(m->svc, "%zu nodes, %zu cores, %zu gpus: %zu up, %zu drained",
                       rset_nnodes(s->all), rset_count(s->all, "core"), rset_count(s->all, "gpu"),
                       idset_count(up), idset_count(drain_ranks(s->drain)));
}

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

int rpc_acquire(struct request *req, void *arg)
{
    struct manager *m = arg;

    if (!m->loaded)
        return manager_wait_loaded(m, req, rpc_acquire);
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

void acquire_tell(struct manager *m)
{
    flux_watcher_stop(m->news);
    if (m->loaded && m->keep && keep_put(m->keep, m->stock.all) < 0)
        log_notice("the inventory could not be kept: a node that is away may be forgotten");
    if (m->acquire && (m->grown ? tell_all(m, m->acquire) : tell_changes(m)) == -ENOMEM)
        manager_begin_again(m, "out of memory");
    show_status(m);
}

static void on_news(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    acquire_tell(arg);
}

void acquire_tell_soon(struct manager *m)
{
    if (flux_watcher_is_active(m->news))
        return;
    flux_timer_watcher_reset(m->news, NEWS_SECONDS, 0.);
    flux_watcher_start(m->news);
}

int acquire_init(struct manager *m)
{
    m->news = flux_timer_watcher_create(service_reactor(m->svc), NEWS_SECONDS, 0., on_news, m);
    return m->news ? 0 : -ENOMEM;
}
