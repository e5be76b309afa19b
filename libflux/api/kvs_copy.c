/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Copy and move: see flux_kvs_copy(3). Only the entry of srckey is duplicated, so the cost does not
 * depend on what lies below it. Two steps (three for a move), each a commit of its own. */
#include <errno.h>
#include <string.h>
#include "api/kvs_internal.h"
#include "base/cleanup.h"

struct copy {
    char *src;
    char *dst;
    int flags;
};

static void copy_free(void *arg)
{
    struct copy *cp = arg;

    if (cp) {
        free(cp->src);
        free(cp->dst);
        free(cp);
    }
}

static flux_future_t *invalid(void)
{
    errno = EINVAL;
    return NULL;
}

/* Attaches the arguments to f; NULL after destroying f. */
static struct copy *copy_attach(flux_future_t *f, const char *src, const char *dst, int flags)
{
    struct copy *cp = calloc(1, sizeof(*cp));

    if (!cp || !(cp->src = strdup(src)) || !(cp->dst = strdup(dst)) ||
        flux_future_aux_set(f, "flux::kvs_copy", cp, copy_free) < 0) {
        copy_free(cp);
        flux_future_destroy(f);
        errno = ENOMEM;
        return NULL;
    }
    cp->flags = flags;
    return cp;
}

static void continue_with(flux_future_t *prev, flux_future_t *next)
{
    if (!next || flux_future_continue(prev, next) < 0) {
        flux_future_continue_error(prev, errno, NULL);
        flux_future_destroy(next);
    }
}

static void on_lookup(flux_future_t *f, void *arg)
{
    struct copy *cp = arg;
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *f2 = NULL;
    const char *treeobj;

    if (txn && flux_kvs_lookup_get_treeobj(f, &treeobj) == 0 &&
        flux_kvs_txn_put_treeobj(txn, 0, cp->dst, treeobj) == 0)
        f2 = flux_kvs_commit(flux_future_get_flux(f), NULL, cp->flags, txn);
    continue_with(f, f2);
    flux_kvs_txn_destroy(txn);
    flux_future_destroy(f);
}

static void on_copied(flux_future_t *f, void *arg)
{
    struct copy *cp = arg;
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *f2 = NULL;

    if (txn && flux_kvs_txn_unlink(txn, 0, cp->src) == 0)
        f2 = flux_kvs_commit(flux_future_get_flux(f), NULL, cp->flags, txn);
    continue_with(f, f2);
    flux_kvs_txn_destroy(txn);
    flux_future_destroy(f);
}

static flux_future_t *then(flux_future_t *f, const char *src, const char *dst, int flags,
                           flux_continuation_f cb)
{
    struct copy *cp;
    flux_future_t *f2;

    if (!f || !(cp = copy_attach(f, src, dst, flags)))
        return NULL;
    if (!(f2 = flux_future_and_then(f, cb, cp)))
        flux_future_destroy(f);
    return f2;
}

flux_future_t *flux_kvs_copy(flux_t *h, const char *srckey, const char *dstkey, int commit_flags)
{
    if (!h || !srckey || !dstkey || (commit_flags & ~KVS_COMMIT_FLAGS))
        return invalid();
    return then(flux_kvs_lookup(h, NULL, FLUX_KVS_TREEOBJ, srckey), srckey, dstkey, commit_flags,
                on_lookup);
}

flux_future_t *flux_kvs_move(flux_t *h, const char *srckey, const char *dstkey, int commit_flags)
{
    if (!h || !srckey || !dstkey || (commit_flags & ~KVS_COMMIT_FLAGS))
        return invalid();
    return then(flux_kvs_copy(h, srckey, dstkey, commit_flags), srckey, dstkey, commit_flags,
                on_copied);
}
