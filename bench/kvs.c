/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Rates of KVS commits and lookups, one at a time and 64 in flight. */
#include "bench.h"

#define KEYS 1000

static flux_future_t *op_commit(flux_t *h, long i)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *f;
    char key[64];

    (void)snprintf(key, sizeof(key), "bench.%ld.k%ld", i / 100 % 100, i % KEYS);
    if (!txn || flux_kvs_txn_pack(txn, 0, key, "i", (int)i) < 0)
        bench_die("flux_kvs_txn_pack");
    f = flux_kvs_commit(h, NULL, 0, txn);
    flux_kvs_txn_destroy(txn);
    return f;
}

static flux_future_t *op_lookup(flux_t *h, long i)
{
    char key[64];

    (void)snprintf(key, sizeof(key), "bench.look.k%ld", i % KEYS);
    return flux_kvs_lookup(h, NULL, 0, key);
}

static void run_commit(flux_t *h, const char *name, long count)
{
    bench_report(name, bench_serial(h, op_commit, count), count, "1/s");
}

static void run_commit_64(flux_t *h, const char *name, long count)
{
    bench_report(name, bench_pipeline(h, op_commit, count, 64), count, "1/s");
}

static void make_keys(flux_t *h)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *f;
    char key[64];

    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof(key), "bench.look.k%d", i);
        if (!txn || flux_kvs_txn_pack(txn, 0, key, "i", i) < 0)
            bench_die("flux_kvs_txn_pack");
    }
    f = flux_kvs_commit(h, NULL, 0, txn);
    if (!f || flux_future_get(f, NULL) < 0)
        bench_die("flux_kvs_commit");
    flux_future_destroy(f);
    flux_kvs_txn_destroy(txn);
}

static void run_lookup(flux_t *h, const char *name, long count)
{
    make_keys(h);
    bench_report(name, bench_serial(h, op_lookup, count), count, "1/s");
}

static void run_lookup_64(flux_t *h, const char *name, long count)
{
    make_keys(h);
    bench_report(name, bench_pipeline(h, op_lookup, count, 64), count, "1/s");
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {
        { "kvs-commit", 2000, run_commit },
        { "kvs-commit-64", 20000, run_commit_64 },
        { "kvs-lookup", 20000, run_lookup },
        { "kvs-lookup-64", 100000, run_lookup_64 },
        { NULL },
    };

    return bench_main(argc, argv, benches);
}
