/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The shells of a job on other nodes, seen from the leader: each is started, watched and signaled
 * through flux-exec there (rexec.job-start, part.c). A node that cannot be reached is asked again
 * until exec.node-timeout; then it is lost, and the job with it. */
#ifndef EXEC_PARTS_H
#define EXEC_PARTS_H

#include <flux/core.h>
#include <flux/idset.h>
#include "base/cleanup.h"

struct job;
struct parts;

/* ranks: where, without this node. */
int parts_new(struct job *job, const struct idset *ranks, struct parts **ret);
struct parts *parts_free(struct parts *p); /* shells stay */

/* Start them, or take them up if they are there. The job has its jobspec and namespace. */
void parts_start(struct parts *p, bool reattach);
void parts_signal(struct parts *p, int signum);
/* The job's data is safe: nothing needs to be remembered there. */
void parts_forget(struct parts *p);

bool parts_started(const struct parts *p); /* was parts_start() called? */
bool parts_running(const struct parts *p); /* all have started, or ended */
bool parts_ended(const struct parts *p);
bool parts_lost(const struct parts *p, uint32_t rank); /* given up: what runs there is to end */
/* The highest wait status; false: of some it is not known. */
bool parts_status(const struct parts *p, int *ret_status);

#endif
