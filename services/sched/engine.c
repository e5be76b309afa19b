/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Strictly in order: only the head of the queue is ever tried, nothing overtakes it. When the head
 * did not fit it is not tried again before the pool's generation changes or another job is the
 * head, so that 100,000 waiting jobs cost nothing. Jobs with priority 0 are held: they sort last,
 * and are not allocated.
 *
 * A job can give back only what it holds: a repeated or forged free changes nothing. */
#include "base/errorx.h"
#include "base/jobspec.h"
#include "base/jsonx.h"
#include "sched/engine.h"

struct holding {
    flux_jobid_t id;
    struct rset *r;
    UT_hash_handle hh;
};

struct engine {
    struct pool *pool;
    struct queue *queue;
    struct holding *holdings;
    engine_answer_f answer;
    void *arg;
    flux_jobid_t blocked_id; /* head that did not fit at blocked_generation; 0: none */
    uint64_t blocked_generation;
    struct engine_counts counts;
};

DEFINE_CLEANUP(struct rset *, rset_free)

static struct holding *holding_free(struct holding *h)
{
    if (h) {
        rset_free(h->r);
        free(h);
    }
    return NULL;
}

int engine_new(const struct rset *all, engine_answer_f answer, void *arg, struct engine **ret)
{
    CLEANUP(engine_freep) struct engine *e = calloc(1, sizeof(*e));
    int rc;

    if (!e)
        return -ENOMEM;
    e->answer = answer;
    e->arg = arg;
    if ((rc = pool_new(all, &e->pool)) < 0 || (rc = queue_new(&e->queue)) < 0)
        return rc;
    *ret = TAKE(e);
    return 0;
}

struct engine *engine_free(struct engine *e)
{
    struct holding *h, *tmp;

    if (!e)
        return NULL;
    HASH_ITER (hh, e->holdings, h, tmp) {
        HASH_DEL(e->holdings, h);
        holding_free(h);
    }
    queue_free(e->queue);
    pool_free(e->pool);
    free(e);
    return NULL;
}

/* A new pool in which every job has what it had. Its generation begins anew, so the head is tried
 * again whatever it was. */
int engine_grow(struct engine *e, const struct rset *all)
{
    CLEANUP(pool_freep) struct pool *pool = NULL;
    int rc = pool_new(all, &pool);

    for (struct holding *h = rc == 0 ? e->holdings : NULL; h; h = h->hh.next) {
        CLEANUP(rset_freep) struct rset *taken = NULL;

        if ((rc = pool_take(pool, h->r, &taken)) < 0)
            return rc;
        if (rc > 0)
            return -EPROTO; /* a job holds what is gone: there is no shrinking */
    }
    if (rc < 0)
        return rc;
    pool_free(e->pool);
    e->pool = TAKE(pool);
    e->blocked_id = 0;
    return 0;
}

void engine_set_up(struct engine *e, const struct idset *ranks, bool up)
{
    pool_set_up(e->pool, ranks, up);
}

/* --- decoding */

int engine_decode_jobspec(json_t *jobspec, struct pending *ret, flux_error_t *error)
{
    struct jobspec js = { 0 };

    if (jobspec_parse(jobspec, &js, error) < 0)
        return -EPROTO;
    ret->request = (struct pool_request){
        .nnodes = js.nnodes,
        .nslots = js.nslots,
        .cores_per_slot = js.cores_per_slot,
        .gpus_per_slot = js.gpus_per_slot,
        .exclusive = js.exclusive,
    };
    ret->duration = js.duration;
    jobspec_deinit(&js);
    return 0;
}

int engine_decode_job(const json_t *o, struct pending *ret, flux_error_t *error)
{
    json_t *id = json_object_get(o, "id");

    *ret = (struct pending){ 0 };
    if (json_is_integer(id))
        ret->id = (flux_jobid_t)json_integer_value(id);
    if (jsonx_check_shape(o, "id:I priority:u userid:u t_submit:n jobspec:o", error) < 0)
        return -EPROTO;
    ret->priority = (uint32_t)json_integer_value(json_object_get(o, "priority"));
    ret->userid = (uint32_t)json_integer_value(json_object_get(o, "userid"));
    ret->t_submit = json_number_value(json_object_get(o, "t_submit"));
    return engine_decode_jobspec(json_object_get(o, "jobspec"), ret, error);
}

/* --- answers */

void engine_deny(struct engine *e, flux_jobid_t id, const char *note)
{
    e->counts.denied++;
    e->answer(json_pack("{s:I s:i s:s}", "id", (json_int_t)id, "type", ALLOC_DENY, "note", note),
              e->arg);
}

static json_t *success(flux_jobid_t id, const struct rset *r)
{
    CLEANUP(freep) char *summary = rset_describe(r);
    json_t *encoded = rset_encode(r);

    if (!summary || !encoded) {
        json_decref(encoded);
        return NULL;
    }
    return json_pack("{s:I s:i s:o s:{s:{s:s}}}", "id", (json_int_t)id, "type", ALLOC_SUCCESS, "R",
                     encoded, "annotations", "sched", "resource_summary", summary);
}

