/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Reads jobs back from the KVS into the store: single ones, or all that the store does not have. */
#ifndef JOB_LIST_REBUILD_H
#define JOB_LIST_REBUILD_H

#include <flux/core.h>
#include "job-list/store.h"

struct rebuild;

struct rebuild_ops {
    bool (*known)(flux_jobid_t id, void *arg); /* no need to read this one */
    /* A job was read; taken by the callee. Active jobs are told too. */
    void (*found)(struct job *job, void *arg);
    void (*done)(size_t nfound, int rc, void *arg); /* nothing is left to do */
};

int rebuild_new(flux_t *h, const struct rebuild_ops *ops, void *arg, struct rebuild **ret);
struct rebuild *rebuild_free(struct rebuild *rb);
DEFINE_CLEANUP(struct rebuild *, rebuild_free)

/* One job. 0, -ENOMEM. */
int rebuild_job(struct rebuild *rb, flux_jobid_t id);
/* Walk the whole job directory. 0, -EBUSY (walking already), -ENOMEM. */
int rebuild_walk(struct rebuild *rb);
bool rebuild_active(const struct rebuild *rb);

#endif
