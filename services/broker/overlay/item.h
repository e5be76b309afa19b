/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What waits for a neighbour; inside of node.c and item.c. */
#ifndef OVERLAY_ITEM_H
#define OVERLAY_ITEM_H

#include "broker/overlay/node.h"

#define NODE_DUE_PAUSE  1
#define NODE_DUE_PAUSED 2

struct node_item {
    STAILQ_ENTRY(node_item) entry;
    size_t cost;
    int fd; /* payload of a large message, or -EBADF */
    size_t fd_size, fd_done;
    bool begun;  /* the frame was sent, and maybe pieces */
    uint8_t key; /* whose it is */
    size_t frame_size;
    uint8_t frame[];
};

/* Of a large message the frame is the message without its payload, which p's descriptor has, of
 * payload_size bytes. Consumes nothing. */
int node_item_new(const struct msg_pieces *p, size_t payload_size, struct node_item **ret);
struct node_item *node_item_free(struct node_item *item);
/* At the end of the queue it belongs in. Consumes item. */
void node_queue_item(struct node *n, struct node_item *item, bool is_bulk);

#endif
