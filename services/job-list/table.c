/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A hash by id and three orders, which together hold each job once. A job is taken out of its order
 * and its count before anything that either depends on changes, and put back after.
 *
 * Records may be repeated (a journal begins anew whenever the job manager or we restart): the place
 * of each event in its eventlog tells which ones are new. */
#include <string.h>

#include "job-list/table.h"

static const struct job *job_of(const struct order_node *n)
{
    return container_of(n, struct job, order);
}

static bool pending_before(const struct order_node *na, const struct order_node *nb)
{
    const struct job *a = job_of(na), *b = job_of(nb);

    if (a->priority != b->priority)
        return a->priority > b->priority;
    return a->id < b->id;
}

static bool later(double ta, double tb, const struct job *a, const struct job *b)
{
    return ta != tb ? ta > tb : a->id > b->id;
}

static bool running_before(const struct order_node *na, const struct order_node *nb)
{
    const struct job *a = job_of(na), *b = job_of(nb);

    return later(a->t_run, b->t_run, a, b);
}

static bool inactive_before(const struct order_node *na, const struct order_node *nb)
{
    const struct job *a = job_of(na), *b = job_of(nb);

    return later(a->t_inactive, b->t_inactive, a, b);
}

void table_init(struct table *t)
{
    *t = (struct table){ 0 };
    order_init(&t->pending, pending_before);
    order_init(&t->running, running_before);
    order_init(&t->inactive, inactive_before);
}

struct job *table_find(const struct table *t, flux_jobid_t id)
{
    struct job *job;

    HASH_FIND(hh, t->jobs, &id, sizeof(id), job);
    return job;
}

/* --- keeping orders and counts */

static struct order *order_for(struct table *t, const struct job *job)
{
    if (job->state & FLUX_JOB_STATE_RUNNING)
        return &t->running;
    return job->state == FLUX_JOB_STATE_INACTIVE ? &t->inactive : &t->pending;
}

static size_t *count_for(struct table *t, const struct job *job)
{
    switch (job->state) {
    case FLUX_JOB_STATE_NEW:
    case FLUX_JOB_STATE_DEPEND:
        return &t->counts.depend;
    case FLUX_JOB_STATE_PRIORITY:
        return &t->counts.priority;
    case FLUX_JOB_STATE_SCHED:
        return &t->counts.sched;
    case FLUX_JOB_STATE_RUN:
        return &t->counts.run;
    case FLUX_JOB_STATE_CLEANUP:
        return &t->counts.cleanup;
    case FLUX_JOB_STATE_INACTIVE:
        break;
    }
    return &t->counts.inactive;
}

static void take_out(struct table *t, struct job *job)
{
    order_remove(order_for(t, job), &job->order);
    (*count_for(t, job))--;
}

static void put_back(struct table *t, struct job *job)
{
    order_insert(order_for(t, job), &job->order);
    (*count_for(t, job))++;
}

int table_insert(struct table *t, struct job *job)
{
    struct job *old = table_find(t, job->id);

    if (old)
        table_remove(t, old);
    HASH_ADD(hh, t->jobs, id, sizeof(job->id), job);
    if (!job->hh.tbl) {
        job_free(job);
        return -ENOMEM;
    }
    job->epoch = t->epoch;
    put_back(t, job);
    return 0;
}

void table_remove(struct table *t, struct job *job)
{
    take_out(t, job);
    HASH_DEL(t->jobs, job);
    job_free(job);
}

void table_deinit(struct table *t)
{
    struct job *job, *tmp;

    HASH_ITER (hh, t->jobs, job, tmp)
        table_remove(t, job);
}

/* --- the journal */

static int apply_events(struct job *job, const json_t *events, size_t seq)
{
    json_t *event;
    size_t i;
    int rc;

    json_array_foreach ((json_t *)events, i, event) {
        if (seq + i < job->nevents)
            continue;
        if (seq + i > job->nevents)
            return TABLE_GAP;
        if ((rc = job_apply_event(job, event)) < 0)
            return rc;
    }
    return 0;
}

static int apply(struct job *job, const json_t *o)
{
    json_t *jobspec = json_object_get(o, "jobspec");
    const json_t *R = json_object_get(o, "R");
    json_t *annotations = json_object_get(o, "annotations");
    json_int_t n = json_integer_value(json_object_get(o, "inactive"));
    json_int_t seq = json_integer_value(json_object_get(o, "seq"));
    int rc = 0;

    if (jobspec)
        rc = job_apply_jobspec(job, jobspec);
    if (rc == 0)
        rc = apply_events(job, json_object_get(o, "events"), (size_t)seq);
    if (rc == 0 && R)
        rc = job_apply_R(job, R);
    if (rc == 0 && annotations)
        rc = job_set_annotations(job, annotations);
    if (n > 0)
        job->ninactive = (uint64_t)n;
    return rc;
}

/* A job nobody knew: its record must begin with the first event. */
static int find_or_add(struct table *t, const json_t *o, flux_jobid_t id, struct job **ret)
{
    const json_t *seq = json_object_get(o, "seq");

    *ret = table_find(t, id);
    if (*ret)
        return 0;
    if (json_integer_value(seq) != 0 || json_array_size(json_object_get(o, "events")) == 0)
        return TABLE_GAP;
    if (job_new(id, ret) < 0)
        return -ENOMEM;
    return table_insert(t, *ret);
}

int table_apply(struct table *t, const json_t *record, struct job **ret_job)
{
    const json_t *id = json_object_get(record, "id");
    struct job *job;
    bool was_inactive;
    int rc;

    *ret_job = NULL;
    if (!json_is_integer(id) || json_integer_value(json_object_get(record, "seq")) < 0)
        return -EPROTO;
    rc = find_or_add(t, record, (flux_jobid_t)json_integer_value(id), &job);
    if (rc != 0)
        return rc;
    was_inactive = job->state == FLUX_JOB_STATE_INACTIVE;
    take_out(t, job);
    rc = apply(job, record);
    put_back(t, job);
    job->epoch = t->epoch;
    *ret_job = job;
    if (rc == 0 && job->state == FLUX_JOB_STATE_INACTIVE && !was_inactive)
        return TABLE_INACTIVE;
    return rc;
}

void table_begin_epoch(struct table *t)
{
    t->epoch++;
}

struct job *table_find_stale(const struct table *t)
{
    for (struct job *job = t->jobs; job; job = job->hh.next)
        if (job->epoch != t->epoch && job->state != FLUX_JOB_STATE_INACTIVE)
            return job;
    return NULL;
}

/* --- listing */

static int list_order(const struct order *o, const struct query *q, json_t *array)
{
    for (struct order_node *n = order_first(o); n && json_array_size(array) < q->max_entries;
         n = order_next(n))
        if (query_matches(q, job_of(n)) &&
            json_array_append_new(array, attrs_encode(job_of(n), q->attrs)) < 0)
            return -ENOMEM;
    return 0;
}

int table_list(const struct table *t, const struct query *q, json_t *array)
{
    int rc = 0;

    if (q->states & (FLUX_JOB_STATE_PENDING | FLUX_JOB_STATE_NEW))
        rc = list_order(&t->pending, q, array);
    if (rc == 0 && (q->states & FLUX_JOB_STATE_RUNNING))
        rc = list_order(&t->running, q, array);
    if (rc == 0 && (q->states & FLUX_JOB_STATE_INACTIVE))
        rc = list_order(&t->inactive, q, array);
    return rc;
}
