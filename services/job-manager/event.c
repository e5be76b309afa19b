/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What each event carries, in which states it may happen, and what it changes. Three columns of one
 * table: format, decode, apply. Nothing else in the job manager changes what an eventlog says of a
 * job; so replaying a log gives the job that wrote it (test-event checks that).
 * Refuses events that cannot happen in the job's state. Keys of a context that are not known here
 * are ignored, as RFC 21 wants. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/errorx.h"
#include "base/eventlog.h"
#include "event.h"

#define IN(s)      (1u << JOB_STATE_##s)
#define IN_PENDING (IN(DEPEND) | IN(PRIORITY) | IN(SCHED))
#define IN_RUNNING (IN(RUN) | IN(CLEANUP))
#define IN_ACTIVE  (IN(NEW) | IN_PENDING | IN_RUNNING)

struct event_desc {
    const char *name;
    unsigned int states;
    void (*format)(const struct event *ev, struct text *out); /* the context; NULL: none */
    int (*decode)(json_t *context, struct event *ev);
    int (*apply)(struct job *job, const struct event *ev);
};

/* --- submit, validate --- */

static void submit_format(const struct event *ev, struct text *out)
{
    text_addf(out, "{\"userid\":%u,\"urgency\":%d,\"flags\":%d,\"version\":1}", ev->userid,
              ev->urgency, ev->flags);
}

static int submit_decode(json_t *context, struct event *ev)
{
    json_int_t userid;
    int version = 1;

    if (json_unpack(context, "{s:I s:i s:i s?i}", "userid", &userid, "urgency", &ev->urgency,
                    "flags", &ev->flags, "version", &version) < 0 ||
        version != 1 || userid < 0 || userid > UINT32_MAX || ev->urgency < 0 || ev->urgency > 31)
        return -EPROTO;
    ev->userid = (uint32_t)userid;
    return 0;
}

static int submit_apply(struct job *job, const struct event *ev)
{
    if (job->t_submit > 0)
        return -EINVAL;
    job->userid = ev->userid;
    job->urgency = (unsigned int)ev->urgency & 0xff;
    job->flags = (unsigned int)ev->flags & 0xffff;
    job->t_submit = ev->timestamp;
    return 0;
}

static int validate_apply(struct job *job, const struct event *ev)
{
    (void)ev;
    return job->t_submit > 0 ? job_set_state(job, JOB_STATE_DEPEND) : -EINVAL;
}

/* --- dependencies, prolog, epilog: things counted by a description --- */

static void description_format(const struct event *ev, struct text *out)
{
    text_adds(out, "{\"description\":");
    text_add_json_string(out, ev->description);
    text_adds(out, "}");
}

static int description_decode(json_t *context, struct event *ev)
{
    return json_unpack(context, "{s:s}", "description", &ev->description) < 0 ? -EPROTO : 0;
}

static void action_format(const struct event *ev, struct text *out)
{
    text_adds(out, "{\"description\":");
    text_add_json_string(out, ev->description);
    text_addf(out, ",\"status\":%d}", ev->status);
}

static int action_decode(json_t *context, struct event *ev)
{
    if (json_unpack(context, "{s:s s:i}", "description", &ev->description, "status", &ev->status) <
        0)
        return -EPROTO;
    return 0;
}

static int count_down(unsigned int *count)
{
    if (*count == 0)
        return -EINVAL;
    --*count;
    return 0;
}

static int dependency_add_apply(struct job *job, const struct event *ev)
{
    (void)ev;
    job->ndependencies++;
    job->dependencies_set = true;
    return 0;
}

static int dependency_remove_apply(struct job *job, const struct event *ev)
{
    (void)ev;
    return count_down(&job->ndependencies);
}

static int prolog_start_apply(struct job *job, const struct event *ev)
{
    (void)ev;
    job->nprologs++;
    return 0;
}

static int prolog_finish_apply(struct job *job, const struct event *ev)
{
    (void)ev;
    return count_down(&job->nprologs);
}

static int epilog_start_apply(struct job *job, const struct event *ev)
{
    (void)ev;
    job->nepilogs++;
    return 0;
}

