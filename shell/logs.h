/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The eventlogs that a shell writes into its job's namespace: exec.eventlog, output, input.
 * Appended text is gathered for a moment and goes out in one commit for all three; one commit is in
 * flight at a time. The shell is their only writer while it lives, so after a lost answer the
 * length of a log says whether the commit happened. */
#ifndef SHELL_LOGS_H
#define SHELL_LOGS_H

#include <jansson.h>
#include <flux/core.h>
#include "base/cleanup.h"

enum log_name { LOGS_EXEC, LOGS_OUTPUT, LOGS_INPUT, LOGS_COUNT };

#define LOGS_FULL (1024 * 1024) /* bytes that may wait before sources should pause */

struct logs;

struct logs_events {
    void (*on_room)(void *arg);                  /* there is room again, after logs_is_full() */
    void (*on_dead)(void *arg, const char *why); /* the namespace is gone: nothing can be written */
    void *arg;
};

int logs_new(flux_t *h, const char *ns, const struct logs_events *events, struct logs **ret);
struct logs *logs_free(struct logs *logs);
DEFINE_CLEANUP(struct logs *, logs_free)

/* Of a shell that is not the leader: what is appended goes to him, nothing to the KVS. */
struct logs_relay {
    int (*append)(void *arg, enum log_name name, const char *text, size_t len);
    bool (*is_full)(void *arg);
    void (*finish)(void *arg, void (*cb)(void *arg), void *cb_arg); /* call cb when he has it all */
    void *arg;
};
int logs_new_relay(const struct logs_relay *relay, struct logs **ret);

/* Text of whole lines. 0 or -ENOMEM. */
int logs_append(struct logs *logs, enum log_name name, const char *text, size_t len);
/* An RFC 18 event of now; context as json_pack(3) takes it, fmt NULL: none. */
int logs_event(struct logs *logs, enum log_name name, const char *event, const char *fmt, ...);
int logs_event_json(struct logs *logs, enum log_name name, const char *event, json_t *context);

/* How long text waits for more. */
void logs_set_delay(struct logs *logs, double seconds);
bool logs_is_full(const struct logs *logs);
bool logs_is_empty(const struct logs *logs, enum log_name name); /* nothing was ever appended */
/* Write everything now, then call. */
void logs_finish(struct logs *logs, void (*cb)(void *arg), void *arg);

#endif
