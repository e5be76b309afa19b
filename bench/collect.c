/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Commits of one key. collect: one at a time, while nothing else goes on, while a collection of
 * COUNT blobs goes on, and after it; `bench/collect` runs it. history: COUNT of them, 64 in flight,
 * and what they took in each tenth. */
#include "bench.h"

#define DIRS         1000
#define KEYS_PER_DIR 100
#define VALUE        400 /* bytes: a blob of its own */
#define COMMIT_DIRS  10
#define CALM_SECONDS 10.
#define SAMPLES_MAX  20000000

struct samples {
    float *usec;
    long count;
};

static void put_value(flux_kvs_txn_t *txn, long dir, long key, long version)
{
    char name[64];
    char value[VALUE + 1];
    int n = snprintf(value, sizeof(value), "%ld.%ld.%ld.", dir, key, version);

    memset(value + n, 'x', sizeof(value) - (size_t)n - 1);
    value[VALUE] = '\0';
    (void)snprintf(name, sizeof(name), "bench.d%ld.k%ld", dir, key);
    if (flux_kvs_txn_put(txn, 0, name, value) < 0)
        bench_die("flux_kvs_txn_put");
}

/* The i-th: new values for all keys of a few directories. */
static flux_future_t *op_fill(flux_t *h, long i)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *f;

    if (!txn)
        bench_die("flux_kvs_txn_create");
    for (long d = 0; d < COMMIT_DIRS; d++) {
        for (long k = 0; k < KEYS_PER_DIR; k++)
            put_value(txn, (i * COMMIT_DIRS + d) % DIRS, k, i);
    }
    f = flux_kvs_commit(h, NULL, 0, txn);
    flux_kvs_txn_destroy(txn);
    return f;
}

static flux_future_t *op_commit(flux_t *h, long i)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *f;
    char key[64];

    (void)snprintf(key, sizeof(key), "bench.small.k%ld", i % 10);
    if (!txn || flux_kvs_txn_pack(txn, 0, key, "i", (int)i) < 0)
        bench_die("flux_kvs_txn_pack");
    f = flux_kvs_commit(h, NULL, 0, txn);
    flux_kvs_txn_destroy(txn);
    return f;
}

static void sample(flux_t *h, struct samples *s)
{
    static long n;
    double t0 = bench_now();

    (void)bench_serial_from(h, op_commit, n++, 1);
    if (s->count < SAMPLES_MAX)
        s->usec[s->count++] = (float)((bench_now() - t0) * 1e6);
}

static int cmp(const void *a, const void *b)
{
    const float x = *(const float *)a;
    const float y = *(const float *)b;

    return (x > y) - (x < y);
}

static double quantile(const struct samples *s, double q)
{
    return s->count > 0 ? s->usec[(long)((double)(s->count - 1) * q)] : 0.;
}

static void report(const char *name, const char *phase, struct samples *s, double seconds)
{
    qsort(s->usec, (size_t)s->count, sizeof(s->usec[0]), cmp);
    (void)printf("{\"name\":\"%s\",\"phase\":\"%s\",\"unit\":\"us\",\"p50\":%.0f,\"p99\":%.0f,"
                 "\"p999\":%.0f,\"max\":%.0f,\"count\":%ld,\"seconds\":%.1f}\n",
                 name, phase, quantile(s, .5), quantile(s, .99), quantile(s, .999), quantile(s, 1.),
                 s->count, seconds);
    (void)fflush(stdout);
    s->count = 0;
}

static void wait_for(flux_future_t *f, const char *what)
{
    if (!f || flux_future_get(f, NULL) < 0)
        bench_die("%s", what);
    flux_future_destroy(f);
}

/* Until the content store moves its journal while commits come, as it always does when they go on
 * for long. */
static void warm_up(flux_t *h, struct samples *s)
{
    int files = 0;

    while (files < 3) {
        flux_future_t *f;

        for (int i = 0; i < 1000; i++)
            sample(h, s);
        f = flux_rpc(h, "content.stats-get", NULL, FLUX_NODEID_ANY, 0);
        if (!f || flux_rpc_get_unpack(f, "{s:i}", "journal-files", &files) < 0)
            bench_die("content.stats-get");
        flux_future_destroy(f);
    }
    s->count = 0;
}

static void run_calm(flux_t *h, const char *name, const char *phase, struct samples *s)
{
    double t0 = bench_now();

    while (bench_now() - t0 < CALM_SECONDS)
        sample(h, s);
    report(name, phase, s, CALM_SECONDS);
}

struct collection {
    flux_t *h; /* a handle of its own: no commit waits for what it asks */
    bool over;
    char phase[16];
};

static void on_collected(flux_future_t *f, void *arg)
{
    struct collection *c = arg;

    wait_for(f, "kvs.gc");
    c->over = true;
}

static void ask_phase(struct collection *c);

static void on_phase(flux_future_t *f, void *arg)
{
    struct collection *c = arg;
    const char *phase;

    if (flux_rpc_get_unpack(f, "{s:{s:s}}", "gc", "phase", &phase) < 0)
        bench_die("kvs.stats-get");
    (void)snprintf(c->phase, sizeof(c->phase), "%s", phase);
    flux_future_destroy(f);
    ask_phase(c);
}

