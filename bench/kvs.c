/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Rates of KVS commits and lookups, one at a time and 64 in flight; commits in a large directory;
 * commits while many keys are watched. */
#include "bench.h"

#define KEYS      1000
#define DIR_NAMES 100000
#define WATCHES   10000

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

/* --- a large directory */

static flux_future_t *op_commit_dir(flux_t *h, long i)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *f;
    char key[64];

    (void)snprintf(key, sizeof(key), "bench.large.name%ld", i * 7919 % DIR_NAMES);
    if (!txn || flux_kvs_txn_pack(txn, 0, key, "i", (int)i + 1) < 0)
        bench_die("flux_kvs_txn_pack");
    f = flux_kvs_commit(h, NULL, 0, txn);
    flux_kvs_txn_destroy(txn);
    return f;
}

/* count keys of a name with a number, 1,000 a commit. */
static void fill(flux_t *h, const char *format, long count)
{
    for (long i = 0; i < count;) {
        flux_kvs_txn_t *txn = flux_kvs_txn_create();
        flux_future_t *f;

        for (int n = 0; n < 1000 && i < count; n++, i++) {
            char key[64];

            (void)snprintf(key, sizeof(key), format, i);
            if (!txn || flux_kvs_txn_pack(txn, 0, key, "i", 0) < 0)
                bench_die("flux_kvs_txn_pack");
        }
        f = flux_kvs_commit(h, NULL, 0, txn);
        if (!f || flux_future_get(f, NULL) < 0)
            bench_die("flux_kvs_commit");
        flux_future_destroy(f);
        flux_kvs_txn_destroy(txn);
    }
}

static void run_commit_dir(flux_t *h, const char *name, long count)
{
    fill(h, "bench.large.name%ld", DIR_NAMES);
    bench_report(name, bench_serial(h, op_commit_dir, count), count, "1/s");
}

static void run_commit_dir_64(flux_t *h, const char *name, long count)
{
    fill(h, "bench.large.name%ld", DIR_NAMES);
    bench_report(name, bench_pipeline(h, op_commit_dir, count, 64), count, "1/s");
}

/* --- watches */

struct watching {
    flux_future_t *f[WATCHES];
    long told;
};

static void on_watched(flux_future_t *f, void *arg)
{
    struct watching *w = arg;
    const char *value;

    if (flux_kvs_lookup_get(f, &value) < 0)
        bench_die("watch");
    w->told++;
    flux_future_reset(f);
    flux_reactor_stop(flux_future_get_reactor(f));
}

static void wait_told(flux_t *h, const struct watching *w, long count)
{
    while (w->told < count) {
        if (flux_reactor_run(flux_get_reactor(h), 0) < 0)
            bench_die("flux_reactor_run");
    }
}

/* From the commit of one key until its watcher is told, while WATCHES keys are watched. */
static void run_watch(flux_t *h, const char *name, long count)
{
    struct watching *w = calloc(1, sizeof(*w));
    double t0;

    if (!w)
        bench_die("calloc");
    fill(h, "bench.watched.%ld.value", WATCHES);
    for (long i = 0; i < WATCHES; i++) {
        char key[64];

        (void)snprintf(key, sizeof(key), "bench.watched.%ld.value", i);
        w->f[i] = flux_kvs_lookup(h, NULL, FLUX_KVS_WATCH, key);
        if (!w->f[i] || flux_future_then(w->f[i], -1., on_watched, w) < 0)
            bench_die("flux_kvs_lookup");
    }
    wait_told(h, w, WATCHES);
    t0 = bench_now();
    for (long i = 0; i < count; i++) {
        flux_kvs_txn_t *txn = flux_kvs_txn_create();
        flux_future_t *f = NULL;
        char key[64];

        (void)snprintf(key, sizeof(key), "bench.watched.%ld.value", i * 7919 % WATCHES);
        if (!txn || flux_kvs_txn_pack(txn, 0, key, "i", (int)i + 1) < 0 ||
            !(f = flux_kvs_commit(h, NULL, 0, txn)))
            bench_die("flux_kvs_commit");
        flux_kvs_txn_destroy(txn);
        wait_told(h, w, WATCHES + i + 1);
        flux_future_destroy(f);
    }
    bench_report(name, bench_now() - t0, count, "us");
    for (long i = 0; i < WATCHES; i++)
        flux_future_destroy(w->f[i]);
    free(w);
}

/* --- lookups */

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
        { "kvs-commit-dir", 2000, run_commit_dir },
        { "kvs-commit-dir-64", 20000, run_commit_dir_64 },
        { "kvs-watch-10000", 2000, run_watch },
        { "kvs-lookup", 20000, run_lookup },
        { "kvs-lookup-64", 100000, run_lookup_64 },
        { NULL },
    };

    return bench_main(argc, argv, benches);
}
