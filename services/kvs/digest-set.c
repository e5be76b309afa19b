/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Open addressing with linear probing, in parts that are chosen by the last byte of the digest. A
 * part is at most three quarters full. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "kvs/digest-set.h"

#define PART_SIZE_MIN 16

/* The slot where the key is, or where it belongs. */
static uint32_t part_find(const struct digest_part *p, const uint64_t key[2])
{
    uint32_t i = (uint32_t)key[0] & (p->size - 1);

    while ((p->slots[i][0] || p->slots[i][1]) &&
           (p->slots[i][0] != key[0] || p->slots[i][1] != key[1]))
        i = (i + 1) & (p->size - 1);
    return i;
}

static int part_grow(struct digest_part *p)
{
    struct digest_part larger = { .size = p->size ? 2 * p->size : PART_SIZE_MIN, .used = p->used };

    if (larger.size == 0 || !(larger.slots = calloc(larger.size, sizeof(larger.slots[0]))))
        return -ENOMEM;
    for (uint32_t i = 0; i < p->size; i++) {
        if (p->slots[i][0] || p->slots[i][1])
            memcpy(larger.slots[part_find(&larger, p->slots[i])], p->slots[i], sizeof(p->slots[i]));
    }
    free(p->slots);
    *p = larger;
    return 0;
}

int digest_set_add(struct digest_set *s, const uint8_t digest[DIGEST_SIZE])
{
    struct digest_part *p = &s->part[digest[DIGEST_SIZE - 1]];
    uint64_t key[2];
    uint32_t i;

    memcpy(key, digest, sizeof(key));
    if (p->used >= p->size / 4 * 3 && part_grow(p) < 0)
        return -ENOMEM;
    i = part_find(p, key);
    if (p->slots[i][0] || p->slots[i][1])
        return 0;
    memcpy(p->slots[i], key, sizeof(key));
    p->used++;
    return 1;
}

bool digest_set_has(const struct digest_set *s, const uint8_t digest[DIGEST_SIZE])
{
    const struct digest_part *p = &s->part[digest[DIGEST_SIZE - 1]];
    uint64_t key[2];
    uint32_t i;

    if (p->size == 0)
        return false;
    memcpy(key, digest, sizeof(key));
    i = part_find(p, key);
    return p->slots[i][0] || p->slots[i][1];
}

void digest_set_clear(struct digest_set *s)
{
    for (size_t i = 0; i < DIGEST_SET_PARTS; i++)
        free(s->part[i].slots);
    memset(s, 0, sizeof(*s));
}

int digest_list_add(struct digest_list *l, const uint8_t digest[DIGEST_SIZE])
{
    if (l->count == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        uint8_t(*items)[DIGEST_SIZE] = realloc(l->items, cap * sizeof(items[0]));

        if (!items)
            return -ENOMEM;
        l->items = items;
        l->cap = cap;
    }
    memcpy(l->items[l->count++], digest, DIGEST_SIZE);
    return 0;
}

bool digest_list_pop(struct digest_list *l, uint8_t ret[DIGEST_SIZE])
{
    if (l->count == 0)
        return false;
    memcpy(ret, l->items[--l->count], DIGEST_SIZE);
    return true;
}

void digest_list_clear(struct digest_list *l)
{
    free(l->items);
    memset(l, 0, sizeof(*l));
}
