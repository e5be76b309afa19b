/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Namespaces. Invariant: a namespace is in the table while it exists in either state. */
#include <errno.h>
#include <string.h>
#include "kvs/namespace.h"

int namespaces_new(struct namespaces **ret)
{
    struct namespaces *nss = calloc(1, sizeof(*nss));

    if (!nss)
        return -ENOMEM;
    TAILQ_INIT(&nss->changed);
    *ret = nss;
    return 0;
}

void namespaces_on_settled(struct namespaces *nss, namespace_settled_f fn, void *arg)
{
    nss->on_settled = fn;
    nss->settled_arg = arg;
}

static void namespace_free(struct namespace *ns)
{
    node_unref(ns->work.root);
    node_unref(ns->work.last_root);
    free(ns);
}

struct namespaces *namespaces_free(struct namespaces *nss)
{
    struct namespace *ns, *tmp;

    if (nss) {
        HASH_ITER (hh, nss->table, ns, tmp) {
            HASH_DEL(nss->table, ns);
            namespace_free(ns);
        }
        free(nss);
    }
    return NULL;
}

struct namespace *namespace_find(struct namespaces *nss, const char *name)
{
    struct namespace *ns;

    HASH_FIND_STR(nss->table, name, ns);
    return ns;
}

int namespace_add(struct namespaces *nss, const char *name, struct namespace **ret)
{
    struct namespace *ns = namespace_find(nss, name);
    size_t len = strlen(name);

    if (!ns) {
        if (len == 0 || len > NAMESPACE_NAME_MAX)
            return -EINVAL;
        if (!(ns = calloc(1, sizeof(*ns) + len + 1)))
            return -ENOMEM;
        memcpy(ns->name, name, len);
        HASH_ADD_STR(nss->table, name, ns);
        if (!ns->hh.tbl) {
            free(ns);
            return -ENOMEM;
        }
    }
    *ret = ns;
    return 0;
}

void namespace_set_changed(struct namespaces *nss, struct namespace *ns)
{
    if (!ns->work.changed)
        TAILQ_INSERT_TAIL(&nss->changed, ns, work.link);
    ns->work.changed = true;
}

static void unset_changed(struct namespaces *nss, struct namespace *ns)
{
    if (ns->work.changed)
        TAILQ_REMOVE(&nss->changed, ns, work.link);
    ns->work.changed = false;
    ns->work.replaced = false;
    ns->work.last_root = node_unref(ns->work.last_root);
}

static void forget_if_gone(struct namespaces *nss, struct namespace *ns)
{
    if (!ns->exists && !ns->work.exists) {
        HASH_DEL(nss->table, ns);
        namespace_free(ns);
    }
}

int namespace_rewind(struct namespaces *nss, struct namespace *ns)
{
    unset_changed(nss, ns);
    ns->work.root = node_unref(ns->work.root);
    ns->work.exists = ns->exists;
    ns->work.owner = ns->owner;
    ns->work.flags = ns->flags;
    ns->work.seq = ns->seq;
    if (ns->exists && !(ns->work.root = node_new_dirref("", 0, ns->root)))
        return -ENOMEM;
    forget_if_gone(nss, ns);
    return 0;
}

void namespace_settle(struct namespaces *nss, struct namespace *ns)
{
    bool replaced = ns->work.replaced || !ns->work.exists;

    unset_changed(nss, ns);
    ns->exists = ns->work.exists;
    if (ns->exists) {
        ns->owner = ns->work.owner;
        ns->flags = ns->work.flags;
        ns->seq = ns->work.seq;
        memcpy(ns->root, ns->work.root->dirref, DIGEST_SIZE);
    }
    if (nss->on_settled)
        nss->on_settled(ns, replaced, nss->settled_arg);
    forget_if_gone(nss, ns);
}
