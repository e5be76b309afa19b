/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Collections.
 *
 *     idle -> begin -> mark -> grace -> sweep -> idle
 *
 * The content store keeps what is stored after the beginning, and what is marked; it removes
 * nothing before the first step of the sweep. So this must be marked by then: whatever the roots
 * lead to that were there at some time after the beginning, and whatever later commits refer to
 * without storing it. Of those there are three kinds:
 * - what the root before them led to: marked, or stored since, by induction;
 * - blobs that this process has in its cache and so would not store: they are stored again unless
 *   they were marked or stored in this epoch (objcache.h);
 * - references and snapshots that a client names: guards. Before the sweep what they lead to is
 *   marked along with the rest. During the sweep the commit waits until all of that is marked, and
 *   fails if some of it is gone.
 * A checkpoint that is put after the beginning is not waited for here: the content store tells with
 * a step, in which it removes nothing, and what it refers to is marked before the next one.
 *
 * The epoch begins when the content store has answered: what is sent after that it keeps. A group
 * that was being put together then may refer to what was trusted in the epoch before, so the roots
 * are taken after it has been stored.
 *
 * Roots: of all namespaces, of looks of watches, held ones, and what checkpoints refer to (which
 * may be a snapshot, or any blob). Whoever else reads a root that is not the present one (a lookup,
 * a follower that has fallen behind, a snapshot somebody noted) has the grace to come to an end; a
 * follower that is later still asks rank 0.
 *
 * All of this is in memory. When this process or the content store ends, the collection is given up
 * and nothing has been lost: only what was not marked has been removed.
 *
 * A directory that is missing is counted and passed over, because nobody can reach what is below
 * it; one that cannot be read ends the collection, because it may be repaired. */
#include <errno.h>
#include <string.h>
#include "base/errorx.h"
#include "base/monotime.h"
#include "kvs/commit.h"
#include "kvs/digest-set.h"
#include "kvs/gc.h"
#include "kvs/watch.h"

/* Digests in a request: a few milliseconds of the content store's time, more in a larger step. */
#define MARKS_MIN     256
#define MARKS_PER_DIR 16
#define MARK_BACKLOG  4096 /* digests that wait; then no directory is read */
#define REST_MAX_USEC 10000000
#define GUARD_STEP    64 /* directories at once while somebody waits */

struct gc {
    struct kvs *k;
    enum gc_phase phase;
    uint64_t generation;
    bool began;
    uint64_t group; /* that was under way at the beginning; 0: none */
    uint64_t grace_usec, started_usec, marked_usec;
    uint32_t rows;            /* of a step */
    unsigned int rest;        /* how long to rest after a request, in times that it took */
    uint64_t rest_until;      /* when the next request may be sent */
    struct digest_set named;  /* by checkpoints: whatever they are */
    struct digest_set seen;   /* directories */
    struct digest_list todo;  /* directories */
    struct digest_list marks; /* to be sent, those at the end first */
    bool marking, stepping;   /* a request is under way */
    struct load_group loads;
    size_t nloads;
    TAILQ_HEAD(, gc_guard) guards;
    LIST_HEAD(, gc_hold) holds;
    struct gc_result result;
    void (*done)(const struct gc_result *r, void *arg);
    void *arg;
};

static const char *const phase_names[] = {
    [GC_IDLE] = "idle",   [GC_BEGIN] = "begin", [GC_MARK] = "mark",
    [GC_GRACE] = "grace", [GC_SWEEP] = "sweep",
};

static void on_raw(struct load_group *g, const uint8_t digest[DIGEST_SIZE], int err,
                   const void *data, size_t size);

static void on_loads_done(struct load_group *g);

int gc_new(struct kvs *k, struct gc **ret)
{
    struct gc *gc = calloc(1, sizeof(*gc));

    if (!gc)
        return -ENOMEM;
    gc->k = k;
    gc->rows = GC_ROWS;
    TAILQ_INIT(&gc->guards);
    LIST_INIT(&gc->holds);
    load_group_init(&gc->loads, k, on_loads_done);
    gc->loads.raw = on_raw;
    *ret = gc;
    return 0;
}

