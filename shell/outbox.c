/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A queue with numbers. Order is kept; a number that was never given acknowledges what there is. */
#include "base/cleanup.h"
#include "outbox.h"

struct outrecord {
    TAILQ_ENTRY(outrecord) link;
    uint64_t number;
    size_t size;
    json_t *json;
};

void outbox_init(struct outbox *box, size_t limit)
{
    *box = (struct outbox){ .limit = limit };
    TAILQ_INIT(&box->list);
}

static void drop(struct outbox *box, struct outrecord *r)
{
    TAILQ_REMOVE(&box->list, r, link);
    box->bytes -= r->size;
    json_decref(r->json);
    free(r);
}

void outbox_deinit(struct outbox *box)
{
    outbox_ack(box, UINT64_MAX);
}

int outbox_push(struct outbox *box, json_t *record, size_t size)
{
    struct outrecord *r = calloc(1, sizeof(*r));

    if (!r)
        return -ENOMEM;
    r->number = ++box->last;
    r->size = size;
    r->json = json_incref(record);
    box->bytes += size;
    TAILQ_INSERT_TAIL(&box->list, r, link);
    return 0;
}

json_t *outbox_peek(const struct outbox *box, uint64_t after, size_t max_bytes, uint64_t *ret_last)
{
    CLEANUP(json_decrefp) json_t *list = NULL;
    const struct outrecord *r;
    size_t size = 0;

    TAILQ_FOREACH (r, &box->list, link) {
        if (r->number <= after)
            continue;
        if (list && size + r->size > max_bytes)
            break;
        if (!list && !(list = json_array()))
            return NULL;
        if (json_array_append(list, r->json) < 0)
            return NULL;
        size += r->size;
        *ret_last = r->number;
    }
    return TAKE(list);
}

void outbox_ack(struct outbox *box, uint64_t number)
{
    struct outrecord *r;

    while ((r = TAILQ_FIRST(&box->list)) && r->number <= number)
        drop(box, r);
}

bool outbox_is_empty(const struct outbox *box)
{
    return TAILQ_EMPTY(&box->list);
}

bool outbox_is_full(const struct outbox *box)
{
    return box->bytes >= box->limit;
}
