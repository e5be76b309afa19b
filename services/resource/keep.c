/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The key resource.R, R version 1 (RFC 20). Invariant: `text` is what the KVS holds, or NULL if
 * that is not known; at most one commit is under way, and `next` is what is to be written after it.
 */
#include <string.h>

#include "base/errorx.h"
#include "resource/keep.h"
#include "service/log.h"

#define KEY "resource.R"

struct keep {
    struct service *svc;
    void (*fn)(const struct rset *r, void *arg);
    void *arg;
    flux_future_t *lookup, *commit;
    char *text;
    char *written; /* by the commit */
    char *next;
};

DEFINE_CLEANUP(struct keep *, keep_free)
DEFINE_CLEANUP(struct rset *, rset_free)
DEFINE_CLEANUP(flux_kvs_txn_t *, flux_kvs_txn_destroy)

static void on_lookup(flux_future_t *f, void *arg)
{
    struct keep *k = arg;
    CLEANUP(rset_freep) struct rset *r = NULL;
    flux_error_t error = { .text = "" };
    const char *text = NULL;

    if (flux_kvs_lookup_get(f, &text) < 0) {
        if (errno != ENOENT)
            log_warning(KEY " cannot be read: %s", flux_future_error_string(f));
    } else if (!text || rset_decode_string(text, &r, &error) < 0) {
        log_warning(KEY " makes no sense and is not used: %s", text ? error.text : "no value");
    } else {
        k->text = strdup(text);
    }
    k->fn(r, k->arg);
    flux_future_destroy(k->lookup);
    k->lookup = NULL;
}

static int write_next(struct keep *k);

static void on_commit(flux_future_t *f, void *arg)
{
    struct keep *k = arg;

    if (flux_future_get(f, NULL) < 0)
        log_notice(KEY " was not written: %s", flux_future_error_string(f));
    else
        k->text = TAKE(k->written);
    free(k->written);
    k->written = NULL;
    flux_future_destroy(k->commit);
    k->commit = NULL;
    if (write_next(k) < 0)
        log_notice(KEY " is not written: %s", strerror(errno));
}

static int write_next(struct keep *k)
{
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = NULL;
    CLEANUP(freep) char *text = k->commit ? NULL : TAKE(k->next);

    if (!text || (k->text && strcmp(text, k->text) == 0))
        return 0;
    txn = flux_kvs_txn_create();
    if (!txn || flux_kvs_txn_put(txn, 0, KEY, text) < 0)
        return -ENOMEM;
    free(k->text);
    k->text = NULL;
    k->commit = flux_kvs_commit(service_flux(k->svc), KVS_PRIMARY_NAMESPACE, 0, txn);
    if (!k->commit || flux_future_then(k->commit, -1., on_commit, k) < 0)
        return -errno;
    k->written = TAKE(text);
    return 0;
}

int keep_put(struct keep *k, const struct rset *r)
{
    char *text = rset_encode_string(r);

    if (!text)
        return -ENOMEM;
    free(k->next);
    k->next = text;
    return write_next(k);
}

int keep_new(struct service *svc, void (*fn)(const struct rset *r, void *arg), void *arg,
             struct keep **ret)
{
    CLEANUP(keep_freep) struct keep *k = calloc(1, sizeof(*k));

    if (!k)
        return -ENOMEM;
    *k = (struct keep){ .svc = svc, .fn = fn, .arg = arg };
    k->lookup = flux_kvs_lookup(service_flux(svc), KVS_PRIMARY_NAMESPACE, 0, KEY);
    if (!k->lookup || flux_future_then(k->lookup, -1., on_lookup, k) < 0)
        return -errno;
    *ret = TAKE(k);
    return 0;
}

struct keep *keep_free(struct keep *k)
{
    if (k) {
        flux_future_destroy(k->commit);
        flux_future_destroy(k->lookup);
        free(k->next);
        free(k->written);
        free(k->text);
        free(k);
    }
    return NULL;
}
