/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The methods job-list.list, list-id, job-stats and oldest: what is known of active and past jobs,
 * once it is known. */
#ifndef JOB_LIST_ANSWERS_H
#define JOB_LIST_ANSWERS_H

#include "job-list/store.h"
#include "job-list/table.h"
#include "service/service.h"

struct answers;

/* Borrows table and store. */
int answers_new(flux_t *h, struct table *table, struct store *store, struct answers **ret);
struct answers *answers_free(struct answers *a);
DEFINE_CLEANUP(struct answers *, answers_free)

/* Table and store miss nothing of the history. Answers who waited for that. */
void answers_complete(struct answers *a);
bool answers_are_complete(const struct answers *a);
void answers_journal_lost(struct answers *a); /* not complete any more */
void answers_journal_heard(struct answers *a, uint64_t serial, uint64_t npurged);
void answers_job_heard(struct answers *a, flux_jobid_t id);
size_t answers_waiting(const struct answers *a);

int answers_list(struct answers *a, struct request *req);
int answers_list_id(struct answers *a, struct request *req);
int answers_job_stats(struct answers *a, struct request *req);
int answers_oldest(struct answers *a, struct request *req);

#endif
