/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Runs of the instance: from when rank 0 is started until it is stopped for good (rank 0's router
 * only). A router that is started again within a run, after a crash too, goes on with it.
 *
 * STATEDIR/run.json says when the last run began and, if it ended in order, when it ended; the list
 * of all runs is the eventlog "admin.eventlog" in the KVS (flux-startlog(1)). */
#ifndef BROKER_RUNLOG_H
#define BROKER_RUNLOG_H

#include <flux/core.h>
#include "service/service.h"

#define RUN_ID_SIZE 33

struct runlog {
    struct service *svc;
    char *path; /* NULL: there is no state directory */
    char id[RUN_ID_SIZE];
    double start;
    double stop;   /* of the run before, if it is not in the KVS yet; 0: it is, or there is none */
    bool resumed;  /* this process goes on with a run */
    bool quorum;   /* the run has had its quorum */
    bool unclean;  /* the run before has no end */
    bool finished; /* this one has its end */
};

/* 0 or -errno. */
int runlog_begin(struct runlog *log, struct service *svc);
void runlog_deinit(struct runlog *log);
/* The quorum was reached: a router that is started again within this run does not wait for it. */
void runlog_set_quorum(struct runlog *log);
/* The process ends in order; if nobody takes up the run, it ended now. */
void runlog_stopped(struct runlog *log);
/* What the KVS is to know of the beginning, and of the end. The future of a commit, or NULL. */
flux_future_t *runlog_post_start(struct runlog *log, flux_t *h);
flux_future_t *runlog_post_finish(struct runlog *log, flux_t *h);
/* The beginning is in the KVS. */
void runlog_started(struct runlog *log);
/* That end is in the KVS. */
void runlog_finished(struct runlog *log);

#endif
