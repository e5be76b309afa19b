/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static void done(const char *what, flux_future_t *f)
{
    if (!f || flux_future_get(f, NULL) < 0)
        err(1, "%s", what);
    flux_future_destroy(f);
}

static void show(flux_t *h, const char *key)
{
    flux_future_t *f = flux_kvs_lookup(h, NULL, 0, key);
    const char *s;

    printf("%s: %s\n", key, !f || flux_kvs_lookup_get(f, &s) < 0 ? strerror(errno) : s);
    flux_future_destroy(f);
}

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    flux_kvs_txn_t *txn = flux_kvs_txn_create();

    if (!h || !txn || flux_kvs_txn_put(txn, 0, "copy.a.b", "1") < 0)
        err(1, "set-up");
    done("commit", flux_kvs_commit(h, NULL, 0, txn));
    done("copy", flux_kvs_copy(h, "copy.a", "copy.c", 0)); /* a directory */
    done("move", flux_kvs_move(h, "copy.a.b", "copy.d", 0));
    show(h, "copy.a.b");
    show(h, "copy.c.b");
    show(h, "copy.d");
    flux_kvs_txn_destroy(txn);
    flux_close(h);
    return 0;
}
/* Output:
 * copy.a.b: No such file or directory
 * copy.c.b: 1
 * copy.d: 1
 */
