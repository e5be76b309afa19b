/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Gathers, seals, stores, answers.
 *
 *     queue --apply--> group --seal--> content.commit --reply--> roots durable, watchers, answers
 *
 * A transaction that fails leaves the group as it was and is answered at once. One that lacks a
 * directory holds the queue until it is loaded: order is kept. FLUX_KVS_NO_MERGE makes a group of
 * its own.
 *
 * Invariants: at most one group is being stored. Nobody sees or is told of a root before the
 * content store has it. If the store refuses cleanly (no space) the working roots go back to the
 * durable ones and everybody in the group is told; if the outcome is unknown the process must end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <flux/kvs.h>
#include "base/errorx.h"
#include "base/monotime.h"
#include "kvs/commit.h"
#include "kvs/digest-set.h"
#include "kvs/gc.h"
#include "kvs/update.h"
#include "kvs/watch.h"

#define GROUP_SIZE_MAX (32u << 20) /* bytes of new values, about */

TAILQ_HEAD(txn_list, txn);

struct committer {
    struct kvs *k;
    struct txn_list queue;
    struct load_group loads; /* what the first of the queue waits for */
    struct gc_guard guard;   /* of the references of the first of the queue */
    bool storing;
    uint64_t next_owner;
    /* The group. */
    struct txn_list members;
    size_t nmembers;
    bool closed;
    uint64_t group; /* its number */
    uint64_t epoch; /* of the cache, when it was sent */
    struct touches touches;
    struct pins pins;
    struct digest_list superseded; /* directories that changed copies were made of */
    struct strbuf sizes;           /* JSON */
    struct strbuf blobs;
    struct strbuf scratch; /* text of one directory */
    uint64_t bytes;        /* of all groups that are stored */
    struct committer_stats stats;
};

static void on_loads_done(struct load_group *g)
{
    commit_pump(g->k);
}

static void on_guarded(struct gc_guard *guard)
{
    struct committer *c = container_of(guard, struct committer, guard);

    commit_pump(c->k);
}

int committer_new(struct kvs *k, struct committer **ret)
{
    struct committer *c = calloc(1, sizeof(*c));

    if (!c)
        return -ENOMEM;
    c->k = k;
    c->next_owner = 1;
    c->group = 1;
    TAILQ_INIT(&c->queue);
    TAILQ_INIT(&c->members);
    load_group_init(&c->loads, k, on_loads_done);
    c->guard.done = on_guarded;
    *ret = c;
    return 0;
}

static void group_reset(struct committer *c)
{
    touches_deinit(&c->touches);
    pins_release(&c->pins, c->k->cache);
    digest_list_clear(&c->superseded);
    c->sizes.len = 0;
    c->blobs.len = 0;
    if (c->blobs.cap > GROUP_SIZE_MAX / 4)
        strbuf_deinit(&c->blobs);
    if (c->scratch.cap > GROUP_SIZE_MAX / 4)
        strbuf_deinit(&c->scratch);
    c->nmembers = 0;
    c->closed = false;
    c->group++;
}

static void txn_list_free(struct txn_list *list)
{
    struct txn *t;

    while ((t = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, t, link);
        txn_free(t);
    }
}

struct committer *committer_free(struct committer *c)
{
    if (c) {
        gc_unguard(c->k, &c->guard);
        load_group_deinit(&c->loads);
        group_reset(c);
        txn_list_free(&c->queue);
        txn_list_free(&c->members);
        strbuf_deinit(&c->sizes);
        strbuf_deinit(&c->blobs);
        strbuf_deinit(&c->scratch);
        free(c);
    }
    return NULL;
}

void commit_submit(struct kvs *k, struct txn *t)
{
    TAILQ_INSERT_TAIL(&k->committer->queue, t, link);
    k->committer->stats.queued++;
}

/* --- gathering */

/* What is pinned in the cache is part of the group, and is stored with it unless it is known to be
 * there and to stay. */
static int group_add(struct committer *c, struct obj *o, bool is_new, const void *data, size_t size)
{
    if (!o)
        return -ENOMEM;
    pins_add(&c->pins, o);
    if (!obj_join_group(o, c->group) || (!is_new && obj_trusted(c->k->cache, o)))
        return 0;
    if (c->sizes.len > 0)
        strbuf_puts(&c->sizes, ",");
    strbuf_number(&c->sizes, size);
    strbuf_add(&c->blobs, data, size);
    return c->sizes.failed || c->blobs.failed ? -ENOMEM : 0;
}

