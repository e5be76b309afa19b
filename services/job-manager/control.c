/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What an administrator says to the queue as a whole: submission on or off, scheduling on or off,
 * and who waits for it to become idle or empty. The setting is one value in the KVS, so it outlives
 * every daemon; job-ingest, which enforces the first half, is told after each commit of it, and the
 * administrator is answered after that. Stopping cancels what the scheduler was asked for; jobs
 * that have resources go on. After an end without order (see startlog in flux-broker) the run that
 * follows begins with both off. */
#include <errno.h>
#include <string.h>

#include "base/errorx.h"
#include "base/jsonx.h"
#include "service/log.h"
#include "service/safemode.h"
#include "manager.h"

#define REASON_MAX  1024
#define WAITERS_MAX 10000

struct control_waiter {
    struct request *req;
    bool drain; /* no active job; else: none that runs */
    TAILQ_ENTRY(control_waiter) link;
};

static void waiter_drop(struct manager *m, struct control_waiter *w)
{
    TAILQ_REMOVE(&m->control.waiters, w, link);
    m->control.nwaiters--;
    m->ops->unref(m->arg, w->req);
    free(w);
}

void control_init(struct manager *m)
{
    TAILQ_INIT(&m->control.waiters);
    STAILQ_INIT(&m->control.answers);
    STAILQ_INIT(&m->control.answers_batch);
}

static void answers_drop(struct manager *m, struct job_answers *answers)
{
    struct job_answer *a;

    while ((a = STAILQ_FIRST(answers))) {
        STAILQ_REMOVE_HEAD(answers, link);
        m->ops->unref(m->arg, a->req);
        free(a);
    }
}

void control_deinit(struct manager *m)
{
    struct control_waiter *w;

    while ((w = TAILQ_FIRST(&m->control.waiters)))
        waiter_drop(m, w);
    answers_drop(m, &m->control.answers);
    answers_drop(m, &m->control.answers_batch);
    free(m->control.disable_reason);
    free(m->control.stop_reason);
    free(m->control.safe_run);
}

static json_t *setting_json(const struct manager *m)
{
    const struct control *c = &m->control;
    json_t *o = json_pack("{s:b s:b}", "enable", !c->disabled, "start", !c->stopped);

    if (o && c->disabled && c->disable_reason[0])
        (void)json_object_set_new(o, "disable_reason", json_string(c->disable_reason));
    if (o && c->stopped && c->stop_reason[0])
        (void)json_object_set_new(o, "stop_reason", json_string(c->stop_reason));
    if (o && c->safe_run)
        (void)json_object_set_new(o, SAFE_MODE_KEY, json_string(c->safe_run));
    return o;
}

static char *setting_text(const struct manager *m)
{
    CLEANUP(json_decrefp) json_t *o = setting_json(m);

    return o ? json_dumps(o, JSON_COMPACT) : NULL;
}

json_t *control_status(const struct manager *m)
{
    json_t *o = setting_json(m);

    if (o) {
        (void)json_object_set_new(o, "queued",
                                  json_integer((json_int_t)queue_count(&m->alloc.pending)));
        (void)json_object_set_new(o, "outstanding",
                                  json_integer((json_int_t)queue_count(&m->alloc.outstanding)));
        (void)json_object_set_new(
            o, "running",
            json_integer((json_int_t)(m->counts[JOB_STATE_RUN] + m->counts[JOB_STATE_CLEANUP])));
        (void)json_object_set_new(o, "active", json_integer((json_int_t)manager_count(m)));
    }
    return o;
}

static int set_reason(char **field, const char *reason, flux_error_t *error)
{
    char *copy;

    if (strlen(reason) > REASON_MAX)
        return errorx_fail(error, EINVAL, "the reason has more than %d bytes", REASON_MAX);
    if (!(copy = strdup(reason)))
        return -ENOMEM;
    free(*field);
    *field = copy;
    return 0;
}

static int make_durable(struct manager *m, struct request *req)
{
    struct job_answer *a = calloc(1, sizeof(*a));

    if (!a)
        return -ENOMEM;
    a->req = m->ops->ref(m->arg, req);
    STAILQ_INSERT_TAIL(&m->control.answers, a, link);
    m->control.dirty = true;
    return 0;
}

int control_enable(struct manager *m, bool enable, const char *reason, struct request *req,
                   flux_error_t *error)
{
    int rc = set_reason(&m->control.disable_reason, reason, error);

    if (rc < 0)
        return rc;
    m->control.disabled = !enable;
    log_notice("submission of jobs is %s%s%s", enable ? "enabled" : "disabled",
               reason[0] ? ": " : "", reason);
    return make_durable(m, req);
}

int control_start(struct manager *m, bool start, const char *reason, struct request *req,
                  flux_error_t *error)
{
    int rc = set_reason(&m->control.stop_reason, reason, error);

    if (rc < 0)
        return rc;
    m->control.stopped = !start;
    if (!start)
        alloc_cancel_all(m);
    log_notice("scheduling is %s%s%s", start ? "started" : "stopped", reason[0] ? ": " : "",
               reason);
    return make_durable(m, req);
}