static int epilog_finish_apply(struct job *job, const struct event *ev)
{
    (void)ev;
    return count_down(&job->nepilogs);
}

static int depend_apply(struct job *job, const struct event *ev)
{
    (void)ev;
    return job->ndependencies == 0 ? job_set_state(job, JOB_STATE_PRIORITY) : -EINVAL;
}

/* --- priority, urgency --- */

static void priority_format(const struct event *ev, struct text *out)
{
    text_addf(out, "{\"priority\":%u}", ev->priority);
}

static int priority_decode(json_t *context, struct event *ev)
{
    json_int_t priority;

    if (json_unpack(context, "{s:I}", "priority", &priority) < 0 || priority < 0 ||
        priority > UINT32_MAX)
        return -EPROTO;
    ev->priority = (uint32_t)priority;
    return 0;
}

static int priority_apply(struct job *job, const struct event *ev)
{
    if (job->state == JOB_STATE_PRIORITY) {
        int rc = job_set_state(job, JOB_STATE_SCHED);

        if (rc < 0)
            return rc;
    }
    job->priority = ev->priority;
    return 0;
}

static void urgency_format(const struct event *ev, struct text *out)
{
    text_addf(out, "{\"urgency\":%d,\"userid\":%u}", ev->urgency, ev->userid);
}

static int urgency_decode(json_t *context, struct event *ev)
{
    json_int_t userid = 0;

    if (json_unpack(context, "{s:i s?I}", "urgency", &ev->urgency, "userid", &userid) < 0 ||
        ev->urgency < 0 || ev->urgency > 31 || userid < 0 || userid > UINT32_MAX)
        return -EPROTO;
    ev->userid = (uint32_t)userid;
    return 0;
}

static int urgency_apply(struct job *job, const struct event *ev)
{
    job->urgency = (unsigned int)ev->urgency & 0xff;
    return 0;
}

/* --- alloc to clean --- */

static void object_format(const struct event *ev, struct text *out)
{
    char *s = json_dumps(ev->context, JSON_COMPACT);

    if (!s) {
        out->failed = true;
        return;
    }
    text_adds(out, s);
    free(s);
}

static int object_decode(json_t *context, struct event *ev)
{
    ev->context = context;
    return 0;
}

static int alloc_apply(struct job *job, const struct event *ev)
{
    json_t *annotations = json_object_get(ev->context, "annotations");
    int rc = job_set_state(job, JOB_STATE_RUN);

    if (rc == 0 && annotations && annotations != job->annotations)
        rc = annotate_job(job, annotations);
    if (rc < 0)
        return rc;
    job->has_resources = job->ran = true;
    job->released = false;
    return 0;
}

static int start_apply(struct job *job, const struct event *ev)
{
    (void)ev;
    if (!job->has_resources)
        return -EINVAL;
    job->started = true;
    return 0;
}

static void finish_format(const struct event *ev, struct text *out)
{
    text_addf(out, "{\"status\":%d}", ev->status);
}

static int finish_decode(json_t *context, struct event *ev)
{
    return json_unpack(context, "{s:i}", "status", &ev->status) < 0 ? -EPROTO : 0;
}

static int finish_apply(struct job *job, const struct event *ev)
{
    if (!job->has_resources || job->finished)
        return -EINVAL;
    if (job->state == JOB_STATE_RUN) {
        int rc = job_set_state(job, JOB_STATE_CLEANUP);

        if (rc < 0)
            return rc;
    }
    job->finished = true;
    job->status = ev->status;
    return 0;
}

static void release_format(const struct event *ev, struct text *out)
{
    text_adds(out, "{\"ranks\":");
    text_add_json_string(out, ev->ranks);
    text_addf(out, ",\"final\":%s}", ev->final ? "true" : "false");
}

static int release_decode(json_t *context, struct event *ev)
{
    int final;

    if (json_unpack(context, "{s:s s:b}", "ranks", &ev->ranks, "final", &final) < 0)
        return -EPROTO;
    ev->final = final;
    return 0;
}

