/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Group commit: who shares one, what a failed one leaves behind, and that it is sequential
 * application. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <flux/kvs.h>
#include "kvs/fake-client.h"

static void test_nothing_is_seen_before_it_is_stored(void **state)
{
    struct fake *f = *state;
    struct result *r;

    fake_put(f, "primary", "a", "1");
    fake_hold(f, true);
    r = fake_begin(f, "primary", 0, "[" FAKE_OP("a", FAKE_VAL("Mg==")) "]");
    fake_run(f);
    assert_false(r->done);
    fake_assert_value(f, "primary", "a", "1");
    fake_hold(f, false);
    fake_run(f);
    assert_true(r->done);
    fake_assert_value(f, "primary", "a", "2");
    free(r);
}

static void test_those_who_come_while_one_is_stored_share_the_next(void **state)
{
    struct fake *f = *state;
    struct result *r[20];
    size_t before = fake_commits(f);
    char ops[200];

    fake_hold(f, true);
    for (int i = 0; i < 20; i++) {
        snprintf(ops, sizeof(ops), "[" FAKE_OP("k%d", FAKE_VAL("Mg==")) "]", i);
        r[i] = fake_begin(f, "primary", 0, ops);
        commit_pump(fake_kvs(f));
    }
    fake_hold(f, false);
    fake_run(f);
    assert_int_equal(fake_commits(f), before + 2);
    for (int i = 0; i < 20; i++) {
        assert_true(r[i]->done);
        assert_int_equal(r[i]->seq, i == 0 ? 1 : 2);
        free(r[i]);
    }
}

static void test_one_that_fails_fails_alone_and_whole(void **state)
{
    struct fake *f = *state;
    struct result *r[3];

    fake_put(f, "primary", "d.x", "1");
    fake_hold(f, true);
    r[0] = fake_begin(f, "primary", 0, "[" FAKE_OP("a", FAKE_VAL("MQ==")) "]");
    r[1] =
        fake_begin(f, "primary", 0,
                   "[" FAKE_OP("b", FAKE_VAL("MQ==")) "," FAKE_APPEND("d", FAKE_VAL("MQ==")) "]");
    r[2] = fake_begin(f, "primary", 0, "[" FAKE_OP("c", FAKE_VAL("MQ==")) "]");
    fake_hold(f, false);
    fake_run(f);
    assert_int_equal(r[0]->err, 0);
    assert_int_equal(r[1]->err, -EISDIR);
    assert_int_equal(r[2]->err, 0);
    assert_int_equal(r[0]->seq, r[2]->seq);
    fake_assert_value(f, "primary", "a", "1");
    fake_assert_error(f, "primary", 0, "b", ENOENT);
    fake_assert_value(f, "primary", "c", "1");
    for (int i = 0; i < 3; i++)
        free(r[i]);
}

static void test_a_full_disk_refuses_and_leaves_everything_as_it_was(void **state)
{
    struct fake *f = *state;
    struct result *r[3];

    fake_put(f, "primary", "a", "1");
    fake_fail_next(f, -ENOSPC);
    r[0] = fake_begin(f, "primary", 0,
                      "[" FAKE_OP("a", FAKE_VAL("Mg==")) "," FAKE_OP("d.e", FAKE_VAL("Mg==")) "]");
    fake_hold(f, true);
    fake_run(f);
    r[1] = fake_begin(f, "primary", 0, "[" FAKE_OP("b", FAKE_VAL("Mw==")) "]");
    fake_hold(f, false);
    fake_run(f);
    assert_int_equal(r[0]->err, -ENOSPC);
    assert_int_equal(r[1]->err, 0);
    assert_false(fake_is_fatal(f));
    fake_assert_value(f, "primary", "a", "1");
    fake_assert_error(f, "primary", 0, "d.e", ENOENT);
    fake_fail_next(f, -ENOSPC);
    assert_int_equal(fake_create(f, "job", 7), -ENOSPC);
    fake_assert_error(f, "job", FLUX_KVS_READDIR, ".", ENOTSUP);
    assert_int_equal(fake_create(f, "job", 7), 0);
    assert_int_equal(fake_put(f, "primary", "d.e", "2"), 0); /* stored this time */
    fake_restart(f);
    fake_assert_value(f, "primary", "d.e", "2");
    fake_assert_value(f, "primary", "b", "3");
    free(r[0]);
    free(r[1]);
}

static void test_an_unknown_outcome_ends_the_process(void **state)
{
    struct fake *f = *state;
    struct result *r;

    fake_fail_next(f, -ECONNRESET);
    r = fake_begin(f, "primary", 0, "[" FAKE_OP("a", FAKE_VAL("Mg==")) "]");
    fake_run(f);
    assert_true(fake_is_fatal(f));
    assert_false(r->done); /* the router tells the client that we went away */
    free(r);
}

