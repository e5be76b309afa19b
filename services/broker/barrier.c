/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A barrier is a queue of entries, in the order in which they came: a process of this node that
 * waits, or so many of a child. Upwards goes how many have been added to its end (batch.h),
 * downwards how many leave it at its front. So both sides always agree on who is meant, even if
 * more than nprocs enter: those who came too late wait for the next round, which has the same name.
 *
 * It fails for all who have entered: when one of them goes away before it is complete
 * (ECONNABORTED), when a node is lost that some of them are on, or the way to rank 0
 * (EHOSTUNREACH), when two say different nprocs (EINVAL). An entry whose process or child is gone
 * stays in the queue, for the count, until rank 0 has answered. Only the loss of the parent, with
 * whom nothing needs to be agreed on any more, empties the queue at once.
 *
 * Refused, for who asks only: to enter twice, names and numbers that are none, to enter while there
 * is no way to rank 0. A name belongs to its user: guests do not meet one another, nor the owner.
 */
#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "broker/barrier.h"
#include "broker/router.h"
#include "service/log.h"

#define WHY_SIZE 256
#define KEY_SIZE (BARRIER_NAME_MAX + 12)

struct barrier_entry {
    TAILQ_ENTRY(barrier_entry) entry;
    struct barrier *barrier;
    struct request *req;         /* of a process of this node; NULL: of a child, or gone */
    struct barrier_child *child; /* NULL: of this node, or gone */
    uint32_t count;
    uint32_t id;
    bool awaited;    /* of the process before: its request is to come back */
    uint64_t client; /* key, of a process */
    UT_hash_handle hh;
};

struct barrier {
    struct barriers *all;
    char *key;
    const char *name; /* in key */
    uint32_t userid;
    int nprocs;
    TAILQ_HEAD(, barrier_entry) entries;
    struct barrier_entry *by_client;
    uint64_t total, told; /* entries; those that the parent knows of */
    int errnum;           /* it is to fail */
    char why[WHY_SIZE];
    bool fail_told;
    bool changed;
    TAILQ_ENTRY(barrier) entry; /* of all->changed */
    UT_hash_handle hh;
};

struct barrier_child {
    TAILQ_ENTRY(barrier_child) entry;
    struct barriers *all;
    uint32_t rank;
    struct request *session; /* the first it sent; gone when it is */
    json_t *exits;           /* to be told */
};

/* --- */

static void barrier_free(struct barrier *b)
{
    if (b->changed)
        TAILQ_REMOVE(&b->all->changed, b, entry);
    if (b->hh.tbl)
        HASH_DEL(b->all->all, b);
    free(b->key);
    free(b);
}

static struct barrier *find(const struct barriers *bs, uint32_t userid, const char *name)
{
    char key[KEY_SIZE];
    struct barrier *b;

    (void)snprintf(key, sizeof(key), "%u:%s", userid, name);
    HASH_FIND_STR(bs->all, key, b);
    return b;
}

static struct barrier *barrier_new(struct barriers *bs, uint32_t userid, const char *name)
{
    struct barrier *b = calloc(1, sizeof(*b));

    if (!b)
        return NULL;
    b->all = bs;
    b->userid = userid;
    TAILQ_INIT(&b->entries);
    if (asprintf(&b->key, "%u:%s", userid, name) < 0)
        b->key = NULL;
    if (b->key)
        HASH_ADD_KEYPTR(hh, bs->all, b->key, strlen(b->key), b);
    if (!b->hh.tbl) {
        barrier_free(b);
        return NULL;
    }
    b->name = strchr(b->key, ':') + 1;
    return b;
}

static void changed(struct barrier *b)
{
    if (!b->changed) {
        b->changed = true;
        TAILQ_INSERT_TAIL(&b->all->changed, b, entry);
    }
    batch_touch(&b->all->batch);
}

