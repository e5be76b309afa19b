/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Matchtag pool. Slots live in chunks that never move, because queue entries point into them.
 * Tag N is slot N - 1; tag 0 means "none". */
#include <errno.h>
#include <stdlib.h>

#include <flux/message.h>

#include "rpc/matchtag.h"

#define CHUNK_SLOTS 64u

static struct matchtag_slot *slot_of(const struct matchtag_pool *pool, uint32_t tag)
{
    return &pool->chunks[(tag - 1) / CHUNK_SLOTS][(tag - 1) % CHUNK_SLOTS];
}

static void append_free(struct matchtag_pool *pool, uint32_t tag)
{
    slot_of(pool, tag)->next_free = 0;
    if (pool->free_tail)
        slot_of(pool, pool->free_tail)->next_free = tag;
    else
        pool->free_head = tag;
    pool->free_tail = tag;
}

static int grow(struct matchtag_pool *pool)
{
    uint32_t first = pool->nchunks * CHUNK_SLOTS + 1;
    struct matchtag_slot *chunk;

    if (first > MATCHTAG_LIMIT) {
        errno = EBUSY;
        return -1;
    }
    /* The table of chunks doubles whenever the number of chunks is a power of two. */
    if ((pool->nchunks & (pool->nchunks - 1)) == 0) {
        uint32_t n = pool->nchunks ? pool->nchunks * 2 : 1;
        struct matchtag_slot **chunks = reallocarray(pool->chunks, n, sizeof(*chunks));

        if (!chunks)
            return -1;
        pool->chunks = chunks;
    }
    chunk = calloc(CHUNK_SLOTS, sizeof(*chunk));
    if (!chunk)
        return -1;
    pool->chunks[pool->nchunks++] = chunk;
    for (uint32_t i = 0; i < CHUNK_SLOTS; i++) {
        TAILQ_INIT(&chunk[i].queued);
        append_free(pool, first + i);
    }
    return 0;
}

uint32_t matchtag_alloc(struct matchtag_pool *pool, enum matchtag_state state)
{
    struct matchtag_slot *slot;
    uint32_t tag;

    if (!pool->free_head && grow(pool) < 0)
        return FLUX_MATCHTAG_NONE;
    tag = pool->free_head;
    slot = slot_of(pool, tag);
    pool->free_head = slot->next_free;
    if (!pool->free_head)
        pool->free_tail = 0;
    slot->state = state;
    slot->streaming = false;
    slot->rpc = NULL;
    slot->line = NULL;
    pool->used++;
    return tag;
}

struct matchtag_slot *matchtag_slot(const struct matchtag_pool *pool, uint32_t tag)
{
    struct matchtag_slot *slot;

    if (tag == 0 || tag > pool->nchunks * CHUNK_SLOTS)
        return NULL;
    slot = slot_of(pool, tag);
    return slot->state == MATCHTAG_FREE ? NULL : slot;
}

void matchtag_free(struct matchtag_pool *pool, uint32_t tag)
{
    struct matchtag_slot *slot = matchtag_slot(pool, tag);

    if (!slot)
        return;
    slot->state = MATCHTAG_FREE;
    slot->rpc = NULL;
    pool->used--;
    append_free(pool, tag);
}

uint32_t matchtag_last(const struct matchtag_pool *pool)
{
    return pool->nchunks * CHUNK_SLOTS;
}

void matchtag_pool_deinit(struct matchtag_pool *pool)
{
    for (uint32_t i = 0; i < pool->nchunks; i++)
        free(pool->chunks[i]);
    free(pool->chunks);
    *pool = (struct matchtag_pool){ 0 };
}
