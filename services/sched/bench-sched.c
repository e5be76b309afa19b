/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* How many allocations the engine makes in a second, with R and its answer encoded, while 100,000
 * jobs wait. Usage: bench-sched [NODES [CORES]]. Prints one line per case. */
#include "base/cleanup.h"
#include "base/monotime.h"
#include "base/number.h"
#include "sched/engine.h"

#define PENDING 100000
#define ROUNDS  50000

DEFINE_CLEANUP(struct rset *, rset_free)
DEFINE_CLEANUP(struct idset *, idset_destroy)

static flux_jobid_t running[PENDING];
static size_t nrunning;

static void on_answer(json_t *answer, void *arg)
{
    char *s = json_dumps(answer, JSON_COMPACT);

    if (json_integer_value(json_object_get(answer, "type")) == ALLOC_SUCCESS)
        running[nrunning++ % PENDING] =
            (flux_jobid_t)json_integer_value(json_object_get(answer, "id"));
    free(s);
    json_decref(answer);
}

static struct engine *make_engine(int nodes, int cores)
{
    CLEANUP(rset_freep) struct rset *r = NULL;
    CLEANUP(idset_destroyp) struct idset *c = idset_create(0, IDSET_FLAG_AUTOGROW);
    CLEANUP(idset_destroyp) struct idset *g = idset_create(0, IDSET_FLAG_AUTOGROW);
    CLEANUP(idset_destroyp) struct idset *ranks = NULL;
    struct engine *e = NULL;
    char host[32];

    if (rset_new(&r) < 0 || idset_range_set(c, 0, (unsigned int)cores - 1) < 0)
        abort();
    for (int i = 0; i < nodes; i++) {
        (void)snprintf(host, sizeof(host), "node%d", i);
        (void)rset_add(r, (uint32_t)i, host, c, g);
    }
    if (!(ranks = rset_ranks(r)) || engine_new(r, on_answer, NULL, &e) < 0)
        abort();
    engine_set_up(e, ranks, true);
    return e;
}

/* Keep the machine full: each turn the oldest running job ends, and the next in the queue starts.
 */
static void bench(const char *name, int nodes, int cores, struct pool_request req)
{
    CLEANUP(engine_freep) struct engine *e = make_engine(nodes, cores);
    flux_jobid_t next = 1;
    uint64_t start;
    double seconds;
    size_t freed = 0;

    nrunning = 0;
    start = monotime_usec();
    for (; next <= PENDING; next++)
        (void)engine_submit(e, &(struct pending){ .id = next, .priority = 16, .request = req });
    seconds = (double)(monotime_usec() - start) / 1e6;
    printf("%-28s submit %8.0f/s", name, PENDING / seconds);
    start = monotime_usec();
    while (nrunning < ROUNDS) {
        (void)engine_run(e, ROUNDS - nrunning, 1.);
        (void)engine_release(e, running[freed++ % PENDING], NULL, true);
    }
    seconds = (double)(monotime_usec() - start) / 1e6;
    printf("  alloc+free %8.0f/s  (%zu still pending)\n", (double)nrunning / seconds,
           engine_pending(e));
}

int main(int argc, char **argv)
{
    int nodes = 1000, cores = 64;

    if ((argc > 1 && number_parse_int(argv[1], 1, 100000, &nodes) < 0) ||
        (argc > 2 && number_parse_int(argv[2], 1, 4096, &cores) < 0)) {
        (void)fprintf(stderr, "usage: %s [NODES [CORES]]\n", argv[0]);
        return EXIT_FAILURE;
    }
    printf("%d nodes of %d cores, %d jobs\n", nodes, cores, PENDING);
    bench("1 core", nodes, cores, (struct pool_request){ .nslots = 1, .cores_per_slot = 1 });
    bench(
        "1 node, exclusive", nodes, cores,
        (struct pool_request){ .nnodes = 1, .nslots = 1, .cores_per_slot = 1, .exclusive = true });
    bench("8 nodes, 2 slots on each", nodes, cores,
          (struct pool_request){ .nnodes = 8, .nslots = 16, .cores_per_slot = 2 });
    return EXIT_SUCCESS;
}