__attribute__((format(printf, 3, 4))) static void fail(struct barrier *b, int errnum,
                                                       const char *fmt, ...)
{
    va_list ap;

    if (b->errnum == 0) {
        b->errnum = errnum;
        va_start(ap, fmt);
        (void)vsnprintf(b->why, sizeof(b->why), fmt, ap);
        va_end(ap);
    }
    changed(b);
}

/* --- entries */

static void entry_forget_process(struct barrier_entry *e)
{
    struct request *req = TAKE(e->req);

    if (!req)
        return;
    HASH_DEL(e->barrier->by_client, e);
    request_on_gone(req, NULL, NULL);
    request_unref(req);
}

static void entry_free(struct barrier_entry *e)
{
    entry_forget_process(e);
    TAILQ_REMOVE(&e->barrier->entries, e, entry);
    free(e);
}

static struct barrier_entry *entry_new(struct barrier *b, uint32_t count)
{
    struct barrier_entry *e = calloc(1, sizeof(*e));

    if (!e)
        return NULL;
    e->barrier = b;
    e->id = b->all->next_id++;
    e->count = count;
    b->total += count;
    TAILQ_INSERT_TAIL(&b->entries, e, entry);
    changed(b);
    return e;
}

static void check_nprocs(struct barrier *b, int nprocs)
{
    if (b->nprocs == 0)
        b->nprocs = nprocs;
    else if (b->nprocs != nprocs)
        fail(b, EINVAL, "some entered it for %d processes, some for %d", b->nprocs, nprocs);
}

static void on_process_gone(struct request *req, void *arg)
{
    struct barrier_entry *e = arg;
    struct barrier *b = e->barrier;

    entry_forget_process(e);
    fail(b, ECONNABORTED, "a process that had entered it on rank %u has left",
         b->all->router->rank);
}

/* --- leaving it */

static void add_exit(struct barrier_child *c, const struct barrier *b, uint32_t count, int errnum)
{
    if (!c->exits)
        c->exits = json_array();
    (void)json_array_append_new(c->exits,
                                json_pack("[I, s, I, i, s]", (json_int_t)b->userid, b->name,
                                          (json_int_t)count, errnum, errnum ? b->why : ""));
}

static void let_go(struct barrier_entry *e, uint32_t count, int errnum)
{
    const struct barrier *b = e->barrier;

    if (e->req)
        request_on_gone(e->req, NULL, NULL);
    if (e->req && errnum)
        (void)request_fail(e->req, errnum, "barrier %s: %s", b->name, b->why);
    else if (e->req)
        (void)request_respond(e->req, NULL);
    else if (e->child)
        add_exit(e->child, b, count, errnum);
}

/* The first so many leave. */
static void pop(struct barrier *b, uint64_t count, int errnum)
{
    struct barrier_entry *e;

    while (count > 0 && (e = TAILQ_FIRST(&b->entries))) {
        const uint32_t n = count < e->count ? (uint32_t)count : e->count;

        let_go(e, n, errnum);
        count -= n;
        e->count -= n;
        b->total -= n;
        b->told -= n < b->told ? n : b->told;
        if (e->count == 0)
            entry_free(e);
    }
}

static void send_exits(struct barriers *bs)
{
    struct barrier_child *c;

    TAILQ_FOREACH (c, &bs->children, entry) {
        CLEANUP(json_decrefp) json_t *exits = TAKE(c->exits);
        CLEANUP(json_decrefp) json_t *o = exits ? json_pack("{s:O}", "exit", exits) : NULL;

        if (o && router_notify_node(bs->router, c->rank, "barrier", "exit", o) < 0)
            log_debug("barrier: rank %u is not there", c->rank); /* it knows that itself */
    }
}

/* Rank 0. */
static void decide(struct barrier *b)
{
    struct barriers *bs = b->all;

    if (b->errnum) {
        pop(b, b->total, b->errnum);
        bs->failed++;
    }
    for (; b->nprocs > 0 && b->total >= (uint64_t)b->nprocs; bs->completed++)
        pop(b, (uint64_t)b->nprocs, 0);
    if (b->total == 0)
        barrier_free(b);
}

