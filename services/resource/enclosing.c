/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The job is known by the KVS namespace that its instance gave it, job-DECIMAL, and asked for over
 * a connection that is closed when the answer is there. It is not closed from within its own
 * callback, but in the next turn of the loop. */
#include <string.h>

#include "base/number.h"
#include "resource/enclosing.h"
#include "service/log.h"

#define TIMEOUT_SECONDS  10.
#define NAMESPACE_PREFIX "job-"

struct enclosing {
    struct service *svc;
    flux_t *h;
    flux_future_t *lookup;
    flux_watcher_t *close; /* or, without a job, to tell that there is none */
    bool told;
    void (*fn)(const struct rset *r, void *arg);
    void *arg;
};

DEFINE_CLEANUP(struct enclosing *, enclosing_free)
DEFINE_CLEANUP(struct idset *, idset_destroy)
DEFINE_CLEANUP(struct rset *, rset_free)

static void tell(struct enclosing *e, const struct rset *r)
{
    if (e->told)
        return;
    e->told = true;
    e->fn(r, e->arg);
}

static void on_close(flux_reactor_t *reactor, flux_watcher_t *w, int revents, void *arg)
{
    struct enclosing *e = arg;

    flux_future_destroy(e->lookup);
    e->lookup = NULL;
    flux_close(e->h);
    e->h = NULL;
    tell(e, NULL);
}

static void on_lookup(flux_future_t *f, void *arg)
{
    struct enclosing *e = arg;
    CLEANUP(rset_freep) struct rset *r = NULL;
    flux_error_t error = { .text = "" };
    const char *text;

    if (flux_rpc_get_unpack(f, "{s:s}", "R", &text) < 0)
        log_warning("the resources of the job around this instance are not known: %s",
                    flux_future_error_string(f));
    else if (rset_decode_string(text, &r, &error) < 0)
        log_warning("the resources of the job around this instance are not known: %s", error.text);
    tell(e, r);
    flux_watcher_start(e->close);
}

/* 0: asked; -ENOENT: in no job. */
static int ask(struct enclosing *e)
{
    const char *uri = flux_attr_get(service_flux(e->svc), "parent-uri");
    const char *ns = flux_attr_get(service_flux(e->svc), "parent-kvs-namespace");
    uint64_t id;

    if (!uri || !ns || strncmp(uri, "local://", 8) != 0 ||
        strncmp(ns, NAMESPACE_PREFIX, strlen(NAMESPACE_PREFIX)) != 0 ||
        number_parse_u64(ns + strlen(NAMESPACE_PREFIX), INT64_MAX, &id) < 0)
        return -ENOENT;
    if (!(e->h = flux_open(uri, 0)) || flux_set_reactor(e->h, service_reactor(e->svc)) < 0)
        return -errno;
    e->lookup = flux_rpc_pack(e->h, "job-info.lookup", FLUX_NODEID_ANY, 0, "{s:I s:[s] s:i}", "id",
                              (json_int_t)id, "keys", "R", "flags", 0);
    if (!e->lookup || flux_future_then(e->lookup, TIMEOUT_SECONDS, on_lookup, e) < 0)
        return -errno;
    return 0;
}

int enclosing_new(struct service *svc, void (*fn)(const struct rset *r, void *arg), void *arg,
                  struct enclosing **ret)
{
    CLEANUP(enclosing_freep) struct enclosing *e = calloc(1, sizeof(*e));
    int rc;

    if (!e)
        return -ENOMEM;
    *e = (struct enclosing){ .svc = svc, .fn = fn, .arg = arg };
    e->close = flux_timer_watcher_create(service_reactor(svc), 0., 0., on_close, e);
    if (!e->close)
        return -ENOMEM;
    if ((rc = ask(e)) < 0) {
        if (rc != -ENOENT)
            log_warning("the enclosing instance cannot be reached: %s", strerror(-rc));
        flux_watcher_start(e->close);
    }
    *ret = TAKE(e);
    return 0;
}

struct enclosing *enclosing_free(struct enclosing *e)
{
    if (e) {
        flux_future_destroy(e->lookup);
        flux_watcher_destroy(e->close);
        flux_close(e->h);
        free(e);
    }
    return NULL;
}

static struct idset *lowest(const struct idset *set, size_t n)
{
    CLEANUP(idset_destroyp) struct idset *some = idset_create(0, IDSET_FLAG_AUTOGROW);

    for (unsigned int id = idset_first(set); some && n-- > 0 && id != IDSET_INVALID_ID;
         id = idset_next(set, id))
        if (idset_set(some, id) < 0)
            return NULL;
    return TAKE(some);
}

struct idset *enclosing_share(const struct idset *given, const struct idset *has)
{
    CLEANUP(idset_destroyp) struct idset *missing = idset_difference(given, has);

    if (!missing)
        return NULL;
    if (idset_count(given) > idset_count(has) ||
        (idset_count(given) < idset_count(has) && idset_count(missing) == 0))
        return idset_copy(given);
    return lowest(has, idset_count(given));
}
