/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The execution service's client side: RFC 32. A job is started when its `alloc` event is durable
 * (one whose jobspec asks for simulation at once: it has no processes that nobody would remember),
 * by one request that stays open until `release` with final; those of a turn share a message. When
 * the service goes away, or after a restart of this daemon, nobody knows what became of the
 * request: the next one says reattach, whether a `start` event was seen, and whether the job is
 * only to be cleaned up.
 *
 * A new hello takes over from an older one: services restart by crashing, and there cannot be two
 * behind one socket name. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "service/log.h"
#include "manager.h"

#define START_BYTES_MAX (256u << 10) /* of one message */

int start_hello(struct manager *m, struct request *req, const char *service)
{
    CLEANUP(freep) char *name = strdup(service);
    struct job *job, *tmp;

    if (!name)
        return -ENOMEM;
    start_lost(m);
    free(m->start.service);
    m->start.service = TAKE(name);
    m->start.hello = m->ops->ref(m->arg, req);
    m->ops->respond(m->arg, req, "{}");
    log_info("execution service %s is ready", service);
    HASH_ITER (hh, m->jobs, job, tmp) {
        if (job->has_resources)
            manager_mark(m, job);
    }
    return 0;
}

void start_lost(struct manager *m)
{
    struct job *job, *tmp;

    if (!m->start.hello)
        return;
    text_deinit(&m->start.out);
    text_deinit(&m->start.archived);
    m->start.nout = 0;
    if (m->start.npending > 0)
        log_notice("the execution service went away; jobs that wait for the next one: %zu",
                   m->start.npending);
    else
        log_info("the execution service went away");
    m->ops->fail(m->arg, m->start.hello, ECONNRESET, "begin again with exec-hello");
    m->ops->unref(m->arg, m->start.hello);
    m->start.hello = NULL;
    m->start.npending = 0;
    m->ops->wake(m->arg, PEER_EXEC);
    HASH_ITER (hh, m->jobs, job, tmp) {
        job->start_pending = false;
        job->cancel_sent = false;
    }
}

static bool start_due(const struct manager *m, const struct job *job)
{
    if (!m->start.hello || !job->has_resources || job->released || job->start_pending)
        return false;
    if (!job->simulated && ((job->effects | job->effects_committing) & JOB_EFFECT_START))
        return false; /* alloc is not durable yet */
    if (job->state == JOB_STATE_RUN)
        return job->nprologs == 0 || job->start_sent;
    return job->state == JOB_STATE_CLEANUP && job->start_sent;
}

static void service_send(struct manager *m, const char *method, const char *json, bool noresponse)
{
    char topic[128];
    int rc;

    (void)snprintf(topic, sizeof(topic), "%s.%s", m->start.service, method);
    rc = m->ops->send(m->arg, topic, json, noresponse);
    if (rc < 0)
        manager_fatal(m, -rc, "cannot ask the execution service");
}

void start_archived(struct manager *m, const struct job *job)
{
    struct text *t = &m->start.archived;

    if (m->start.hello)
        text_addf(t, "%s%" PRIu64, t->len > 0 ? "," : "", job->id);
}

/* What starts, and what may be forgotten of others, in one message. */
static void starts_format(struct manager *m, struct text *t)
{
    text_adds(t, "{\"jobs\":[");
    text_add(t, m->start.out.s, m->start.out.len);
    text_adds(t, "]");
    if (m->start.archived.len > 0 && !m->start.archived.failed) {
        text_adds(t, ",\"forget\":[");
        text_add(t, m->start.archived.s, m->start.archived.len);
        text_adds(t, "]");
    }
    text_adds(t, "}");
    text_deinit(&m->start.archived);
}

static void flush_archived(struct manager *m)
{
    struct text t = { 0 };

    text_adds(&t, "{\"ids\":[");
    text_add(&t, m->start.archived.s, m->start.archived.len);
    text_adds(&t, "]}");
    if (!t.failed && !m->start.archived.failed)
        service_send(m, "forget", t.s, true);
    text_deinit(&t);
    text_deinit(&m->start.archived);
}

void start_flush(struct manager *m)
{
    struct text *out = &m->start.out;
    struct text t = { 0 };

    if (m->start.nout == 0) {
        if (m->start.archived.len > 0)
            flush_archived(m);
        return;
    }
    if (m->start.nout > 1 || m->start.archived.len > 0) {
        starts_format(m, &t);
        out = &t;
    }
    if (out->failed || m->start.out.failed)
        manager_fatal(m, ENOMEM, "cannot start a job");
    else
        service_send(m, "start", out->s, false);
    text_deinit(&t);
    text_deinit(&m->start.out);
    m->start.nout = 0;
}