/* --- telling the parent */

static void describe(struct barrier *b, json_t *enters, json_t *fails)
{
    if (b->total > b->told) {
        (void)json_array_append_new(enters,
                                    json_pack("[I, s, i, I]", (json_int_t)b->userid, b->name,
                                              b->nprocs, (json_int_t)(b->total - b->told)));
        b->told = b->total;
    }
    if (b->errnum && !b->fail_told) {
        (void)json_array_append_new(
            fails, json_pack("[I, s, i, s]", (json_int_t)b->userid, b->name, b->errnum, b->why));
        b->fail_told = true;
    }
}

static void tell_parent(struct barriers *bs, json_t *enters, json_t *fails)
{
    CLEANUP(json_decrefp) json_t *o = json_pack("{s:O s:O}", "enter", enters, "fail", fails);

    if (o && router_notify_node(bs->router, FLUX_NODEID_UPSTREAM, "barrier", "update", o) < 0)
        log_debug("barrier: the parent is not there"); /* barriers_abort() follows */
}

static bool has_way_up(const struct router *r)
{
    return r->overlay && overlay_is_connected(r->overlay);
}

static void on_batch(void *arg)
{
    struct barriers *bs = arg;
    CLEANUP(json_decrefp) json_t *enters = json_array();
    CLEANUP(json_decrefp) json_t *fails = json_array();
    struct barrier *b, *tmp;

    if (bs->router->rank > 0 && !has_way_up(bs->router))
        return; /* barriers_on_parent() */
    TAILQ_FOREACH_SAFE (b, &bs->changed, entry, tmp) {
        TAILQ_REMOVE(&bs->changed, b, entry);
        b->changed = false;
        if (bs->router->rank == 0)
            decide(b);
        else
            describe(b, enters, fails);
    }
    if (bs->router->rank == 0)
        send_exits(bs);
    else if (json_array_size(enters) + json_array_size(fails) > 0)
        tell_parent(bs, enters, fails);
}

void barriers_on_parent(struct barriers *bs)
{
    batch_touch(&bs->batch);
}

void barriers_abort(struct barriers *bs, int errnum, const char *why)
{
    struct barrier *b, *tmp;

    HASH_ITER (hh, bs->all, b, tmp) {
        (void)snprintf(b->why, sizeof(b->why), "%s", why);
        pop(b, b->total, errnum);
        barrier_free(b);
    }
    send_exits(bs);
}

int barriers_exit(struct barriers *bs, const json_t *exits)
{
    const json_t *value;
    size_t i;

    json_array_foreach (exits, i, value) {
        json_int_t userid, count;
        const char *name, *why;
        struct barrier *b;
        int errnum;

        if (json_unpack((json_t *)value, "[I, s, I, i, s]", &userid, &name, &count, &errnum, &why) <
                0 ||
            count < 0 || strlen(name) > BARRIER_NAME_MAX)
            return -EPROTO;
        b = find(bs, (uint32_t)userid, name);
        if (!b)
            continue; /* they left with the session that this comes from */
        if (errnum)
            (void)snprintf(b->why, sizeof(b->why), "%s", why);
        pop(b, (uint64_t)count, errnum);
        if (b->fail_told) {
            b->fail_told = false; /* that was the answer */
            b->errnum = 0;
        }
        if (b->total == 0)
            barrier_free(b);
    }
    send_exits(bs);
    return 0;
}

/* --- entering */

static bool is_name(const char *name)
{
    const size_t len = strlen(name);

    for (const char *p = name; *p; p++)
        if (iscntrl((unsigned char)*p))
            return false;
    return len > 0 && len <= BARRIER_NAME_MAX;
}

static int refuse_unreachable(struct barriers *bs, struct request *req)
{
    char why[WHY_SIZE] = "the tree is being left";

    if (bs->router->overlay)
        overlay_why(bs->router->overlay, FLUX_NODEID_UPSTREAM, why, sizeof(why));
    return request_explain(req, EHOSTUNREACH, "%s", why);
}

