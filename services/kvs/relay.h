/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Requests that a follower passes to rank 0, in the name of who asked. */
#ifndef KVS_RELAY_H
#define KVS_RELAY_H

#include "kvs/requests.h"
#include "kvs/watch.h"

struct relays_stats {
    uint64_t sent;
    size_t count, streams;
};

int relays_new(struct manager *m, struct relays **ret);
struct relays *relays_free(struct relays *rs);

/* The answer is passed back as it comes. */
int relay_request(struct manager *m, struct request *req);
/* The answer of a commit to the primary namespace waits until its root is known here. */
int relay_commit(struct manager *m, struct request *req);
/* A watch; from where it got here, if progress is not NULL. */
int relay_watch(struct manager *m, struct request *req, const struct watch_progress *progress);
/* Cancels the relayed watch of req's client with this matchtag. */
bool relay_watch_cancel(struct manager *m, struct request *req, uint32_t matchtag);

/* The root has moved: answers the commits that waited for it. */
void relays_check(struct manager *m);
/* The root of a commit will not be announced: takes it from the answers. */
void relays_settle(struct manager *m);
/* Are there commits whose root is not known here yet? The latest of these roots. */
bool relays_waiting(const struct manager *m, int64_t *ret_version);
bool relays_idle(const struct manager *m); /* but for streams */
void relays_end(struct manager *m);        /* ECONNRESET to all */
struct relays_stats relays_stats(const struct manager *m);

#endif
