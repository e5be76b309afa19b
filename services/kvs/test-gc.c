/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Collections, with a content store that removes at once whatever it may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <flux/kvs.h>
#include "kvs/digest-set.h"
#include "kvs/fake-client.h"
#include "kvs/key.h"

#define CACHE (1u << 20)

static int setup(void **state)
{
    *state = fake_new(CACHE);
    return 0;
}

static int teardown(void **state)
{
    fake_free(*state);
    return 0;
}

/* Long enough for a blob of its own. */
static const char *text(int n)
{
    static char buf[2000];

    memset(buf, 'a' + n % 26, sizeof(buf) - 1);
    (void)snprintf(buf, 16, "%08d", n);
    buf[8] = 'x';
    buf[15] = 'x';
    return buf;
}

static void put(struct fake *f, const char *key, int n)
{
    assert_int_equal(fake_put(f, "primary", key, text(n)), 0);
}

/* As it is in the store, whatever is in the cache. */
static void assert_stored(struct fake *f, const char *ns, const char *key, int n)
{
    char *value;
    int err;

    objcache_drop(fake_kvs(f)->cache);
    value = fake_lookup(f, ns, 0, key, &err);
    assert_int_equal(err, 0);
    assert_string_equal(value, text(n));
    free(value);
}

static char *treeobj_of(struct fake *f, const char *key)
{
    int err;
    char *o = fake_lookup(f, "primary", FLUX_KVS_TREEOBJ, key, &err);

    assert_int_equal(err, 0);
    return o;
}

/* Puts an object under a key. The transaction's result; run it with fake_run(). */
static struct result *begin_put_object(struct fake *f, const char *key, const char *object)
{
    char ops[4096];

    (void)snprintf(ops, sizeof(ops), "[{'key':'%s','flags':0,'dirent':%s}]", key, object);
    return fake_begin(f, "primary", 0, ops);
}

static void test_what_no_root_leads_to_is_removed_and_nothing_else(void **state)
{
    struct fake *f = *state;
    char key[32];
    size_t before;

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 60; i++) {
            (void)snprintf(key, sizeof(key), "d.k%d", i);
            put(f, key, 1000 * round + i);
        }
    }
    before = fake_nblobs(f);
    assert_int_equal(fake_collect(f), 0);
    assert_true(fake_nblobs(f) < before / 2);
    assert_int_equal(gc_progress(fake_kvs(f))->missing, 0);
    for (int i = 0; i < 60; i++) {
        (void)snprintf(key, sizeof(key), "d.k%d", i);
        assert_stored(f, "primary", key, 2000 + i);
    }
    before = fake_nblobs(f);
    assert_int_equal(fake_collect(f), 0);
    assert_int_equal(fake_nblobs(f), before);
    assert_int_equal(gc_progress(fake_kvs(f))->removed, 0);
}

static void test_what_a_checkpoint_refers_to_stays_and_need_not_be_a_directory(void **state)
{
    struct fake *f = *state;
    char *object;
    char ref[BLOBREF_STRING_SIZE];
    struct result *r;
    int err;

    put(f, "d.a", 1);
    put(f, "d.b", 2);
    r = fake_begin(f, "primary", 0, "[]");
    fake_run(f);
    (void)snprintf(ref, sizeof(ref), "%s", r->rootref);
    free(r);
    fake_checkpoint(f, ref);
    object = treeobj_of(f, "d.a");
    fake_checkpoint(f, strstr(object, "blake2b-"));
    free(object);
    put(f, "d.a", 3);
    assert_int_equal(fake_unlink(f, "primary", "d.b"), 0);
    assert_int_equal(fake_collect(f), 0);
    assert_int_equal(gc_progress(fake_kvs(f))->missing, 0);
    /* It can be had back. */
    objcache_drop(fake_kvs(f)->cache);
    (void)asprintf(&object, "{'ver':1,'type':'dirref','data':['%s']}", ref);
    r = begin_put_object(f, "old", object);
    free(object);
    fake_run(f);
    assert_int_equal(r->err, 0);
    free(r);
    assert_stored(f, "primary", "old.d.a", 1);
    assert_stored(f, "primary", "old.d.b", 2);
    assert_int_equal(fake_unlink(f, "primary", "old"), 0);
    fake_checkpoint(f, NULL);
    assert_int_equal(fake_collect(f), 0);
    objcache_drop(fake_kvs(f)->cache);
    (void)asprintf(&object, "{'ver':1,'type':'dirref','data':['%s']}", ref);
    r = begin_put_object(f, "old", object);
    free(object);
    fake_run(f);
    free(r);
    free(fake_lookup(f, "primary", 0, "old.d.a", &err));
    assert_int_not_equal(err, 0);
}