/* 0 or -ENOMEM. */
static int entry_set_process(struct barrier_entry *e, struct request *req)
{
    struct barrier *b = e->barrier;

    e->client = request_client_hash(req, 0);
    HASH_ADD(hh, b->by_client, client, sizeof(e->client), e);
    if (!e->hh.tbl)
        return -ENOMEM;
    e->req = request_ref(req);
    request_on_gone(req, on_process_gone, e);
    return 0;
}

static int enter(struct barrier *b, struct request *req, int nprocs)
{
    struct barrier_entry *e = entry_new(b, 1);

    if (!e)
        return -ENOMEM;
    if (entry_set_process(e, req) < 0) {
        b->total--;
        entry_free(e);
        return -ENOMEM;
    }
    check_nprocs(b, nprocs);
    return 0;
}

/* It entered with the process before. */
static struct barrier_entry *find_awaited(const struct barrier *b, const struct request *req)
{
    const json_t *id = json_object_get(request_resume(req), "entry");
    struct barrier_entry *e;

    if (b && id)
        TAILQ_FOREACH (e, &b->entries, entry)
            if (e->awaited && e->id == json_integer_value(id))
                return e;
    return NULL;
}

int barriers_enter(struct barriers *bs, struct request *req, const char *name, json_int_t nprocs)
{
    const uint64_t client = request_client_hash(req, 0);
    struct router *r = bs->router;
    struct barrier_entry *e;
    struct barrier *b;
    int rc;

    if (!is_name(name))
        return request_explain(req, EINVAL,
                               "a name of a barrier has 1 to %d bytes and no control characters",
                               BARRIER_NAME_MAX);
    if (nprocs < 1 || nprocs > INT32_MAX)
        return request_explain(req, EINVAL, "a barrier is for 1 process or more");
    if (r->rank > 0 && !has_way_up(r) &&
        !(r->overlay && overlay_next_hop(r->overlay, FLUX_NODEID_UPSTREAM)))
        return refuse_unreachable(bs, req);
    b = find(bs, request_userid(req), name);
    e = find_awaited(b, req);
    if (e) {
        e->awaited = false;
        return entry_set_process(e, req);
    }
    if (b)
        HASH_FIND(hh, b->by_client, &client, sizeof(client), e);
    if (b && e)
        return request_explain(req, EEXIST, "this client is in the barrier %s already", name);
    if (!b && !(b = barrier_new(bs, request_userid(req), name)))
        return -ENOMEM;
    rc = enter(b, req, (int)nprocs);
    if (rc < 0 && b->total == 0)
        barrier_free(b);
    return rc;
}

/* --- the nodes below */

static void child_free(struct barrier_child *c)
{
    TAILQ_REMOVE(&c->all->children, c, entry);
    if (c->session)
        request_on_gone(c->session, NULL, NULL);
    request_unref(c->session);
    json_decref(c->exits);
    free(c);
}

static void forget_child(struct barrier *b, const struct barrier_child *c)
{
    struct barrier_entry *e;
    bool had = false;

    TAILQ_FOREACH (e, &b->entries, entry) {
        if (e->child != c)
            continue;
        e->child = NULL;
        had = true;
    }
    if (had)
        fail(b, EHOSTUNREACH, "rank %u, on or below which some had entered it, was lost", c->rank);
}

static void child_gone(struct barrier_child *c)
{
    for (struct barrier *b = c->all->all; b; b = b->hh.next)
        forget_child(b, c);
    child_free(c);
}

static void on_child_gone(struct request *req, void *arg)
{
    child_gone(arg);
}

static struct barrier_child *find_child(const struct barriers *bs, uint32_t rank)
{
    struct barrier_child *c;

    TAILQ_FOREACH (c, &bs->children, entry)
        if (c->rank == rank)
            return c;
    return NULL;
}

static struct barrier_child *child_new(struct barriers *bs, uint32_t rank)
{
    struct barrier_child *c = calloc(1, sizeof(*c));