static int group_add_blob(struct committer *c, const uint8_t *digest, struct blob *b)
{
    struct obj *o;
    bool is_new;
    int rc;

    if ((rc = pins_reserve(&c->pins)) < 0)
        return rc;
    o = objcache_put_blob(c->k->cache, digest, b, &is_new);
    return group_add(c, o, is_new, b->data, b->size);
}

static int group_add_op(struct committer *c, const struct op *op)
{
    return group_add_blob(c, op->digest, op->blob);
}

/* Takes over the effects of a transaction that has succeeded. */
static int group_add_effects(struct committer *c, struct effects *fx)
{
    struct touches *to = &c->touches;
    struct touches *from = &fx->touches;
    int rc = 0;

    for (size_t i = 0; i < fx->nblobs && rc == 0; i++)
        rc = group_add_op(c, fx->blobs[i]);
    for (size_t i = 0; i < fx->nmade && rc == 0; i++)
        rc = group_add_op(c, &fx->made[i]);
    if (rc < 0)
        return rc;
    if (to->count + from->count > to->cap) {
        size_t cap = 2 * (to->count + from->count);
        struct touch *item = realloc(to->item, cap * sizeof(item[0]));

        if (!item)
            return -ENOMEM;
        to->item = item;
        to->cap = cap;
    }
    if (from->count > 0)
        memcpy(&to->item[to->count], from->item, from->count * sizeof(from->item[0]));
    to->count += from->count;
    from->count = 0;
    return 0;
}

static void txn_finish(struct committer *c, struct txn *t, int err)
{
    t->err = err;
    c->stats.failed += err < 0;
    if (err < 0 && !t->error.text[0])
        errorx_set(&t->error, "%s: %s", t->ns, strerror(-err));
    t->done(t, t->arg);
}

static void group_fatal(struct committer *c, const char *why)
{
    c->storing = true; /* nothing more is begun */
    c->k->params.backend->fatal(why, c->k->params.arg);
}

/* What a client refers to, without having stored it now, might just be collected. */
static int guard_references(struct committer *c, struct txn *t)
{
    int rc;

    if (t->guarded == objcache_epoch(c->k->cache))
        return 0;
    if ((rc = gc_guard_txn(c->k, &c->guard, t)) == 0)
        t->guarded = objcache_epoch(c->k->cache);
    else if (rc == -ENOENT)
        errorx_set(&t->error, "%s: what is referred to is not in the content store any more",
                   t->ns);
    return rc;
}

static int txn_try(struct committer *c, struct txn *t, struct effects *fx)
{
    int rc = guard_references(c, t);

    if (rc < 0)
        return rc;
    return c->loads.err < 0 ? c->loads.err : txn_apply(t, fx);
}

/* Applies the first of the queue. 0: it is through. -EAGAIN: it waits. Else: fatal. */
static int group_take_first(struct committer *c)
{
    struct txn *t = TAILQ_FIRST(&c->queue);
    struct effects fx = { .k = c->k, .loads = &c->loads, .owner = c->next_owner++ };
    int rc = txn_try(c, t, &fx);

    if (rc == -EAGAIN) {
        effects_deinit(&fx);
        return rc;
    }
    load_group_deinit(&c->loads);
    TAILQ_REMOVE(&c->queue, t, link);
    c->stats.queued--;
    c->stats.transactions++;
    if (rc < 0) {
        effects_deinit(&fx);
        txn_finish(c, t, rc);
        return 0;
    }
    rc = group_add_effects(c, &fx);
    effects_deinit(&fx);
    TAILQ_INSERT_TAIL(&c->members, t, link);
    c->nmembers++;
    c->closed = t->flags & FLUX_KVS_NO_MERGE || c->blobs.len > GROUP_SIZE_MAX;
    return rc;
}

/* False: the group is not complete yet, or there is none. */
static bool group_gather(struct committer *c)
{
    struct txn *t;
    int rc;

    while (!c->closed && (t = TAILQ_FIRST(&c->queue))) {
        if ((t->flags & FLUX_KVS_NO_MERGE) && c->nmembers > 0)
            break;
        if ((rc = group_take_first(c)) == -EAGAIN)
            return false;
        if (rc < 0) {
            group_fatal(c, "out of memory in the middle of a commit");
            return false;
        }
    }
    return c->nmembers > 0;
}

/* --- storing */