/* Steps until the store may be asked to remove something. */
static void run_to_sweep(struct fake *f, void (*done)(const struct gc_result *r, void *arg),
                         void *arg)
{
    assert_int_equal(gc_start(fake_kvs(f), 0., done, arg), 0);
    while (gc_phase(fake_kvs(f)) != GC_SWEEP)
        assert_int_equal(fake_step(f), 1);
}

static void test_what_a_checkpoint_refers_to_that_is_put_during_a_sweep_stays(void **state)
{
    int whole = 0;

    for (int steps = 0; steps < 12; steps++) {
        struct fake *f = fake_new(CACHE);
        struct result *r;
        char *old;

        for (int i = 0; i < 20; i++) {
            char key[16];

            (void)snprintf(key, sizeof(key), "o.k%d", i);
            put(f, key, i);
        }
        old = treeobj_of(f, "o");
        assert_int_equal(fake_unlink(f, "primary", "o"), 0);
        run_to_sweep(f, NULL, NULL);
        for (int i = 0; i < steps; i++)
            (void)fake_step(f);
        fake_checkpoint(f, strstr(old, "blake2b-"));
        fake_run(f);
        assert_int_equal(gc_progress(fake_kvs(f))->err, 0);
        /* It came in time, or what was gone is said. */
        r = begin_put_object(f, "again", old);
        fake_run(f);
        assert_int_equal(r->err, 0);
        for (int i = 0; i < 20 && gc_progress(fake_kvs(f))->missing == 0; i++) {
            char key[24];

            (void)snprintf(key, sizeof(key), "again.k%d", i);
            assert_stored(f, "primary", key, i);
        }
        whole += gc_progress(fake_kvs(f))->missing == 0;
        free(r);
        free(old);
        fake_free(f);
    }
    assert_true(whole > 0);
    (void)state;
}

static void test_what_is_cached_but_was_removed_is_stored_again(void **state)
{
    struct fake *f = *state;

    put(f, "a.b", 1);
    put(f, "a.b", 2);
    assert_int_equal(fake_collect(f), 0);
    put(f, "a.b", 1); /* the same value, and the same directories */
    assert_stored(f, "primary", "a.b", 1);
    put(f, "a.b", 2);
    assert_stored(f, "primary", "a.b", 2);
}

static void test_all_namespaces_are_roots(void **state)
{
    struct fake *f = *state;

    assert_int_equal(fake_create(f, "mine", 7), 0);
    assert_int_equal(fake_put(f, "mine", "x.y", text(5)), 0);
    assert_int_equal(fake_collect(f), 0);
    assert_stored(f, "mine", "x.y", 5);
    assert_int_equal(fake_remove(f, "mine"), 0);
    assert_int_equal(fake_collect(f), 0);
    assert_true(gc_progress(fake_kvs(f))->removed >= 2);
}

struct race {
    struct result *commit;
    bool committed_during; /* the commit was answered before the collection ended */
};

static void on_race_over(const struct gc_result *r, void *arg)
{
    struct race *race = arg;

    race->committed_during = race->commit && race->commit->done;
}

static void test_a_snapshot_that_is_committed_during_a_sweep_is_whole_or_refused(void **state)
{
    int committed = 0, refused = 0;

    for (int steps = 0; steps < 60; steps++) {
        struct fake *f = fake_new(CACHE);
        struct race race = { .commit = NULL };
        struct result *r;
        char *old;

        for (int i = 0; i < 20; i++) {
            char key[16];

            (void)snprintf(key, sizeof(key), "o.k%d", i);
            put(f, key, i);
        }
        old = treeobj_of(f, "o");
        assert_int_equal(fake_unlink(f, "primary", "o"), 0);
        objcache_drop(fake_kvs(f)->cache);
        run_to_sweep(f, on_race_over, &race);
        for (int i = 0; i < steps; i++)
            (void)fake_step(f);
        race.commit = r = begin_put_object(f, "again", old);
        fake_run(f);
        assert_true(r->done);
        assert_true(r->err == 0 || r->err == -ENOENT);
        /* After the collection nobody looks whether what is referred to is there. */
        if (r->err == 0 && race.committed_during) {
            committed++;
            for (int i = 0; i < 20; i++) {
                char key[24];

                (void)snprintf(key, sizeof(key), "again.k%d", i);
                assert_stored(f, "primary", key, i);
            }
        }
        refused += r->err == -ENOENT;
        free(r);
        free(old);
        fake_free(f);
    }
    assert_true(committed > 0);
    assert_true(refused > 0);
    (void)state;
}

