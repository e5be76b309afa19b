/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Invariant: nodes[i]->place == i + 1, and no node goes before its parent. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include "base/heap.h"

static void put(struct heap *h, size_t i, struct heap_node *n)
{
    h->nodes[i] = n;
    n->place = i + 1;
}

static void up(struct heap *h, struct heap_node *n)
{
    size_t i = n->place - 1;

    while (i > 0 && h->before(n, h->nodes[(i - 1) / 2])) {
        put(h, i, h->nodes[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(h, i, n);
}

static void down(struct heap *h, struct heap_node *n)
{
    size_t i = n->place - 1;
    size_t child;

    while ((child = 2 * i + 1) < h->count) {
        if (child + 1 < h->count && h->before(h->nodes[child + 1], h->nodes[child]))
            child++;
        if (!h->before(h->nodes[child], n))
            break;
        put(h, i, h->nodes[child]);
        i = child;
    }
    put(h, i, n);
}

static int grow(struct heap *h)
{
    size_t capacity = h->capacity ? 2 * h->capacity : 64;
    struct heap_node **nodes;

    if (h->count < h->capacity)
        return 0;
    if (!(nodes = reallocarray(h->nodes, capacity, sizeof(nodes[0]))))
        return -ENOMEM;
    h->nodes = nodes;
    h->capacity = capacity;
    return 0;
}

int heap_add(struct heap *h, struct heap_node *n)
{
    assert(!heap_has(n));
    if (grow(h) < 0)
        return -ENOMEM;
    put(h, h->count++, n);
    up(h, n);
    return 0;
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    size_t i = n->place - 1;
    struct heap_node *last;

    assert(heap_has(n) && i < h->count && h->nodes[i] == n);
    n->place = 0;
    last = h->nodes[--h->count];
    if (last == n)
        return;
    put(h, i, last);
    heap_moved(h, last);
}

void heap_moved(struct heap *h, struct heap_node *n)
{
    up(h, n);
    down(h, n);
}

void heap_deinit(struct heap *h)
{
    for (size_t i = 0; i < h->count; i++)
        h->nodes[i]->place = 0;
    free(h->nodes);
    *h = (struct heap){ .before = h->before };
}
