/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Loads and passes. Loads of one blob that come while it is on its way share one request to the
 * parent. What comes is hashed before anybody gets it: a parent that errs costs an EIO, never wrong
 * data. Nothing is kept on disk, and nothing is tried again here: who asked is told at once.
 *
 * Invariant: a load is in the table while its request is under way, and has at least one waiter. */
#include <errno.h>
#include <string.h>
#include "base/hash.h"
#include "base/list.h"
#include "content/upstream.h"

struct waiter {
    TAILQ_ENTRY(waiter) link;
    struct request *req;
};
TAILQ_HEAD(waiters, waiter);

struct load {
    UT_hash_handle hh;
    struct upstream *up;
    flux_future_t *f;
    struct waiters waiters;
    uint8_t digest[DIGEST_SIZE];
};

struct pass {
    TAILQ_ENTRY(pass) link;
    struct upstream *up;
    struct request *req;
    flux_future_t *f;
    bool keep;
};

struct upstream {
    struct upstream_params params;
    struct load *loads;
    TAILQ_HEAD(, pass) passes;
    struct upstream_stats stats;
};

int upstream_new(const struct upstream_params *params, struct upstream **ret)
{
    struct upstream *up = calloc(1, sizeof(*up));

    if (!up)
        return -ENOMEM;
    up->params = *params;
    TAILQ_INIT(&up->passes);
    *ret = up;
    return 0;
}

static void load_free(struct load *ld)
{
    struct waiter *w;

    while ((w = TAILQ_FIRST(&ld->waiters))) {
        TAILQ_REMOVE(&ld->waiters, w, link);
        request_unref(w->req);
        free(w);
    }
    if (ld->hh.tbl)
        HASH_DEL(ld->up->loads, ld);
    flux_future_destroy(ld->f);
    free(ld);
}

static void pass_free(struct pass *p)
{
    TAILQ_REMOVE(&p->up->passes, p, link);
    request_unref(p->req);
    flux_future_destroy(p->f);
    free(p);
}

struct upstream *upstream_free(struct upstream *up)
{
    struct load *ld, *tmp;

    if (up) {
        HASH_ITER (hh, up->loads, ld, tmp)
            load_free(ld);
        while (!TAILQ_EMPTY(&up->passes))
            pass_free(TAILQ_FIRST(&up->passes));
        free(up);
    }
    return NULL;
}

size_t upstream_passes(const struct upstream *up)
{
    const struct pass *p;
    size_t n = 0;

    TAILQ_FOREACH (p, &up->passes, link)
        n++;
    return n;
}

bool upstream_busy(const struct upstream *up)
{
    return up->loads || !TAILQ_EMPTY(&up->passes);
}

static void check_idle(struct upstream *up)
{
    if (!upstream_busy(up) && up->params.idle)
        up->params.idle(up->params.arg);
}

/* Not flux_rpc_get_raw(): no payload is an answer, too, such as the empty blob. */
static int get_answer(flux_future_t *f, const void **ret_data, int *ret_size)
{
    const void *msg;

    return flux_future_get(f, &msg) < 0 ? -1
                                        : flux_response_decode_raw(msg, NULL, ret_data, ret_size);
}

/* --- loads */

static bool is_blob(const struct load *ld, const void *data, size_t size)
{
    uint8_t digest[DIGEST_SIZE];

    digest_compute(ld->up->params.hash, data, size, digest);
    return memcmp(digest, ld->digest, DIGEST_SIZE) == 0;
}

static void load_fail(struct load *ld, int errnum, const char *text)
{
    struct waiter *w;

    TAILQ_FOREACH (w, &ld->waiters, link)
        (void)request_fail(w->req, errnum, "%s", text);
}

