/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Objects on their way from the content store. Whoever misses some waits as a group; an object that
 * several groups miss is fetched once. */
#ifndef KVS_LOADER_H
#define KVS_LOADER_H

#include "base/list.h"
#include "kvs/kvs.h"

struct load_wait;

struct load_group {
    struct kvs *k;
    TAILQ_HEAD(, load_wait) waits;
    int err;          /* of the first load that failed; ENOENT reads EIO: the tree has a hole */
    bool missing;     /* one of them is not in the store */
    struct pins pins; /* what arrived, kept until load_group_deinit() */
    /* When nothing is awaited any more. May deinit the group. */
    void (*done)(struct load_group *g);
    /* A group that has this gets the bytes, or err, instead of objects in the cache. */
    void (*raw)(struct load_group *g, const uint8_t digest[DIGEST_SIZE], int err, const void *data,
                size_t size);
};

int loader_new(struct loader **ret);
struct loader *loader_free(struct loader *l, struct kvs *k);

void load_group_init(struct load_group *g, struct kvs *k, void (*done)(struct load_group *g));
int load_group_add(struct load_group *g, enum obj_kind kind, const uint8_t digest[DIGEST_SIZE]);
bool load_group_busy(const struct load_group *g);
/* Stops waiting, releases the pins. Twice is fine. */
void load_group_deinit(struct load_group *g);

#endif