static void reset(struct gc *gc)
{
    load_group_deinit(&gc->loads);
    gc->nloads = 0;
    digest_set_clear(&gc->named);
    digest_set_clear(&gc->seen);
    digest_list_clear(&gc->todo);
    digest_list_clear(&gc->marks);
    gc->phase = GC_IDLE;
}

struct gc *gc_free(struct gc *gc)
{
    if (gc) {
        reset(gc);
        free(gc);
    }
    return NULL;
}

enum gc_phase gc_phase(const struct kvs *k)
{
    return k->gc->phase;
}

const char *gc_phase_name(enum gc_phase phase)
{
    return phase_names[phase];
}

const struct gc_result *gc_progress(const struct kvs *k)
{
    return &k->gc->result;
}

/* The first guard has got its answer, or may ask now. */
static void guard_pass(struct gc *gc)
{
    struct gc_guard *guard = TAILQ_FIRST(&gc->guards);

    TAILQ_REMOVE(&gc->guards, guard, link);
    guard->waiting = false;
    guard->answered = guard->asked;
    guard->done(guard);
}

static void finish(struct gc *gc, int err)
{
    const struct kvs_backend *backend = gc->k->params.backend;

    if (err < 0 && err != -ESTALE && gc->began)
        backend->sweep_end(gc->generation, gc->k->params.arg);
    reset(gc);
    gc->result.err = err;
    gc->result.seconds = (double)(monotime_usec() - gc->started_usec) / 1e6;
    if (err < 0 && !gc->result.error.text[0])
        errorx_set(&gc->result.error, "%s", strerror(-err));
    if (gc->done)
        gc->done(&gc->result, gc->arg);
    while (!TAILQ_EMPTY(&gc->guards)) /* nothing is being removed any more */
        guard_pass(gc);
}

int gc_start(struct kvs *k, double grace_seconds,
             void (*done)(const struct gc_result *r, void *arg), void *arg)
{
    struct gc *gc = k->gc;
    int rc;

    if (gc->phase != GC_IDLE || gc->marking || gc->stepping)
        return -EALREADY;
    memset(&gc->result, 0, sizeof(gc->result));
    gc->done = done;
    gc->arg = arg;
    gc->grace_usec = (uint64_t)(grace_seconds * 1e6);
    gc->started_usec = monotime_usec();
    gc->began = false;
    gc->rest_until = 0;
    if ((rc = k->params.backend->sweep_begin(k->params.arg)) < 0)
        return rc;
    gc->phase = GC_BEGIN;
    return 0;
}

/* --- requests to the content store: one at a time, unless somebody waits */

static bool may_ask(const struct gc *gc)
{
    return !TAILQ_EMPTY(&gc->guards) ||
           (!gc->marking && !gc->stepping && (gc->rest == 0 || monotime_usec() >= gc->rest_until));
}

void gc_took(struct kvs *k, uint64_t usec)
{
    uint64_t rest = usec * k->gc->rest;

    k->gc->rest_until = monotime_usec() + (rest < REST_MAX_USEC ? rest : REST_MAX_USEC);
}

void gc_set_pace(struct kvs *k, uint32_t rows, unsigned int rest)
{
    k->gc->rows = rows;
    k->gc->rest = rest;
}

uint64_t gc_rest_usec(const struct kvs *k)
{
    const struct gc *gc = k->gc;
    uint64_t now = monotime_usec();

    if (gc->phase != GC_SWEEP || gc->todo.count > 0 || !TAILQ_EMPTY(&gc->guards) ||
        gc->rest_until <= now)
        return 0;
    return gc->rest_until - now;
}

/* --- marking */

static int add_dir(struct gc *gc, const uint8_t digest[DIGEST_SIZE])
{
    return digest_set_has(&gc->seen, digest) ? 0 : digest_list_add(&gc->todo, digest);
}

static int add_value(struct gc *gc, const struct node *n)
{
    int rc = 0;

    for (uint32_t i = 0; i < n->valref.count && rc == 0; i++)
        rc = digest_list_add(&gc->marks, n->valref.refs[i].digest);
    return rc;
}

