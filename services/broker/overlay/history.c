/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A ring. Invariant: first..next-1 are here and follow one another without a gap. Large events are
 * kept as what they are; when they are too much, the oldest go. */
#include "base/cleanup.h"
#include "broker/overlay/history.h"
#include "wire/message.h"

static const flux_msg_t **slot(struct history *h, uint32_t seq)
{
    return &h->events[seq % HISTORY_EVENTS];
}

static void drop_first(struct history *h)
{
    const flux_msg_t **p = slot(h, h->first++);

    h->bytes -= msg_payload_size(*p);
    flux_msg_decref(*p);
    *p = NULL;
}

void history_deinit(struct history *h)
{
    while (h->first != h->next)
        drop_first(h);
}

void history_add(struct history *h, const flux_msg_t *event)
{
    const uint32_t seq = msg_proto(event)->aux1;

    if (seq != h->next) {
        history_deinit(h);
        h->first = h->next = seq;
    }
    if (h->next - h->first == HISTORY_EVENTS)
        drop_first(h);
    *slot(h, seq) = flux_msg_incref(event);
    h->bytes += msg_payload_size(event);
    h->next = seq + 1;
    while (h->bytes > HISTORY_BYTES)
        drop_first(h);
}

bool history_covers(const struct history *h, uint32_t seq)
{
    return seq + 1 >= h->first && seq + 1 <= h->next && h->next > 0;
}

const flux_msg_t *history_get(const struct history *h, uint32_t seq)
{
    return seq >= h->first && seq < h->next ? h->events[seq % HISTORY_EVENTS] : NULL;
}

uint32_t history_last(const struct history *h)
{
    return h->next > 0 ? h->next - 1 : 0;
}
