/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Watches.
 *
 * Each commit that concerns a watch adds a look: a lookup in exactly the root that the commit made.
 * A watch takes its looks one after the other, so what it delivers is in order and leaves out no
 * root, however long a load takes. (Beyond LOOKS_MAX waiting looks the last two are merged: a slow
 * disk may not eat all memory. Appends stay complete, because they go by offset.)
 *
 * A watch is registered under every key its lookup goes through, links included; when a namespace
 * behind a link goes away, as when a finished job's is archived, it looks again from the start and
 * finds the same bytes where they are now. When its own namespace goes away it first gets what was
 * written last, then ENOTSUP.
 *
 * Invariants: deliver and end are the last thing done with a watch in any path, or the watch is
 * held (busy) meanwhile. progress.offset counts the bytes delivered.
 */
#include <errno.h>
#include <string.h>
#include <flux/kvs.h>
#include "kvs/key.h"
#include "kvs/watch-index.h"
#include "kvs/watch.h"

#define LOOKS_MAX       1024
#define MODE_FLAGS      (FLUX_KVS_READDIR | FLUX_KVS_READLINK | FLUX_KVS_TREEOBJ)
#define WATCH_HOW_FLAGS (FLUX_KVS_WATCH_FULL | FLUX_KVS_WATCH_UNIQ | FLUX_KVS_WATCH_APPEND)
#define VALID_FLAGS     (MODE_FLAGS | WATCH_HOW_FLAGS | FLUX_KVS_WATCH | FLUX_KVS_WAITCREATE)

struct look {
    TAILQ_ENTRY(look) link;
    struct node *root; /* of the watch's own namespace */
    bool mentioned;    /* a transaction named the key */
    bool again;        /* something may have been missed: deliver if it differs */
    bool last;         /* the namespace is gone afterwards */
};

struct watch {
    TAILQ_ENTRY(watch) link;
    TAILQ_ENTRY(watch) hit_link;
    struct kvs *k;
    struct watch_args args;
    char *ns;
    char *key;
    struct watch_regs regs;
    char *regs_for; /* the stages registered, as text */
    TAILQ_HEAD(look_list, look) looks;
    size_t nlooks;
    struct lookup *lookup; /* under way for the first look */
    uint64_t commits_seen; /* when it began */
    bool hit, hit_mentioned, hit_ended;
    struct watch_progress progress;
    bool busy;
    bool dead; /* free when no longer busy */
};

struct watches {
    struct kvs *k;
    struct watch_index index;
    TAILQ_HEAD(watch_list, watch) all;
    struct watch_list hits;
    size_t count;
    size_t nlooks; /* of all */
    uint64_t commits, looks;
};

int watches_new(struct kvs *k, struct watches **ret)
{
    struct watches *ws = calloc(1, sizeof(*ws));

    if (!ws)
        return -ENOMEM;
    ws->k = k;
    TAILQ_INIT(&ws->all);
    TAILQ_INIT(&ws->hits);
    *ret = ws;
    return 0;
}

static void look_free(struct watch *w, struct look *l)
{
    TAILQ_REMOVE(&w->looks, l, link);
    w->nlooks--;
    w->k->watches->nlooks--;
    node_unref(l->root);
    free(l);
}

static void watch_free(struct watch *w)
{
    struct watches *ws = w->k->watches;
    struct look *l;

    if (w->hit)
        TAILQ_REMOVE(&ws->hits, w, hit_link);
    TAILQ_REMOVE(&ws->all, w, link);
    ws->count--;
    watch_index_remove_all(&ws->index, &w->regs);
    lookup_free(w->lookup);
    while ((l = TAILQ_FIRST(&w->looks)))
        look_free(w, l);
    free(w->regs_for);
    free(w->ns);
    free(w->key);
    free(w);
}

struct watches *watches_free(struct watches *ws)
{
    struct watch *w;

    if (ws) {
        while ((w = TAILQ_FIRST(&ws->all)))
            watch_free(w);
        free(ws);
    }
    return NULL;
}

void watch_get_progress(const struct watch *w, struct watch_progress *ret)
{
    *ret = w->progress;
}

bool watches_idle(const struct kvs *k)
{
    return k->watches->nlooks == 0;
}

void watch_cancel(struct watch *w)
{
    w->dead = true;
    if (!w->busy)
        watch_free(w);
}

