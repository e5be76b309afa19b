/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The matchtags of a connection and what each of them is in use for. A tag is an index into a
 * growing table, so that a response finds its RPC in constant time. Freed tags are reused in the
 * order in which they were freed: a service that answers twice is likely to meet a free tag. */
#ifndef RPC_MATCHTAG_H
#define RPC_MATCHTAG_H

#include <stdbool.h>
#include <stdint.h>
#include "base/list.h"

#define MATCHTAG_LIMIT (1u << 20) /* tags in use at one time */

struct line;
struct rpc;
struct msg_entry;
TAILQ_HEAD(msg_entry_list, msg_entry);

enum matchtag_state {
    MATCHTAG_FREE,
    MATCHTAG_USER,    /* flux_matchtag_alloc(): whoever asked for it frees it */
    MATCHTAG_SENDING, /* of an RPC whose request is not sent yet */
    MATCHTAG_RPC,     /* rpc waits for an answer; rpc NULL: it was destroyed, the tag is recovered
                         when the (final) answer comes */
};

struct matchtag_slot {
    enum matchtag_state state;
    bool streaming;
    uint32_t next_free;
    struct rpc *rpc;
    const struct line *line;      /* that its request took */
    struct msg_entry_list queued; /* responses with this tag in the receive queue */
};

struct matchtag_pool {
    struct matchtag_slot **chunks;
    uint32_t nchunks;
    uint32_t used;
    uint32_t free_head, free_tail; /* tags; 0: none */
};

void matchtag_pool_deinit(struct matchtag_pool *pool);
/* A tag in the given state, or 0 (FLUX_MATCHTAG_NONE) with errno EBUSY, ENOMEM. */
uint32_t matchtag_alloc(struct matchtag_pool *pool, enum matchtag_state state);
void matchtag_free(struct matchtag_pool *pool, uint32_t tag);
/* NULL for a tag that is not in use. */
struct matchtag_slot *matchtag_slot(const struct matchtag_pool *pool, uint32_t tag);
/* Largest tag that may be in use, for walking over all of them. */
uint32_t matchtag_last(const struct matchtag_pool *pool);

#endif