static uint32_t rnd(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void random_key(uint32_t *seed, char *key, size_t size)
{
    int n = 1 + (int)(rnd(seed) % 4);
    size_t len = 0;

    for (int i = 0; i < n; i++)
        len += (size_t)snprintf(key + len, size - len, "%s%c%u", i ? "." : "", 'a' + i,
                                rnd(seed) % (i == 2 ? 90 : 3));
}

static void random_op(uint32_t *seed, struct strbuf *ops)
{
    static const char *const dirents[] = {
        "{'ver':1,'type':'val','data':'b25l'}",
        "{'ver':1,'type':'val','data':"
        "'MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAx"
        "MjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIz'"
        "}",
        "{'ver':1,'type':'dir','data':{}}",
        "{'ver':1,'type':'symlink','data':{'target':'a1'}}",
        "null",
    };
    uint32_t what = rnd(seed) % 16;
    char key[64];

    random_key(seed, key, sizeof(key));
    strbuf_puts(ops, "{'key':'");
    strbuf_puts(ops, key);
    strbuf_puts(ops, what < 5 ? "','flags':32,'dirent':" : "','flags':0,'dirent':");
    strbuf_puts(ops, what < 5    ? dirents[what % 2]
                     : what < 12 ? dirents[what % 2]
                                 : dirents[2 + what % 3]);
    strbuf_puts(ops, "}");
}

static const char *random_txn(uint32_t *seed, struct strbuf *ops)
{
    int n = 1 + (int)(rnd(seed) % 4);

    ops->len = 0;
    strbuf_puts(ops, "[");
    for (int i = 0; i < n; i++) {
        if (i > 0)
            strbuf_puts(ops, ",");
        random_op(seed, ops);
    }
    strbuf_puts(ops, "]");
    return strbuf_text(ops);
}

/* Applies the same transactions one by one to one store, in groups to another (with a cache so
 * small that it must load all the time, and restarts): each fails or succeeds alike, and the roots
 * are the same to the last bit. */
static void test_groups_are_equivalent_to_sequential_application(void **state)
{
    struct fake *one = *state;
    struct fake *many = fake_new(1000);
    struct strbuf ops = { 0 };
    uint32_t seed = 20261121;
    size_t failures = 0;

    for (int round = 0; round < 150; round++) {
        struct result *a[32], *b[32];
        int n = 1 + (int)(rnd(&seed) % 32);

        for (int i = 0; i < n; i++) {
            const char *text = random_txn(&seed, &ops);

            a[i] = fake_begin(one, "primary", 0, text);
            fake_run(one);
            b[i] = fake_begin(many, "primary", 0, text);
        }
        fake_run(many);
        for (int i = 0; i < n; i++) {
            assert_true(a[i]->done && b[i]->done);
            assert_int_equal(a[i]->err, b[i]->err);
            failures += a[i]->err < 0;
            if (i == n - 1 && a[i]->err == 0)
                assert_string_equal(a[i]->rootref, b[i]->rootref);
            free(a[i]);
            free(b[i]);
        }
        if (round % 10 == 9)
            fake_restart(many);
    }
    assert_true(failures > 20); /* failing ones were among them */
    assert_true(fake_loads(many) > 100);
    strbuf_deinit(&ops);
    fake_free(many);
}

/* Cut off at any moment, what was answered is there after a restart. */
static void test_what_was_answered_survives_a_crash_at_any_step(void **state)
{
    for (int cut = 0; cut < 40; cut++) {
        struct fake *f = fake_new(FAKE_CACHE);
        struct result *r[20];
        char ops[200], key[16];
        int steps = 0;

        for (int i = 0; i < 20; i++) {
            snprintf(ops, sizeof(ops), "[" FAKE_OP("k%d", FAKE_VAL("Mg==")) "]", i);
            r[i] = fake_begin(f, "primary", i % 3 == 0 ? FLUX_KVS_NO_MERGE : 0, ops);
        }
        do
            commit_pump(fake_kvs(f));
        while (steps++ < cut && fake_step(f));
        fake_restart(f);
        for (int i = 0; i < 20; i++) {
            snprintf(key, sizeof(key), "k%d", i);
            if (r[i]->done)
                fake_assert_value(f, "primary", key, "2");
            free(r[i]);
        }
        fake_free(f);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_nothing_is_seen_before_it_is_stored),
        T(test_those_who_come_while_one_is_stored_share_the_next),
        T(test_one_that_fails_fails_alone_and_whole),
        T(test_a_full_disk_refuses_and_leaves_everything_as_it_was),
        T(test_an_unknown_outcome_ends_the_process),
        T(test_groups_are_equivalent_to_sequential_application),
        T(test_what_was_answered_survives_a_crash_at_any_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
