/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* See fake-content.h. Uses cmocka's assertions: what goes wrong here is a failed test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <flux/kvs.h>
#include "base/hash.h"
#include "kvs/digest-set.h"
#include "kvs/fake-client.h"

struct fake_blob {
    uint8_t digest[DIGEST_SIZE];
    UT_hash_handle hh;
    size_t size;
    bool kept; /* in this sweep */
    char data[];
};

/* A request of a collection under way. */
enum fake_call { CALL_NONE, CALL_BEGIN, CALL_MARK, CALL_STEP };

struct fake_load {
    TAILQ_ENTRY(fake_load) link;
    uint8_t digest[DIGEST_SIZE];
};

struct fake {
    struct kvs *kvs;
    size_t cache_size;
    struct fake_blob *blobs;
    json_t *roots; /* name -> root */
    TAILQ_HEAD(, fake_load) loads;
    void *commit; /* payload under way */
    size_t commit_size;
    int fail_next;
    bool hold;
    bool fatal;
    size_t ncommits, nloads;
    enum fake_call call;
    bool prefer_sweep;
    struct digest_list marks;
    uint64_t generation; /* 0: no sweep */
    uint64_t generations;
    uint64_t called; /* generation of the call */
    uint32_t limit;
    struct fake *leader; /* whose blobs are loaded */
    char *announced;
    struct digest_list checkpoints;
    size_t ntold; /* of them, to the collection */
};

static int backend_load(const uint8_t digest[DIGEST_SIZE], void *arg)
{
    struct fake *f = arg;
    struct fake_load *ld = calloc(1, sizeof(*ld));

    memcpy(ld->digest, digest, DIGEST_SIZE);
    TAILQ_INSERT_TAIL(&f->loads, ld, link);
    f->nloads++;
    return 0;
}

static int backend_commit(const void *payload, size_t size, void *arg)
{
    struct fake *f = arg;

    assert_null(f->commit); /* one at a time */
    f->commit = malloc(size);
    memcpy(f->commit, payload, size);
    f->commit_size = size;
    f->ncommits++;
    return 0;
}

static void backend_fatal(const char *why, void *arg)
{
    ((struct fake *)arg)->fatal = true;
}

static void backend_announce(const char *update, void *arg)
{
    struct fake *f = arg;

    free(f->announced);
    f->announced = strdup(update);
}

static int backend_sweep_begin(void *arg)
{
    struct fake *f = arg;

    assert_int_equal(f->call, CALL_NONE);
    f->call = CALL_BEGIN;
    return 0;
}

static int backend_mark(uint64_t generation, const void *digests, size_t count, void *arg)
{
    struct fake *f = arg;

    assert_int_equal(f->call, CALL_NONE);
    f->call = CALL_MARK;
    f->called = generation;
    f->marks.count = 0;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(digest_list_add(&f->marks, (const uint8_t *)digests + i * DIGEST_SIZE), 0);
    return 0;
}

static int backend_sweep_step(uint64_t generation, uint32_t limit, void *arg)
{
    struct fake *f = arg;

    assert_int_equal(f->call, CALL_NONE);
    f->call = CALL_STEP;
    f->called = generation;
    f->limit = limit;
    return 0;
}

static void backend_sweep_end(uint64_t generation, void *arg)
{
    struct fake *f = arg;

    if (f->generation == generation)
        f->generation = 0;
}

static const struct kvs_backend backend = {
    .sweep_begin = backend_sweep_begin,
    .mark = backend_mark,
    .sweep_step = backend_sweep_step,
    .sweep_end = backend_sweep_end,
    .announce = backend_announce,
    .load = backend_load,
    .commit = backend_commit,
    .fatal = backend_fatal,
};

static void fake_store(struct fake *f, const void *data, size_t size)
{
    struct fake_blob *b = calloc(1, sizeof(*b) + size + 1);
    struct fake_blob *old;

    memcpy(b->data, data, size);
    b->size = size;
    digest_compute(DIGEST_BLAKE2B, data, size, b->digest);
    HASH_FIND(hh, f->blobs, b->digest, DIGEST_SIZE, old);
    b->kept = true;
    if (old)
        old->kept = true;
    if (old)
        free(b);
    else
        HASH_ADD(hh, f->blobs, digest, DIGEST_SIZE, b);
}

