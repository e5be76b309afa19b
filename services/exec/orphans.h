/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What is left on this node of jobs whose end rank 0 could not tell it: shells and tasks, and the
 * records of shells that have ended. While rank 0 cannot be reached nothing here is touched, for
 * however long; once it answers, what belongs to no running job is killed. */
#ifndef EXEC_ORPHANS_H
#define EXEC_ORPHANS_H

#include "base/cleanup.h"

struct jobs;
struct orphans;

#define ORPHANS_RETRY_SECONDS 2.

/* retry: seconds until rank 0 is asked, and asked again. */
int orphans_new(struct jobs *jobs, double retry, struct orphans **ret);
struct orphans *orphans_free(struct orphans *o);
DEFINE_CLEANUP(struct orphans *, orphans_free)

/* Look for them, once rank 0 had a moment to take up what is its own. o may be NULL: on the leader,
 * which hears of its jobs from the job manager. */
void orphans_look(struct orphans *o);
/* The same in a minute, if nothing else asks for it before: a record is left that rank 0 will say
 * is not needed any more. */
void orphans_look_later(struct orphans *o);

#endif
