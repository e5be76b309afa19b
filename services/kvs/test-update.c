/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What rank 0 says of its commits, given to a follower: all of it, some of it, or twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <flux/kvs.h>
#include "kvs/fake-client.h"
#include "kvs/update.h"

struct world {
    struct fake *leader, *follower;
};

static int tell(struct world *w, const char *update)
{
    json_t *o = json_loads(update, 0, NULL);
    int rc = update_apply(fake_kvs(w->follower), o);

    json_decref(o);
    fake_run(w->follower);
    return rc;
}

static int put(struct world *w, const char *key, const char *value)
{
    assert_int_equal(fake_put(w->leader, "primary", key, value), 0);
    return tell(w, fake_announced(w->leader));
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    w->leader = fake_new(FAKE_CACHE);
    w->follower = fake_new_follower(w->leader);
    fake_kvs(w->leader)->announcing = true;
    assert_int_equal(put(w, "first", "1"), UPDATE_GAP);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    fake_free(w->follower);
    fake_free(w->leader);
    free(w);
    return 0;
}

static void assert_value(struct world *w, const char *key, const char *value)
{
    int err;
    char *text = fake_lookup(w->follower, "primary", 0, key, &err);

    assert_non_null(text);
    assert_string_equal(text, value);
    free(text);
}

static void assert_said(struct watching *w, const char *expected)
{
    assert_string_equal(watching_said(w), expected);
    watching_free(w);
}

static void test_a_follower_reads_what_was_just_committed_without_loading(void **state)
{
    struct world *w = *state;
    size_t loads = fake_loads(w->follower);

    assert_int_equal(put(w, "a.b.c", "x"), UPDATE_NEXT);
    assert_value(w, "a.b.c", "x");
    assert_int_equal(fake_loads(w->follower), loads);
}

static void test_what_is_not_announced_is_loaded(void **state)
{
    struct world *w = *state;
    struct fake *late;
    char *text;
    int err;

    put(w, "a.b.c", "x");
    late = fake_new_follower(w->leader);
    json_t *o = json_loads(fake_announced(w->leader), 0, NULL);
    json_object_del(o, "objs");
    assert_int_equal(update_apply(fake_kvs(late), o), UPDATE_GAP);
    json_decref(o);
    text = fake_lookup(late, "primary", 0, "a.b.c", &err);
    assert_string_equal(text, "x");
    assert_true(fake_loads(late) > 0);
    free(text);
    fake_free(late);
}

static void test_the_root_never_goes_back(void **state)
{
    struct world *w = *state;
    char *old;

    put(w, "k", "old");
    old = strdup(fake_announced(w->leader));
    put(w, "k", "new");
    assert_int_equal(tell(w, old), UPDATE_OLD);
    assert_int_equal(tell(w, fake_announced(w->leader)), UPDATE_OLD);
    assert_value(w, "k", "new");
    free(old);
}

static void test_a_watch_hears_every_commit_of_its_key_and_no_other(void **state)
{
    struct world *w = *state;
    struct watching *v;

    put(w, "k", "1");
    v = fake_watch(w->follower, "primary", FLUX_KVS_WATCH, "k");
    put(w, "k", "2");
    put(w, "other", "x");
    put(w, "k", "2");
    assert_said(v, "1|2|2|");
}

static void test_an_append_watch_misses_no_byte_when_updates_are_lost(void **state)
{
    struct world *w = *state;
    struct watching *v;

    put(w, "log", "a");
    v = fake_watch(w->follower, "primary", FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND, "log");
    fake_append(w->leader, "primary", "log", "b");
    fake_append(w->leader, "primary", "log", "c");
    fake_append(w->leader, "primary", "log", "d");
    assert_int_equal(tell(w, fake_announced(w->leader)), UPDATE_GAP);
    assert_said(v, "a|bcd|");
}

