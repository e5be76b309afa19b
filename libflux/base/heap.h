/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A binary heap of nodes that are part of something larger (container_of). Each knows its place, so
 * that removal needs no search; every operation is O(log n). */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

struct heap_node {
    size_t place; /* in a heap, plus one; 0: in none */
};

struct heap {
    bool (*before)(const struct heap_node *a, const struct heap_node *b);
    struct heap_node **nodes; /* borrowed */
    size_t count, capacity;
};

static inline bool heap_has(const struct heap_node *n)
{
    return n->place > 0;
}

/* NULL: it is empty. */
static inline struct heap_node *heap_first(const struct heap *h)
{
    return h->count > 0 ? h->nodes[0] : NULL;
}

/* One that is in no heap. 0 or -ENOMEM. */
int heap_add(struct heap *h, struct heap_node *n);
void heap_remove(struct heap *h, struct heap_node *n);
void heap_moved(struct heap *h, struct heap_node *n); /* what its place depends on has changed */
void heap_deinit(struct heap *h);                     /* what was in it is in none */

#endif
