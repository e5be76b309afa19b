/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which digests have been seen; a list of digests. The set keeps 16 bytes of each: two that agree
 * in those do not happen, not even on purpose. It grows in small parts, never in one long pause. */
#ifndef KVS_DIGEST_SET_H
#define KVS_DIGEST_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/digest.h"

#define DIGEST_SET_PARTS 256

struct digest_set {
    struct digest_part {
        uint64_t (*slots)[2]; /* {0, 0}: free */
        uint32_t size, used;
    } part[DIGEST_SET_PARTS];
};

/* 1: it is new, 0: it was there. -ENOMEM. A digest that begins with 16 zero bytes is always new. */
int digest_set_add(struct digest_set *s, const uint8_t digest[DIGEST_SIZE]);
bool digest_set_has(const struct digest_set *s, const uint8_t digest[DIGEST_SIZE]);
void digest_set_clear(struct digest_set *s);

struct digest_list {
    uint8_t (*items)[DIGEST_SIZE];
    size_t count, cap;
};

int digest_list_add(struct digest_list *l, const uint8_t digest[DIGEST_SIZE]);
bool digest_list_pop(struct digest_list *l, uint8_t ret[DIGEST_SIZE]);
void digest_list_clear(struct digest_list *l);

#endif
