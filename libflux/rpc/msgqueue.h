/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Messages that were received and not yet consumed, in order. Responses with a matchtag in use can
 * also be found by their tag in constant time. */
#ifndef RPC_MSGQUEUE_H
#define RPC_MSGQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <flux/message.h>
#include "base/list.h"
#include "rpc/matchtag.h"

struct msg_entry {
    TAILQ_ENTRY(msg_entry) link;
    TAILQ_ENTRY(msg_entry) tag_link;
    struct msg_entry_list *tagged; /* list of the tag's slot, or NULL */
    const flux_msg_t *msg;
    int64_t seq; /* ascending from head to tail */
};

struct msgqueue {
    struct msg_entry_list entries;
    struct msg_entry_list spare; /* for reuse, at most a few */
    unsigned int nspare;
    size_t count;
    int64_t next_head, next_tail; /* sequence of the next entry put there */
    struct matchtag_pool *tags;
};

void msgqueue_init(struct msgqueue *q, struct matchtag_pool *tags);
void msgqueue_deinit(struct msgqueue *q);
/* Consumes a reference to msg on success. 0, -ENOMEM. */
int msgqueue_put(struct msgqueue *q, const flux_msg_t *msg, bool at_head);
/* Hands the reference over. */
const flux_msg_t *msgqueue_take(struct msgqueue *q, struct msg_entry *e);
/* First entry behind sequence seq, or NULL. */
struct msg_entry *msgqueue_after(const struct msgqueue *q, int64_t seq);

#endif
