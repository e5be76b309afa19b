/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The tree of an instance as its routers see it, put together from what each says of its children.
 */
#ifndef FLUXCTL_OVERLAY_TREE_H
#define FLUXCTL_OVERLAY_TREE_H

#include <flux/core.h>
#include "base/cleanup.h"

enum overlay_state {
    OVERLAY_FULL,    /* connected, and so are all below */
    OVERLAY_PARTIAL, /* connected; somebody below is not there (yet, or any more by his own will) */
    OVERLAY_DEGRADED, /* connected; somebody below is lost or does not answer */
    OVERLAY_TORPID,   /* connected, and silent */
    OVERLAY_OFFLINE,
    OVERLAY_LOST,
};

struct overlay_node {
    uint32_t rank;
    enum overlay_state state;
    char *host;
    char *error;        /* NULL: none is known */
    double seconds;     /* in this state; negative: not known */
    double answer_msec; /* how long its router took; negative: it was not asked */
    bool is_ghost;      /* nobody can know of it: it is behind one that is not there */
    struct overlay_node **children;
    size_t count;
};

struct overlay_query {
    flux_t *h;
    double timeout; /* seconds for each router; negative: none */
    bool ghosts;    /* nodes behind those that are not there, too */
    bool brief;     /* leave out what is below nodes that are full */
};

const char *overlay_state_name(enum overlay_state state);
int overlay_state_parse(const char *name, enum overlay_state *ret); /* 0 or -1 */

/* The part of the tree from rank on. NULL: has complained. */
struct overlay_node *overlay_tree(const struct overlay_query *q, uint32_t rank);
struct overlay_node *overlay_node_free(struct overlay_node *n);
DEFINE_CLEANUP(struct overlay_node *, overlay_node_free)

#endif
