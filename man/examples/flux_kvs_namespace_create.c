/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static const char *outcome(flux_future_t *f)
{
    const char *s = !f || flux_future_get(f, NULL) < 0 ? strerror(errno) : "done";

    flux_future_destroy(f);
    return s;
}

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *root, *f;
    const char *ref;

    if (!h || !txn || flux_kvs_txn_put(txn, 0, "a", "1") < 0)
        err(1, "set-up");
    printf("create: %s\n", outcome(flux_kvs_namespace_create(h, "demo", FLUX_USERID_UNKNOWN, 0)));
    printf("again: %s\n", outcome(flux_kvs_namespace_create(h, "demo", FLUX_USERID_UNKNOWN, 0)));
    printf("commit: %s\n", outcome(flux_kvs_commit(h, "demo", 0, txn)));
    printf("lookup: %s\n", outcome(flux_kvs_lookup(h, "demo", 0, "a")));

    root = flux_kvs_getroot(h, "demo", 0);
    if (!root || flux_kvs_getroot_get_blobref(root, &ref) < 0)
        err(1, "flux_kvs_getroot");
    f = flux_kvs_namespace_create_with(h, "twin", ref, FLUX_USERID_UNKNOWN, 0);
    printf("create with: %s\n", outcome(f));
    flux_future_destroy(root);
    printf("remove: %s\n", outcome(flux_kvs_namespace_remove(h, "demo")));
    printf("lookup: %s\n", outcome(flux_kvs_lookup(h, "demo", 0, "a")));
    printf("lookup in the twin: %s\n", outcome(flux_kvs_lookup(h, "twin", 0, "a")));
    flux_kvs_txn_destroy(txn);
    flux_close(h);
    return 0;
}
/* Output:
 * create: done
 * again: File exists
 * commit: done
 * lookup: done
 * create with: done
 * remove: done
 * lookup: Operation not supported
 * lookup in the twin: done
 */
