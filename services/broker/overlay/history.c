/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A ring. Invariant: first..next-1 are here and follow one another without a gap. Large events are
 * kept as what they are; when they are too much, the oldest go. */
#include "base/cleanup.h"
#include "broker/overlay/history.h"
#include "service/msgjson.h"
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

json_t *history_encode(const struct history *h)
{
    CLEANUP(json_decrefp) json_t *events = json_array();

    for (uint32_t seq = h->first; events && seq != h->next; seq++)
        if (json_array_append_new(events, msgjson_encode(history_get(h, seq))) < 0)
            return NULL;
    return TAKE(events);
}

void history_restore(struct history *h, const json_t *events, uint32_t seq)
{
    const json_t *value;
    size_t i;

    json_array_foreach (events, i, value) {
        flux_msg_t *msg = msgjson_decode(value);

        if (msg && msg_proto(msg)->type == FLUX_MSGTYPE_EVENT)
            history_add(h, msg);
        flux_msg_destroy(msg);
    }
    if (h->next != seq + 1) {
        history_deinit(h);
        h->first = h->next = seq + 1;
    }
}