size_t watch_count(const struct kvs *k)
{
    return k->watches->count;
}

uint64_t watch_looks(const struct kvs *k)
{
    return k->watches->looks;
}

int watch_each_root(const struct kvs *k, int (*fn)(const struct node *root, void *arg), void *arg)
{
    const struct watch *w;
    const struct look *l;
    int rc = 0;

    if (k->watches->nlooks == 0)
        return 0;
    TAILQ_FOREACH (w, &k->watches->all, link) {
        TAILQ_FOREACH (l, &w->looks, link) {
            if ((rc = fn(l->root, arg)) != 0)
                return rc;
        }
    }
    return 0;
}

static void watch_end(struct watch *w, int errnum)
{
    if (!w->dead) {
        w->dead = true;
        w->args.end(w, errnum, w->args.arg);
    }
}

static int add_look(struct watch *w, struct node *root, bool mentioned, bool last)
{
    struct look *l = TAILQ_LAST(&w->looks, look_list);

    if (w->nlooks < LOOKS_MAX || !l) {
        if (!(l = calloc(1, sizeof(*l))))
            return -ENOMEM;
        TAILQ_INSERT_TAIL(&w->looks, l, link);
        w->nlooks++;
        w->k->watches->nlooks++;
    } else {
        node_unref(l->root);
    }
    l->root = node_ref(root);
    l->mentioned |= mentioned;
    l->last |= last;
    return 0;
}

/* --- registration */

/* Is it concerned by what does not name its key, but something below? That may change a directory,
 * and create it. */
static bool wants_below(const struct watch *w)
{
    return (w->args.flags & FLUX_KVS_WATCH_FULL) ||
           ((w->args.flags & FLUX_KVS_WAITCREATE) && !w->progress.delivered);
}

/* Registers the watch for what a lookup went through (or would have, had it got that far). */
static int watch_register(struct watch *w, const struct lookup_stage *stage, unsigned int n,
                          bool *ret_changed)
{
    struct watch_index *wi = &w->k->watches->index;
    bool below = wants_below(w);
    struct strbuf text = { 0 };
    int rc = 0;

    *ret_changed = false;
    strbuf_puts(&text, below ? "below\n" : "\n");
    for (unsigned int i = 0; i < n; i++) {
        strbuf_puts(&text, stage[i].ns);
        strbuf_puts(&text, "\n");
        strbuf_puts(&text, stage[i].key);
        strbuf_puts(&text, "\n");
    }
    if (!strbuf_text(&text))
        return -ENOMEM;
    if (w->regs_for && strcmp(w->regs_for, text.data) == 0) {
        strbuf_deinit(&text);
        return 0;
    }
    free(w->regs_for);
    w->regs_for = text.data;
    *ret_changed = true;
    watch_index_remove_all(wi, &w->regs);
    for (unsigned int i = 0; i < n && rc == 0; i++)
        rc = watch_index_add_stage(wi, stage[i].ns, stage[i].key, below, w, &w->regs);
    return rc;
}

/* --- looking */

static void deliver(struct watch *w, const struct lookup *lk, const char *text)
{
    digest_compute(w->k->params.hash, lk->out.data, lk->out.len, w->progress.last);
    w->progress.offset = lk->size;
    w->progress.delivered = true;
    w->args.deliver(w, text, w->args.arg);
}

static bool same_as_last(const struct watch *w, const struct lookup *lk)
{
    uint8_t digest[DIGEST_SIZE];

    digest_compute(w->k->params.hash, lk->out.data, lk->out.len, digest);
    return memcmp(digest, w->progress.last, DIGEST_SIZE) == 0;
}

static bool worth_delivering(const struct watch *w, const struct look *l, const struct lookup *lk)
{
    if (!w->progress.delivered)
        return true;
    if (w->args.flags & FLUX_KVS_WATCH_APPEND)
        return lk->size > w->progress.offset;
    if (w->args.flags & FLUX_KVS_WATCH_FULL)
        return !same_as_last(w, lk);
    if ((w->args.flags & FLUX_KVS_WATCH_UNIQ) || l->again)
        return (l->mentioned || l->again) && !same_as_last(w, lk);
    return l->mentioned;
}

static bool not_created_yet(const struct watch *w, int err)
{
    return err == -ENOENT && !w->progress.delivered && (w->args.flags & FLUX_KVS_WAITCREATE);
}

