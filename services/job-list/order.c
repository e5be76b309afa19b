/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Invariants: in-order iteration is sorted by before(); no node has a greater weight than its
 * parent; x->parent's left or right is x. */
#include "job-list/order.h"

void order_init(struct order *o,
                bool (*before)(const struct order_node *a, const struct order_node *b))
{
    *o = (struct order){ .before = before, .seed = 0x9e3779b97f4a7c15u };
}

/* Put n where old was below parent (NULL: the root). */
static void replace_child(struct order *o, struct order_node *parent, struct order_node *old,
                          struct order_node *n)
{
    if (!parent)
        o->root = n;
    else if (parent->left == old)
        parent->left = n;
    else
        parent->right = n;
    if (n)
        n->parent = parent;
}

/* Exchange n with its parent, keeping the order. */
static void rotate_up(struct order *o, struct order_node *n)
{
    struct order_node *p = n->parent;

    replace_child(o, p->parent, p, n);
    if (p->left == n) {
        p->left = n->right;
        if (p->left)
            p->left->parent = p;
        n->right = p;
    } else {
        p->right = n->left;
        if (p->right)
            p->right->parent = p;
        n->left = p;
    }
    p->parent = n;
}

void order_insert(struct order *o, struct order_node *n)
{
    struct order_node *parent = NULL, **link = &o->root;

    while (*link) {
        parent = *link;
        link = o->before(n, parent) ? &parent->left : &parent->right;
    }
    o->seed = o->seed * 6364136223846793005u + 1442695040888963407u;
    *n = (struct order_node){ .parent = parent,
                              .weight = (uint32_t)(o->seed >> 32),
                              .linked = true };
    *link = n;
    while (n->parent && n->weight > n->parent->weight)
        rotate_up(o, n);
    o->count++;
}

void order_remove(struct order *o, struct order_node *n)
{
    if (!n->linked)
        return;
    while (n->left && n->right)
        rotate_up(o, n->left->weight > n->right->weight ? n->left : n->right);
    replace_child(o, n->parent, n, n->left ? n->left : n->right);
    *n = (struct order_node){ .linked = false };
    o->count--;
}

struct order_node *order_first(const struct order *o)
{
    struct order_node *n = o->root;

    while (n && n->left)
        n = n->left;
    return n;
}

struct order_node *order_next(const struct order_node *n)
{
    const struct order_node *parent;

    if (n->right) {
        n = n->right;
        while (n->left)
            n = n->left;
        return (struct order_node *)n;
    }
    for (parent = n->parent; parent && parent->right == n; parent = n->parent)
        n = parent;
    return (struct order_node *)parent;
}
