/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Why: digests are random, so each blob that is put into the store in the order it came touches
 * another page of the index, which is read, changed and written for it alone. By digest, those of a
 * file of the journal that belong on the same page come one after the other: with a million blobs
 * in the store they are some five. Rows then have their numbers in that order too, so removing rows
 * one after the other has the same advantage.
 *
 * A counting sort: its time is that of two passes, however many entries there are. */
#include <stdlib.h>
#include "content/order.h"

#define BUCKETS 65536u

static uint32_t bucket_of(const struct segment_entry *e)
{
    return (uint32_t)e->digest[0] << 8 | e->digest[1];
}

uint32_t *order_by_digest(const struct segment_entry *entries, uint32_t count)
{
    CLEANUP(freep) uint32_t *begin = calloc(BUCKETS + 1, sizeof(begin[0]));
    uint32_t *order = malloc((count ? count : 1) * sizeof(order[0]));

    if (!begin || !order) {
        free(order);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++)
        begin[bucket_of(&entries[i]) + 1]++;
    for (uint32_t i = 0; i < BUCKETS; i++)
        begin[i + 1] += begin[i];
    for (uint32_t i = 0; i < count; i++)
        order[begin[bucket_of(&entries[i])]++] = i;
    return order;
}
