/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* An allocation request of any shape: decoded, checked, allocated and given back. */
#include "base/jsonx.h"
#include "sched/engine.h"

DEFINE_CLEANUP(struct rset *, rset_free)
DEFINE_CLEANUP(struct idset *, idset_destroy)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_answer(json_t *answer, void *arg)
{
    json_decref(answer);
}

static struct engine *make_engine(void)
{
    CLEANUP(rset_freep) struct rset *r = NULL;
    CLEANUP(idset_destroyp) struct idset *cores = idset_decode("0-3");
    CLEANUP(idset_destroyp) struct idset *gpus = idset_decode("0");
    CLEANUP(idset_destroyp) struct idset *ranks = idset_decode("0-2");
    struct engine *e = NULL;

    if (rset_new(&r) < 0)
        return NULL;
    for (uint32_t rank = 0; rank < 3; rank++)
        (void)rset_add(r, rank, "node", cores, gpus);
    if (engine_new(r, on_answer, NULL, &e) < 0)
        return NULL;
    engine_set_up(e, ranks, true);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(json_decrefp) json_t *o = jsonx_decode_object((const char *)data, size, NULL);
    CLEANUP(engine_freep) struct engine *e = NULL;
    struct pending job;
    flux_error_t error;

    if (!o || engine_decode_job(o, &job, &error) < 0)
        return 0;
    e = make_engine();
    if (!e)
        return 0;
    (void)engine_submit(e, &job);
    (void)engine_run(e, 2, 1.);
    (void)engine_release(e, job.id, NULL, true);
    if (pool_usage(engine_pool(e)).busy_cores != 0)
        abort();
    return 0;
}