    if (c) {
        c->all = bs;
        c->rank = rank;
        TAILQ_INSERT_TAIL(&bs->children, c, entry);
    }
    return c;
}

static int get_child(struct barriers *bs, struct request *req, uint32_t rank,
                     struct barrier_child **ret)
{
    struct barrier_child *c = find_child(bs, rank);

    if (!c && !(c = child_new(bs, rank)))
        return -ENOMEM;
    if (!c->session) {
        c->session = request_ref(req);
        request_on_gone(req, on_child_gone, c);
    }
    *ret = c;
    return 0;
}

static int update_enter(struct barriers *bs, struct barrier_child *c, const json_t *o)
{
    json_int_t userid, count;
    struct barrier_entry *e;
    const char *name;
    struct barrier *b;
    int nprocs;

    if (json_unpack((json_t *)o, "[I, s, i, I]", &userid, &name, &nprocs, &count) < 0 ||
        !is_name(name) || nprocs < 1 || count < 1 || count > UINT32_MAX)
        return -EPROTO;
    b = find(bs, (uint32_t)userid, name);
    if (!b && !(b = barrier_new(bs, (uint32_t)userid, name)))
        return -ENOMEM;
    e = entry_new(b, (uint32_t)count);
    if (!e) {
        if (b->total == 0)
            barrier_free(b);
        return -ENOMEM;
    }
    e->child = c;
    check_nprocs(b, nprocs);
    return 0;
}

static int update_fail(struct barriers *bs, const json_t *o)
{
    json_int_t userid;
    const char *name, *why;
    struct barrier *b;
    int errnum;

    if (json_unpack((json_t *)o, "[I, s, i, s]", &userid, &name, &errnum, &why) < 0 ||
        !is_name(name) || errnum < 1)
        return -EPROTO;
    b = find(bs, (uint32_t)userid, name);
    if (b) /* else it was complete before, and all are on their way out */
        fail(b, errnum, "%s", why);
    return 0;
}

int barriers_update(struct barriers *bs, struct request *req, uint32_t rank, const json_t *enter,
                    const json_t *fail)
{
    struct barrier_child *c = NULL;
    const json_t *value;
    size_t i;
    int rc;

    rc = get_child(bs, req, rank, &c);
    json_array_foreach (enter, i, value)
        if (rc == 0)
            rc = update_enter(bs, c, value);
    json_array_foreach (fail, i, value)
        if (rc == 0)
            rc = update_fail(bs, value);
    return rc;
}

/* --- the next process */

json_t *barriers_handover(const struct barriers *bs, struct request *req)
{
    const uint64_t client = request_client_hash(req, 0);
    struct barrier_entry *e;

    for (const struct barrier *b = bs->all; b; b = b->hh.next) {
        HASH_FIND(hh, b->by_client, &client, sizeof(client), e);
        if (e && e->req == req)
            return json_pack("{s:I}", "entry", (json_int_t)e->id);
    }
    return NULL;
}

static json_t *encode_entries(const struct barrier *b)
{
    json_t *entries = json_array();
    const struct barrier_entry *e;

    TAILQ_FOREACH (e, &b->entries, entry)
        (void)json_array_append_new(entries, json_pack("[I, I, b, I]", (json_int_t)e->count,
                                                       (json_int_t)e->id, e->req != NULL,
                                                       e->child ? (json_int_t)e->child->rank : -1));
    return entries;
}

json_t *barriers_encode(const struct barriers *bs)
{
    json_t *all = json_array();

    for (const struct barrier *b = bs->all; b; b = b->hh.next)
        (void)json_array_append_new(all, json_pack("{s:I s:s s:i s:I s:i s:s s:b s:o}", "userid",
                                                   (json_int_t)b->userid, "name", b->name, "nprocs",
                                                   b->nprocs, "told", (json_int_t)b->told, "errnum",
                                                   b->errnum, "why", b->why, "fail_told",
                                                   b->fail_told, "entries", encode_entries(b)));
    return all;
}

