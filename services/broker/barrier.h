/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Barriers: who enters one waits until nprocs have. Each router counts those of its node and those
 * below, and tells its parent how many more have come; rank 0 decides, and its decision goes down
 * to those who have entered, and to nobody else. */
#ifndef BROKER_BARRIER_H
#define BROKER_BARRIER_H

#include <jansson.h>
#include "base/hash.h"
#include "base/list.h"
#include "broker/batch.h"
#include "service/service.h"

#define BARRIER_NAME_MAX 256

struct barrier;
struct barrier_child;
struct router;

struct barriers {
    struct router *router;
    struct barrier *all;
    TAILQ_HEAD(, barrier) changed;
    TAILQ_HEAD(, barrier_child) children;
    uint32_t next_id; /* of entries */
    struct batch batch;
    uint64_t completed, failed; /* that were decided here (rank 0) */
};

int barriers_init(struct barriers *bs, struct router *r, flux_reactor_t *reactor);
void barriers_deinit(struct barriers *bs);

/* barrier.enter {name, nprocs}: answered when all have entered, or when the barrier fails. 0 or
 * -errno with a sentence. */
int barriers_enter(struct barriers *bs, struct request *req, const char *name, json_int_t nprocs);

/* From a child, no answer: {enter:[[userid, name, nprocs, count],...],
 * fail:[[userid, name, errnum, why],...]}: so many more have entered; it cannot be completed. What
 * a child has told ends with its session, which this request comes from. 0 or -errno. */
int barriers_update(struct barriers *bs, struct request *req, uint32_t rank, const json_t *enter,
                    const json_t *fail);
/* From the parent: {exit:[[userid, name, count, errnum, why],...]}: the first so many of those
 * below who wait there leave it; errnum 0: it is complete. 0 or -errno. */
int barriers_exit(struct barriers *bs, const json_t *exits);

/* There is a new session with the parent. */
void barriers_on_parent(struct barriers *bs);
/* The way to rank 0 is lost, or this router ends: all of them fail. */
void barriers_abort(struct barriers *bs, int errnum, const char *why);

/* For the next process, to which the sessions with other nodes go on; new. The request of a process
 * that has entered goes on, too, with what barriers_handover() says (NULL: it has not). */
json_t *barriers_encode(const struct barriers *bs);
json_t *barriers_handover(const struct barriers *bs, struct request *req);
void barriers_restore(struct barriers *bs, const json_t *o);
/* All requests are back, and the children that are still there: the others have left. */
void barriers_restored(struct barriers *bs);

json_t *barriers_stats(const struct barriers *bs); /* new */

#endif
