/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Namespaces: a name, an owner, and two roots. The durable one is what everybody reads. The working
 * one is what the commit being put together or stored has made of it; it becomes durable when the
 * content store has answered, or is rewound when that refused. */
#ifndef KVS_NAMESPACE_H
#define KVS_NAMESPACE_H

#include "base/hash.h"
#include "base/list.h"
#include "kvs/node.h"

struct namespace
{
    UT_hash_handle hh;
    /* Durable. */
    bool exists;
    uint32_t owner;
    int flags;
    int64_t seq;
    uint8_t root[DIGEST_SIZE];
    /* Working. */
    struct {
        bool exists;
        bool changed;  /* in the list of changed ones */
        bool replaced; /* removed, and perhaps made anew */
        uint32_t owner;
        int flags;
        int64_t seq;
        struct node *root;
        struct node *last_root; /* if replaced: what the old one ended with */
        TAILQ_ENTRY(namespace) link;
    } work;
    char name[];
};

#define NAMESPACE_NAME_MAX 256

/* A working state is durable. replaced: it is gone, or another one of this name. */
typedef void (*namespace_settled_f)(const struct namespace *ns, bool replaced, void *arg);

struct namespaces {
    struct namespace *table;
    TAILQ_HEAD(, namespace) changed; /* those whose working state differs */
    namespace_settled_f on_settled;
    void *settled_arg;
};

int namespaces_new(struct namespaces **ret);
struct namespaces *namespaces_free(struct namespaces *nss);
void namespaces_on_settled(struct namespaces *nss, namespace_settled_f fn, void *arg);
struct namespace *namespace_find(struct namespaces *nss, const char *name);
/* Finds or makes; a new one exists neither durably nor working. -EINVAL: not a name. */
int namespace_add(struct namespaces *nss, const char *name, struct namespace **ret);
void namespace_set_changed(struct namespaces *nss, struct namespace *ns);
/* Working := durable; frees what exists in neither state. -ENOMEM. */
int namespace_rewind(struct namespaces *nss, struct namespace *ns);
/* Durable := working (whose root has been stored); frees what no longer exists. */
void namespace_settle(struct namespaces *nss, struct namespace *ns);

#endif
