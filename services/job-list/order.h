/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* An ordered set of objects that carry their node: O(log n) insert and remove, iteration in order.
 * A treap: a search tree by the order, a heap by a pseudo-random number, hence balanced. */
#ifndef JOB_LIST_ORDER_H
#define JOB_LIST_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct order_node {
    struct order_node *parent, *left, *right;
    uint32_t weight;
    bool linked;
};

struct order {
    struct order_node *root;
    size_t count;
    uint64_t seed;
    /* Does a go before b? A total order over the members. */
    bool (*before)(const struct order_node *a, const struct order_node *b);
};

void order_init(struct order *o,
                bool (*before)(const struct order_node *a, const struct order_node *b));
void order_insert(struct order *o, struct order_node *n);
void order_remove(struct order *o, struct order_node *n); /* nothing if it is not linked */
struct order_node *order_first(const struct order *o);
struct order_node *order_next(const struct order_node *n);

#endif
