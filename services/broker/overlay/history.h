/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The last events, by number: a node that was away for a moment gets those it missed. */
#ifndef OVERLAY_HISTORY_H
#define OVERLAY_HISTORY_H

#include <flux/message.h>
#include <jansson.h>

#define HISTORY_EVENTS 1024
#define HISTORY_BYTES  (4u << 20)

struct history {
    const flux_msg_t *events[HISTORY_EVENTS]; /* [seq % HISTORY_EVENTS] */
    uint32_t first, next; /* numbers: of the oldest kept, of the next expected; equal: none kept */
    size_t bytes;
};

void history_deinit(struct history *h);
/* Keeps a reference. An event that does not follow the last one makes the history begin anew. */
void history_add(struct history *h, const flux_msg_t *event);
/* Are all events after seq, up to the last, here? */
bool history_covers(const struct history *h, uint32_t seq);
/* NULL: not here. Lent. */
const flux_msg_t *history_get(const struct history *h, uint32_t seq);
/* Number of the last event; 0: none. */
uint32_t history_last(const struct history *h);

/* All that is kept, for the next process: a new array, or NULL: no memory. */
json_t *history_encode(const struct history *h);
/* What the process before kept, whose last event was seq. Of what is no event, or does not lead up
 * to that one, nothing is taken. */
void history_restore(struct history *h, const json_t *events, uint32_t seq);

#endif
