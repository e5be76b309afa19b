/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* content.load and content.commit as asynchronous RPCs. A load that fails is the problem of who
 * asked; a commit whose outcome is unknown ends the process. The library calls the store at its own
 * socket: when the store is restarted, what was under way fails with ECONNRESET, and the next call
 * connects again. */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/queue.h>
#include "base/errorx.h"
#include "base/monotime.h"
#include "kvs/digest-set.h"
#include "kvs/gc.h"
#include "kvs/remote.h"
#include "service/log.h"

DEFINE_CLEANUP(flux_future_t *, flux_future_destroy)

#define COLLECTION_KEY "kvs-gc" /* checkpoint */

/* A request under way that nobody else owns: it is destroyed when it is answered, or with the
 * remote. */
struct owned {
    LIST_ENTRY(owned) link;
    flux_future_t *f;
};

struct remote {
    struct service *svc;
    LIST_HEAD(, owned) owned;
    struct kvs *kvs;
    void (*on_stored)(void *arg);
    void (*on_announce)(const char *update, void *arg);
    void *arg;
    flux_future_t *commit; /* one at a time */
    flux_error_t refusal;
    flux_future_t *probe;
    void (*on_writable)(void *arg);
    bool running; /* the loop is about to run: answers come by continuation */
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
    LIST_INIT(&r->owned);
    r->svc = svc;
    r->on_stored = events->on_stored;
    r->on_announce = events->on_announce;
    r->arg = arg;
    *ret = r;
    return 0;
}

static void owned_free(void *arg)
{
    struct owned *o = arg;

    LIST_REMOVE(o, link);
    free(o);
}

/* cb destroys f. On failure f is the caller's still. */
static int own(struct remote *r, flux_future_t *f, flux_continuation_f cb, void *arg)
{
    struct owned *o = calloc(1, sizeof(*o));

    if (!o)
        return -ENOMEM;
    o->f = f;
    LIST_INSERT_HEAD(&r->owned, o, link);
    if (flux_future_aux_set(f, "kvs::owned", o, owned_free) < 0) {
        owned_free(o);
        return -ENOMEM;
    }
    return flux_future_then(f, -1., cb, arg) < 0 ? -errno : 0;
}

struct remote *remote_free(struct remote *r)
{
    struct owned *o;