static int add_node(struct gc *gc, const struct node *n);

static int add_entries(struct gc *gc, const struct dir *d)
{
    int rc = 0;

    for (uint32_t i = 0; i < dir_slots(d) && rc == 0; i++) {
        if (d->ents[i])
            rc = add_node(gc, d->ents[i]);
    }
    return rc;
}

/* What a node leads to. */
static int add_node(struct gc *gc, const struct node *n)
{
    switch (n->type) {
    case NODE_DIRREF:
        return add_dir(gc, n->dirref);
    case NODE_VALREF:
        return add_value(gc, n);
    case NODE_DIR:
        return add_entries(gc, n->dir);
    default:
        return 0;
    }
}

/* While a guard is asked about, nothing else is being marked. */
static void missing(struct gc *gc, uint64_t count)
{
    if (TAILQ_EMPTY(&gc->guards))
        gc->result.missing += count;
    else
        TAILQ_FIRST(&gc->guards)->err = -ENOENT;
}

/* A checkpoint may refer to anything. */
static bool is_dir(const struct gc *gc, const void *data, size_t size)
{
    CLEANUP(dir_unrefp) struct dir *d = NULL;

    return data && dir_decode(data, size, gc->k->params.hash, &d) == 0;
}

/* A directory that was not in memory has come. */
static void on_raw(struct load_group *g, const uint8_t digest[DIGEST_SIZE], int err,
                   const void *data, size_t size)
{
    struct gc *gc = container_of(g, struct gc, loads);
    CLEANUP(dir_unrefp) struct dir *d = NULL;
    char ref[BLOBREF_STRING_SIZE];

    gc->nloads--;
    if (digest_set_has(&gc->named, digest) && (err == -ENOENT || !is_dir(gc, data, size)))
        return;
    if (err == -ENOENT) {
        missing(gc, 1);
        return;
    }
    if (err == 0)
        err = dir_decode(data, size, gc->k->params.hash, &d);
    if (err == 0)
        err = add_entries(gc, d);
    if (err < 0 && gc->result.err == 0) {
        blobref_format(gc->k->params.hash, digest, ref);
        errorx_set(&gc->result.error, "a directory cannot be read: %s: %s", ref, strerror(-err));
        gc->result.err = err;
    }
}

static int visit(struct gc *gc, const uint8_t digest[DIGEST_SIZE])
{
    struct obj *o;
    int rc = digest_set_add(&gc->seen, digest);

    if (rc <= 0)
        return rc;
    if ((rc = digest_list_add(&gc->marks, digest)) < 0)
        return rc;
    if ((o = objcache_peek(gc->k->cache, OBJ_DIR, digest))) {
        obj_trust(o, objcache_epoch(gc->k->cache));
        return add_entries(gc, obj_dir(o));
    }
    gc->nloads++;
    return load_group_add(&gc->loads, OBJ_DIR, digest);
}

static size_t at_least(size_t min, size_t n)
{
    return n < min ? min : n;
}

static int send_marks(struct gc *gc, size_t limit)
{
    struct digest_list *l = &gc->marks;
    size_t n = l->count < limit ? l->count : limit;
    int rc;

    if (n == 0 || gc->marking || !may_ask(gc))
        return 0;
    l->count -= n;
    rc = gc->k->params.backend->mark(gc->generation, l->items[l->count], n, gc->k->params.arg);
    if (rc < 0)
        return rc;
    gc->marking = true;
    gc->result.marked += n;
    return 0;
}

static int mark_some(struct gc *gc, unsigned int directories)
{
    uint8_t digest[DIGEST_SIZE];
    int rc = gc->result.err;

    for (unsigned int i = 0; i < directories && rc == 0 && gc->marks.count < MARK_BACKLOG &&
                             digest_list_pop(&gc->todo, digest);
         i++)
        rc = visit(gc, digest);
    return rc < 0 ? rc : send_marks(gc, at_least(MARKS_MIN, directories * MARKS_PER_DIR));
}

