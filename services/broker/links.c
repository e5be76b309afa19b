/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Pairs of client and target. Bounded by clients times targets. */
#include <stdbool.h>

#include "broker/links.h"

static uint64_t make_key(const struct link_end *client, const struct link_end *target)
{
    return (uint64_t)client->id << 32 | target->id;
}

void link_end_init(struct link_end *end, uint32_t id)
{
    end->id = id;
    end->count = 0;
    TAILQ_INIT(&end->list);
}

static struct link *find(const struct links *links, const struct link_end *client,
                         const struct link_end *target)
{
    const uint64_t key = make_key(client, target);
    struct link *l;

    if (links->last && links->last->key == key)
        return links->last;
    HASH_FIND(hh, links->all, &key, sizeof(key), l);
    return l;
}

bool links_has(const struct links *links, const struct link_end *client,
               const struct link_end *target)
{
    return find(links, client, target) != NULL;
}

int links_touch(struct links *links, struct link_end *client, struct link_end *target)
{
    struct link *l = find(links, client, target);

    if (!l) {
        l = calloc(1, sizeof(*l));
        if (!l)
            return -ENOMEM;
        l->key = make_key(client, target);
        HASH_ADD(hh, links->all, key, sizeof(l->key), l);
        if (!l->hh.tbl) {
            free(l);
            return -ENOMEM;
        }
        l->client = client;
        l->target = target;
        TAILQ_INSERT_TAIL(&client->list, l, client_entry);
        TAILQ_INSERT_TAIL(&target->list, l, target_entry);
        client->count++;
        target->count++;
    }
    links->last = l;
    return 0;
}

void links_remove(struct links *links, struct link *l)
{
    HASH_DEL(links->all, l);
    TAILQ_REMOVE(&l->client->list, l, client_entry);
    TAILQ_REMOVE(&l->target->list, l, target_entry);
    l->client->count--;
    l->target->count--;
    if (links->last == l)
        links->last = NULL;
    free(l);
}

void links_drop_client(struct links *links, struct link_end *client)
{
    while (!TAILQ_EMPTY(&client->list))
        links_remove(links, TAILQ_FIRST(&client->list));
}

void links_drop_target(struct links *links, struct link_end *target)
{
    while (!TAILQ_EMPTY(&target->list))
        links_remove(links, TAILQ_FIRST(&target->list));
}
