/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Requests wait until nothing of the history is missing, and then until the journal has told what
 * was durable when they came (catchup.h): SYNC_SECONDS at most for each, then they get what there
 * is. A request for a job nobody heard of waits ID_SECONDS more: its id may be known to a client
 * before the job manager has heard of it. What is said of a past job is final: that waits for
 * nothing. */
#include <string.h>

#include "job-list/access.h"
#include "job-list/answers.h"
#include "job-list/catchup.h"
#include "job-list/oldest.h"
#include "job-list/query.h"
#include "job-list/waiters.h"

#define SYNC_SECONDS 5.
#define ID_SECONDS   0.5

struct answers {
    struct table *table;
    struct store *store;
    struct waiters *sync_waiters, *id_waiters;
    struct catchup *catchup;
    uint64_t npurged;
    bool complete;
};

/* What a request has waited for. */
enum waited { WAITED_NOT, WAITED_CAUGHT_UP, WAITED_ENOUGH };

/* 1: req waits, 0: it need not, -ENOMEM, -EAGAIN. */
static int must_wait(struct answers *a, struct request *req, enum waited waited)
{
    int rc;

    if (waited == WAITED_ENOUGH)
        return 0;
    if (!a->complete) {
        rc = waiters_add(a->sync_waiters, req, 0);
        return rc < 0 ? rc : 1;
    }
    if (waited == WAITED_CAUGHT_UP)
        return 0;
    rc = catchup_add(a->catchup, req);
    if (rc == -EAGAIN) /* so many are asking that a little later is no worse than now */
        return 0;
    return rc < 0 ? rc : 1;
}

static int list(struct answers *a, struct request *req, enum waited waited)
{
    CLEANUP(json_decrefp) json_t *jobs = json_array();
    int rc = must_wait(a, req, waited);
    flux_error_t error;
    struct query q;

    if (rc != 0)
        return rc < 0 ? rc : 0;
    if (query_parse(request_json(req), &q, &error) < 0)
        return request_fail(req, EINVAL, "%s", error.text);
    rc = jobs ? table_list(a->table, &q, jobs) : -ENOMEM;
    if (rc == 0)
        rc = store_list(a->store, &q, jobs);
    if (rc == -ETIME)
        return request_fail(req, ETIME,
                            "the search took too long: ask for fewer jobs, or for those "
                            "of one user or name");
    return rc < 0 ? rc : request_respond_pack(req, "{s:O}", "jobs", jobs);
}

static int list_id(struct answers *a, struct request *req, enum waited waited)
{
    const json_t *names = json_object_get(request_json(req), "attrs");
    flux_jobid_t id = (flux_jobid_t)json_integer_value(json_object_get(request_json(req), "id"));
    CLEANUP(json_decrefp) json_t *all = NULL;
    uint64_t attrs = ATTRS_ALL;
    const struct job *job;
    flux_error_t error;
    int rc;

    if (names && attrs_parse(names, &attrs, &error) < 0)
        return request_fail(req, EINVAL, "%s", error.text);
    rc = table_find(a->table, id) ? -ENOENT : store_get(a->store, id, &all);
    if (rc == 0)
        return request_respond_pack(req, "{s:o}", "job", attrs_select(all, attrs));
    if (rc != -ENOENT)
        return rc;
    if ((rc = must_wait(a, req, waited)) != 0)
        return rc < 0 ? rc : 0;
    if ((job = table_find(a->table, id)))
        return request_respond_pack(req, "{s:o}", "job", attrs_encode(job, attrs));
    if (waited != WAITED_ENOUGH)
        return waiters_add(a->id_waiters, req, id);
    return request_fail(req, ENOENT, "there is no such job");
}

static int job_stats(struct answers *a, struct request *req, enum waited waited)
{
    const struct table_counts *c = &a->table->counts;
    struct store_counts past;
    json_int_t inactive;
    int rc = must_wait(a, req, waited);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    past = store_counts(a->store);
    inactive = (json_int_t)(store_count(a->store) + c->inactive);
    return request_respond_pack(
        req, "{s:{s:I s:I s:I s:I s:I s:I s:I} s:I s:I s:I s:I s:I}", "job_states", "depend",
        (json_int_t)c->depend, "priority", (json_int_t)c->priority, "sched", (json_int_t)c->sched,
        "run", (json_int_t)c->run, "cleanup", (json_int_t)c->cleanup, "inactive", inactive, "total",
        (json_int_t)(c->depend + c->priority + c->sched + c->run + c->cleanup) + inactive,
        "successful", (json_int_t)past.completed, "failed", (json_int_t)past.failed, "canceled",
        (json_int_t)past.canceled, "timeout", (json_int_t)past.timeout, "inactive_purged",
        (json_int_t)a->npurged);
}

