/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One hash by client and matchtag; lists by client and by target for when one of them goes. Entries
 * are recycled, so that a busy router does not allocate for what it forwards. Invariant: an entry
 * is in the hash and in both lists, or in the free list. */
#include <string.h>

#include "broker/inflight.h"
#include "wire/message.h"

#define SPARE_MAX 1024

struct inflight_table {
    struct inflight *entries;
    struct inflight_list spare;
    size_t nspare;
    size_t nstreaming;
};

int inflight_table_new(struct inflight_table **ret)
{
    struct inflight_table *t = calloc(1, sizeof(*t));

    if (!t)
        return -ENOMEM;
    TAILQ_INIT(&t->spare);
    *ret = t;
    return 0;
}

struct inflight_table *inflight_table_free(struct inflight_table *t)
{
    struct inflight *e, *tmp;

    if (!t)
        return NULL;
    HASH_ITER (hh, t->entries, e, tmp)
        inflight_remove(t, e);
    while ((e = TAILQ_FIRST(&t->spare))) {
        TAILQ_REMOVE(&t->spare, e, client_entry);
        free(e);
    }
    free(t);
    return NULL;
}

void inflight_client_init(struct inflight_client *c, uint32_t id)
{
    c->id = id;
    c->count = 0;
    TAILQ_INIT(&c->list);
}

void inflight_target_init(struct inflight_target *t)
{
    t->count = 0;
    TAILQ_INIT(&t->list);
}

static uint64_t make_key(const struct inflight_client *client, uint32_t matchtag)
{
    return (uint64_t)client->id << 32 | matchtag;
}

static struct inflight *entry_get(struct inflight_table *t)
{
    struct inflight *e = TAILQ_FIRST(&t->spare);

    if (!e)
        return malloc(sizeof(*e));
    TAILQ_REMOVE(&t->spare, e, client_entry);
    t->nspare--;
    return e;
}

static void entry_put(struct inflight_table *t, struct inflight *e)
{
    if (t->nspare >= SPARE_MAX) {
        free(e);
        return;
    }
    TAILQ_INSERT_HEAD(&t->spare, e, client_entry);
    t->nspare++;
}

struct inflight *inflight_find(struct inflight_table *t, const struct inflight_client *client,
                               uint32_t matchtag)
{
    const uint64_t key = make_key(client, matchtag);
    struct inflight *e;

    HASH_FIND(hh, t->entries, &key, sizeof(key), e);
    return e;
}

int inflight_add(struct inflight_table *t, struct inflight_client *client,
                 struct inflight_target *target, const flux_msg_t *request, struct inflight **ret)
{
    const struct msg_proto *p = msg_proto(request);
    struct inflight *e;

    if (inflight_find(t, client, p->aux2))
        return -EEXIST;
    if (client->count >= INFLIGHT_MAX_PER_CLIENT)
        return -EAGAIN;
    e = entry_get(t);
    if (!e)
        return -ENOMEM;
    e->key = make_key(client, p->aux2);
    e->client = client;
    e->target = target;
    e->matchtag = p->aux2;
    e->userid = p->userid;
    e->bytes = msg_payload_size(request);
    e->streaming = p->flags & FLUX_MSGFLAG_STREAMING;
    (void)snprintf(e->topic, sizeof(e->topic), "%s", msg_topic(request));
    e->hh = (UT_hash_handle){ 0 };
    HASH_ADD(hh, t->entries, key, sizeof(e->key), e);
    if (!e->hh.tbl) {
        entry_put(t, e);
        return -ENOMEM;
    }
    TAILQ_INSERT_TAIL(&client->list, e, client_entry);
    TAILQ_INSERT_TAIL(&target->list, e, target_entry);
    client->count++;
    target->count++;
    t->nstreaming += e->streaming;
    *ret = e;
    return 0;
}

void inflight_remove(struct inflight_table *t, struct inflight *e)
{
    HASH_DEL(t->entries, e);
    TAILQ_REMOVE(&e->client->list, e, client_entry);
    TAILQ_REMOVE(&e->target->list, e, target_entry);
    e->client->count--;
    e->target->count--;
    t->nstreaming -= e->streaming;
    entry_put(t, e);
}

bool inflight_is_final(const struct inflight *e, const flux_msg_t *response)
{
    return !e->streaming || msg_proto(response)->aux1 != 0;
}

size_t inflight_count(const struct inflight_table *t)
{
    return HASH_COUNT(t->entries);
}

size_t inflight_count_plain(const struct inflight_table *t)
{
    return HASH_COUNT(t->entries) - t->nstreaming;
}