static int on_sealed_dir(struct dir *d, const void *text, size_t size, void *arg)
{
    struct committer *c = arg;
    struct obj *o;
    bool is_new;
    int rc;

    if ((rc = pins_reserve(&c->pins)) < 0)
        return rc;
    if (d->origin && memcmp(d->origin->digest, d->digest, DIGEST_SIZE) != 0 &&
        (rc = digest_list_add(&c->superseded, d->origin->digest)) < 0)
        return rc;
    o = objcache_put_dir(c->k->cache, d, size, &is_new);
    return group_add(c, o, is_new, text, size);
}

static int on_sealed_value(const uint8_t digest[DIGEST_SIZE], const void *data, size_t size,
                           void *arg)
{
    CLEANUP(blob_unrefp) struct blob *b = blob_new(data, size);

    return b ? group_add_blob(arg, digest, b) : -ENOMEM;
}

static int seal_root(struct committer *c, struct node **root)
{
    const struct seal_sink sink = { on_sealed_dir, on_sealed_value, c, &c->scratch };
    struct node *ref;
    int rc;

    if ((*root)->type != NODE_DIR)
        return 0;
    if ((rc = dir_seal((*root)->dir, c->k->params.hash, &sink)) < 0)
        return rc;
    if (!(ref = node_new_dirref("", 0, (*root)->dir->digest)))
        return -ENOMEM;
    node_unref(*root);
    *root = ref;
    return 0;
}

static void encode_root(struct committer *c, const struct namespace *ns, struct strbuf *sb)
{
    char ref[BLOBREF_STRING_SIZE];
    char time[32];

    strbuf_puts(sb, "{\"ns\":");
    strbuf_json_string(sb, ns->name);
    strbuf_puts(sb, ",\"root\":");
    if (!ns->work.exists) {
        strbuf_puts(sb, "null}");
        return;
    }
    blobref_format(c->k->params.hash, ns->work.root->dirref, ref);
    (void)snprintf(time, sizeof(time), "%.6f", walltime());
    strbuf_puts(sb, "{\"rootref\":\"");
    strbuf_puts(sb, ref);
    strbuf_puts(sb, "\",\"seq\":");
    strbuf_number(sb, (uint64_t)ns->work.seq);
    strbuf_puts(sb, ",\"owner\":");
    strbuf_number(sb, ns->work.owner);
    strbuf_puts(sb, ",\"flags\":");
    strbuf_number(sb, (uint64_t)ns->work.flags);
    strbuf_puts(sb, ",\"timestamp\":");
    strbuf_puts(sb, time);
    strbuf_puts(sb, "}}");
}

/* Seals the changed namespaces and writes the roots member. *ret_changed: is there anything to
 * store? */
static int group_seal(struct committer *c, struct strbuf *roots, bool *ret_changed)
{
    struct namespace *ns;
    int rc;

    *ret_changed = false;
    TAILQ_FOREACH (ns, &c->k->namespaces->changed, work.link) {
        if (ns->work.exists) {
            if ((rc = seal_root(c, &ns->work.root)) < 0)
                return rc;
            ns->work.seq++;
        } else if (!ns->exists) { /* came and went within the group */
            continue;
        }
        if (*ret_changed)
            strbuf_puts(roots, ",");
        encode_root(c, ns, roots);
        *ret_changed = true;
    }
    return strbuf_error(roots);
}

static int group_send(struct committer *c, struct strbuf *roots)
{
    struct strbuf msg = { 0 };
    uint32_t *header_size;
    size_t header;
    int rc;

    (void)strbuf_extend(&msg, sizeof(uint32_t));
    strbuf_puts(&msg, "{\"blobs\":[");
    strbuf_add(&msg, c->sizes.data, c->sizes.len);
    strbuf_puts(&msg, "],\"roots\":[");
    strbuf_add(&msg, roots->data, roots->len);
    strbuf_puts(&msg, "]}");
    header = msg.len - sizeof(uint32_t);
    strbuf_add(&msg, c->blobs.data, c->blobs.len);
    if ((rc = strbuf_error(&msg)) == 0) {
        header_size = (uint32_t *)msg.data;
        *header_size = htonl((uint32_t)header);
        rc = c->k->params.backend->commit(msg.data, msg.len, c->k->params.arg);
    }
    strbuf_deinit(&msg);
    return rc;
}

static void group_answer(struct committer *c, int err)
{
    struct txn_list members = TAILQ_HEAD_INITIALIZER(members);
    struct txn *t;

    if (c->nmembers > c->stats.largest_batch)
        c->stats.largest_batch = c->nmembers;
    TAILQ_CONCAT(&members, &c->members, link);
    group_reset(c);
    while ((t = TAILQ_FIRST(&members))) {
        TAILQ_REMOVE(&members, t, link);
        txn_finish(c, t, err);
    }
}