static int restore_entry(struct barrier *b, const json_t *o)
{
    json_int_t count, id, rank;
    struct barrier_entry *e;
    int awaited;

    if (json_unpack((json_t *)o, "[I, I, b, I]", &count, &id, &awaited, &rank) < 0 || count < 1)
        return -EPROTO;
    e = entry_new(b, (uint32_t)count);
    if (!e)
        return -ENOMEM;
    e->id = (uint32_t)id;
    e->awaited = awaited;
    if (b->all->next_id <= e->id)
        b->all->next_id = e->id + 1;
    if (rank >= 0 && !(e->child = find_child(b->all, (uint32_t)rank)))
        e->child = child_new(b->all, (uint32_t)rank);
    return 0;
}

static int restore_barrier(struct barriers *bs, const json_t *o)
{
    json_int_t userid, told;
    const char *name, *why;
    json_t *entries, *value;
    int nprocs, errnum, fail_told, rc = 0;
    struct barrier *b;
    size_t i;

    if (json_unpack((json_t *)o, "{s:I s:s s:i s:I s:i s:s s:b s:o}", "userid", &userid, "name",
                    &name, "nprocs", &nprocs, "told", &told, "errnum", &errnum, "why", &why,
                    "fail_told", &fail_told, "entries", &entries) < 0 ||
        !is_name(name) || find(bs, (uint32_t)userid, name))
        return -EPROTO;
    b = barrier_new(bs, (uint32_t)userid, name);
    if (!b)
        return -ENOMEM;
    b->nprocs = nprocs;
    b->told = (uint64_t)told;
    b->errnum = errnum;
    (void)snprintf(b->why, sizeof(b->why), "%s", why);
    b->fail_told = fail_told;
    json_array_foreach (entries, i, value)
        if (rc == 0)
            rc = restore_entry(b, value);
    return rc;
}

void barriers_restore(struct barriers *bs, const json_t *o)
{
    const json_t *value;
    size_t i;

    json_array_foreach (o, i, value)
        if (restore_barrier(bs, value) < 0)
            log_warning("a barrier was not taken up whole");
}

void barriers_restored(struct barriers *bs)
{
    struct barrier_child *c, *tmp;
    struct barrier_entry *e;

    for (struct barrier *b = bs->all; b; b = b->hh.next) {
        TAILQ_FOREACH (e, &b->entries, entry) {
            if (!e->awaited)
                continue;
            e->awaited = false;
            fail(b, ECONNABORTED, "a process that had entered it on rank %u has left",
                 bs->router->rank);
        }
    }
    TAILQ_FOREACH_SAFE (c, &bs->children, entry, tmp)
        if (!c->session)
            child_gone(c);
}

/* --- */

json_t *barriers_stats(const struct barriers *bs)
{
    uint64_t waiting = 0;

    for (const struct barrier *b = bs->all; b; b = b->hh.next)
        waiting += b->total;
    return json_pack("{s:I s:I s:I s:I}", "open", (json_int_t)HASH_COUNT(bs->all), "waiting",
                     (json_int_t)waiting, "completed", (json_int_t)bs->completed, "failed",
                     (json_int_t)bs->failed);
}

int barriers_init(struct barriers *bs, struct router *r, flux_reactor_t *reactor)
{
    *bs = (struct barriers){ .router = r };
    TAILQ_INIT(&bs->changed);
    TAILQ_INIT(&bs->children);
    return batch_init(&bs->batch, reactor, on_batch, bs);
}

/* Who waits is gone already, with his connection. */
void barriers_deinit(struct barriers *bs)
{
    struct barrier *b, *tmp;

    if (!bs->router)
        return; /* never begun */
    HASH_ITER (hh, bs->all, b, tmp) {
        while (!TAILQ_EMPTY(&b->entries))
            entry_free(TAILQ_FIRST(&b->entries));
        barrier_free(b);
    }
    while (!TAILQ_EMPTY(&bs->children))
        child_free(TAILQ_FIRST(&bs->children));
    batch_deinit(&bs->batch);
}