static void on_guarded(struct gc_guard *guard)
{
}

static void test_a_snapshot_that_is_held_stays(void **state)
{
    struct fake *f = *state;
    struct kvs *k = fake_kvs(f);
    struct gc_hold hold = { .guard.done = on_guarded };
    struct namespace *ns = namespace_find(k->namespaces, "primary");
    uint8_t root[DIGEST_SIZE];
    struct result *r;
    char object[200], ref[BLOBREF_STRING_SIZE];

    put(f, "a.b", 1);
    memcpy(hold.root, ns->root, DIGEST_SIZE);
    memcpy(root, ns->root, DIGEST_SIZE);
    gc_hold(k, &hold);
    assert_int_equal(gc_guard_hold(k, &hold), 0);
    put(f, "a.b", 2);
    assert_int_equal(fake_collect(f), 0);
    blobref_format(DIGEST_BLAKE2B, root, ref);
    (void)snprintf(object, sizeof(object), "{'ver':1,'type':'dirref','data':['%s']}", ref);
    r = begin_put_object(f, "old", object);
    fake_run(f);
    assert_int_equal(r->err, 0);
    free(r);
    assert_stored(f, "primary", "old.a.b", 1);
    assert_stored(f, "primary", "a.b", 2);
    gc_release(k, &hold);
    assert_int_equal(fake_unlink(f, "primary", "old"), 0);
    assert_int_equal(fake_collect(f), 0);
    assert_true(gc_progress(k)->removed > 0);
}

static void test_a_collection_ends_with_the_store_and_may_be_begun_again(void **state)
{
    struct fake *f = *state;

    put(f, "a.b", 1);
    put(f, "a.b", 2);
    run_to_sweep(f, NULL, NULL);
    fake_restart_store(f);
    fake_run(f);
    assert_int_equal(gc_progress(fake_kvs(f))->err, -ESTALE);
    assert_stored(f, "primary", "a.b", 2);
    assert_int_equal(fake_collect(f), 0);
    assert_true(gc_progress(fake_kvs(f))->removed > 0);
    assert_stored(f, "primary", "a.b", 2);
}

static void test_a_hole_is_counted_and_the_rest_kept(void **state)
{
    struct fake *f = *state;
    uint8_t digest[DIGEST_SIZE];
    char ref[BLOBREF_STRING_SIZE];

    put(f, "a.b", 1);
    put(f, "a.c", 2);
    digest_compute(DIGEST_BLAKE2B, text(1), strlen(text(1)), digest);
    blobref_format(DIGEST_BLAKE2B, digest, ref);
    fake_lose(f, ref);
    assert_int_equal(fake_collect(f), 0);
    assert_int_equal(gc_progress(fake_kvs(f))->missing, 1);
    assert_stored(f, "primary", "a.c", 2);
}

static void test_between_two_steps_nothing_is_to_be_done_for_a_while(void **state)
{
    struct fake *f = *state;

    put(f, "a.b", 1);
    put(f, "a.b", 2);
    gc_set_pace(fake_kvs(f), GC_ROWS, 9);
    assert_int_equal(gc_rest_usec(fake_kvs(f)), 0);
    run_to_sweep(f, NULL, NULL);
    assert_int_equal(gc_rest_usec(fake_kvs(f)), 0);
    gc_took(fake_kvs(f), 1000000);
    assert_in_range(gc_rest_usec(fake_kvs(f)), 1, 9000000);
    gc_set_pace(fake_kvs(f), GC_ROWS, 0);
    fake_run(f);
    assert_int_equal(gc_phase(fake_kvs(f)), GC_IDLE);
    assert_int_equal(gc_rest_usec(fake_kvs(f)), 0);
}

static void test_only_a_commit_that_refers_to_something_waits_for_a_step(void **state)
{
    struct fake *f = *state;
    struct result *plain, *referring;
    char *object;
    size_t before;

    put(f, "a.b", 1);
    object = treeobj_of(f, "a");
    run_to_sweep(f, NULL, NULL);
    gc_work(fake_kvs(f), 1); /* a step is under way */
    before = fake_commits(f);
    plain = begin_put_object(f, "c", "{'ver':1,'type':'val','data':'eA=='}");
    commit_pump(fake_kvs(f));
    assert_int_equal(fake_commits(f), before + 1);
    fake_prefer_sweep(f, false);
    assert_int_equal(fake_step(f), 1); /* the commit; the step is not answered yet */
    referring = begin_put_object(f, "again", object);
    commit_pump(fake_kvs(f));
    assert_int_equal(fake_commits(f), before + 1);
    fake_run(f);
    assert_int_equal(plain->err, 0);
    assert_int_equal(referring->err, 0);
    assert_stored(f, "primary", "again.b", 1);
    free(plain);
    free(referring);
    free(object);
}

