/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What commands share: messages on stderr, opening the instance, waiting for one answer. */
#ifndef FLUXCTL_CLIENT_H
#define FLUXCTL_CLIENT_H

#include <jansson.h>
#include <flux/core.h>

#include "base/cleanup.h"
#include "options.h"

DEFINE_CLEANUP(flux_t *, flux_close)
DEFINE_CLEANUP(flux_future_t *, flux_future_destroy)

/* "flux-COMMAND: text" on stderr, named as its manual page is: "flux-kvs: " for flux kvs get.
 * complain() returns EXIT_FAILURE, for "return complain(...)". */
void client_set_command(const char *name);
int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same, on another file. */
int complain_to(FILE *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What was printed has arrived: EXIT_SUCCESS. Else complains, EXIT_FAILURE. */
int output_check(void);
/* For commands that go on printing: send out what there is. Ends the process if that fails. */
void output_flush(void);
/* After a write of much data that has just failed: the same, with errno as the reason. */
void output_fail(void) __attribute__((noreturn));

/* "flux-COMMAND: text: why", the reason taken from a failed future (or errno if f is NULL). */
int complain_future(flux_future_t *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The reason a future failed, in words; call right after the failure. */
const char *future_reason(flux_future_t *f);

/* Open the instance with FLUX_O_RECONNECT. NULL: has complained and said how to start one. */
flux_t *client_open(void);

/* Send a request and wait for its answer; payload is stolen and may be NULL. The answer is a new
 * reference, an empty object if it has no payload. NULL: has complained ("cannot WHAT: reason"). */
json_t *client_call(flux_t *h, const char *topic, json_t *payload, const char *what);
json_t *client_call_rank(flux_t *h, const char *topic, uint32_t rank, json_t *payload,
                         const char *what);

/* Arguments. All complain and return -1 when the text is wrong. */
int parse_jobid(const char *s, flux_jobid_t *ret);
int parse_count(const char *s, const char *what, int min, int *ret);
int parse_duration(const char *s, const char *what, double *ret);
int parse_urgency(const char *s, const char *what, int *ret);
int parse_signal(const char *s, int *ret);    /* "TERM", "SIGTERM", "15" */
json_t *parse_value(const char *s);           /* JSON, else the text itself; NULL ENOMEM, EILSEQ */
int parse_user(const char *s, uint32_t *ret); /* a name, a number, or "all": unknown */
/* At most one of two options may be given. */
int refuse_both(const struct cmdline *c, const char *a, const char *b);

/* The ending of a word of which there are n: "%zu job%s". */
const char *plural(size_t n);

/* A job id in the encoding for people; the text is static, for one use at a time. */
const char *jobid_text(flux_jobid_t id);

#endif
