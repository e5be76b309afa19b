/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What is left on this node of jobs whose end rank 0 could not tell it: shells and tasks, and the
 * records of shells that have ended. While rank 0 cannot be reached nothing here is touched, for
 * however long; once it answers, what belongs to no running job is killed. */
#ifndef EXEC_ORPHANS_H
#define EXEC_ORPHANS_H

#include "base/cleanup.h"

struct jobs;
struct orphans;

#define ORPHANS_RETRY_SECONDS  2.  /* until rank 0 answers, or has taken up what is its own */
#define ORPHANS_RECORD_SECONDS 60. /* for rank 0 to say that a record may go */

int orphans_new(struct jobs *jobs, struct orphans **ret);
struct orphans *orphans_free(struct orphans *o);
DEFINE_CLEANUP(struct orphans *, orphans_free)

/* Look for them in so many seconds, or earlier if that was asked for already. o may be NULL: on
 * the leader, which hears of its jobs from the job manager. */
void orphans_look(struct orphans *o, double seconds);

#endif