static bool all_marked(const struct gc *gc)
{
    return gc->todo.count == 0 && gc->nloads == 0 && gc->marks.count == 0 && !gc->marking;
}

/* Something was answered. Guards are not left to the next step: somebody waits for them. */
static void go_on(struct gc *gc, int err)
{
    if (err == 0 && !TAILQ_EMPTY(&gc->guards))
        err = mark_some(gc, GUARD_STEP);
    if (err < 0) {
        finish(gc, err);
        return;
    }
    while (gc->phase == GC_SWEEP && all_marked(gc) && !gc->stepping && !TAILQ_EMPTY(&gc->guards))
        guard_pass(gc);
}

static void on_loads_done(struct load_group *g)
{
    struct gc *gc = container_of(g, struct gc, loads);

    if (!TAILQ_EMPTY(&gc->guards))
        go_on(gc, 0);
}

void gc_marked(struct kvs *k, int err, uint64_t unknown)
{
    struct gc *gc = k->gc;

    gc->marking = false;
    if (gc->phase == GC_IDLE)
        return;
    if (err == 0 && unknown > 0)
        missing(gc, unknown);
    go_on(gc, err);
}

/* --- phases */

static int on_root(const struct node *root, void *arg)
{
    return add_node(arg, root);
}

static int take_roots(struct gc *gc)
{
    const struct namespace *ns, *tmp;
    const struct gc_hold *hold;
    int rc = watch_each_root(gc->k, on_root, gc);

    HASH_ITER (hh, gc->k->namespaces->table, ns, tmp) {
        if (rc == 0 && ns->exists)
            rc = add_dir(gc, ns->root);
    }
    LIST_FOREACH(hold, &gc->holds, link)
    {
        if (rc == 0)
            rc = add_dir(gc, hold->root);
    }
    return rc;
}

/* A step is not sent while a guard waits, and a guard does not ask while a step is under way: what
 * it is about cannot be removed while it is being marked. */
static int sweep(struct gc *gc)
{
    int rc;

    if (!TAILQ_EMPTY(&gc->guards) || gc->stepping || !all_marked(gc) || !may_ask(gc))
        return 0;
    if ((rc = gc->k->params.backend->sweep_step(gc->generation, gc->rows, gc->k->params.arg)) == 0)
        gc->stepping = true;
    return rc;
}

static int work(struct gc *gc, unsigned int directories)
{
    int rc = mark_some(gc, directories);

    if (rc < 0)
        return rc;
    if (gc->phase == GC_SWEEP)
        return sweep(gc);
    if (!all_marked(gc))
        return 0;
    if (gc->phase == GC_MARK)
        gc->marked_usec = monotime_usec();
    gc->phase = monotime_usec() - gc->marked_usec >= gc->grace_usec ? GC_SWEEP : GC_GRACE;
    return 0;
}

void gc_work(struct kvs *k, unsigned int directories)
{
    struct gc *gc = k->gc;
    int rc = 0;

    if (gc->phase == GC_BEGIN) {
        if (!gc->began || (gc->group && commit_has_group(k) && commit_group(k) == gc->group))
            return;
        gc->phase = GC_MARK;
        rc = take_roots(gc);
    }
    if (rc == 0 && gc->phase != GC_IDLE)
        rc = work(gc, directories);
    if (rc < 0)
        finish(gc, rc);
}

static int add_named(struct gc *gc, const struct digest_list *refs)
{
    int rc = 0;

    for (size_t i = 0; refs && i < refs->count && rc >= 0; i++) {
        if ((rc = digest_set_add(&gc->named, refs->items[i])) > 0)
            rc = add_dir(gc, refs->items[i]);
    }
    return rc < 0 ? rc : 0;
}

void gc_began(struct kvs *k, int err, uint64_t generation, const struct digest_list *refs)
{
    struct gc *gc = k->gc;

    if (gc->phase != GC_BEGIN)
        return;
    gc->generation = generation;
    gc->began = err == 0;
    objcache_next_epoch(k->cache);
    gc->group = commit_has_group(k) ? commit_group(k) : 0;
    if (err == 0)
        err = add_named(gc, refs);
    if (err < 0)
        finish(gc, err);
}

