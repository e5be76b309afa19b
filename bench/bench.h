/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the benchmark programs share. They use the public API only, so that the same source measures
 * every implementation of it. One JSON line a measurement. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <flux/core.h>

static inline double bench_now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static inline void bench_die(const char *fmt, ...)
{
    int saved_errno = errno;
    va_list ap;

    (void)fputs("bench: ", stderr);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fprintf(stderr, ": %s\n", strerror(saved_errno));
    exit(1);
}

/* unit "us": time of one; "1/s": how many. */
static inline void bench_report(const char *name, double seconds, long count, const char *unit)
{
    double value = strcmp(unit, "us") == 0 ? seconds * 1e6 / count : count / seconds;

    (void)printf("{\"name\":\"%s\",\"value\":%.2f,\"unit\":\"%s\",\"count\":%ld}\n", name, value,
                 unit, count);
    (void)fflush(stdout);
}

/* A generator of futures: makes the i-th operation. Must not return NULL. */
typedef flux_future_t *(*bench_op_f)(flux_t *h, long i);

struct bench_pipeline {
    flux_t *h;
    bench_op_f op;
    long issued, done, count;
};

static inline void bench_on_done(flux_future_t *f, void *arg)
{
    struct bench_pipeline *p = arg;

    if (flux_future_get(f, NULL) < 0)
        bench_die("operation %ld of the pipeline", p->done);
    flux_future_destroy(f);
    p->done++;
    if (p->issued < p->count) {
        f = p->op(p->h, p->issued++);
        if (!f || flux_future_then(f, -1., bench_on_done, p) < 0)
            bench_die("operation %ld of the pipeline", p->issued);
    }
}

/* count operations, at most depth in flight; seconds taken. */
static inline double bench_pipeline(flux_t *h, bench_op_f op, long count, int depth)
{
    struct bench_pipeline p = { h, op, 0, 0, count };
    double t0 = bench_now();

    while (p.issued < depth && p.issued < count) {
        flux_future_t *f = op(h, p.issued++);

        if (!f || flux_future_then(f, -1., bench_on_done, &p) < 0)
            bench_die("start of the pipeline");
    }
    if (flux_reactor_run(flux_get_reactor(h), 0) < 0 || p.done != count)
        bench_die("pipeline: %ld of %ld done", p.done, count);
    return bench_now() - t0;
}

/* count operations from the first one on, one after the other. */
static inline double bench_serial_from(flux_t *h, bench_op_f op, long first, long count)
{
    double t0 = bench_now();

    for (long i = first; i < first + count; i++) {
        flux_future_t *f = op(h, i);

        if (!f || flux_future_get(f, NULL) < 0)
            bench_die("operation %ld", i);
        flux_future_destroy(f);
    }
    return bench_now() - t0;
}

static inline double bench_serial(flux_t *h, bench_op_f op, long count)
{
    return bench_serial_from(h, op, 0, count);
}

struct bench {
    const char *name;
    long count; /* default */
    void (*run)(flux_t *h, const char *name, long count);
};

/* PROGRAM [-n COUNT] [NAME...] */
static inline int bench_main(int argc, char **argv, const struct bench *benches)
{
    int first = 1;
    long count = 0;
    flux_t *h;

    if (argc > 2 && strcmp(argv[1], "-n") == 0) {
        count = strtol(argv[2], NULL, 10);
        first = 3;
    }
    h = flux_open(NULL, 0);
    if (!h)
        bench_die("flux_open");
    for (const struct bench *b = benches; b->name; b++) {
        bool wanted = first >= argc;

        for (int i = first; i < argc; i++)
            wanted |= strcmp(argv[i], b->name) == 0;
        if (wanted)
            b->run(h, b->name, count > 0 ? count : b->count);
    }
    flux_close(h);
    return 0;
}

#endif