static void judge(struct watch *w, struct look *l, struct lookup *lk)
{
    const char *text;

    if (not_created_yet(w, lk->err))
        return;
    if (lk->err < 0) {
        watch_end(w, -lk->err);
    } else if ((w->args.flags & FLUX_KVS_WATCH_APPEND) && lk->size < w->progress.offset) {
        watch_end(w, EINVAL); /* it was overwritten by something shorter */
    } else if (worth_delivering(w, l, lk)) {
        if (!(text = strbuf_text(&lk->out)))
            watch_end(w, ENOMEM);
        else
            deliver(w, lk, text);
        if (!w->dead && !(w->args.flags & FLUX_KVS_WATCH))
            watch_end(w, ENODATA);
    }
}

/* The lookup of the first look is done. */
static void look_finish(struct watch *w, struct lookup *lk)
{
    struct look *l = TAILQ_FIRST(&w->looks);
    bool changed;
    int rc = watch_register(w, lk->stage, lk->nstages, &changed);
    bool missed = changed && lk->nstages > 1 && w->commits_seen != w->k->watches->commits;

    if (rc < 0)
        watch_end(w, -rc);
    else
        judge(w, l, lk);
    if (!w->dead && l->last)
        watch_end(w, ENOTSUP);
    if (!w->dead && missed && (rc = add_look(w, l->root, false, false)) < 0)
        watch_end(w, -rc);
    else if (!w->dead && missed)
        TAILQ_LAST(&w->looks, look_list)->again = true;
    look_free(w, l);
}

static void watch_proceed(struct watch *w);

static void on_lookup_done(struct lookup *lk)
{
    watch_proceed(lk->arg);
}

/* Takes looks until there is none or one must wait. */
static void watch_proceed(struct watch *w)
{
    struct lookup *lk;
    struct look *l;
    int rc;

    w->busy = true;
    while (!w->dead && (l = TAILQ_FIRST(&w->looks))) {
        bool done = w->lookup != NULL;

        if (!w->lookup) {
            if ((rc = lookup_new(w->k, w->ns, w->key, w->args.flags & MODE_FLAGS, &w->args.who,
                                 l->root, on_lookup_done, &w->lookup)) < 0) {
                watch_end(w, -rc);
                break;
            }
            w->lookup->arg = w;
            w->lookup->offset = w->args.flags & FLUX_KVS_WATCH_APPEND ? w->progress.offset : 0;
            w->commits_seen = w->k->watches->commits;
            done = lookup_run(w->lookup);
        }
        if (!done)
            break;
        lk = TAKE(w->lookup);
        look_finish(w, lk);
        lookup_free(lk);
    }
    w->busy = false;
    if (w->dead)
        watch_free(w);
}

static int check_flags(int flags)
{
    if ((flags & ~VALID_FLAGS) || !(flags & (FLUX_KVS_WATCH | FLUX_KVS_WAITCREATE)))
        return -EINVAL;
    if ((flags & WATCH_HOW_FLAGS) && !(flags & FLUX_KVS_WATCH))
        return -EINVAL;
    if ((flags & FLUX_KVS_WATCH_APPEND) && (flags & MODE_FLAGS))
        return -EINVAL;
    return (flags & FLUX_KVS_READDIR) && (flags & FLUX_KVS_READLINK) ? -EINVAL : 0;
}

int watch_new(struct kvs *k, const struct watch_args *args, struct watch **ret)
{
    struct lookup_stage stage;
    CLEANUP(node_unrefp) struct node *root = NULL;
    struct namespace *ns;
    struct watch *w;
    bool changed;
    int rc;

    if ((rc = check_flags(args->flags)) < 0 || (rc = kvs_access(k, args->ns, &args->who, &ns)) < 0)
        return rc;
    if (!(root = node_new_dirref("", 0, ns->root)) || !(w = calloc(1, sizeof(*w))))
        return -ENOMEM;
    w->k = k;
    w->args = *args;
    TAILQ_INIT(&w->regs);
    TAILQ_INIT(&w->looks);
    TAILQ_INSERT_TAIL(&k->watches->all, w, link);
    k->watches->count++;
    w->ns = strdup(args->ns);
    rc = w->ns ? key_normalize(args->key, &w->key) : -ENOMEM;
    stage.ns = w->ns;
    stage.key = w->key;
    if (rc < 0 || (rc = watch_register(w, &stage, 1, &changed)) < 0 ||
        (rc = add_look(w, root, true, false)) < 0) {
        watch_free(w);
        return rc;
    }
    if (args->progress) {
        w->progress = *args->progress;
        w->args.progress = NULL;
        TAILQ_FIRST(&w->looks)->again = true;
    }
    *ret = w;
    watch_proceed(w);
    return 0;
}