void start_try(struct manager *m, struct job *job)
{
    struct text *t = &m->start.out;

    if (!start_due(m, job))
        return;
    if (m->start.nout++ > 0)
        text_adds(t, ",");
    text_addf(t, "{\"id\":%" PRIu64 ",\"userid\":%u,\"reattach\":%s", job->id, job->userid,
              job->start_sent ? "true" : "false");
    if (job->start_sent)
        text_addf(t, ",\"started\":%s,\"cleanup\":%s", job->started ? "true" : "false",
                  job->state == JOB_STATE_CLEANUP ? "true" : "false");
    else if (job->has_namespace)
        text_adds(t, ",\"guest\":true");
    text_adds(t, ",\"R\":");
    text_adds(t, job->R);
    text_adds(t, ",\"jobspec\":");
    text_adds(t, job->jobspec);
    text_adds(t, "}");
    job->start_pending = true;
    job->start_sent = true;
    m->start.npending++;
    if (t->len >= START_BYTES_MAX)
        start_flush(m);
}

void start_cancel(struct manager *m, struct job *job)
{
    char buf[96];

    if (job->cancel_sent)
        return;
    job->cancel_sent = true;
    start_flush(m); /* the start first */
    (void)snprintf(buf, sizeof(buf), "{\"id\":%" PRIu64 ",\"severity\":0}", job->id);
    service_send(m, "cancel", buf, true);
}

static int on_finish(struct manager *m, struct job *job, json_t *data)
{
    int status, archive = 0;

    if (json_unpack(data, "{s:i s?b}", "status", &status, "archive", &archive) < 0)
        return -EPROTO;
    if (job->finished) /* it may be told again after reattaching */
        return 0;
    if (event_post(m, job, &(struct event){ .type = EVENT_FINISH, .status = status }) == 0 &&
        archive)
        job->effects |= JOB_EFFECT_ARCHIVE;
    return 0;
}

static int on_release(struct manager *m, struct job *job, json_t *data)
{
    const char *ranks;
    int final;

    if (json_unpack(data, "{s:s s:b}", "ranks", &ranks, "final", &final) < 0)
        return -EPROTO;
    if (final) {
        job->start_pending = false;
        m->start.npending--;
    }
    if (final && job->state == JOB_STATE_RUN) {
        (void)event_post_exception(m, job, "exec", 0, m->owner,
                                   "the execution service ended the job without a status");
    }
    (void)event_post(m, job,
                     &(struct event){ .type = EVENT_RELEASE, .ranks = ranks, .final = final });
    return 0;
}

static int on_exception(struct manager *m, struct job *job, json_t *data)
{
    const char *type, *note = "";
    int severity;

    if (json_unpack(data, "{s:i s:s s?s}", "severity", &severity, "type", &type, "note", &note) <
            0 ||
        severity < 0 || severity > 7)
        return -EPROTO;
    (void)event_post_exception(m, job, type, severity, m->owner, note);
    return 0;
}

static int start_response_one(struct manager *m, json_t *o)
{
    const char *type;
    struct job *job;
    json_int_t id;
    json_t *data;

    if (json_unpack(o, "{s:I s:s s:o}", "id", &id, "type", &type, "data", &data) < 0)
        return -EPROTO;
    job = manager_find(m, (flux_jobid_t)id);
    if (!job || !job->start_pending) {
        log_warning("execution service answered \"%s\" for job %" JSON_INTEGER_FORMAT
                    ", which has no start request",
                    type, id);
        return 0;
    }
    if (!strcmp(type, "start")) {
        if (!job->started)
            (void)event_post(m, job, &(struct event){ .type = EVENT_START });
        return 0;
    }
    if (!strcmp(type, "finish"))
        return on_finish(m, job, data);
    if (!strcmp(type, "release"))
        return on_release(m, job, data);
    if (!strcmp(type, "exception"))
        return on_exception(m, job, data);
    return -EPROTO;
}

int start_response(struct manager *m, json_t *response)
{
    json_t *responses = json_object_get(response, "responses");
    json_t *o;
    size_t i;

    if (!responses)
        return start_response_one(m, response);
    json_array_foreach (responses, i, o) {
        int rc = start_response_one(m, o);

        if (rc < 0)
            return rc;
    }
    return 0;
}
