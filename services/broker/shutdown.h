/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The end of the instance in good order, on rank 0 and on the others.
 *
 *   CLEANUP   rank 0: nothing is started any more, what runs is cancelled (job-manager.quiesce)
 *   SHUTDOWN  the nodes below leave first; each does the same with those below it
 *   FINALIZE  rank 0: the end is noted in the KVS; who asked for it may still read
 *   GOODBYE   the daemons of this node are told to end; the router follows
 *
 * Every state has a limit: whoever is not done by then is named and not waited for. */
#ifndef BROKER_SHUTDOWN_H
#define BROKER_SHUTDOWN_H

#include <flux/core.h>
#include "base/list.h"
#include "broker/state.h"

#define CLEANUP_SECONDS  60. /* broker.cleanup-timeout, unless it is set */
#define SHUTDOWN_SECONDS 10. /* broker.shutdown-timeout */

#define BROKER_EXIT_SHUTDOWN \
    64 /* of the router: the instance was shut down, do not start it again */

struct manager;
struct shutdown_waiter;

struct shutdown {
    struct manager *m;
    double cleanup_limit, children_limit; /* seconds; 0: none */
    flux_future_t *start;                 /* the KVS is told of the beginning */
    flux_future_t *jobs;                  /* nothing is started while it lives */
    bool mute;                            /* it should have, and has not */
    bool answered;                        /* job-manager has */
    flux_future_t *finish;                /* and of the end */
    flux_watcher_t *limit;                /* of the state */
    flux_watcher_t *next;                 /* the state is over: go on from the loop */
    TAILQ_HEAD(, shutdown_waiter) waiters;
    char busy[256]; /* who is waited for, as it was told last */
};

int shutdown_init(struct shutdown *s, struct manager *m);
void shutdown_deinit(struct shutdown *s);
/* Rank 0. A streaming request is told {state, level, text} until GOODBYE; with hold, the instance
 * stays in FINALIZE until the request is gone. 0 or -errno with a sentence given. */
int shutdown_request(struct shutdown *s, struct request *req, bool hold);
/* The node above is shutting down. */
void shutdown_begin_follower(struct shutdown *s);
/* RUN for the first time: list it in the KVS. */
void shutdown_note_start(struct shutdown *s);
/* The nodes below have changed. */
void shutdown_on_tree(struct shutdown *s);

#endif