static void test_only_one_at_a_time(void **state)
{
    struct fake *f = *state;

    assert_int_equal(gc_start(fake_kvs(f), 0., NULL, NULL), 0);
    assert_int_equal(gc_start(fake_kvs(f), 0., NULL, NULL), -EALREADY);
    fake_run(f);
    assert_int_equal(gc_start(fake_kvs(f), 0., NULL, NULL), 0);
    fake_run(f);
}

/* --- commits at any moment of a collection */

#define KEYS 24

struct model {
    struct fake *f;
    int value[KEYS]; /* -1: none */
    uint32_t random;
    char *object; /* copied from a key, */
    int object_value;
    bool object_is_old;   /* a collection was begun since */
    int guarded, refused; /* commits of it */
    struct result *results[64];
    size_t nresults;
};

static uint32_t draw(struct model *m, uint32_t n)
{
    m->random = m->random * 1664525u + 1013904223u;
    return (m->random >> 8) % n;
}

static void key_format(char key[32], uint32_t i)
{
    (void)snprintf(key, 32, "d%u.e%u.k%u", i % 2, i % 6, i);
}

static void submit(struct model *m, const char *ops)
{
    if (m->nresults == ARRAY_SIZE(m->results)) {
        fake_run(m->f);
        for (size_t i = 0; i < m->nresults; i++) {
            assert_true(m->results[i]->done);
            assert_int_equal(m->results[i]->err, 0);
            free(m->results[i]);
        }
        m->nresults = 0;
    }
    m->results[m->nresults++] = fake_begin(m->f, "primary", 0, ops);
    commit_pump(fake_kvs(m->f));
}

/* Most values are few, so that they come again; some come once. */
static void random_put(struct model *m)
{
    uint32_t i = draw(m, KEYS);
    int n = draw(m, 3) ? (int)draw(m, 5) : 5 + (int)draw(m, 1000);
    size_t len = 400 + 4 * (size_t)n;
    char key[32], ops[6000];
    char data[5000];

    memset(data, 'a' + n % 5, len);
    data[len] = '\0';
    key_format(key, i);
    (void)snprintf(ops, sizeof(ops),
                   "[{'key':'%s','flags':0,'dirent':{'ver':1,'type':'val','data':'%s'}}]", key,
                   data);
    submit(m, ops);
    m->value[i] = n;
}

static void random_unlink(struct model *m, uint32_t i)
{
    char key[32], ops[200];

    key_format(key, i);
    (void)snprintf(ops, sizeof(ops), "[{'key':'%s','flags':0,'dirent':null}]", key);
    submit(m, ops);
    m->value[i] = -1;
}

/* A snapshot of a key. It may be committed when nothing else has it any more, and then a collection
 * may have removed it: what is committed is whole, or refused. */
static void random_copy(struct model *m)
{
    uint32_t i = draw(m, KEYS);
    char key[32], ops[512];
    struct result *r;

    key_format(key, i);
    if (!m->object && m->value[i] >= 0 && gc_phase(fake_kvs(m->f)) == GC_IDLE) {
        fake_run(m->f); /* what was submitted is in the root that is read */
        m->object = treeobj_of(m->f, key);
        m->object_value = m->value[i];
        m->object_is_old = false;
    } else if (m->object && gc_phase(fake_kvs(m->f)) != GC_IDLE) {
        (void)snprintf(ops, sizeof(ops), "[{'key':'%s','flags':0,'dirent':%s}]", key, m->object);
        r = fake_begin(m->f, "primary", 0, ops);
        while (!r->done) {
            commit_pump(fake_kvs(m->f));
            (void)fake_step(m->f);
        }
        assert_true(r->err == 0 || r->err == -ENOENT);
        if (r->err == 0)
            m->value[i] = m->object_value;
        m->guarded += r->err == 0;
        m->refused += r->err == -ENOENT;
        if (r->err == 0 && gc_phase(fake_kvs(m->f)) == GC_IDLE) /* nobody looked */
            random_unlink(m, i);
        free(r);
        free(m->object);
        m->object = NULL;
    }
}

