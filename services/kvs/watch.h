/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Watches: lookups that go on. A commit costs the watches of the keys it mentions, and those below
 * a key it mentions, and no others. */
#ifndef KVS_WATCH_H
#define KVS_WATCH_H

#include "kvs/lookup.h"
#include "kvs/txn.h"

struct watch;

/* What a client has got so far: enough to go on with it in another process. */
struct watch_progress {
    bool delivered;
    uint64_t offset;           /* bytes, for FLUX_KVS_WATCH_APPEND */
    uint8_t last[DIGEST_SIZE]; /* of what was delivered last */
};

struct watch_args {
    const char *ns;
    const char *key;
    int flags; /* FLUX_KVS_* of a lookup */
    struct caller who;
    const struct watch_progress *progress; /* NULL: it begins; lent to watch_new() */
    /* {"val":OBJECT}, as often as there is something to say. */
    void (*deliver)(struct watch *w, const char *text, void *arg);
    /* Once, last: ENODATA (positive errno) when a wait for creation is over, or what ended it.
     * The watch is freed afterwards. Neither is called after watch_cancel(). */
    void (*end)(struct watch *w, int errnum, void *arg);
    void *arg;
};

int watches_new(struct kvs *k, struct watches **ret);
struct watches *watches_free(struct watches *ws);

/* 0: it lives until end or watch_cancel(); both callbacks may come before this returns, and then
 * *ret may be gone: it is set before. -EINVAL, -ENOTSUP, -EPERM, -ENOMEM. */
int watch_new(struct kvs *k, const struct watch_args *args, struct watch **ret);
void watch_cancel(struct watch *w);
size_t watch_count(const struct kvs *k);
uint64_t watch_looks(const struct kvs *k); /* looks that commits have cost */
void watch_get_progress(const struct watch *w, struct watch_progress *ret);
/* Has everything been delivered that was committed? */
bool watches_idle(const struct kvs *k);

/* Roots that watches have still to look at. Stops at the first result that is not 0. */
int watch_each_root(const struct kvs *k, int (*fn)(const struct node *root, void *arg), void *arg);

/* For the committer. prepare: while the namespaces still have both roots, find out who is
 * concerned. run: now that they have settled, look. */
void watch_prepare(struct kvs *k, const struct touches *touches);
void watch_run(struct kvs *k);
/* The root is new and it is not known what was changed: each watch delivers what differs. */
void watch_look_again(struct kvs *k);

#endif
