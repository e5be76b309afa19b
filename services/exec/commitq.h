/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Changes of the primary namespace on behalf of many jobs, gathered into few commits: two
 * may be in flight, what comes meanwhile goes into the next. */
#ifndef EXEC_COMMITQ_H
#define EXEC_COMMITQ_H

#include <flux/core.h>
#include "base/cleanup.h"
#include "base/list.h"

struct commitq;
struct flight;

/* errnum 0: the change is durable. */
typedef void (*commit_done_f)(void *arg, int errnum, const char *errstr);

/* One change, embedded in what asks for it. */
struct commit_op {
    int (*fill)(flux_kvs_txn_t *txn, void *arg); /* add the operations; 0 or -errno */
    commit_done_f done;
    void *arg;
    enum { COMMIT_IDLE, COMMIT_QUEUED, COMMIT_SENT } state;
    bool alone;            /* after a batch was refused: by itself, to see which change it was */
    struct flight *flight; /* of a sent one */
    TAILQ_ENTRY(commit_op) link;
};

/* on_unknown: a commit may or may not have happened (the connection was lost, an I/O error). */
int commitq_new(flux_t *h, flux_reactor_t *r, void (*on_unknown)(void *arg, const char *why),
                void *arg, struct commitq **ret);
struct commitq *commitq_free(struct commitq *q);
DEFINE_CLEANUP(struct commitq *, commitq_free)

void commitq_push(struct commitq *q, struct commit_op *op);
/* Take back what was not sent yet; the answer to what was sent will not be reported. */
void commitq_cancel(struct commitq *q, struct commit_op *op);
bool commitq_idle(const struct commitq *q);

#endif
