/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The table of services. A name belongs to the first who has it; nothing is taken over. */
#include <assert.h>
#include <string.h>

#include "broker/registry.h"

int registry_add(struct registry *reg, const char *name, enum target_kind kind,
                 struct client *client, struct target **ret)
{
    struct target *t;

    if (!service_name_valid(name))
        return -EINVAL;
    if (registry_find(reg, name))
        return -EEXIST;
    t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    (void)snprintf(t->name, sizeof(t->name), "%s", name);
    t->kind = kind;
    t->client = client;
    inflight_target_init(&t->inflight);
    link_end_init(&t->links, reg->next_id++);
    HASH_ADD_STR(reg->all, name, t);
    if (!t->hh.tbl) {
        free(t);
        return -ENOMEM;
    }
    if (ret)
        *ret = t;
    return 0;
}

struct target *registry_find(const struct registry *reg, const char *name)
{
    struct target *t;

    HASH_FIND_STR(reg->all, name, t);
    return t;
}

void registry_remove(struct registry *reg, struct target *t)
{
    assert(t->inflight.count == 0 && TAILQ_EMPTY(&t->links.list));
    HASH_DEL(reg->all, t);
    free(t);
}

void registry_deinit(struct registry *reg)
{
    struct target *t, *tmp;

    HASH_ITER (hh, reg->all, t, tmp)
        registry_remove(reg, t);
}