void gc_stepped(struct kvs *k, int err, const struct gc_result *step,
                const struct digest_list *refs, bool done)
{
    struct gc *gc = k->gc;

    gc->stepping = false;
    if (gc->phase != GC_SWEEP)
        return;
    if (err == 0) {
        gc->result.looked += step->looked;
        gc->result.removed += step->removed;
        gc->result.bytes += step->bytes;
        gc->result.returned += step->returned;
        err = add_named(gc, refs);
    }
    if (err < 0 || done)
        finish(gc, err);
    else
        go_on(gc, 0);
}

/* --- guards */

static int add_references(struct gc *gc, const struct txn *t)
{
    int rc =
        t->type == TXN_NAMESPACE_CREATE && t->create.have_root ? add_dir(gc, t->create.root) : 0;

    for (size_t i = 0; i < t->nops && rc == 0; i++) {
        const struct op *op = &t->ops[i];

        if (op->node && op->nparts == 0)
            rc = add_node(gc, op->node);
    }
    return rc;
}

static bool has_references(const struct txn *t)
{
    bool has = t->type == TXN_NAMESPACE_CREATE && t->create.have_root;

    for (size_t i = 0; i < t->nops && !has; i++) {
        const struct node *n = t->ops[i].nparts == 0 ? t->ops[i].node : NULL;

        has = n && (n->type == NODE_DIRREF || n->type == NODE_VALREF || n->type == NODE_DIR);
    }
    return has;
}

static int guard_wait(struct gc *gc, struct gc_guard *guard, bool asked)
{
    guard->asked = asked;
    guard->err = 0;
    guard->waiting = true;
    TAILQ_INSERT_TAIL(&gc->guards, guard, link);
    return -EAGAIN;
}

/* Is there an answer, or must it wait before it may ask? 1: it may ask now. */
static int guard_begin(struct gc *gc, struct gc_guard *guard)
{
    if (guard->waiting)
        return -EAGAIN;
    if (guard->answered) {
        guard->answered = false;
        return guard->err;
    }
    if (gc->phase == GC_SWEEP && (gc->stepping || !TAILQ_EMPTY(&gc->guards) || !all_marked(gc)))
        return guard_wait(gc, guard, false);
    return gc->phase != GC_IDLE;
}

/* What it is about has been added. Before the sweep that is enough. */
static int guard_asked(struct gc *gc, struct gc_guard *guard, int rc)
{
    if (rc < 0 || gc->phase != GC_SWEEP || all_marked(gc))
        return rc;
    (void)guard_wait(gc, guard, true);
    rc = mark_some(gc, GUARD_STEP);
    if (rc < 0)
        gc_unguard(gc->k, guard);
    return rc < 0 ? rc : -EAGAIN;
}

int gc_guard_txn(struct kvs *k, struct gc_guard *guard, const struct txn *t)
{
    int rc;

    if (!guard->waiting && !guard->answered && !has_references(t))
        return 0; /* and does not wait for a step that is under way */
    rc = guard_begin(k->gc, guard);
    return rc == 1 ? guard_asked(k->gc, guard, add_references(k->gc, t)) : rc;
}

void gc_unguard(struct kvs *k, struct gc_guard *guard)
{
    if (guard->waiting)
        TAILQ_REMOVE(&k->gc->guards, guard, link);
    guard->waiting = false;
    guard->answered = false;
}

void gc_hold(struct kvs *k, struct gc_hold *hold)
{
    LIST_INSERT_HEAD(&k->gc->holds, hold, link);
}

int gc_guard_hold(struct kvs *k, struct gc_hold *hold)
{
    int rc = guard_begin(k->gc, &hold->guard);

    return rc == 1 ? guard_asked(k->gc, &hold->guard, add_dir(k->gc, hold->root)) : rc;
}

void gc_release(struct kvs *k, struct gc_hold *hold)
{
    gc_unguard(k, &hold->guard);
    LIST_REMOVE(hold, link);
}
