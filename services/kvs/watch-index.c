/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Index of watches. Invariant: a key is in the table while it has registrations. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/hash.h"
#include "kvs/key.h"
#include "kvs/watch-index.h"

struct watch_key {
    UT_hash_handle hh;
    struct watch_regs regs;
    char name[];
};

#define NAME_SIZE (NAMESPACE_NAME_MAX + KEY_SIZE_MAX + 8)

static int name_format(char name[NAME_SIZE], enum watch_kind kind, const char *ns, const char *key,
                       size_t key_len)
{
    int n = snprintf(name, NAME_SIZE, "%c%s\n%.*s", "KANB"[kind], ns, (int)key_len, key);

    return n > 0 && n < NAME_SIZE ? n : -EINVAL;
}

static int key_get(struct watch_index *wi, const char *name, size_t len, struct watch_key **ret)
{
    struct watch_key *wk;

    HASH_FIND(hh, wi->table, name, len, wk);
    if (!wk) {
        if (!(wk = calloc(1, sizeof(*wk) + len + 1)))
            return -ENOMEM;
        memcpy(wk->name, name, len);
        TAILQ_INIT(&wk->regs);
        HASH_ADD_KEYPTR(hh, wi->table, wk->name, len, wk);
        if (!wk->hh.tbl) {
            free(wk);
            return -ENOMEM;
        }
    }
    *ret = wk;
    return 0;
}

static void key_put(struct watch_index *wi, struct watch_key *wk)
{
    if (TAILQ_EMPTY(&wk->regs)) {
        HASH_DEL(wi->table, wk);
        free(wk);
    }
}

static int index_add(struct watch_index *wi, enum watch_kind kind, const char *ns, const char *key,
                     size_t key_len, struct watch *w, struct watch_regs *regs)
{
    char name[NAME_SIZE];
    int n = name_format(name, kind, ns, key, key_len);
    struct watch_reg *reg;
    struct watch_key *wk;
    int rc;

    if (n < 0)
        return n;
    if ((rc = key_get(wi, name, (size_t)n, &wk)) < 0)
        return rc;
    if (!(reg = calloc(1, sizeof(*reg)))) {
        key_put(wi, wk);
        return -ENOMEM;
    }
    reg->key = wk;
    reg->watch = w;
    reg->below = kind == WATCH_BELOW;
    wi->nbelow += reg->below;
    TAILQ_INSERT_TAIL(&wk->regs, reg, in_key);
    TAILQ_INSERT_TAIL(regs, reg, in_watch);
    return 0;
}

int watch_index_add(struct watch_index *wi, enum watch_kind kind, const char *ns, const char *key,
                    struct watch *w, struct watch_regs *regs)
{
    return index_add(wi, kind, ns, key, strlen(key), w, regs);
}

void watch_index_remove_all(struct watch_index *wi, struct watch_regs *regs)
{
    struct watch_reg *reg;

    while ((reg = TAILQ_FIRST(regs))) {
        TAILQ_REMOVE(regs, reg, in_watch);
        TAILQ_REMOVE(&reg->key->regs, reg, in_key);
        wi->nbelow -= reg->below;
        key_put(wi, reg->key);
        free(reg);
    }
}

static const struct watch_regs *index_find(struct watch_index *wi, enum watch_kind kind,
                                           const char *ns, const char *key, size_t key_len)
{
    char name[NAME_SIZE];
    int n = name_format(name, kind, ns, key, key_len);
    struct watch_key *wk = NULL;

    if (n > 0)
        HASH_FIND(hh, wi->table, name, (size_t)n, wk);
    return wk ? &wk->regs : NULL;
}

const struct watch_regs *watch_index_find(struct watch_index *wi, enum watch_kind kind,
                                          const char *ns, const char *key)
{
    return index_find(wi, kind, ns, key, strlen(key));
}

void watch_index_above(struct watch_index *wi, const char *ns, const char *key,
                       void (*fn)(const struct watch_regs *regs, void *arg), void *arg)
{
    const struct watch_regs *regs;

    if (wi->nbelow == 0 || key_is_root(key))
        return;
    if ((regs = index_find(wi, WATCH_BELOW, ns, ".", 1)))
        fn(regs, arg);
    for (const char *p = strchr(key, '.'); p; p = strchr(p + 1, '.')) {
        if ((regs = index_find(wi, WATCH_BELOW, ns, key, (size_t)(p - key))))
            fn(regs, arg);
    }
}

int watch_index_add_stage(struct watch_index *wi, const char *ns, const char *key, bool below,
                          struct watch *w, struct watch_regs *regs)
{
    int rc;

    if ((rc = watch_index_add(wi, WATCH_KEY, ns, key, w, regs)) < 0 ||
        (rc = watch_index_add(wi, WATCH_NAMESPACE, ns, "", w, regs)) < 0 ||
        (below && (rc = watch_index_add(wi, WATCH_BELOW, ns, key, w, regs)) < 0))
        return rc;
    if (key_is_root(key))
        return 0;
    for (const char *p = strchr(key, '.'); p; p = strchr(p + 1, '.')) {
        if ((rc = index_add(wi, WATCH_ANCESTOR, ns, key, (size_t)(p - key), w, regs)) < 0)
            return rc;
    }
    return watch_index_add(wi, WATCH_ANCESTOR, ns, ".", w, regs);
}
