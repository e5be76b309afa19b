/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which watches are concerned by what: an index from (kind, namespace, key) to watches. */
#ifndef KVS_WATCH_INDEX_H
#define KVS_WATCH_INDEX_H

#include "base/list.h"
#include "kvs/lookup.h"

enum watch_kind {
    WATCH_KEY,       /* the key itself */
    WATCH_ANCESTOR,  /* something below the key */
    WATCH_NAMESPACE, /* the end of the namespace; key is "" */
    WATCH_BELOW      /* a transaction names something below the key */
};

struct watch;
struct watch_key;

struct watch_reg {
    TAILQ_ENTRY(watch_reg) in_key;
    TAILQ_ENTRY(watch_reg) in_watch;
    struct watch_key *key;
    struct watch *watch;
    bool below;
};
TAILQ_HEAD(watch_regs, watch_reg);

struct watch_index {
    struct watch_key *table;
    size_t nbelow; /* registrations of WATCH_BELOW */
};

int watch_index_add(struct watch_index *wi, enum watch_kind kind, const char *ns, const char *key,
                    struct watch *w, struct watch_regs *regs);
void watch_index_remove_all(struct watch_index *wi, struct watch_regs *regs);
/* The registrations, in_key; NULL if there are none. */
const struct watch_regs *watch_index_find(struct watch_index *wi, enum watch_kind kind,
                                          const char *ns, const char *key);
/* Everything a lookup went through: its keys, their ancestors, the namespaces; below: also what is
 * below its keys. */
int watch_index_add_stage(struct watch_index *wi, const char *ns, const char *key, bool below,
                          struct watch *w, struct watch_regs *regs);
/* Calls fn for the registrations of each directory above key that is watched with what is below. */
void watch_index_above(struct watch_index *wi, const char *ns, const char *key,
                       void (*fn)(const struct watch_regs *regs, void *arg), void *arg);

#endif
