/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

/* Write a key, then read it: the second step starts when the first is done. */
static void on_written(flux_future_t *f, void *arg)
{
    flux_future_t *next = flux_kvs_lookup(flux_future_get_flux(f), NULL, 0, arg);

    if (!next || flux_future_continue(f, next) < 0)
        flux_future_continue_error(f, errno, "cannot read it again");
    flux_future_destroy(f);
}

/* Any failure before: the chain ends well nevertheless. */
static void on_failure(flux_future_t *f, void *arg)
{
    printf("failed: %s\n", flux_future_error_string(f));
    flux_future_fulfill_next(f, "default", NULL);
    flux_future_destroy(f);
}

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *f;
    const char *value;
    const void *result;

    if (!h || !txn || flux_kvs_txn_put(txn, 0, "chain.a", "first") < 0)
        err(1, "set-up");
    f = flux_kvs_commit(h, NULL, 0, txn);
    f = f ? flux_future_and_then(f, on_written, "chain.a") : NULL;
    if (!f || flux_kvs_lookup_get(f, &value) < 0)
        err(1, "chain");
    printf("read %s\n", value);
    flux_future_destroy(f);

    f = flux_rpc(h, "nosuch.method", NULL, FLUX_NODEID_ANY, 0);
    f = f ? flux_future_or_then(f, on_failure, NULL) : NULL;
    if (!f || flux_future_get(f, &result) < 0)
        err(1, "chain");
    printf("so it is %s\n", (const char *)result);
    flux_future_destroy(f);
    flux_kvs_txn_destroy(txn);
    flux_close(h);
    return 0;
}
/* Output:
 * read first
 * failed: ...
 * so it is default
 */
