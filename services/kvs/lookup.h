/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Lookups: walk a key from a root, through symbolic links and namespaces, loading what is missing
 * without holding up anybody else. */
#ifndef KVS_LOOKUP_H
#define KVS_LOOKUP_H

#include "kvs/loader.h"

#define LOOKUP_LINKS_MAX 10

/* One walk from a root: the key asked for, then one for each link followed. */
struct lookup_stage {
    char *ns;
    char *key; /* normalized */
    struct node *root;
};

struct lookup {
    /* Set by the caller after lookup_new(). */
    uint64_t offset; /* of a value, deliver only what lies behind */
    void *arg;
    bool snapshot;           /* it is not about the present */
    LIST_ENTRY(lookup) link; /* in a list of the caller's */
    /* Results, valid when done. */
    int err;           /* 0 or -errno */
    struct strbuf out; /* {"val":OBJECT} */
    uint64_t size;     /* of the whole value, 0 for anything else */
    struct lookup_stage stage[LOOKUP_LINKS_MAX + 1];
    unsigned int nstages;
    /* Private. */
    struct kvs *k;
    struct caller who;
    int flags;
    struct load_group loads;
    void (*done)(struct lookup *lk);
};

/* root: look up there instead of in the current root of ns (NULL); takes a reference.
 * done: when lookup_run() has said "later"; it may free the lookup. -EINVAL: bad key or flags. */
int lookup_new(struct kvs *k, const char *ns, const char *key, int flags, const struct caller *who,
               struct node *root, void (*done)(struct lookup *lk), struct lookup **ret);
struct lookup *lookup_free(struct lookup *lk);
DEFINE_CLEANUP(struct lookup *, lookup_free)

/* True: done at once. False: done() follows. */
bool lookup_run(struct lookup *lk);
/* Of one that ended with EIO: something is not in the content store, rather than damaged there. */
bool lookup_is_gone(const struct lookup *lk);

#endif