static void on_pause(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct collection *c = arg;
    flux_future_t *f = flux_rpc(c->h, "kvs.stats-get", NULL, FLUX_NODEID_ANY, 0);

    flux_watcher_destroy(w);
    if (!f || flux_future_then(f, -1., on_phase, c) < 0)
        bench_die("kvs.stats-get");
}

static void ask_phase(struct collection *c)
{
    flux_watcher_t *w = flux_timer_watcher_create(flux_get_reactor(c->h), .1, 0., on_pause, c);

    if (!w)
        bench_die("flux_timer_watcher_create");
    flux_watcher_start(w);
}

/* A report for each phase. */
static void run_during(flux_t *h, const char *name, struct samples *s)
{
    struct collection c = { .h = flux_open(NULL, 0), .phase = "mark" };
    char phase[sizeof(c.phase)] = "mark";
    double t0 = bench_now();
    flux_future_t *f;

    if (!c.h)
        bench_die("flux_open");
    f = flux_rpc_pack(c.h, "kvs.gc", FLUX_NODEID_ANY, 0, "{s:f}", "grace", 0.);
    if (!f || flux_future_then(f, -1., on_collected, &c) < 0)
        bench_die("kvs.gc");
    ask_phase(&c);
    while (!c.over) {
        sample(h, s);
        (void)flux_reactor_run(flux_get_reactor(c.h), FLUX_REACTOR_NOWAIT);
        if (strcmp(phase, c.phase) != 0 && strcmp(c.phase, "idle") != 0) {
            report(name, phase, s, bench_now() - t0);
            (void)snprintf(phase, sizeof(phase), "%s", c.phase);
            t0 = bench_now();
        }
    }
    report(name, phase, s, bench_now() - t0);
    flux_close(c.h);
}

static void run_collect(flux_t *h, const char *name, long count)
{
    struct samples s = { malloc(SAMPLES_MAX * sizeof(s.usec[0])), 0 };

    if (!s.usec)
        bench_die("malloc");
    (void)bench_pipeline(h, op_fill, count / (COMMIT_DIRS * KEYS_PER_DIR), 4);
    wait_for(flux_rpc(h, "content.flush", NULL, FLUX_NODEID_ANY, 0), "content.flush");
    warm_up(h, &s);
    run_calm(h, name, "before", &s);
    run_during(h, name, &s);
    run_calm(h, name, "after", &s);
    free(s.usec);
}

/* --- history */

#define DEPTH  64
#define TENTHS 10

struct history {
    flux_t *h;
    struct samples samples;
    long issued, done, count;
};

struct commit {
    struct history *history;
    double t0;
};

static void issue(struct history *hy);

static void on_committed(flux_future_t *f, void *arg)
{
    struct commit *c = arg;
    struct history *hy = c->history;

    if (flux_future_get(f, NULL) < 0)
        bench_die("commit %ld", hy->done);
    hy->samples.usec[hy->samples.count++] = (float)((bench_now() - c->t0) * 1e6);
    flux_future_destroy(f);
    free(c);
    hy->done++;
    if (hy->issued < hy->count)
        issue(hy);
}

static void issue(struct history *hy)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    struct commit *c = calloc(1, sizeof(*c));
    long i = hy->issued++;
    flux_future_t *f;
    char key[64];

    (void)snprintf(key, sizeof(key), "bench.h%ld.k%ld", i / 100 % 100, i * 7919 % 20);
    if (!txn || !c || flux_kvs_txn_pack(txn, 0, key, "i", (int)i) < 0)
        bench_die("flux_kvs_txn_pack");
    *c = (struct commit){ .history = hy, .t0 = bench_now() };
    f = flux_kvs_commit(hy->h, NULL, 0, txn);
    flux_kvs_txn_destroy(txn);
    if (!f || flux_future_then(f, -1., on_committed, c) < 0)
        bench_die("flux_kvs_commit");
}

static void run_history(flux_t *h, const char *name, long count)
{
    long part = count / TENTHS > 0 ? count / TENTHS : 1;
    struct history hy = { .h = h };

    if (!(hy.samples.usec = malloc((size_t)part * sizeof(hy.samples.usec[0]))))
        bench_die("malloc");
    for (int i = 1; i <= TENTHS; i++) {
        double t0 = bench_now();
        char phase[32];

        hy.count += part;
        while (hy.issued < hy.count && hy.issued - hy.done < DEPTH)
            issue(&hy);
        if (flux_reactor_run(flux_get_reactor(h), 0) < 0 || hy.done != hy.count)
            bench_die("%ld of %ld commits done", hy.done, hy.count);
        (void)snprintf(phase, sizeof(phase), "%ld", hy.done);
        report(name, phase, &hy.samples, bench_now() - t0);
    }
    free(hy.samples.usec);
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {
        { "collect", 1100000, run_collect },
        { "history", 1000000, run_history },
        { NULL },
    };

    return bench_main(argc, argv, benches);
}