static void on_load(flux_future_t *f, void *arg)
{
    struct load *ld = arg;
    struct upstream *up = ld->up;
    const void *data = NULL;
    int size = 0;
    struct waiter *w;

    if (get_answer(f, &data, &size) < 0) {
        int errnum = errno;

        load_fail(ld, errnum, flux_future_error_string(f));
    } else if (!is_blob(ld, data ? data : "", (size_t)size)) {
        up->stats.rejected++;
        load_fail(ld, EIO, "what the node above sent is not the blob that was asked for");
    } else {
        cache_insert(up->params.cache, ld->digest, data ? data : "", (size_t)size);
        TAILQ_FOREACH (w, &ld->waiters, link)
            (void)request_respond_raw(w->req, size ? data : NULL, (size_t)size);
    }
    load_free(ld);
    check_idle(up);
}

static int load_begin(struct upstream *up, const uint8_t *digest, struct load **ret)
{
    struct load *ld = calloc(1, sizeof(*ld));

    if (!ld)
        return -ENOMEM;
    ld->up = up;
    TAILQ_INIT(&ld->waiters);
    memcpy(ld->digest, digest, DIGEST_SIZE);
    ld->f = flux_rpc_raw(up->params.h, "content.load", digest, DIGEST_SIZE, up->params.nodeid, 0);
    if (!ld->f || flux_future_then(ld->f, -1., on_load, ld) < 0) {
        int errnum = errno;

        load_free(ld);
        return -errnum;
    }
    HASH_ADD(hh, up->loads, digest, DIGEST_SIZE, ld);
    if (!ld->hh.tbl) {
        load_free(ld);
        return -ENOMEM;
    }
    up->stats.loads++;
    *ret = ld;
    return 0;
}

int upstream_load(struct upstream *up, struct request *req, const uint8_t digest[DIGEST_SIZE])
{
    struct waiter *w = calloc(1, sizeof(*w));
    struct load *ld;
    int rc = 0;

    if (!w)
        return -ENOMEM;
    HASH_FIND(hh, up->loads, digest, DIGEST_SIZE, ld);
    if (ld)
        up->stats.joined++;
    else
        rc = load_begin(up, digest, &ld);
    if (rc < 0) {
        free(w);
        return rc;
    }
    w->req = request_ref(req);
    TAILQ_INSERT_TAIL(&ld->waiters, w, link);
    return 0;
}

/* --- passes */

/* The parent answered with the digest of what it stored. */
static void keep_blob(struct pass *p, const void *answer, size_t answer_size)
{
    const void *data;
    size_t size;

    request_raw(p->req, &data, &size);
    if (answer_size == DIGEST_SIZE)
        cache_insert(p->up->params.cache, answer, data ? data : "", size);
}

static void on_pass(flux_future_t *f, void *arg)
{
    struct pass *p = arg;
    struct upstream *up = p->up;
    const void *data = NULL;
    int size = 0;

    if (get_answer(f, &data, &size) < 0) {
        (void)request_fail(p->req, errno, "%s", flux_future_error_string(f));
    } else {
        if (p->keep)
            keep_blob(p, data, (size_t)size);
        (void)request_respond_raw(p->req, size ? data : NULL, (size_t)size);
    }
    pass_free(p);
    check_idle(up);
}

int upstream_pass(struct upstream *up, struct request *req, bool keep)
{
    const void *data = NULL;
    const char *topic;
    int size = 0;
    struct pass *p;

    if (flux_request_decode_raw(request_msg(req), &topic, &data, &size) < 0)
        return -errno;
    if (!(p = calloc(1, sizeof(*p))))
        return -ENOMEM;
    p->up = up;
    p->keep = keep;
    p->req = request_ref(req);
    TAILQ_INSERT_TAIL(&up->passes, p, link);
    p->f = flux_rpc_raw(up->params.h, topic, data, size, up->params.nodeid, 0);
    if (!p->f || flux_future_then(p->f, -1., on_pass, p) < 0) {
        int errnum = errno;

        pass_free(p);
        return -errnum;
    }
    up->stats.passed++;
    return 0;
}

const struct upstream_stats *upstream_stats(const struct upstream *up)
{
    return &up->stats;
}

void upstream_stats_clear(struct upstream *up)
{
    up->stats = (struct upstream_stats){ 0 };
}
