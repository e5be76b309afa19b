/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The table of services. A name belongs to the first who has it; nothing is taken over. */
#include <assert.h>
#include <string.h>

#include "broker/registry.h"

static int add(struct registry *reg, const char *key, const char *name, enum target_kind kind,
               struct client *client, struct target **ret)
{
    struct target *t = calloc(1, sizeof(*t));

    if (!t)
        return -ENOMEM;
    (void)snprintf(t->key, sizeof(t->key), "%s", key);
    (void)snprintf(t->name, sizeof(t->name), "%s", name);
    t->kind = kind;
    t->client = client;
    inflight_target_init(&t->inflight);
    link_end_init(&t->links, reg->next_id++);
    HASH_ADD_STR(reg->all, key, t);
    if (!t->hh.tbl) {
        free(t);
        return -ENOMEM;
    }
    *ret = t;
    return 0;
}

int registry_add(struct registry *reg, const char *name, enum target_kind kind,
                 struct client *client, struct target **ret)
{
    struct target *t;
    int rc;

    if (!service_name_valid(name))
        return -EINVAL;
    if (registry_find(reg, name))
        return -EEXIST;
    rc = add(reg, name, name, kind, client, &t);
    if (rc == 0 && ret)
        *ret = t;
    return rc;
}

int registry_get_tree(struct registry *reg, const char *name, uint32_t nodeid, bool upstream,
                      struct client *next_hop, struct target **ret)
{
    char key[TARGET_KEY_SIZE];
    int rc;

    if (!service_name_valid(name))
        return -EINVAL;
    if (upstream)
        (void)snprintf(key, sizeof(key), "%s@^%u", name, nodeid);
    else if (nodeid == FLUX_NODEID_ANY)
        (void)snprintf(key, sizeof(key), "%s@", name);
    else
        (void)snprintf(key, sizeof(key), "%s@%u", name, nodeid);
    *ret = registry_find(reg, key);
    if (*ret)
        return 0;
    rc = add(reg, key, name, TARGET_TREE, next_hop, ret);
    if (rc == 0) {
        (*ret)->nodeid = nodeid;
        (*ret)->upstream = upstream;
    }
    return rc;
}

struct target *registry_find(const struct registry *reg, const char *key)
{
    struct target *t;

    HASH_FIND_STR(reg->all, key, t);
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