static int release_apply(struct job *job, const struct event *ev)
{
    if (!job->has_resources)
        return -EINVAL;
    if (ev->final)
        job->released = true;
    return 0;
}

static int free_apply(struct job *job, const struct event *ev)
{
    (void)ev;
    if (!job->has_resources)
        return -EINVAL;
    job->has_resources = false;
    job->released = true;
    return 0;
}

static int clean_apply(struct job *job, const struct event *ev)
{
    (void)ev;
    return job->has_resources ? -EINVAL : job_set_state(job, JOB_STATE_INACTIVE);
}

/* --- exception --- */

static void exception_format(const struct event *ev, struct text *out)
{
    text_adds(out, "{\"type\":");
    text_add_json_string(out, ev->etype);
    text_addf(out, ",\"severity\":%d,\"note\":", ev->severity);
    text_add_json_string(out, ev->note ? ev->note : "");
    if (ev->userid != FLUX_USERID_UNKNOWN)
        text_addf(out, ",\"userid\":%u", ev->userid);
    text_adds(out, "}");
}

static int exception_decode(json_t *context, struct event *ev)
{
    json_int_t userid = FLUX_USERID_UNKNOWN;

    ev->note = "";
    if (json_unpack(context, "{s:s s:i s?s s?I}", "type", &ev->etype, "severity", &ev->severity,
                    "note", &ev->note, "userid", &userid) < 0 ||
        ev->severity < 0 || ev->severity > 7 || userid < 0 || userid > UINT32_MAX)
        return -EPROTO;
    ev->userid = (uint32_t)userid;
    return 0;
}

static int exception_apply(struct job *job, const struct event *ev)
{
    CLEANUP(freep) char *exception = NULL;

    if (ev->severity > 0)
        return 0;
    if (!job->failed) {
        const char *note = ev->note ? ev->note : "";

        if (asprintf(&exception, "type=%s%s%s", ev->etype, *note ? " " : "", note) < 0) {
            exception = NULL;
            return -ENOMEM;
        }
    }
    if (job->state != JOB_STATE_CLEANUP) {
        int rc = job_set_state(job, JOB_STATE_CLEANUP);

        if (rc < 0)
            return rc;
    }
    if (!job->failed) {
        job->failed = true;
        job->canceled = !strcmp(ev->etype, "cancel");
        job->exception = TAKE(exception);
    }
    return 0;
}

/* --- memo --- */

static int memo_decode(json_t *context, struct event *ev)
{
    ev->context = context;
    return json_is_object(context) ? 0 : -EPROTO;
}

static int memo_apply(struct job *job, const struct event *ev)
{
    CLEANUP(json_decrefp) json_t *user = json_pack("{s:O}", "user", (json_t *)ev->context);

    return user ? annotate_job(job, user) : -ENOMEM;
}

static int other_apply(struct job *job, const struct event *ev)
{
    (void)job;
    (void)ev;
    return 0;
}

