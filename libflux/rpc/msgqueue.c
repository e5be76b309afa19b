/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Receive queue. Sequence numbers let each dispatcher remember how far it has looked, although
 * entries come and go on both ends. */
#include <errno.h>
#include <stdlib.h>

#include "rpc/msgqueue.h"

#define SPARE_MAX 256

void msgqueue_init(struct msgqueue *q, struct matchtag_pool *tags)
{
    *q = (struct msgqueue){ .tags = tags, .next_head = -1 };
    TAILQ_INIT(&q->entries);
    TAILQ_INIT(&q->spare);
}

static struct msg_entry *entry_get(struct msgqueue *q)
{
    struct msg_entry *e = TAILQ_FIRST(&q->spare);

    if (!e)
        return malloc(sizeof(*e));
    TAILQ_REMOVE(&q->spare, e, link);
    q->nspare--;
    return e;
}

static void entry_put(struct msgqueue *q, struct msg_entry *e)
{
    if (q->nspare >= SPARE_MAX) {
        free(e);
        return;
    }
    TAILQ_INSERT_HEAD(&q->spare, e, link);
    q->nspare++;
}

static struct msg_entry_list *tag_list(struct msgqueue *q, const flux_msg_t *msg)
{
    struct matchtag_slot *slot;
    uint32_t tag;
    int type;

    if (flux_msg_get_type(msg, &type) < 0 || type != FLUX_MSGTYPE_RESPONSE ||
        flux_msg_get_matchtag(msg, &tag) < 0)
        return NULL;
    slot = matchtag_slot(q->tags, tag);
    return slot ? &slot->queued : NULL;
}

int msgqueue_put(struct msgqueue *q, const flux_msg_t *msg, bool at_head)
{
    struct msg_entry *e = entry_get(q);

    if (!e)
        return -ENOMEM;
    e->msg = msg;
    e->tagged = tag_list(q, msg);
    if (at_head) {
        e->seq = q->next_head--;
        TAILQ_INSERT_HEAD(&q->entries, e, link);
        if (e->tagged)
            TAILQ_INSERT_HEAD(e->tagged, e, tag_link);
    } else {
        e->seq = q->next_tail++;
        TAILQ_INSERT_TAIL(&q->entries, e, link);
        if (e->tagged)
            TAILQ_INSERT_TAIL(e->tagged, e, tag_link);
    }
    q->count++;
    return 0;
}

const flux_msg_t *msgqueue_take(struct msgqueue *q, struct msg_entry *e)
{
    const flux_msg_t *msg = e->msg;

    TAILQ_REMOVE(&q->entries, e, link);
    if (e->tagged)
        TAILQ_REMOVE(e->tagged, e, tag_link);
    q->count--;
    entry_put(q, e);
    return msg;
}

struct msg_entry *msgqueue_after(const struct msgqueue *q, int64_t seq)
{
    struct msg_entry *e = TAILQ_LAST(&q->entries, msg_entry_list);
    struct msg_entry *found = TAILQ_FIRST(&q->entries);

    if (!found || found->seq > seq)
        return found;
    found = NULL;
    for (; e && e->seq > seq; e = TAILQ_PREV(e, msg_entry_list, link))
        found = e;
    return found;
}

void msgqueue_deinit(struct msgqueue *q)
{
    struct msg_entry *e;

    while ((e = TAILQ_FIRST(&q->entries)))
        flux_msg_decref(msgqueue_take(q, e));
    while ((e = TAILQ_FIRST(&q->spare))) {
        TAILQ_REMOVE(&q->spare, e, link);
        free(e);
    }
}
