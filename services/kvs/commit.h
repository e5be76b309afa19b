/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Group commit: transactions queue while a commit is being stored; then all of them become one new
 * root per namespace and one content.commit. */
#ifndef KVS_COMMIT_H
#define KVS_COMMIT_H

#include "kvs/txn.h"

struct committer_stats {
    uint64_t transactions, batches, failed;
    size_t largest_batch, queued;
};

int committer_new(struct kvs *k, struct committer **ret);
struct committer *committer_free(struct committer *c);

/* Takes t over; done is called later, never from within. */
void commit_submit(struct kvs *k, struct txn *t);
/* Begins the next group if none is being stored. To be called when all requests at hand have been
 * submitted (end of a loop pass). */
void commit_pump(struct kvs *k);
bool commit_idle(const struct kvs *k);
/* The group that is being put together or stored; another number once it has been answered. */
uint64_t commit_group(const struct kvs *k);
bool commit_has_group(const struct kvs *k);
const struct committer_stats *commit_stats(const struct kvs *k);
/* Bytes of blobs that groups have stored since the process began. */
uint64_t commit_bytes(const struct kvs *k);
void commit_stats_clear(struct kvs *k); /* count anew; what is queued stays counted */

#endif
