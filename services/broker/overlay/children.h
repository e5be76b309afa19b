/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The parent's side: the nodes directly below this one, who may be there, who is, who was lost. */
#ifndef OVERLAY_CHILDREN_H
#define OVERLAY_CHILDREN_H

#include <flux/idset.h>
#include "base/hash.h"
#include "broker/overlay/hello.h"

struct child {
    uint32_t rank;
    struct node *node;    /* NULL: not connected */
    struct idset *online; /* its subtree, itself included; NULL: not connected */
    char uuid[HELLO_UUID_SIZE];
    char host[NODE_NAME_SIZE];
    uint64_t lost_usec;       /* when it was lost; 0: it was not */
    bool left;                /* it said goodbye then: it was stopped in good order */
    char key[ZSOCK_KEY_SIZE]; /* that it joined with; "" without CURVE */
    char error[192];          /* why it was lost, or refused last */
    UT_hash_handle hh;        /* in children.by_id while connected */
};

struct children {
    struct overlay *overlay;
    struct zsock *sock;
    char uri[256];
    size_t count;
    struct child *all;
    struct child *by_id;
    flux_watcher_t *probe; /* somebody went: find out who */
    int probes;            /* still to be made */
};

int children_init(struct children *cs, struct overlay *o);
void children_deinit(struct children *cs);
struct child *children_find(struct children *cs, uint32_t rank);
void children_multicast(struct children *cs, const flux_msg_t *msg);
/* The epoch is another than that of their welcome. */
void children_tell_epoch(struct children *cs);
/* Now and then: who has been silent; and a sign of life to each. */
void children_tick(struct children *cs, uint64_t now_usec);
/* Those whose keys are not good any more are lost. */
void children_check_keys(struct children *cs);
/* Drop those that were marked. */
void children_reap(struct children *cs);
/* The session of the process before with that child; n has its client. c->online is the caller's to
 * set. */
void children_adopt(struct children *cs, struct child *c, struct node *n, const struct hello *h,
                    const char *key);
void children_tell_state(struct children *cs, struct child *c);

#endif