static const struct event_desc events[EVENT_TYPE_COUNT] = {
    [EVENT_OTHER] = { NULL, IN_ACTIVE, object_format, object_decode, other_apply },
    [EVENT_SUBMIT] = { "submit", IN(NEW), submit_format, submit_decode, submit_apply },
    [EVENT_VALIDATE] = { "validate", IN(NEW), NULL, NULL, validate_apply },
    [EVENT_DEPENDENCY_ADD] = { "dependency-add", IN(DEPEND), description_format, description_decode,
                               dependency_add_apply },
    [EVENT_DEPENDENCY_REMOVE] = { "dependency-remove", IN(DEPEND), description_format,
                                  description_decode, dependency_remove_apply },
    [EVENT_DEPEND] = { "depend", IN(DEPEND), NULL, NULL, depend_apply },
    [EVENT_PRIORITY] = { "priority", IN(PRIORITY) | IN(SCHED), priority_format, priority_decode,
                         priority_apply },
    [EVENT_URGENCY] = { "urgency", IN_PENDING, urgency_format, urgency_decode, urgency_apply },
    [EVENT_ALLOC] = { "alloc", IN(SCHED), object_format, object_decode, alloc_apply },
    [EVENT_PROLOG_START] = { "prolog-start", IN_RUNNING, description_format, description_decode,
                             prolog_start_apply },
    [EVENT_PROLOG_FINISH] = { "prolog-finish", IN_RUNNING, action_format, action_decode,
                              prolog_finish_apply },
    [EVENT_START] = { "start", IN_RUNNING, NULL, NULL, start_apply },
    [EVENT_FINISH] = { "finish", IN_RUNNING, finish_format, finish_decode, finish_apply },
    [EVENT_RELEASE] = { "release", IN_RUNNING, release_format, release_decode, release_apply },
    [EVENT_EPILOG_START] = { "epilog-start", IN_RUNNING, description_format, description_decode,
                             epilog_start_apply },
    [EVENT_EPILOG_FINISH] = { "epilog-finish", IN_RUNNING, action_format, action_decode,
                              epilog_finish_apply },
    [EVENT_FREE] = { "free", IN(CLEANUP), NULL, NULL, free_apply },
    [EVENT_CLEAN] = { "clean", IN(CLEANUP), NULL, NULL, clean_apply },
    [EVENT_EXCEPTION] = { "exception", IN_ACTIVE, exception_format, exception_decode,
                          exception_apply },
    [EVENT_MEMO] = { "memo", IN_ACTIVE, object_format, memo_decode, memo_apply },
};

const char *event_type_name(enum event_type type)
{
    return type > EVENT_OTHER && type < EVENT_TYPE_COUNT ? events[type].name : "other";
}

static enum event_type event_type_find(const char *name)
{
    for (int i = EVENT_OTHER + 1; i < EVENT_TYPE_COUNT; i++) {
        if (!strcmp(events[i].name, name))
            return (enum event_type)i;
    }
    return EVENT_OTHER;
}

void event_format(const struct event *ev, struct text *out)
{
    const struct event_desc *desc = &events[ev->type];

    text_addf(out, "{\"timestamp\":%.6f,\"name\":\"%s\"", ev->timestamp,
              ev->type == EVENT_OTHER ? ev->name : desc->name);
    if (desc->format && (desc->format != object_format || ev->context)) {
        text_adds(out, ",\"context\":");
        desc->format(ev, out);
    }
    text_adds(out, "}\n");
}

int event_decode(const json_t *entry, struct event *ret)
{
    struct event ev = { .userid = FLUX_USERID_UNKNOWN };
    json_t *context;
    int rc = eventlog_entry_parse(entry, &ev.timestamp, &ev.name, &context);

    if (rc < 0)
        return rc;
    ev.type = event_type_find(ev.name);
    if (events[ev.type].decode) {
        if (!context && events[ev.type].decode != object_decode)
            return -EPROTO;
        rc = events[ev.type].decode(context, &ev);
        if (rc < 0)
            return rc;
    }
    *ret = ev;
    return 0;
}

int event_apply(struct job *job, const struct event *ev)
{
    if (!(events[ev->type].states & (1u << job->state)))
        return -EINVAL;
    return events[ev->type].apply(job, ev);
}

int event_replay(struct job *job, const char *eventlog, size_t len, flux_error_t *error)
{
    CLEANUP(json_decrefp) json_t *entries = eventlog_decode(eventlog, len, error);
    json_t *entry;
    size_t i;

    if (!entries)
        return -EPROTO;
    json_array_foreach (entries, i, entry) {
        struct event ev;
        int rc = event_decode(entry, &ev);

        if (rc == 0)
            rc = event_apply(job, &ev);
        if (rc == -ENOMEM)
            return rc;
        if (rc < 0)
            return errorx_fail(error, EPROTO, "event %zu of the eventlog cannot follow state %s",
                               i + 1, job_state_name(job->state));
        job->nevents++;
    }
    text_add(&job->log, eventlog, len);
    if (job->log.failed)
        return -ENOMEM;
    job->log_committing = job->log_durable = job->log.len;
    job->nevents_committing = job->nevents_durable = job->nevents;
    return 0;
}