/* --- commits */

static void hit(struct kvs *k, const struct watch_regs *regs, bool mentioned)
{
    struct watch_reg *reg;

    if (!regs)
        return;
    TAILQ_FOREACH (reg, regs, in_key) {
        struct watch *w = reg->watch;

        if (!w->hit)
            TAILQ_INSERT_TAIL(&k->watches->hits, w, hit_link);
        w->hit = true;
        w->hit_mentioned |= mentioned;
    }
}

static void hit_above(const struct watch_regs *regs, void *arg)
{
    hit(arg, regs, false);
}

/* A removed namespace: its own watches get a last look at what it ended with. */
static void prepare_last_looks(struct kvs *k, struct namespace *ns)
{
    const struct watch_regs *regs =
        watch_index_find(&k->watches->index, WATCH_NAMESPACE, ns->name, "");
    struct watch_reg *reg;

    hit(k, regs, false);
    if (!regs)
        return;
    TAILQ_FOREACH (reg, regs, in_key) {
        struct watch *w = reg->watch;

        if (strcmp(w->ns, ns->name) == 0 && !w->hit_ended && ns->work.last_root &&
            add_look(w, ns->work.last_root, w->hit_mentioned, true) == 0)
            w->hit_ended = true;
    }
}

void watch_prepare(struct kvs *k, const struct touches *touches)
{
    struct watch_index *wi = &k->watches->index;
    struct namespace *ns;

    k->watches->commits++;
    if (k->watches->count == 0)
        return;
    for (size_t i = 0; i < touches->count; i++) {
        const struct touch *t = &touches->item[i];

        hit(k, watch_index_find(wi, WATCH_KEY, t->ns, t->key), true);
        hit(k, watch_index_find(wi, WATCH_ANCESTOR, t->ns, t->key), false);
        watch_index_above(wi, t->ns, t->key, hit_above, k);
    }
    TAILQ_FOREACH (ns, &k->namespaces->changed, work.link) {
        if (ns->work.replaced)
            prepare_last_looks(k, ns);
    }
}

/* Adds the look at the new root, unless the last look is there already. */
static void hit_look(struct watch *w)
{
    struct namespace *ns = namespace_find(w->k->namespaces, w->ns);
    CLEANUP(node_unrefp) struct node *root = NULL;

    if (w->hit_ended)
        return;
    if (!ns || !ns->exists) {
        watch_end(w, ENOTSUP);
        return;
    }
    root = node_new_dirref("", 0, ns->root);
    if (!root || add_look(w, root, w->hit_mentioned, false) < 0)
        watch_end(w, ENOMEM);
}

void watch_run(struct kvs *k)
{
    struct watch *w;

    while ((w = TAILQ_FIRST(&k->watches->hits))) {
        TAILQ_REMOVE(&k->watches->hits, w, hit_link);
        k->watches->looks++;
        w->hit = false;
        w->busy = true;
        hit_look(w);
        w->hit_mentioned = false;
        w->hit_ended = false;
        w->busy = false;
        if (w->dead)
            watch_free(w);
        else if (!w->lookup)
            watch_proceed(w);
    }
}

void watch_look_again(struct kvs *k)
{
    struct watches *ws = k->watches;
    struct watch *w;

    ws->commits++;
    TAILQ_FOREACH (w, &ws->all, link) {
        struct namespace *ns = namespace_find(k->namespaces, w->ns);
        CLEANUP(node_unrefp) struct node *root = NULL;

        if (w->dead || !ns || !ns->exists || !(root = node_new_dirref("", 0, ns->root)) ||
            add_look(w, root, false, false) < 0)
            continue;
        TAILQ_LAST(&w->looks, look_list)->again = true;
        if (!w->hit)
            TAILQ_INSERT_TAIL(&ws->hits, w, hit_link);
        w->hit = true;
        w->hit_ended = true; /* it has its look */
    }
    watch_run(k);
}