static void test_a_watch_sees_the_latest_after_a_gap_and_nothing_twice(void **state)
{
    struct world *w = *state;
    struct watching *v, *same;

    put(w, "k", "1");
    v = fake_watch(w->follower, "primary", FLUX_KVS_WATCH, "k");
    same = fake_watch(w->follower, "primary", FLUX_KVS_WATCH, "first");
    fake_put(w->leader, "primary", "k", "2");
    fake_put(w->leader, "primary", "k", "3");
    tell(w, fake_announced(w->leader));
    assert_said(v, "1|3|");
    assert_said(same, "1|");
}

static void test_a_key_that_comes_to_be_behind_a_gap_wakes_who_waits_for_it(void **state)
{
    struct world *w = *state;
    struct watching *v = fake_watch(w->follower, "primary", FLUX_KVS_WAITCREATE, "x.y");

    fake_put(w->leader, "primary", "x.y", "here");
    fake_put(w->leader, "primary", "z", "1");
    tell(w, fake_announced(w->leader));
    assert_said(v, "here|!ENODATA");
}

static void test_other_namespaces_are_not_announced(void **state)
{
    struct world *w = *state;
    char *before = strdup(fake_announced(w->leader));

    assert_int_equal(fake_create(w->leader, "job-1", FAKE_OWNER), 0);
    assert_int_equal(fake_put(w->leader, "job-1", "k", "1"), 0);
    assert_string_equal(fake_announced(w->leader), before);
    free(before);
}

static void test_a_large_commit_is_announced_in_bounded_size(void **state)
{
    struct world *w = *state;
    struct strbuf ops = { 0 };
    struct watching *v;

    v = fake_watch(w->follower, "primary", FLUX_KVS_WAITCREATE, "key4999");
    strbuf_puts(&ops, "[");
    for (int i = 0; i < 5000; i++) {
        char op[160];

        (void)snprintf(op, sizeof(op),
                       "%s{'key':'key%d','flags':0,'dirent':{'ver':1,'type':'val','data':'eA=='}}",
                       i ? "," : "", i);
        strbuf_puts(&ops, op);
    }
    strbuf_puts(&ops, "]");
    assert_int_equal(fake_commit(w->leader, "primary", strbuf_text(&ops)), 0);
    strbuf_deinit(&ops);
    assert_true(strlen(fake_announced(w->leader)) < 2 * UPDATE_OBJS_MAX + UPDATE_KEYS_MAX + 512);
    assert_int_equal(tell(w, fake_announced(w->leader)), UPDATE_GAP);
    assert_said(v, "x|!ENODATA");
}

static void test_what_is_no_update_changes_nothing(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"namespace\":\"primary\",\"rootseq\":99,\"rootref\":\"sha1-00\"}",
        "{\"namespace\":\"other\",\"rootseq\":99,\"rootref\":\"blake2b-00\"}",
        "{\"namespace\":\"primary\",\"rootseq\":-1,\"rootref\":1}",
    };
    struct world *w = *state;
    json_t *o;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(tell(w, bad[i]), -EPROTO);
    fake_put(w->leader, "primary", "k", "1");
    o = json_loads(fake_announced(w->leader), 0, NULL);
    json_object_set_new(o, "objs", json_pack("[s]", "{\"ver\":1,\"type\":\"val\"}"));
    assert_int_equal(update_apply(fake_kvs(w->follower), o), -EPROTO);
    json_decref(o);
    assert_value(w, "first", "1");
    assert_int_equal(tell(w, fake_announced(w->leader)), UPDATE_NEXT);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_follower_reads_what_was_just_committed_without_loading),
        T(test_what_is_not_announced_is_loaded),
        T(test_the_root_never_goes_back),
        T(test_a_watch_hears_every_commit_of_its_key_and_no_other),
        T(test_an_append_watch_misses_no_byte_when_updates_are_lost),
        T(test_a_watch_sees_the_latest_after_a_gap_and_nothing_twice),
        T(test_a_key_that_comes_to_be_behind_a_gap_wakes_who_waits_for_it),
        T(test_other_namespaces_are_not_announced),
        T(test_a_large_commit_is_announced_in_bounded_size),
        T(test_what_is_no_update_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