/* What each transaction of the group is told, before the namespaces move on. */
static void group_set_results(struct committer *c)
{
    struct txn *t;

    TAILQ_FOREACH (t, &c->members, link) {
        struct namespace *ns = namespace_find(c->k->namespaces, t->ns);

        if (ns && ns->work.exists) {
            memcpy(t->rootref, ns->work.root->dirref, DIGEST_SIZE);
            t->rootseq = ns->work.seq;
        }
    }
}

/* One update for all transactions of the group; nothing for an instance of one node. */
static void group_announce(struct committer *c)
{
    struct strbuf sb = { 0 };
    const char *text;

    if (!c->k->announcing)
        return;
    update_encode(c->k, &c->touches, &sb);
    if (sb.len > 0 && (text = strbuf_text(&sb)))
        c->k->params.backend->announce(text, c->k->params.arg);
    strbuf_deinit(&sb);
}

/* Old versions of what changes often would push out everything else. Who still reads one, or has
 * the same directory elsewhere, loads it again. */
static void drop_superseded(struct committer *c)
{
    for (size_t i = 0; i < c->superseded.count; i++)
        objcache_drop_one(c->k->cache, OBJ_DIR, c->superseded.items[i]);
}

static void group_succeed(struct committer *c)
{
    struct namespaces *nss = c->k->namespaces;

    group_announce(c);
    for (size_t i = 0; i < c->pins.count; i++) {
        obj_set_stored(c->pins.objs[i]);
        obj_trust(c->pins.objs[i], c->epoch);
    }
    c->bytes += c->blobs.len;
    group_set_results(c);
    watch_prepare(c->k, &c->touches);
    while (!TAILQ_EMPTY(&nss->changed))
        namespace_settle(nss, TAILQ_FIRST(&nss->changed));
    c->stats.batches++;
    watch_run(c->k);
    drop_superseded(c);
    group_answer(c, 0);
}

static void group_rewind(struct committer *c, int err)
{
    struct namespaces *nss = c->k->namespaces;

    while (!TAILQ_EMPTY(&nss->changed)) {
        if (namespace_rewind(nss, TAILQ_FIRST(&nss->changed)) < 0) {
            group_fatal(c, "out of memory in the middle of a commit");
            return;
        }
    }
    group_answer(c, err);
}

static void group_store(struct committer *c)
{
    struct strbuf roots = { 0 };
    bool changed;
    int rc = group_seal(c, &roots, &changed);

    if (rc < 0) {
        group_fatal(c, "out of memory in the middle of a commit");
    } else if (!changed) { /* nothing but empty transactions */
        group_set_results(c);
        group_rewind(c, 0);
    } else {
        c->storing = true;
        c->epoch = objcache_epoch(c->k->cache);
        if ((rc = group_send(c, &roots)) < 0)
            group_fatal(c, "cannot send to the content store");
    }
    strbuf_deinit(&roots);
}

void commit_pump(struct kvs *k)
{
    struct committer *c = k->committer;

    while (!c->storing && !load_group_busy(&c->loads) && group_gather(c))
        group_store(c);
}

void kvs_stored(struct kvs *k, int err)
{
    struct committer *c = k->committer;

    if (!c->storing)
        return;
    if (err == 0) {
        group_succeed(c);
    } else if (err == -ENOSPC || err == -EFBIG || err == -EAGAIN) {
        group_rewind(c, err);
    } else {
        group_fatal(c, strerror(-err));
        return;
    }
    c->storing = false;
    commit_pump(k);
}

uint64_t commit_group(const struct kvs *k)
{
    return k->committer->group;
}

bool commit_has_group(const struct kvs *k)
{
    return k->committer->storing || k->committer->nmembers > 0;
}

bool commit_idle(const struct kvs *k)
{
    const struct committer *c = k->committer;

    return !c->storing && c->nmembers == 0 && TAILQ_EMPTY(&c->queue);
}

const struct committer_stats *commit_stats(const struct kvs *k)
{
    return &k->committer->stats;
}

uint64_t commit_bytes(const struct kvs *k)
{
    return k->committer->bytes;
}

void commit_stats_clear(struct kvs *k)
{
    struct committer *c = k->committer;

    c->stats = (struct committer_stats){ .queued = c->stats.queued };
}
