/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The child's side: the session with the node above, and getting one again. */
#ifndef OVERLAY_PARENT_H
#define OVERLAY_PARENT_H

#include "broker/overlay/hello.h"

enum parent_state {
    PARENT_NONE,       /* rank 0, or not told where it is */
    PARENT_CONNECTING, /* hello was sent */
    PARENT_ONLINE,
    PARENT_PAUSED,  /* one of us is being replaced: the session goes on with the next process */
    PARENT_WAITING, /* lost or refused: again in a moment */
};

struct parent {
    struct overlay *overlay;
    enum parent_state state;
    uint32_t rank;
    char *uri, *key;
    char host[NODE_NAME_SIZE];
    char uuid[HELLO_UUID_SIZE];
    struct zsock *sock;
    uint8_t id[ZSOCK_ID_SIZE]; /* of this attempt */
    bool dialling;             /* PAUSED: hello was said, to the next process if there is one yet */
    struct node *node; /* CONNECTING: holds what is sent, if nothing was lost yet; ONLINE; PAUSED */
    flux_watcher_t *retry; /* WAITING, PAUSED: when to begin again */
    flux_watcher_t *limit; /* CONNECTING, PAUSED: when what waits fails */
    double delay;          /* seconds until the next attempt */
    uint64_t since_usec;   /* of the state */
    bool was_online;
    char error[256]; /* why it was lost or has refused us; "" */
};

int parent_init(struct parent *p, struct overlay *o);
void parent_deinit(struct parent *p);
int parent_connect(struct parent *p);
void parent_tick(struct parent *p, uint64_t now_usec);
void parent_reap(struct parent *p);
/* All was said: from here on the session may go on with the next process of either side. */
void parent_on_paused(struct parent *p);
/* The session of the process before; n has its client. */
void parent_adopt(struct parent *p, struct node *n, const struct hello *h);
/* It cannot be handed on, and nothing follows here. */
void parent_abandon(struct parent *p);
/* Another key is good now, or none (""). */
void parent_set_key(struct parent *p, const char *key);
/* Say goodbye, and try to join again. */
void parent_leave(struct parent *p);
const char *parent_state_name(enum parent_state state);

#endif