/* Nobody looks whether a snapshot is there that is older than the last collection. */
static void random_start(struct model *m)
{
    if (gc_start(fake_kvs(m->f), 0., NULL, NULL) == 0 && m->object && m->object_is_old) {
        free(m->object);
        m->object = NULL;
    }
    m->object_is_old = true;
}

static void check(struct model *m)
{
    fake_run(m->f);
    objcache_drop(fake_kvs(m->f)->cache);
    for (uint32_t i = 0; i < KEYS; i++) {
        char key[32];
        char *value;
        int err;

        key_format(key, i);
        value = fake_lookup(m->f, "primary", 0, key, &err);
        assert_int_equal(err, m->value[i] < 0 ? -ENOENT : 0);
        if (value)
            assert_int_equal(strlen(value), (400 + 4 * (size_t)m->value[i]) / 4 * 3);
        free(value);
    }
    assert_int_equal(gc_progress(fake_kvs(m->f))->missing, 0);
}

static void play(uint32_t seed, int *guarded, int *refused)
{
    struct model m = { .f = fake_new(CACHE), .random = seed };

    memset(m.value, -1, sizeof(m.value));
    for (int i = 0; i < 400; i++) {
        switch (draw(&m, 10)) {
        case 0:
        case 1:
        case 2:
            random_put(&m);
            break;
        case 3:
            random_unlink(&m, draw(&m, KEYS));
            break;
        case 4:
            random_copy(&m);
            break;
        case 5:
            if (draw(&m, 3) == 0)
                random_start(&m);
            break;
        case 6:
            fake_prefer_sweep(m.f, draw(&m, 2));
            objcache_drop(fake_kvs(m.f)->cache);
            break;
        default:
            for (uint32_t n = draw(&m, 8); n > 0; n--)
                (void)fake_step(m.f);
        }
    }
    free(m.object);
    check(&m);
    assert_int_equal(fake_collect(m.f), 0);
    check(&m);
    for (size_t i = 0; i < m.nresults; i++) {
        assert_true(m.results[i]->done);
        assert_int_equal(m.results[i]->err, 0);
        free(m.results[i]);
    }
    *guarded += m.guarded;
    *refused += m.refused;
    fake_free(m.f);
}

static void test_what_is_committed_at_any_moment_of_a_collection_stays(void **state)
{
    int guarded = 0, refused = 0;

    for (uint32_t seed = 1; seed <= 300; seed++)
        play(seed, &guarded, &refused);
    assert_true(guarded > 50);
    assert_true(refused > 5);
    (void)state;
}

static void test_a_set_knows_what_was_added(void **state)
{
    struct digest_set s = { 0 };
    uint8_t digest[DIGEST_SIZE];

    for (int i = 0; i < 20000; i++) {
        digest_compute(DIGEST_BLAKE2B, &i, sizeof(i), digest);
        assert_false(digest_set_has(&s, digest));
        assert_int_equal(digest_set_add(&s, digest), 1);
        assert_int_equal(digest_set_add(&s, digest), 0);
    }
    for (int i = 0; i < 20000; i++) {
        digest_compute(DIGEST_BLAKE2B, &i, sizeof(i), digest);
        assert_true(digest_set_has(&s, digest));
    }
    digest_set_clear(&s);
    assert_false(digest_set_has(&s, digest));
    (void)state;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_what_no_root_leads_to_is_removed_and_nothing_else),
        T(test_what_a_checkpoint_refers_to_stays_and_need_not_be_a_directory),
        cmocka_unit_test(test_what_a_checkpoint_refers_to_that_is_put_during_a_sweep_stays),
        T(test_what_is_cached_but_was_removed_is_stored_again),
        T(test_all_namespaces_are_roots),
        T(test_a_snapshot_that_is_held_stays),
        T(test_a_collection_ends_with_the_store_and_may_be_begun_again),
        T(test_a_hole_is_counted_and_the_rest_kept),
        T(test_between_two_steps_nothing_is_to_be_done_for_a_while),
        T(test_only_a_commit_that_refers_to_something_waits_for_a_step),
        T(test_only_one_at_a_time),
        cmocka_unit_test(test_a_snapshot_that_is_committed_during_a_sweep_is_whole_or_refused),
        cmocka_unit_test(test_what_is_committed_at_any_moment_of_a_collection_stays),
        cmocka_unit_test(test_a_set_knows_what_was_added),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
