/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Rates of storing and loading blobs, some in flight. What is loaded comes from the file. */
#include "bench.h"

#define SMALL      4096
#define LARGE      (1 << 20)
#define FLY_SMALL  64
#define FLY_LARGE  4
#define REF        128
#define SMALL_REFS 4000
#define LARGE_REFS 64

static size_t blob_size;
static char (*refs)[REF];
static long nrefs;

static char *make_blob(long i)
{
    static char data[LARGE];
    static long run;

    if (run == 0)
        run = (long)(bench_now() * 1e6);
    for (size_t n = 0; n + sizeof(long) <= blob_size; n += 512) {
        long word = run + i * 7919 + (long)n;

        memcpy(data + n, &word, sizeof(word));
    }
    return data;
}

static flux_future_t *op_store(flux_t *h, long i)
{
    return flux_content_store(h, make_blob(i), blob_size, 0);
}

static flux_future_t *op_load(flux_t *h, long i)
{
    return flux_content_load(h, refs[i % nrefs], 0);
}

static void run_store(flux_t *h, const char *name, long count)
{
    bool large = strstr(name, "1m") != NULL;

    blob_size = large ? LARGE : SMALL;
    (void)flux_attr_get(h, "content.hash"); /* known, it may save the other hash of each blob */
    bench_report(name, bench_pipeline(h, op_store, count, large ? FLY_LARGE : FLY_SMALL), count,
                 "1/s");
}

static void store_refs(flux_t *h)
{
    if (!(refs = calloc((size_t)nrefs, REF)))
        bench_die("calloc");
    for (long i = 0; i < nrefs; i++) {
        flux_future_t *f = op_store(h, i);
        const char *ref;

        if (!f || flux_content_store_get(f, &ref) < 0)
            bench_die("flux_content_store");
        (void)snprintf(refs[i], REF, "%s", ref);
        flux_future_destroy(f);
    }
}

static void call(flux_t *h, const char *topic)
{
    flux_future_t *f = flux_rpc(h, topic, NULL, FLUX_NODEID_ANY, 0);

    if (!f || flux_future_get(f, NULL) < 0)
        bench_die("%s", topic);
    flux_future_destroy(f);
}

static void run_load(flux_t *h, const char *name, long count)
{
    bool large = strstr(name, "1m") != NULL;

    blob_size = large ? LARGE : SMALL;
    nrefs = large ? LARGE_REFS : SMALL_REFS;
    if (count > nrefs)
        count = nrefs;
    store_refs(h);
    call(h, "content.flush");
    call(h, "content.dropcache");
    bench_report(name, bench_pipeline(h, op_load, count, large ? FLY_LARGE : FLY_SMALL), count,
                 "1/s");
    free(refs);
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {
        { "content-store-4k", 20000, run_store },
        { "content-store-1m", 200, run_store },
        { "content-load-4k", SMALL_REFS, run_load },
        { "content-load-1m", LARGE_REFS, run_load },
        { NULL },
    };

    return bench_main(argc, argv, benches);
}
