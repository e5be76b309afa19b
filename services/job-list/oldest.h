/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* job-list.oldest: past jobs for the job manager to purge. */
#ifndef JOB_LIST_OLDEST_H
#define JOB_LIST_OLDEST_H

#include "job-list/store.h"
#include "service/service.h"

/* Answers {max_entries, after?:[t_inactive, id]} or {ids:[...]}; npurged: purges known of. */
int oldest_answer(struct request *req, struct store *store, uint64_t npurged);

#endif
