/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Job events (RFC 21): one struct for all, its line in the eventlog (RFC 18), and what it does to a
 * job. Live events and those replayed from the KVS go through the same event_apply(). */
#ifndef JOB_MANAGER_EVENT_H
#define JOB_MANAGER_EVENT_H

#include <jansson.h>
#include "job.h"

enum event_type {
    EVENT_OTHER, /* anything without an effect here: debug.*, flux-restart, set-flags ... */
    EVENT_SUBMIT,
    EVENT_VALIDATE,
    EVENT_DEPENDENCY_ADD,
    EVENT_DEPENDENCY_REMOVE,
    EVENT_DEPEND,
    EVENT_PRIORITY,
    EVENT_URGENCY,
    EVENT_ALLOC,
    EVENT_PROLOG_START,
    EVENT_PROLOG_FINISH,
    EVENT_START,
    EVENT_FINISH,
    EVENT_RELEASE,
    EVENT_EPILOG_START,
    EVENT_EPILOG_FINISH,
    EVENT_FREE,
    EVENT_CLEAN,
    EVENT_EXCEPTION,
    EVENT_MEMO,
    EVENT_TYPE_COUNT
};

/* Strings are borrowed. Only the fields that the type has are looked at. */
struct event {
    enum event_type type;
    const char *name; /* EVENT_OTHER only */
    double timestamp;
    uint32_t userid;         /* submit urgency exception */
    int urgency;             /* submit urgency */
    int flags;               /* submit */
    uint32_t priority;       /* priority */
    int status;              /* finish prolog-finish epilog-finish */
    int severity;            /* exception */
    bool final;              /* release */
    const char *description; /* dependency-* prolog-* epilog-* */
    const char *etype;       /* exception: its type */
    const char *note;        /* exception */
    const char *ranks;       /* release */
    const json_t *context; /* alloc: {"annotations":...} or NULL; memo: an object; other: either */
};

const char *event_type_name(enum event_type type);
/* Adds the line, newline included. */
void event_format(const struct event *ev, struct text *out);
/* Strings in *ret are lent by entry. 0 or -EPROTO. */
int event_decode(const json_t *entry, struct event *ret);
/* Change the job as the event says. 0, -EINVAL if the event cannot happen in this state (the job is
 * unchanged), -ENOMEM. */
int event_apply(struct job *job, const struct event *ev);
/* Apply a whole eventlog to a new job and keep it as its log, all durable. 0, -EPROTO with a
 * sentence, -ENOMEM. */
int event_replay(struct job *job, const char *eventlog, size_t len, flux_error_t *error);

#endif
