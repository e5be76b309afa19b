/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <err.h>
#include <stdio.h>
#include <flux/core.h>

static void put(flux_t *h, const char *key, const char *value)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *f = NULL;

    if (txn && flux_kvs_txn_put(txn, 0, key, value) == 0)
        f = flux_kvs_commit(h, NULL, 0, txn);
    if (!f || flux_future_get(f, NULL) < 0)
        err(1, "%s", key);
    flux_future_destroy(f);
    flux_kvs_txn_destroy(txn);
}

static void on_change(flux_future_t *f, void *arg)
{
    const char *value;

    if (flux_kvs_lookup_get(f, &value) < 0) {
        printf("%s\n", errno == ENODATA ? "canceled" : strerror(errno));
        flux_future_destroy(f);
        return;
    }
    printf("%s is %s\n", flux_kvs_lookup_get_key(f), value);
    if (strcmp(value, "1") == 0)
        put(arg, "lookup.a", "2");
    else
        flux_kvs_lookup_cancel(f);
    flux_future_reset(f);
}

int main(void)
{
    flux_t *h = flux_open(NULL, 0);
    const flux_kvsdir_t *dir;
    flux_kvsitr_t *itr;
    flux_future_t *f;
    const char *name;

    if (!h)
        err(1, "flux_open");
    put(h, "lookup.a", "1");
    f = flux_kvs_lookup(h, NULL, FLUX_KVS_WATCH, "lookup.a");
    if (!f || flux_future_then(f, -1., on_change, h) < 0)
        err(1, "flux_kvs_lookup");
    flux_reactor_run(flux_get_reactor(h), 0);

    f = flux_kvs_lookup(h, NULL, FLUX_KVS_READDIR, "lookup");
    if (!f || flux_kvs_lookup_get_dir(f, &dir) < 0 || !(itr = flux_kvsitr_create(dir)))
        err(1, "lookup");
    while ((name = flux_kvsitr_next(itr)))
        printf("directory has %s\n", name);
    flux_kvsitr_destroy(itr);
    flux_future_destroy(f);
    f = flux_kvs_lookup(h, NULL, 0, "lookup");
    if (!f || flux_kvs_lookup_get(f, NULL) < 0)
        printf("lookup: %s\n", strerror(errno));
    flux_future_destroy(f);
    flux_close(h);
    return 0;
}
/* Output:
 * lookup.a is 1
 * lookup.a is 2
 * canceled
 * directory has a
 * lookup: Is a directory
 */
