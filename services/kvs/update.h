/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The root of the primary namespace as it is told to other nodes: what rank 0 says of each commit,
 * and how a follower takes it. */
#ifndef KVS_UPDATE_H
#define KVS_UPDATE_H

#include "kvs/kvs.h"
#include "kvs/txn.h"

#define UPDATE_KEYS_MAX 8192  /* bytes: with more, the keys are left out */
#define UPDATE_OBJS_MAX 32768 /* bytes of tree objects */

enum update_result {
    UPDATE_OLD,  /* not newer than what is known: ignored */
    UPDATE_NEXT, /* the next root, and each watch knows what concerns it */
    UPDATE_GAP   /* a newer root, but others or the keys were missed: every watch looks again */
};

/* For the committer, while the namespaces have both roots and new objects are not marked stored:
 * {"namespace","rootseq","rootref","owner","flags","keys"?:[...],"objs":[TEXT,...]}. Nothing is
 * written if the primary namespace did not change. */
void update_encode(struct kvs *k, const struct touches *touches, struct strbuf *sb);

/* Takes an update, or an answer to kvs.follow, which has neither keys nor objs. UPDATE_*, or
 * -EPROTO, -ENOMEM: nothing has changed. The root never goes back. */
int update_apply(struct kvs *k, const json_t *update);

#endif
