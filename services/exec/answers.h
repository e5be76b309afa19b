/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the job manager is told about jobs (RFC 32): gathered for one pass of the loop and sent as
 * one message. While no job manager listens answers are dropped; it asks again for every job it
 * believes to run, and is told then. */
#ifndef EXEC_ANSWERS_H
#define EXEC_ANSWERS_H

#include <flux/core.h>
#include "service/service.h"

struct answers;

int answers_new(flux_reactor_t *r, struct answers **ret);
struct answers *answers_free(struct answers *a);
DEFINE_CLEANUP(struct answers *, answers_free)

/* A start request: answers travel on the latest one of the job manager, which is whoever asked
 * first and is still there. Keeps a reference. 0, or -EBUSY: it comes from somebody else. */
int answers_set_carrier(struct answers *a, struct request *req);

void answers_start(struct answers *a, flux_jobid_t id);
/* archive: the job manager is to archive its namespace. */
void answers_finish(struct answers *a, flux_jobid_t id, int status, bool archive);
void answers_release(struct answers *a, flux_jobid_t id, const char *ranks);
void answers_exception(struct answers *a, flux_jobid_t id, const char *type, const char *note);

#endif
