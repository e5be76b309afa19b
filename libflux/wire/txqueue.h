/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Output of a channel that the kernel did not take yet: encoded heads and tails, with references to
 * the payloads. What is queued does not change when the message does. */
#ifndef WIRE_TXQUEUE_H
#define WIRE_TXQUEUE_H

#include "base/list.h"
#include "wire/message_impl.h"

struct tx_item {
    STAILQ_ENTRY(tx_item) entry;
    struct msg_payload *payload; /* reference, or NULL */
    bool by_fd;                  /* the payload goes as its memfd */
    size_t bytes;                /* as sent */
    size_t cost;                 /* bytes of memory charged to the queue */
    size_t head_size;
    uint8_t tail[1 + MSG_PROTO_SIZE];
    uint8_t head[];
};
STAILQ_HEAD(tx_queue, tx_item);

struct tx_item *tx_item_new(const flux_msg_t *msg, const struct msg_pieces *pieces);
struct tx_item *tx_item_free(struct tx_item *item);
size_t tx_cost(const struct msg_pieces *pieces, const flux_msg_t *msg); /* bytes as sent */
/* What it costs to keep: many small messages are not small. */
size_t tx_queue_cost(const struct msg_pieces *pieces, const flux_msg_t *msg);

/* One sendmsg(2) of a message. 0; -EAGAIN: not now; else the peer is gone or the message cannot go.
 */
int tx_send_pieces(int fd, const struct msg_pieces *pieces);
/* One sendmmsg(2) of up to 16 items from the head of the queue: how many went, or -errno. */
int tx_send_queue(int fd, const struct tx_queue *queue);

#endif
