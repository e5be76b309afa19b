/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Content store client: see flux_content_load(3).
 *
 * The store answers with a bare digest. Which algorithm made it is found by computing the digests
 * of the data here, both unless the handle knows the attribute content.hash already; one that
 * matches neither is an error (EPROTO), so a blob damaged on its way is noticed by the one who sent
 * it.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <flux/content.h>
#include <flux/response.h>
#include "api/attr_cache.h"
#include "base/cleanup.h"
#include "base/digest.h"

#define VALID_FLAGS (CONTENT_FLAG_CACHE_BYPASS | CONTENT_FLAG_UPSTREAM)

static const char *const aux_name = "flux::content_store";

struct store {
    bool has[2];
    uint8_t digest[2][DIGEST_SIZE]; /* by enum digest_algorithm */
    char blobref[BLOBREF_STRING_SIZE];
};

/* The backing store is on rank 0. */
static uint32_t nodeid(int flags)
{
    if (flags & CONTENT_FLAG_UPSTREAM)
        return FLUX_NODEID_UPSTREAM;
    return flags & CONTENT_FLAG_CACHE_BYPASS ? 0 : FLUX_NODEID_ANY;
}

static const char *topic(int flags, const char *plain, const char *backing)
{
    return flags & CONTENT_FLAG_CACHE_BYPASS ? backing : plain;
}

flux_future_t *flux_content_load(flux_t *h, const char *blobref, int flags)
{
    uint8_t digest[DIGEST_SIZE];
    enum digest_algorithm alg;

    if (!h || !blobref || (flags & ~VALID_FLAGS) || blobref_parse(blobref, &alg, digest) < 0) {
        errno = EINVAL;
        return NULL;
    }
    return flux_rpc_raw(h, topic(flags, "content.load", "content.backing-load"), digest,
                        sizeof(digest), nodeid(flags), 0);
}

int flux_content_load_get(flux_future_t *f, const void **buf, size_t *len)
{
    const void *msg, *data;
    int n;

    /* Not flux_rpc_get_raw(): the empty blob is an answer without payload. */
    if (flux_future_get(f, &msg) < 0 || flux_response_decode_raw(msg, NULL, &data, &n) < 0)
        return -1;
    if (buf)
        *buf = data ? data : "";
    if (len)
        *len = (size_t)n;
    return 0;
}

static void compute_digests(struct store *st, const char *known, const void *buf, size_t len)
{
    for (int alg = DIGEST_BLAKE2B; alg <= DIGEST_SHA256; alg++) {
        st->has[alg] = !known || strcmp(known, digest_algorithm_name(alg)) == 0;
        if (st->has[alg])
            digest_compute(alg, buf, len, st->digest[alg]);
    }
}

flux_future_t *flux_content_store(flux_t *h, const void *buf, size_t len, int flags)
{
    CLEANUP(freep) struct store *st = NULL;
    flux_future_t *f;

    if (!h || (len > 0 && !buf) || (flags & ~VALID_FLAGS)) {
        errno = EINVAL;
        return NULL;
    }
    if (len > INT_MAX) {
        errno = EFBIG;
        return NULL;
    }
    if (!(st = calloc(1, sizeof(*st))))
        return NULL;
    compute_digests(st, attr_cached(h, "content.hash"), buf ? buf : "", len);
    if (!(f = flux_rpc_raw(h, topic(flags, "content.store", "content.backing-store"), buf, (int)len,
                           nodeid(flags), 0)))
        return NULL;
    if (flux_future_aux_set(f, aux_name, st, free) < 0) {
        flux_future_destroy(f);
        return NULL;
    }
    (void)TAKE(st);
    return f;
}

int flux_content_store_get(flux_future_t *f, const char **blobref)
{
    struct store *st = f ? flux_future_aux_get(f, aux_name) : NULL;
    const void *data;
    int alg;
    int n;

    if (!f) {
        errno = EINVAL;
        return -1;
    }
    if (!st && flux_future_get(f, NULL) == 0) /* it may continue with one: then it has it now */
        st = flux_future_aux_get(f, aux_name);
    if (flux_rpc_get_raw(f, &data, &n) < 0)
        return -1;
    if (!st) {
        errno = EINVAL;
        return -1;
    }
    for (alg = DIGEST_BLAKE2B; alg <= DIGEST_SHA256; alg++) {
        if (n == DIGEST_SIZE && st->has[alg] && memcmp(data, st->digest[alg], DIGEST_SIZE) == 0)
            break;
    }
    if (alg > DIGEST_SHA256) {
        errno = EPROTO;
        return -1;
    }
    blobref_format(alg, st->digest[alg], st->blobref);
    if (blobref)
        *blobref = st->blobref;
    return 0;
}
