/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Submissions that share one commit. */
#ifndef JOB_INGEST_BATCH_H
#define JOB_INGEST_BATCH_H

#include <flux/kvs.h>
#include "submission.h"

#define BATCH_JOBS_MAX  1024
#define BATCH_BYTES_MAX (8u << 20)

struct batch {
    struct submission_list list; /* ids ascending */
    size_t n, bytes;
};

void batch_init(struct batch *b);
void batch_add(struct batch *b, struct submission *s); /* takes s, which has its id */
/* Move the first of from, as many as one commit may carry, to the empty batch `to`. */
void batch_take(struct batch *from, struct batch *to);
struct submission *batch_pop(struct batch *b); /* NULL: empty */
/* The commit: J, jobspec, eventlog, job-active of each, and job-state.max_jobid. NULL with errno.
 */
flux_kvs_txn_t *batch_txn(const struct batch *b);
/* The payload of job-manager.submit. malloc'd or NULL. */
char *batch_announcement(const struct batch *b);

#endif
