/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Jobs a second: submit them all, 64 requests in flight, and wait for each. Real ones run
 * /bin/true; simulated ones start no process. */
#include <unistd.h>

#include "bench.h"

#define JOBSPEC                                                                                 \
    "{\"version\":1,\"resources\":[{\"type\":\"slot\",\"count\":1,\"label\":\"task\",\"with\":" \
    "[{\"type\":\"core\",\"count\":1}]}],\"tasks\":[{\"command\":[\"/bin/true\"],\"slot\":"     \
    "\"task\",\"count\":{\"per_slot\":1}}],\"attributes\":{\"system\":{\"duration\":0,\"cwd\":" \
    "\"/tmp\",\"environment\":{\"PATH\":\"/bin:/usr/bin\"}%s}}}"

static char jobspec[1024];

static flux_future_t *op_submit(flux_t *h, long i)
{
    return flux_job_submit(h, jobspec, 16, FLUX_JOB_WAITABLE);
}

static flux_future_t *op_wait(flux_t *h, long i)
{
    return flux_job_wait(h, FLUX_JOBID_ANY);
}

static void run(flux_t *h, const char *name, long count, const char *extra)
{
    double t0 = bench_now();

    (void)snprintf(jobspec, sizeof(jobspec), JOBSPEC, extra);
    (void)bench_pipeline(h, op_submit, count, 64);
    (void)bench_pipeline(h, op_wait, count, 64);
    bench_report(name, bench_now() - t0, count, "1/s");
}

static void run_real(flux_t *h, const char *name, long count)
{
    run(h, name, count, "");
}

static void run_simulated(flux_t *h, const char *name, long count)
{
    run(h, name, count, ",\"exec\":{\"test\":{\"run_duration\":\"0.0001s\"}}");
}

static void run_submit(flux_t *h, const char *name, long count)
{
    double t;

    (void)snprintf(jobspec, sizeof(jobspec), JOBSPEC,
                   ",\"exec\":{\"test\":{\"run_duration\":\"0.0001s\"}}");
    t = bench_pipeline(h, op_submit, count, 64);
    (void)bench_pipeline(h, op_wait, count, 64);
    bench_report(name, t, count, "1/s");
}

/* One job from submission to its end, as a user waits for it. */
static void run_one(flux_t *h, const char *name, long count)
{
    double t0 = bench_now();

    (void)snprintf(jobspec, sizeof(jobspec), JOBSPEC, "");
    for (long i = 0; i < count; i++) {
        (void)bench_serial(h, op_submit, 1);
        (void)bench_serial(h, op_wait, 1);
    }
    bench_report(name, bench_now() - t0, count, "us");
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {
        { "jobs-real", 2000, run_real },
        { "jobs-simulated", 2000, run_simulated },
        { "jobs-submit", 2000, run_submit },
        { "job-latency", 20, run_one },
        { NULL },
    };

    return bench_main(argc, argv, benches);
}
