/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Services by name: the router's own, those it dialled, those that clients registered at run time.
 */
#ifndef BROKER_REGISTRY_H
#define BROKER_REGISTRY_H

#include "broker/inflight.h"
#include "broker/links.h"
#include "broker/name.h"

struct client;

enum target_kind {
    TARGET_OWN,        /* answered by the router itself; client is NULL */
    TARGET_DIALLED,    /* a service socket of this node */
    TARGET_REGISTERED, /* service.add */
    TARGET_TREE,       /* the service of this name on another node, by way of a neighbour */
};

/* "kvs", or for TARGET_TREE "kvs@3", "kvs@^3" (above rank 3), "kvs@": no name of a service */
#define TARGET_KEY_SIZE (SERVICE_NAME_SIZE + 12)

struct target {
    char key[TARGET_KEY_SIZE];
    char name[SERVICE_NAME_SIZE];
    enum target_kind kind;
    struct client *client; /* the connection behind it */
    struct inflight_target inflight;
    struct link_end links;
    uint64_t messages; /* requests sent to it */
    uint32_t nodeid;   /* TARGET_TREE: as in its requests */
    bool upstream;
    UT_hash_handle hh;
};

struct registry {
    struct target *all;
    uint32_t next_id;
};

/* 0; -EINVAL: not a name; -EEXIST: taken; -ENOMEM. */
int registry_add(struct registry *reg, const char *name, enum target_kind kind,
                 struct client *client, struct target **ret);
struct target *registry_find(const struct registry *reg, const char *key);
/* A service elsewhere. Created at need; 0, -EINVAL or -ENOMEM. */
int registry_get_tree(struct registry *reg, const char *name, uint32_t nodeid, bool upstream,
                      struct client *next_hop, struct target **ret);
/* Its requests in flight and links must be gone. */
void registry_remove(struct registry *reg, struct target *t);
void registry_deinit(struct registry *reg);

#endif