int control_safe_mode(struct manager *m, const char *run)
{
    const char *fields[] = { "MESSAGE_ID=" LOG_ID_SAFE_MODE, NULL };
    struct control *c = &m->control;
    int rc;

    if (c->safe_run && strcmp(c->safe_run, run) == 0)
        return 0;
    if ((rc = set_reason(&c->safe_run, run, NULL)) < 0 ||
        (!c->disabled && (rc = set_reason(&c->disable_reason, SAFE_MODE_REASON, NULL)) < 0) ||
        (!c->stopped && (rc = set_reason(&c->stop_reason, SAFE_MODE_REASON, NULL)) < 0))
        return rc;
    c->disabled = c->stopped = c->loaded = c->dirty = true;
    log_fields(
        LOG_WARNING, fields,
        "safe mode: no job is accepted and none is started. %s; then `flux queue enable` and "
        "`flux queue start`",
        SAFE_MODE_REASON);
    return 0;
}

int control_load(struct manager *m, const char *text, flux_error_t *error)
{
    CLEANUP(json_decrefp) json_t *o = jsonx_decode_object(text, strlen(text), error);
    const char *disable_reason = "", *stop_reason = "", *safe_run = NULL;
    int enable, start, rc;

    if (!o)
        return -EPROTO;
    if (json_unpack(o, "{s:b s:b s?s s?s s?s}", "enable", &enable, "start", &start,
                    "disable_reason", &disable_reason, "stop_reason", &stop_reason, SAFE_MODE_KEY,
                    &safe_run) < 0)
        return errorx_fail(error, EPROTO, "keys are missing");
    if ((rc = set_reason(&m->control.disable_reason, disable_reason, error)) < 0 ||
        (rc = set_reason(&m->control.stop_reason, stop_reason, error)) < 0 ||
        (safe_run && (rc = set_reason(&m->control.safe_run, safe_run, error)) < 0))
        return rc;
    m->control.disabled = !enable;
    m->control.stopped = !start;
    m->control.loaded = true;
    return 0;
}

/* --- commits */

int control_commit(struct manager *m)
{
    CLEANUP(freep) char *text = setting_text(m);

    if (!text)
        return -ENOMEM;
    m->control.dirty = false;
    m->control.committing = true;
    STAILQ_CONCAT(&m->control.answers_batch, &m->control.answers);
    return m->ops->kvs_put(m->arg, CONTROL_KEY, text);
}

void control_durable(struct manager *m)
{
    struct job_answers answers = STAILQ_HEAD_INITIALIZER(answers);
    CLEANUP(freep) char *text = setting_text(m);
    struct job_answer *a;

    m->control.committing = false;
    STAILQ_CONCAT(&answers, &m->control.answers_batch);
    if (!text)
        manager_fatal(m, ENOMEM, "cannot tell the state of the queue");
    while (text && (a = STAILQ_FIRST(&answers))) {
        STAILQ_REMOVE_HEAD(&answers, link);
        m->ops->announce(m->arg, a->req, text);
        m->ops->unref(m->arg, a->req);
        free(a);
    }
    answers_drop(m, &answers);
}

void control_announce(struct manager *m)
{
    CLEANUP(freep) char *text = setting_text(m);

    if (text)
        m->ops->announce(m->arg, NULL, text);
}

/* --- waiting */

int control_wait(struct manager *m, bool drain, struct request *req, flux_error_t *error)
{
    struct control_waiter *w;

    if (m->control.nwaiters >= WAITERS_MAX)
        return errorx_fail(error, EAGAIN, "too many wait for the queue");
    if (!(w = calloc(1, sizeof(*w))))
        return -ENOMEM;
    w->req = m->ops->ref(m->arg, req);
    w->drain = drain;
    TAILQ_INSERT_TAIL(&m->control.waiters, w, link);
    m->control.nwaiters++;
    return 0;
}

void control_gone(struct manager *m, struct request *req)
{
    struct control_waiter *w, *next;

    TAILQ_FOREACH_SAFE (w, &m->control.waiters, link, next) {
        if (w->req == req)
            waiter_drop(m, w);
    }
}

void control_check(struct manager *m)
{
    bool drained = manager_count(m) == 0;
    /* Those counted as inactive have an end that is not durable yet. */
    bool idle =
        m->counts[JOB_STATE_RUN] + m->counts[JOB_STATE_CLEANUP] + m->counts[JOB_STATE_INACTIVE] ==
        0;
    struct control_waiter *w, *next;

    TAILQ_FOREACH_SAFE (w, &m->control.waiters, link, next) {
        if (w->drain ? drained : idle) {
            m->ops->respond(m->arg, w->req, "{}");
            waiter_drop(m, w);
        }
    }
}
