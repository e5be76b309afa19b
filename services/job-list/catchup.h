/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Requests that wait until the journal has told all that was durable when they came. */
#ifndef JOB_LIST_CATCHUP_H
#define JOB_LIST_CATCHUP_H

#include "job-list/waiters.h"

struct catchup;

/* fn: caught up, or final: waited too long for it. */
int catchup_new(flux_t *h, double seconds, waiters_answer_f fn, void *arg, struct catchup **ret);
struct catchup *catchup_free(struct catchup *c);
DEFINE_CLEANUP(struct catchup *, catchup_free)

/* Keeps a reference. 0, -EAGAIN (too many wait), -ENOMEM. */
int catchup_add(struct catchup *c, struct request *req);
void catchup_heard(struct catchup *c, uint64_t serial); /* a response of the journal, applied */
void catchup_lost(struct catchup *c);                   /* the journal is opened anew */
size_t catchup_count(const struct catchup *c);

#endif
