/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Rank 0: who follows the primary namespace, and the event that tells all of them of a commit. */
#ifndef KVS_FOLLOW_H
#define KVS_FOLLOW_H

#include "kvs/requests.h"

#define SETROOT_TOPIC "kvs.setroot"

int followers_new(struct manager *m, struct followers **ret);
struct followers *followers_free(struct followers *fs);
size_t followers_count(const struct followers *fs); /* NULL: 0 */
uint64_t followers_announced(const struct followers *fs);
int rpc_follow(struct request *req, void *arg);
/* Publishes an update (update.h). */
void followers_announce(struct manager *m, const char *update);

#endif