    if (r) {
        while ((o = LIST_FIRST(&r->owned)))
            flux_future_destroy(o->f);
        flux_future_destroy(r->probe);
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
    const void *msg;
    int size = 0;
    int err = flux_future_get(f, &msg) < 0 || flux_response_decode_raw(msg, NULL, &data, &size) < 0
                  ? -errno
                  : 0; /* the empty blob has no payload */

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
    int rc;

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
    if ((rc = own(r, f, on_load, ctx)) < 0)
        return rc;
    (void)TAKE(f);
    return 0;
}

static void on_commit(flux_future_t *f, void *arg)
{
    struct remote *r = arg;
    int err = flux_future_get(f, NULL) < 0 ? -errno : 0;

    if (err < 0) {
        errorx_set(&r->refusal, "%s", flux_future_error_string(f));
        log_err("cannot store a commit: %s", flux_future_error_string(f));
    }
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

/* --- what is stored is to be in the database */

struct flush {
    void (*done)(int err, const char *why, void *arg);
    void *arg;
};

static void on_flushed(flux_future_t *f, void *arg)
{
    struct flush *fl = arg;
    int err = flux_future_get(f, NULL) < 0 ? -errno : 0;

    fl->done(err, err < 0 ? flux_future_error_string(f) : "", fl->arg);
    flux_future_destroy(f);
}

int remote_flush(struct remote *r, void (*done)(int err, const char *why, void *arg), void *arg)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_rpc(service_flux(r->svc), "content.flush", NULL, FLUX_NODEID_ANY, 0);
    struct flush *fl = f ? calloc(1, sizeof(*fl)) : NULL;
    int rc;

    if (!fl)
        return f ? -ENOMEM : -errno;
    *fl = (struct flush){ done, arg };
    if (flux_future_aux_set(f, "kvs::flush", fl, free) < 0) {
        free(fl);
        return -errno;
    }
    if ((rc = own(r, f, on_flushed, fl)) < 0)
        return rc;
    (void)TAKE(f);
    return 0;
}

/* --- collections */

static int decode_refs(const json_t *refs, struct digest_list *list)
{
    enum digest_algorithm hash;
    uint8_t digest[DIGEST_SIZE];
    const json_t *o;
    size_t i;
    int rc = 0;

    json_array_foreach (refs, i, o) {
        const char *ref = json_string_value(o);

        if (rc == 0 && ref && blobref_parse(ref, &hash, digest) == 0)
            rc = digest_list_add(list, digest);
    }
    return rc;
}

static void on_sweep_begin(flux_future_t *f, void *arg)
{
    struct remote *r = arg;
    struct digest_list list = { 0 };
    json_int_t generation = 0;
    json_t *refs = NULL;
    int err = flux_rpc_get_unpack(f, "{s:I s:o}", "generation", &generation, "refs", &refs) < 0
                  ? -errno
                  : decode_refs(refs, &list);

    gc_began(r->kvs, err, (uint64_t)generation, &list);
    digest_list_clear(&list);
    flux_future_destroy(f);
}

static void on_mark(flux_future_t *f, void *arg)
{
    struct remote *r = arg;
    json_int_t unknown = 0, usec = 0;
    const char *first = NULL;
    int err = flux_rpc_get_unpack(f, "{s:I s?s s:I}", "unknown", &unknown, "first", &first, "usec",
                                  &usec) < 0
                  ? -errno
                  : 0;

    if (first)
        log_debug("a blob is referred to and missing: %s", first);
    gc_took(r->kvs, (uint64_t)usec);
    gc_marked(r->kvs, err, (uint64_t)unknown);
    flux_future_destroy(f);
}

static void on_sweep_step(flux_future_t *f, void *arg)
{
    struct remote *r = arg;
    struct gc_result step = { 0 };
    struct digest_list list = { 0 };
    json_int_t looked = 0, removed = 0, bytes = 0, returned = 0, usec = 0;
    json_t *refs = NULL;
    int done = 0;
    int err = flux_rpc_get_unpack(f, "{s:I s:I s:I s:I s:I s?o s:b}", "looked", &looked, "removed",
                                  &removed, "bytes", &bytes, "returned", &returned, "usec", &usec,
                                  "refs", &refs, "done", &done) < 0
                  ? -errno
                  : decode_refs(refs, &list);

    step.looked = (uint64_t)looked;
    step.removed = (uint64_t)removed;
    step.bytes = (uint64_t)bytes;
    step.returned = (uint64_t)returned;
    gc_took(r->kvs, (uint64_t)usec);
    gc_stepped(r->kvs, err, &step, &list, done);
    digest_list_clear(&list);
    flux_future_destroy(f);
}

static int then(struct remote *r, flux_future_t *f, flux_continuation_f cb)
{
    int rc = f ? own(r, f, cb, r) : -errno;

    if (rc < 0)
        flux_future_destroy(f);
    return rc;
}

static int remote_sweep_begin(void *arg)
{
    struct remote *r = arg;

    return then(r, flux_rpc(service_flux(r->svc), "content.sweep-begin", NULL, FLUX_NODEID_ANY, 0),
                on_sweep_begin);
}

static int remote_mark(uint64_t generation, const void *digests, size_t count, void *arg)
{
    struct remote *r = arg;
    struct strbuf sb = { 0 };
    uint64_t be = htobe64(generation);
    int rc;

    strbuf_add(&sb, &be, sizeof(be));
    strbuf_add(&sb, digests, count * DIGEST_SIZE);
    if ((rc = strbuf_error(&sb)) == 0)
        rc = then(r,
                  flux_rpc_raw(service_flux(r->svc), "content.mark", sb.data, (int)sb.len,
                               FLUX_NODEID_ANY, 0),
                  on_mark);
    strbuf_deinit(&sb);
    return rc;
}

static int remote_sweep_step(uint64_t generation, uint32_t limit, void *arg)
{
    struct remote *r = arg;

    return then(r,
                flux_rpc_pack(service_flux(r->svc), "content.sweep-step", FLUX_NODEID_ANY, 0,
                              "{s:I s:I}", "generation", (json_int_t)generation, "limit",
                              (json_int_t)limit),
                on_sweep_step);
}

static void remote_sweep_end(uint64_t generation, void *arg)
{
    struct remote *r = arg;

    flux_future_destroy(flux_rpc_pack(service_flux(r->svc), "content.sweep-end", FLUX_NODEID_ANY,
                                      FLUX_RPC_NORESPONSE, "{s:I}", "generation",
                                      (json_int_t)generation));
}

int64_t remote_last_collection(struct remote *r)
{
    flux_t *h = service_flux(r->svc);
    CLEANUP(flux_future_destroyp)
    flux_future_t *noted = flux_rpc_pack(h, "content.checkpoint-get", FLUX_NODEID_ANY, 0, "{s:s}",
                                         "key", COLLECTION_KEY);
    CLEANUP(flux_future_destroyp)
    flux_future_t *begun = flux_rpc(h, "content.sweep-begin", NULL, FLUX_NODEID_ANY, 0);
    json_int_t seq = 0, generation;

    if (begun && flux_future_wait_for(begun, REMOTE_START_TIMEOUT) == 0 &&
        flux_rpc_get_unpack(begun, "{s:I}", "generation", &generation) == 0)
        remote_sweep_end((uint64_t)generation, r);
    if (noted && flux_future_wait_for(noted, REMOTE_START_TIMEOUT) == 0)
        (void)flux_rpc_get_unpack(noted, "{s:{s:I}}", "value", "sequence", &seq);
    return seq;
}

static void on_noted(flux_future_t *f, void *arg)
{
    if (flux_future_get(f, NULL) < 0)
        log_warning("cannot note the collection: %s", flux_future_error_string(f));
    flux_future_destroy(f);
}

void remote_note_collection(struct remote *r, int64_t seq)
{
    (void)then(r,
               flux_rpc_pack(service_flux(r->svc), "content.checkpoint-put", FLUX_NODEID_ANY, 0,
                             "{s:s s:{s:i s:I s:f}}", "key", COLLECTION_KEY, "value", "version", 1,
                             "sequence", (json_int_t)seq, "timestamp", walltime()),
               on_noted);
}

const struct kvs_backend remote_backend = {
    .sweep_begin = remote_sweep_begin,
    .mark = remote_mark,
    .sweep_step = remote_sweep_step,
    .sweep_end = remote_sweep_end,
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

        if (f && flux_future_is_ready(f))
            errorx_set(&r->refusal, "%s", flux_future_error_string(f));
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

const char *remote_refusal(const struct remote *r)
{
    return r->refusal.text;
}

/* --- is there room? */

#define PROBE_BYTES 16384 /* more than the first commit needs */

static void on_probe(flux_future_t *f, void *arg)
{
    struct remote *r = arg;
    bool ok = flux_future_get(f, NULL) == 0;

    r->probe = NULL;
    flux_future_destroy(f);
    if (ok)
        r->on_writable(r->arg);
}

void remote_probe(struct remote *r, void (*on_writable)(void *arg))
{
    static const char nothing[PROBE_BYTES];

    if (r->probe)
        return;
    r->on_writable = on_writable;
    r->probe = flux_rpc_raw(service_flux(r->svc), "content.store", nothing, sizeof(nothing),
                            FLUX_NODEID_ANY, 0);
    if (r->probe && flux_future_then(r->probe, -1., on_probe, r) < 0) {
        flux_future_destroy(r->probe);
        r->probe = NULL;
    }
}