/* The job manager asks, who must not be asked for that: npurged tells it how far we are. */
static int oldest(struct answers *a, struct request *req, enum waited waited)
{
    if (!a->complete && waited == WAITED_ENOUGH)
        return request_fail(req, EAGAIN, "the index of past jobs is not complete yet");
    return a->complete ? oldest_answer(req, a->store, a->npurged)
                       : waiters_add(a->sync_waiters, req, 0);
}

int answers_list(struct answers *a, struct request *req)
{
    return list(a, req, WAITED_NOT);
}

int answers_list_id(struct answers *a, struct request *req)
{
    return list_id(a, req, WAITED_NOT);
}

int answers_job_stats(struct answers *a, struct request *req)
{
    return job_stats(a, req, WAITED_NOT);
}

int answers_oldest(struct answers *a, struct request *req)
{
    return oldest(a, req, WAITED_NOT);
}

/* --- what waited is asked again */

static int again(struct answers *a, struct request *req, enum waited waited)
{
    if (strcmp(request_topic(req), "job-list.list") == 0)
        return list(a, req, waited);
    if (strcmp(request_topic(req), "job-list.list-id") == 0)
        return list_id(a, req, waited);
    if (strcmp(request_topic(req), "job-list.oldest") == 0)
        return oldest(a, req, waited);
    return job_stats(a, req, waited);
}

static int on_complete(struct request *req, bool final, void *arg)
{
    return again(arg, req, final ? WAITED_ENOUGH : WAITED_NOT);
}

static int on_caught_up(struct request *req, bool final, void *arg)
{
    return again(arg, req, final ? WAITED_ENOUGH : WAITED_CAUGHT_UP);
}

static int on_job(struct request *req, bool final, void *arg)
{
    return list_id(arg, req, WAITED_ENOUGH);
}

/* --- what the journal told */

void answers_complete(struct answers *a)
{
    if (a->complete)
        return;
    a->complete = true;
    waiters_wake_all(a->sync_waiters);
}

bool answers_are_complete(const struct answers *a)
{
    return a->complete;
}

void answers_journal_lost(struct answers *a)
{
    a->complete = false;
    catchup_lost(a->catchup);
}

void answers_journal_heard(struct answers *a, uint64_t serial, uint64_t npurged)
{
    a->npurged = npurged;
    catchup_heard(a->catchup, serial);
}

void answers_job_heard(struct answers *a, flux_jobid_t id)
{
    if (waiters_count(a->id_waiters) > 0)
        waiters_wake(a->id_waiters, id);
}

size_t answers_waiting(const struct answers *a)
{
    return waiters_count(a->sync_waiters) + waiters_count(a->id_waiters) +
           catchup_count(a->catchup);
}

int answers_new(flux_t *h, struct table *table, struct store *store, struct answers **ret)
{
    CLEANUP(answers_freep) struct answers *a = calloc(1, sizeof(*a));
    flux_reactor_t *r = flux_get_reactor(h);
    int rc;

    if (!a)
        return -ENOMEM;
    a->table = table;
    a->store = store;
    if ((rc = waiters_new(r, SYNC_SECONDS, on_complete, a, &a->sync_waiters)) < 0 ||
        (rc = waiters_new(r, ID_SECONDS, on_job, a, &a->id_waiters)) < 0 ||
        (rc = catchup_new(h, SYNC_SECONDS, on_caught_up, a, &a->catchup)) < 0)
        return rc;
    *ret = TAKE(a);
    return 0;
}

struct answers *answers_free(struct answers *a)
{
    if (!a)
        return NULL;
    catchup_free(a->catchup);
    waiters_free(a->id_waiters);
    waiters_free(a->sync_waiters);
    free(a);
    return NULL;
}
