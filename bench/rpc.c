/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Latency and rate of RPCs to the router and to a service behind it, and of events. */
#include "bench.h"

static flux_future_t *op_router(flux_t *h, long i)
{
    return flux_rpc(h, "broker.ping", "{\"seq\":1}", FLUX_NODEID_ANY, 0);
}

static flux_future_t *op_service(flux_t *h, long i)
{
    return flux_rpc(h, "kvs.ping", "{\"seq\":1}", FLUX_NODEID_ANY, 0);
}

static void warm_up(flux_t *h, bench_op_f op)
{
    (void)bench_serial(h, op, 100);
}

static void run_router_sync(flux_t *h, const char *name, long count)
{
    warm_up(h, op_router);
    bench_report(name, bench_serial(h, op_router, count), count, "us");
}

static void run_service_sync(flux_t *h, const char *name, long count)
{
    warm_up(h, op_service);
    bench_report(name, bench_serial(h, op_service, count), count, "us");
}

static void run_router_64(flux_t *h, const char *name, long count)
{
    warm_up(h, op_router);
    bench_report(name, bench_pipeline(h, op_router, count, 64), count, "1/s");
}

static void run_service_64(flux_t *h, const char *name, long count)
{
    warm_up(h, op_service);
    bench_report(name, bench_pipeline(h, op_service, count, 64), count, "1/s");
}

/* Publish, and wait until it has come back. */
static void run_event(flux_t *h, const char *name, long count)
{
    struct flux_match match = FLUX_MATCH_EVENT;
    double t0;

    match.topic_glob = (char *)"bench.event";
    if (flux_event_subscribe(h, "bench.event") < 0)
        bench_die("flux_event_subscribe");
    t0 = bench_now();
    for (long i = 0; i < count; i++) {
        flux_msg_t *msg = flux_event_encode("bench.event", NULL);

        if (!msg || flux_send(h, msg, 0) < 0)
            bench_die("flux_send");
        flux_msg_destroy(msg);
        msg = flux_recv(h, match, 0);
        if (!msg)
            bench_die("flux_recv");
        flux_msg_destroy(msg);
    }
    bench_report(name, bench_now() - t0, count, "us");
    (void)flux_event_unsubscribe(h, "bench.event");
}

int main(int argc, char **argv)
{
    static const struct bench benches[] = {
        { "rpc-router-sync", 20000, run_router_sync },
        { "rpc-service-sync", 20000, run_service_sync },
        { "rpc-router-64", 200000, run_router_64 },
        { "rpc-service-64", 100000, run_service_64 },
        { "event-roundtrip", 10000, run_event },
        { NULL },
    };

    return bench_main(argc, argv, benches);
}
