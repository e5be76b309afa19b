/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Measures a running instance's KVS: commits and lookups, one at a time and DEPTH deep, the values
 * of job-like keys. Usage: bench-kvs [SECONDS [DEPTH]] with FLUX_URI set. Prints one line each. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <flux/core.h>
#include "base/cleanup.h"
#include "base/monotime.h"
#include "base/number.h"

struct bench {
    flux_t *h;
    double seconds;
    int depth;
    uint64_t n; /* begun */
    uint64_t done;
    uint64_t start_usec;
    bool lookup;
    bool over;
    flux_future_t *(*begin)(struct bench *b, uint64_t n);
};

static void key_format(char key[80], uint64_t n)
{
    (void)snprintf(key, 80, "job.0000.%04x.%04x.%04x.eventlog", (unsigned int)(n >> 12) & 0xffff,
                   (unsigned int)(n >> 4) & 0xff, (unsigned int)n & 0xf);
}

static flux_future_t *begin_commit(struct bench *b, uint64_t n)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *f = NULL;
    char key[80];

    key_format(key, n);
    if (txn &&
        flux_kvs_txn_put(txn, FLUX_KVS_APPEND, key,
                         "{\"timestamp\":1605115080.0005,\"name\":\"submit\",\"context\":"
                         "{\"userid\":1000,\"urgency\":16,\"flags\":0,\"version\":1}}\n") == 0)
        f = flux_kvs_commit(b->h, NULL, 0, txn);
    flux_kvs_txn_destroy(txn);
    return f;
}

static flux_future_t *begin_lookup(struct bench *b, uint64_t n)
{
    char key[80];

    key_format(key, n % 1000);
    return flux_kvs_lookup(b->h, NULL, 0, key);
}

static void next(struct bench *b);

static void on_done(flux_future_t *f, void *arg)
{
    struct bench *b = arg;

    if (flux_future_get(f, NULL) < 0) {
        (void)fprintf(stderr, "bench-kvs: %s\n", flux_future_error_string(f));
        exit(EXIT_FAILURE);
    }
    flux_future_destroy(f);
    b->done++;
    b->over |= (double)(monotime_usec() - b->start_usec) > b->seconds * 1e6;
    if (!b->over)
        next(b);
    else if (b->done == b->n)
        flux_reactor_stop(flux_get_reactor(b->h));
}

static void next(struct bench *b)
{
    flux_future_t *f = b->begin(b, b->n);

    if (!f || flux_future_then(f, -1., on_done, b) < 0) {
        perror("bench-kvs");
        exit(EXIT_FAILURE);
    }
    b->n++;
}

static void run(flux_t *h, const char *what, double seconds, int depth,
                flux_future_t *(*begin)(struct bench *b, uint64_t n))
{
    struct bench b = { .h = h, .seconds = seconds, .begin = begin, .start_usec = monotime_usec() };
    double took;

    for (int i = 0; i < depth; i++)
        next(&b);
    (void)flux_reactor_run(flux_get_reactor(h), 0);
    took = (double)(monotime_usec() - b.start_usec) / 1e6;
    printf("%-10s %3d deep: %9.0f/s  %7.1f us\n", what, depth, (double)b.done / took,
           took * 1e6 / (double)b.done * depth);
}

int main(int argc, char **argv)
{
    double seconds = 2.;
    int depth = 64;
    flux_t *h;

    if ((argc > 1 && number_parse_double(argv[1], &seconds) < 0) ||
        (argc > 2 && number_parse_int(argv[2], 1, 10000, &depth) < 0)) {
        (void)fprintf(stderr, "usage: bench-kvs [SECONDS [DEPTH]]\n");
        return EXIT_FAILURE;
    }
    if (!(h = flux_open(NULL, 0))) {
        perror("bench-kvs: flux_open");
        return EXIT_FAILURE;
    }
    run(h, "commit", seconds, 1, begin_commit);
    run(h, "commit", seconds, depth, begin_commit);
    run(h, "lookup", seconds, 1, begin_lookup);
    run(h, "lookup", seconds, depth, begin_lookup);
    flux_close(h);
    return EXIT_SUCCESS;
}