static void apply_commit(struct fake *f)
{
    const char *p = f->commit;
    json_t *header, *sizes, *roots, *o;
    size_t pos, i;
    uint32_t n;

    memcpy(&n, p, sizeof(n));
    n = ntohl(n);
    header = json_loadb(p + 4, n, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(header);
    assert_int_equal(json_unpack(header, "{s:o s:o}", "blobs", &sizes, "roots", &roots), 0);
    pos = 4 + n;
    json_array_foreach (sizes, i, o) {
        size_t size = (size_t)json_integer_value(o);

        assert_true(pos + size <= f->commit_size);
        fake_store(f, p + pos, size);
        pos += size;
    }
    assert_int_equal(pos, f->commit_size);
    json_array_foreach (roots, i, o) {
        const char *ns = json_string_value(json_object_get(o, "ns"));
        json_t *root = json_object_get(o, "root");

        if (json_is_null(root))
            json_object_del(f->roots, ns);
        else
            json_object_set(f->roots, ns, root);
    }
    json_decref(header);
}

/* --- collections, as the real store answers */

static void answer_begin(struct fake *f)
{
    struct fake_blob *b, *tmp;

    HASH_ITER (hh, f->blobs, b, tmp)
        b->kept = false;
    f->generation = ++f->generations;
    f->ntold = f->checkpoints.count;
    gc_began(f->kvs, 0, f->generation, &f->checkpoints);
}

static void answer_mark(struct fake *f)
{
    uint64_t unknown = 0;

    for (size_t i = 0; i < f->marks.count; i++) {
        struct fake_blob *b;

        HASH_FIND(hh, f->blobs, f->marks.items[i], DIGEST_SIZE, b);
        if (b)
            b->kept = true;
        else
            unknown++;
    }
    gc_marked(f->kvs, 0, unknown);
}

/* Removes a few at a time, whatever the limit, so that much happens between steps. */
static void answer_step(struct fake *f)
{
    struct gc_result step = { 0 };
    struct fake_blob *b, *tmp;
    bool done = true;

    if (f->ntold < f->checkpoints.count) {
        f->ntold = f->checkpoints.count;
        gc_stepped(f->kvs, 0, &step, &f->checkpoints, false);
        return;
    }
    HASH_ITER (hh, f->blobs, b, tmp) {
        if (b->kept)
            continue;
        if (step.removed == 3) {
            done = false;
            break;
        }
        step.removed++;
        step.bytes += b->size;
        HASH_DEL(f->blobs, b);
        free(b);
    }
    if (done)
        f->generation = 0;
    gc_stepped(f->kvs, 0, &step, NULL, done);
}

static int answer_call(struct fake *f)
{
    const struct gc_result none = { 0 };
    enum fake_call call = f->call;

    f->call = CALL_NONE;
    if (call == CALL_BEGIN)
        answer_begin(f);
    else if (call == CALL_MARK && f->called == f->generation)
        answer_mark(f);
    else if (call == CALL_STEP && f->called == f->generation)
        answer_step(f);
    else if (call == CALL_MARK)
        gc_marked(f->kvs, -ESTALE, 0);
    else if (call == CALL_STEP)
        gc_stepped(f->kvs, -ESTALE, &none, NULL, false);
    return call != CALL_NONE;
}

void fake_prefer_sweep(struct fake *f, bool prefer)
{
    f->prefer_sweep = prefer;
}

void fake_restart_store(struct fake *f)
{
    f->generation = 0;
}

static void on_collected(const struct gc_result *r, void *arg)
{
    *(int *)arg = r->err;
}

int fake_collect(struct fake *f)
{
    int err = 1;
    int rc = gc_start(f->kvs, 0., on_collected, &err);

    if (rc == 0)
        fake_run(f);
    assert_true(rc < 0 || err <= 0);
    return rc < 0 ? rc : err;
}

int fake_step(struct fake *f)
{
    struct fake_load *ld = TAILQ_FIRST(&f->loads);

    if (f->hold)
        return 0;
    if (ld) {
        struct fake_blob *b;

        TAILQ_REMOVE(&f->loads, ld, link);
        HASH_FIND(hh, (f->leader ? f->leader : f)->blobs, ld->digest, DIGEST_SIZE, b);
        kvs_loaded(f->kvs, ld->digest, b ? 0 : -ENOENT, b ? b->data : NULL, b ? b->size : 0);
        free(ld);
        return 1;
    }
    if (f->prefer_sweep && answer_call(f))
        return 1;
    if (f->commit) {
        int err = f->fail_next;

        f->fail_next = 0;
        if (err == 0)
            apply_commit(f);
        free(f->commit);
        f->commit = NULL;
        kvs_stored(f->kvs, err);
        return 1;
    }
    if (answer_call(f))
        return 1;
    if (gc_phase(f->kvs) == GC_IDLE)
        return 0;
    gc_work(f->kvs, 4);
    return 1;
}

void fake_run(struct fake *f)
{
    do {
        commit_pump(f->kvs);
    } while (fake_step(f));
}

static void fake_start(struct fake *f)
{
    struct kvs_params params = { .hash = DIGEST_BLAKE2B,
                                 .cache_size = f->cache_size,
                                 .owner = FAKE_OWNER,
                                 .backend = &backend,
                                 .arg = f };
    json_t *roots = json_array();
    flux_error_t error;
    const char *ns;
    json_t *root;

    assert_int_equal(kvs_new(&params, &f->kvs), 0);
    json_object_foreach (f->roots, ns, root)
        json_array_append_new(roots, json_pack("{s:s s:O}", "ns", ns, "root", root));
    assert_int_equal(kvs_set_roots(f->kvs, roots, &error), 0);
    json_decref(roots);
}

static void fake_stop(struct fake *f)
{
    struct fake_load *ld;

    while ((ld = TAILQ_FIRST(&f->loads))) {
        TAILQ_REMOVE(&f->loads, ld, link);
        free(ld);
    }
    free(f->commit);
    f->commit = NULL;
    f->call = CALL_NONE;
    f->kvs = kvs_free(f->kvs);
}

struct fake *fake_new(size_t cache_size)
{
    struct fake *f = calloc(1, sizeof(*f));

    f->cache_size = cache_size;
    f->roots = json_object();
    TAILQ_INIT(&f->loads);
    fake_start(f);
    assert_int_equal(fake_create(f, "primary", FAKE_OWNER), 0);
    return f;
}

struct fake *fake_new_follower(struct fake *leader)
{
    struct fake *f = calloc(1, sizeof(*f));

    f->leader = leader;
    f->cache_size = leader->cache_size;
    f->roots = json_object();
    TAILQ_INIT(&f->loads);
    fake_start(f);
    return f;
}

const char *fake_announced(const struct fake *f)
{
    return f->announced;
}

struct fake *fake_free(struct fake *f)
{
    fake_stop(f);
    fake_checkpoint(f, NULL);
    free(f->announced);
    fake_lose(f, NULL);
    json_decref(f->roots);
    digest_list_clear(&f->marks);
    digest_list_clear(&f->checkpoints);
    free(f);
    return NULL;
}

struct kvs *fake_kvs(struct fake *f)
{
    return f->kvs;
}

void fake_restart(struct fake *f)
{
    fake_stop(f);
    f->fatal = false;
    fake_start(f);
}

void fake_hold(struct fake *f, bool hold)
{
    f->hold = hold;
}

void fake_fail_next(struct fake *f, int err)
{
    f->fail_next = err;
}

void fake_lose(struct fake *f, const char *ref)
{
    struct fake_blob *b, *tmp;
    char text[BLOBREF_STRING_SIZE];

    HASH_ITER (hh, f->blobs, b, tmp) {
        blobref_format(DIGEST_BLAKE2B, b->digest, text);
        if (!ref || strcmp(ref, text) == 0) {
            HASH_DEL(f->blobs, b);
            free(b);
        }
    }
}

bool fake_is_fatal(const struct fake *f)
{
    return f->fatal;
}

size_t fake_commits(const struct fake *f)
{
    return f->ncommits;
}

size_t fake_loads(const struct fake *f)
{
    return f->nloads;
}

void fake_checkpoint(struct fake *f, const char *ref)
{
    enum digest_algorithm hash;
    uint8_t digest[DIGEST_SIZE];
    char text[BLOBREF_STRING_SIZE];

    if (!ref) {
        digest_list_clear(&f->checkpoints);
        f->ntold = 0;
        return;
    }
    (void)snprintf(text, sizeof(text), "%s", ref);
    text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-")] = '\0';
    assert_int_equal(blobref_parse(text, &hash, digest), 0);
    assert_int_equal(digest_list_add(&f->checkpoints, digest), 0);
}

size_t fake_nblobs(const struct fake *f)
{
    return HASH_COUNT(f->blobs);
}

size_t fake_largest_blob(const struct fake *f)
{
    const struct fake_blob *b, *tmp;
    size_t largest = 0;

    HASH_ITER (hh, f->blobs, b, tmp) {
        if (b->size > largest)
            largest = b->size;
    }
    return largest;
}
