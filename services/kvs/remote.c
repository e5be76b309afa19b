/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* content.load and content.commit as asynchronous RPCs. A load that fails is the problem of who
 * asked; a commit whose outcome is unknown ends the process. The library calls the store at its own
 * socket: when the store is restarted, what was under way fails with ECONNRESET, and the next call
 * connects again. */
#include <errno.h>
#include <string.h>
#include "kvs/remote.h"
#include "service/log.h"

DEFINE_CLEANUP(flux_future_t *, flux_future_destroy)

struct remote {
    struct service *svc;
    struct kvs *kvs;
    void (*on_stored)(void *arg);
    void (*on_announce)(const char *update, void *arg);
    void *arg;
    flux_future_t *commit; /* one at a time */
    bool running;          /* the loop is about to run: answers come by continuation */
};

struct load_ctx {
    struct remote *remote;
    uint8_t digest[DIGEST_SIZE];
};

int remote_new(struct service *svc, const struct remote_events *events, void *arg,
               struct remote **ret)
{
    struct remote *r = calloc(1, sizeof(*r));

    if (!r)
        return -ENOMEM;
    r->svc = svc;
    r->on_stored = events->on_stored;
    r->on_announce = events->on_announce;
    r->arg = arg;
    *ret = r;
    return 0;
}

struct remote *remote_free(struct remote *r)
{
    if (r) {
        flux_future_destroy(r->commit);
        free(r);
    }
    return NULL;
}

void *remote_arg(const struct remote *r)
{
    return r->arg;
}

void remote_set_kvs(struct remote *r, struct kvs *k)
{
    r->kvs = k;
}

static void on_load(flux_future_t *f, void *arg)
{
    struct load_ctx *ctx = arg;
    struct load_ctx lc = *ctx;
    const void *data = NULL;
    int size = 0;
    int err = flux_rpc_get_raw(f, &data, &size) < 0 ? -errno : 0;

    if (err < 0) {
        char ref[BLOBREF_STRING_SIZE];

        blobref_format(lc.remote->kvs->params.hash, lc.digest, ref);
        log_warning("cannot load %s: %s", ref, flux_future_error_string(f));
    }
    kvs_loaded(lc.remote->kvs, lc.digest, err, data, (size_t)size);
    flux_future_destroy(f);
}

static int remote_load(const uint8_t digest[DIGEST_SIZE], void *arg)
{
    struct remote *r = arg;
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    struct load_ctx *ctx = calloc(1, sizeof(*ctx));

    if (!ctx)
        return -ENOMEM;
    ctx->remote = r;
    memcpy(ctx->digest, digest, DIGEST_SIZE);
    if (!(f = flux_rpc_raw(service_flux(r->svc), "content.load", digest, DIGEST_SIZE,
                           FLUX_NODEID_ANY, 0)) ||
        flux_future_aux_set(f, "kvs::load", ctx, free) < 0) {
        free(ctx);
        return -errno;
    }
    if (flux_future_then(f, -1., on_load, ctx) < 0)
        return -errno;
    (void)TAKE(f);
    return 0;
}

static void on_commit(flux_future_t *f, void *arg)
{
    struct remote *r = arg;
    int err = flux_future_get(f, NULL) < 0 ? -errno : 0;

    if (err < 0)
        log_err("cannot store a commit: %s", flux_future_error_string(f));
    r->commit = NULL;
    kvs_stored(r->kvs, err);
    flux_future_destroy(f);
    r->on_stored(r->arg);
}

static int remote_commit(const void *payload, size_t size, void *arg)
{
    struct remote *r = arg;
    flux_future_t *f;

    if (size > INT32_MAX)
        return -EFBIG;
    if (!(f = flux_rpc_raw(service_flux(r->svc), "content.commit", payload, (int)size,
                           FLUX_NODEID_ANY, 0)))
        return -errno;
    if (r->running && flux_future_then(f, -1., on_commit, r) < 0) {
        flux_future_destroy(f);
        return -errno;
    }
    r->commit = f;
    return 0;
}

static void remote_fatal(const char *why, void *arg)
{
    static const char *const fields[] = { "MESSAGE_ID=" LOG_ID_STORE_FAILED, NULL };
    struct remote *r = arg;

    log_fields(LOG_CRIT, fields,
               "the outcome of a commit is unknown (%s): restarting from what the content store "
               "holds",
               why);
    service_exit(r->svc, EXIT_FAILURE);
}

static void remote_announce(const char *update, void *arg)
{
    struct remote *r = arg;

    r->on_announce(update, r->arg);
}

const struct kvs_backend remote_backend = {
    .announce = remote_announce,
    .load = remote_load,
    .commit = remote_commit,
    .fatal = remote_fatal,
};

int remote_get_roots(struct remote *r, json_t **ret)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_rpc(service_flux(r->svc), "content.roots", NULL, FLUX_NODEID_ANY, 0);
    json_t *roots;

    if (!f || flux_future_wait_for(f, REMOTE_START_TIMEOUT) < 0 ||
        flux_rpc_get_unpack(f, "{s:o}", "roots", &roots) < 0) {
        int errnum = errno ? errno : EPROTO;

        log_err("cannot get the roots from the content store: %s",
                f && flux_future_is_ready(f) ? flux_future_error_string(f) : strerror(errnum));
        return -errnum;
    }
    *ret = json_incref(roots);
    return 0;
}

int remote_wait_commit(struct remote *r)
{
    r->running = true;
    if (!r->commit)
        return 0;
    if (flux_future_wait_for(r->commit, REMOTE_START_TIMEOUT) < 0) {
        int errnum = errno;

        log_err("the content store does not answer: %s", strerror(errnum));
        return -errnum;
    }
    on_commit(r->commit, r);
    return 0;
}
