/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *f;
    const char *s;
    int size;

    if (!h || !txn)
        err(1, "set-up");
    if (flux_kvs_txn_put(txn, 0, "txn.text", "one,") < 0 ||
        flux_kvs_txn_put(txn, FLUX_KVS_APPEND, "txn.text", "two") < 0 ||
        flux_kvs_txn_pack(txn, 0, "txn.json", "{s:i}", "size", 3) < 0 ||
        flux_kvs_txn_put_raw(txn, 0, "txn.raw", "\0\1", 2) < 0 ||
        flux_kvs_txn_mkdir(txn, 0, "txn.dir") < 0 ||
        flux_kvs_txn_symlink(txn, 0, "txn.link", NULL, "txn.text") < 0 ||
        flux_kvs_txn_unlink(txn, 0, "txn.raw") < 0)
        err(1, "transaction");
    if (flux_kvs_txn_put(txn, 0, "", "no key") < 0)
        printf("empty key: %s\n", strerror(errno));
    f = flux_kvs_commit(h, NULL, 0, txn);
    flux_kvs_txn_destroy(txn);
    if (!f || flux_future_get(f, NULL) < 0)
        err(1, "flux_kvs_commit");
    flux_future_destroy(f);

    f = flux_kvs_lookup(h, NULL, 0, "txn.link");
    if (!f || flux_kvs_lookup_get(f, &s) < 0)
        err(1, "txn.link");
    printf("%s\n", s);
    flux_future_destroy(f);
    f = flux_kvs_lookup(h, NULL, 0, "txn.json");
    if (!f || flux_kvs_lookup_get_unpack(f, "{s:i}", "size", &size) < 0)
        err(1, "txn.json");
    printf("size %d\n", size);
    flux_future_destroy(f);
    flux_close(h);
    return 0;
}
/* Output:
 * empty key: Invalid argument
 * one,two
 * size 3
 */