/* --- the queue */

int engine_check(struct engine *e, const struct pool_request *req, flux_error_t *error)
{
    return pool_check(e->pool, req, error);
}

static struct holding *holding_find(const struct engine *e, flux_jobid_t id)
{
    struct holding *h;

    HASH_FIND(hh, e->holdings, &id, sizeof(id), h);
    return h;
}

int engine_submit(struct engine *e, const struct pending *job)
{
    flux_error_t error;
    int rc;

    if (holding_find(e, job->id))
        return 0;
    if (pool_check(e->pool, &job->request, &error) < 0) {
        engine_deny(e, job->id, error.text);
        return 0;
    }
    rc = queue_add(e->queue, job);
    return rc == -EEXIST ? 0 : rc;
}

void engine_cancel(struct engine *e, flux_jobid_t id)
{
    if (queue_remove(e->queue, id) < 0)
        return;
    e->counts.canceled++;
    e->answer(json_pack("{s:I s:i}", "id", (json_int_t)id, "type", ALLOC_CANCEL), e->arg);
}

void engine_prioritize(struct engine *e, flux_jobid_t id, uint32_t priority)
{
    (void)queue_reprioritize(e->queue, id, priority);
}

/* --- who holds what */

/* Takes *r on success. */
static int holding_add(struct engine *e, flux_jobid_t id, struct rset **r)
{
    CLEANUP(freep) struct holding *h = calloc(1, sizeof(*h));

    if (!h)
        return -ENOMEM;
    h->id = id;
    HASH_ADD(hh, e->holdings, id, sizeof(h->id), h);
    if (!h->hh.tbl)
        return -ENOMEM;
    TAKE(h)->r = TAKE(*r);
    return 0;
}

int engine_restore(struct engine *e, flux_jobid_t id, const struct rset *r)
{
    CLEANUP(rset_freep) struct rset *taken = NULL;
    int missing, rc;

    if (holding_find(e, id))
        return -EEXIST;
    missing = pool_take(e->pool, r, &taken);
    if (missing < 0)
        return missing;
    rc = holding_add(e, id, &taken);
    if (rc < 0) {
        (void)pool_release(e->pool, taken);
        return rc;
    }
    return missing;
}

int engine_release(struct engine *e, flux_jobid_t id, const struct rset *r, bool final)
{
    struct holding *h = holding_find(e, id);
    int rc;

    if (!h || (r && !rset_contains(h->r, r))) {
        e->counts.bad_frees++;
        return h ? -EINVAL : -ENOENT;
    }
    if (final || !r)
        r = h->r;
    rc = pool_release(e->pool, r);
    if (rc < 0)
        return rc;
    e->counts.freed++;
    if (r != h->r && (rc = rset_subtract(h->r, r)) < 0)
        return rc;
    if (r == h->r || rset_nnodes(h->r) == 0) {
        HASH_DEL(e->holdings, h);
        holding_free(h);
    }
    return 0;
}

/* --- allocation */

static void set_expiration(const struct engine *e, struct rset *r, const struct pending *job,
                           double now)
{
    double end = rset_expiration(pool_all(e->pool));

    if (job->duration > 0 && (end <= 0 || now + job->duration < end))
        end = now + job->duration;
    rset_set_expiration(r, now, end);
}

/* 0 allocated, POOL_BUSY, -errno. */
static int allocate_head(struct engine *e, const struct pending *job, double now)
{
    CLEANUP(rset_freep) struct rset *r = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    flux_jobid_t id = job->id;
    int rc = pool_alloc(e->pool, &job->request, &r);

    if (rc != POOL_ALLOCATED)
        return rc;
    set_expiration(e, r, job, now);
    answer = success(id, r);
    rc = answer ? holding_add(e, id, &r) : -ENOMEM;
    if (rc < 0) {
        (void)pool_release(e->pool, r);
        return rc;
    }
    (void)queue_remove(e->queue, id);
    e->counts.allocated++;
    e->answer(TAKE(answer), e->arg);
    return 0;
}

bool engine_run(struct engine *e, size_t limit, double now)
{
    for (size_t n = 0; n < limit; n++) {
        const struct pending *job = queue_head(e->queue);

        if (!job || job->priority == 0)
            return false;
        if (job->id == e->blocked_id && e->blocked_generation == pool_generation(e->pool))
            return false;
        if (allocate_head(e, job, now) != 0) {
            e->blocked_id = job->id;
            e->blocked_generation = pool_generation(e->pool);
            return false;
        }
        e->blocked_id = 0;
    }
    return true;
}

size_t engine_pending(const struct engine *e)
{
    return queue_count(e->queue);
}

size_t engine_running(const struct engine *e)
{
    return HASH_COUNT(e->holdings);
}

const struct pool *engine_pool(const struct engine *e)
{
    return e->pool;
}

const struct engine_counts *engine_counts(const struct engine *e)
{
    return &e->counts;
}

void engine_counts_clear(struct engine *e)
{
    e->counts = (struct engine_counts){ 0 };
}
