/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Jobs in memory: the active ones, and those inactive ones that the store has not committed yet. */
#ifndef JOB_LIST_TABLE_H
#define JOB_LIST_TABLE_H

#include "job-list/query.h"

struct table_counts {
    size_t depend, priority, sched, run, cleanup, inactive; /* NEW counts as depend */
};

struct table {
    struct job *jobs;      /* by id */
    struct order pending;  /* highest priority first, then oldest */
    struct order running;  /* latest start first */
    struct order inactive; /* latest end first */
    struct table_counts counts;
    unsigned int epoch; /* number of the journal stream that is being read */
};

enum table_outcome {
    TABLE_OK = 0,
    TABLE_INACTIVE = 1, /* the job became inactive with this record: give it to the store */
    TABLE_GAP = 2,      /* events are missing: the job has to be read from the KVS */
};

void table_init(struct table *t);
void table_deinit(struct table *t);
struct job *table_find(const struct table *t, flux_jobid_t id);

/* One record of the events journal: {id, seq, events, jobspec?, R?, inactive?, annotations?}.
 * Events seen before are skipped. enum table_outcome with *ret_job (NULL if the job is not known),
 * or -EPROTO, -ENOMEM. */
int table_apply(struct table *t, const json_t *record, struct job **ret_job);
/* A job read from elsewhere; takes it, replacing one of the same id. */
int table_insert(struct table *t, struct job *job);
void table_remove(struct table *t, struct job *job); /* and frees it */

/* A new journal begins: jobs that it does not speak of before its end of history are stale. */
void table_begin_epoch(struct table *t);
/* An active job that this epoch's journal did not speak of, or NULL. */
struct job *table_find_stale(const struct table *t);

/* Append to array what matches, pending, running, then inactive, until it has max_entries. */
int table_list(const struct table *t, const struct query *q, json_t *array);

#endif
