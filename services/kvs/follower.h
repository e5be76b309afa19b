/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Another rank than 0: the root of the primary namespace as this node knows it. */
#ifndef KVS_FOLLOWER_H
#define KVS_FOLLOWER_H

#include "kvs/requests.h"

struct follower_stats {
    uint64_t updates, gaps;
};

/* Asks for the root, without waiting for it. 0 or -errno, logged. */
int follower_new(struct manager *m, struct follower **ret);
struct follower *follower_free(struct follower *fw);

/* True: kept, and fn is called when the root is known; or it is answered if that cannot be had. */
bool follower_hold(struct follower *fw, struct request *req,
                   int (*fn)(struct request *req, void *arg));
void follower_on_event(struct follower *fw, const flux_msg_t *msg);
/* An update (update.h), or an answer that names a root. */
void follower_take(struct follower *fw, const json_t *update);
/* Of the primary namespace, as it is known here; -1: not yet. */
int64_t follower_version(const struct follower *fw);
/* A version was named that should be announced by now: if it is not soon, it is taken as it is. */
void follower_expect(struct follower *fw, int64_t version);
struct follower_stats follower_stats(const struct follower *fw);

#endif
