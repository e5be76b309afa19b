/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What was committed reads back: values, directories, links, appends; how they lie in blobs, and
 * blobs that are lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <flux/kvs.h>
#include "kvs/fake-client.h"

static void test_what_was_committed_can_be_read(void **state)
{
    assert_int_equal(fake_put(*state, "primary", "a.b.c", "hello"), 0);
    fake_assert_value(*state, "primary", "a.b.c", "hello");
    fake_assert_value(*state, "primary", ".a..b.c.", "hello");
    fake_assert_error(*state, "primary", 0, "a.b", EISDIR);
    fake_assert_error(*state, "primary", 0, "a.b.x", ENOENT);
    fake_assert_error(*state, "primary", 0, "a.b.c.d", ENOENT);
    fake_assert_error(*state, "primary", FLUX_KVS_READDIR, "a.b.c", ENOTDIR);
    fake_assert_error(*state, "primary", FLUX_KVS_READLINK, "a.b.c", EINVAL);
    fake_assert_error(*state, "nowhere", 0, "a", ENOTSUP);
    fake_assert_error(*state, "primary", 0, "", EINVAL);
}

static void test_a_value_is_stored_in_blobs_of_a_bounded_size(void **state)
{
    const size_t size = 2 * VALUE_BLOB_MAX + 12345;
    char *big = malloc(size + 4);

    for (size_t i = 0; i < size; i++)
        big[i] = (char)('a' + i % 23);
    big[size] = '\0';
    assert_int_equal(fake_put(*state, "primary", "big", big), 0);
    assert_int_equal(fake_largest_blob(*state), VALUE_BLOB_MAX);
    objcache_drop(fake_kvs(*state)->cache);
    fake_assert_value(*state, "primary", "big", big);
    assert_int_equal(fake_append(*state, "primary", "big", "end"), 0);
    strcpy(big + size, "end");
    objcache_drop(fake_kvs(*state)->cache);
    fake_assert_value(*state, "primary", "big", big);
    assert_int_equal(fake_largest_blob(*state), VALUE_BLOB_MAX);
    free(big);
}

static void test_old_versions_of_directories_leave_the_cache(void **state)
{
    const struct objcache_stats *stats = objcache_stats(fake_kvs(*state)->cache);
    char key[32];
    size_t before;

    for (int i = 0; i < 200; i++) {
        (void)snprintf(key, sizeof(key), "d.name%d", i);
        assert_int_equal(fake_put(*state, "primary", key, "0"), 0);
    }
    before = stats->count;
    for (int i = 0; i < 200; i++) {
        (void)snprintf(key, sizeof(key), "d.name%d", i);
        assert_int_equal(fake_put(*state, "primary", key, "1"), 0);
    }
    assert_true(stats->count <= before + 2);
    fake_assert_value(*state, "primary", "d.name7", "1");
}

static void test_it_survives_a_restart(void **state)
{
    char big[5000];

    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    fake_put(*state, "primary", "a.small", "1");
    fake_put(*state, "primary", "a.big", big);
    fake_create(*state, "job", 7);
    fake_put(*state, "job", "x", "2");
    fake_restart(*state);
    fake_assert_value(*state, "primary", "a.small", "1");
    fake_assert_value(*state, "primary", "a.big", big);
    fake_assert_value(*state, "job", "x", "2");
    fake_assert_error(*state, "primary", FLUX_KVS_READDIR, "a.big", ENOTDIR);
}

static void test_conflicting_keys_are_overwritten(void **state)
{
    fake_put(*state, "primary", "a", "1");
    assert_int_equal(fake_put(*state, "primary", "a.b.c", "2"), 0);
    fake_assert_value(*state, "primary", "a.b.c", "2");
    assert_int_equal(fake_put(*state, "primary", "a", "3"), 0);
    fake_assert_value(*state, "primary", "a", "3");
    fake_assert_error(*state, "primary", 0, "a.b", ENOENT);
}

static void test_unlink_removes_all_below_and_does_not_mind_absence(void **state)
{
    fake_put(*state, "primary", "a.b.c", "2");
    assert_int_equal(fake_unlink(*state, "primary", "x.y"), 0);
    assert_int_equal(fake_unlink(*state, "primary", "a.b.c.d"), 0);
    fake_assert_error(*state, "primary", FLUX_KVS_READDIR, "x", ENOENT);
    fake_assert_value(*state, "primary", "a.b.c", "2");
    assert_int_equal(fake_unlink(*state, "primary", "a.b"), 0);
    fake_assert_error(*state, "primary", 0, "a.b.c", ENOENT);
}

static void test_directories_list_names_in_order(void **state)
{
    int err;
    char *text;

    fake_put(*state, "primary", "d.b", "1");
    fake_put(*state, "primary", "d.a", "2");
    text = fake_lookup(*state, "primary", FLUX_KVS_READDIR, "d", &err);
    assert_string_equal(text, "{\"ver\":1,\"type\":\"dir\",\"data\":{"
                              "\"a\":{\"ver\":1,\"type\":\"val\",\"data\":\"Mg==\"},"
                              "\"b\":{\"ver\":1,\"type\":\"val\",\"data\":\"MQ==\"}}}");
    free(text);
    text = fake_lookup(*state, "primary", FLUX_KVS_TREEOBJ, "d", &err);
    assert_non_null(
        strstr(text, "\"type\":\"dir\",\"data\":{\"a\":{")); /* small: inside the root */
    free(text);
    fake_fill(*state, "d");
    text = fake_lookup(*state, "primary", FLUX_KVS_TREEOBJ, "d", &err);
    assert_non_null(strstr(text, "\"type\":\"dirref\",\"data\":[\"blake2b-"));
    free(text);
    assert_int_equal(
        fake_commit(*state, "primary", "[" FAKE_OP("e", "{'ver':1,'type':'dir','data':{}}") "]"),
        0);
    text = fake_lookup(*state, "primary", FLUX_KVS_READDIR, "e", &err);
    assert_string_equal(text, "{\"ver\":1,\"type\":\"dir\",\"data\":{}}");
    free(text);
}

/* Blobs cost: many small things below one key are few blobs, and none of them is long. */
static void test_what_is_small_is_stored_with_what_holds_it(void **state)
{
    struct fake *f = *state;
    char key[64], value[240];
    size_t before;

    assert_int_equal(fake_put(f, "primary", "a.b.c.d.e", "1"), 0);
    before = fake_nblobs(f);
    assert_int_equal(fake_put(f, "primary", "a.b.c.d.e", "2"), 0);
    assert_int_equal(fake_nblobs(f), before + 1); /* the root has it all */
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (int i = 0; i < 30; i++) {
        snprintf(key, sizeof(key), "long.k%d", i);
        assert_int_equal(fake_put(f, "primary", key, value), 0);
        value[0]++;
    }
    assert_true(fake_largest_blob(f) < 6000);
    value[0]--;
    fake_assert_value(f, "primary", key, value);
    fake_restart(f);
    fake_assert_value(f, "primary", key, value);
    fake_assert_value(f, "primary", "a.b.c.d.e", "2");
}

/* Directories within directories within one blob, as deep as keys go. */
static void test_deep_keys_survive_a_restart(void **state)
{
    char key[2 * 128];

    for (int i = 0; i < 127; i++)
        memcpy(&key[2 * i], "a.", 2);
    memcpy(&key[2 * 127], "z", 2);
    assert_int_equal(fake_put(*state, "primary", key, "deep"), 0);
    fake_restart(*state);
    fake_assert_value(*state, "primary", key, "deep");
    key[2 * 127] = 'y';
    assert_int_equal(fake_put(*state, "primary", key, "deeper"), 0);
    fake_restart(*state);
    fake_assert_value(*state, "primary", key, "deeper");
}

static void test_an_appended_line_is_no_blob_until_the_log_is_long(void **state)
{
    struct fake *f = *state;
    CLEANUP(freep) char *text = NULL;
    int err;

    for (int i = 0; i < 5; i++) { /* 100 bytes each */
        char line[] = "[" FAKE_APPEND(
            "log", FAKE_VAL("MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Nj"
                            "c4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw"
                            "MTIzNDU2Nzg5MA==")) "]";

        assert_int_equal(fake_commit(f, "primary", line), 0);
    }
    text = fake_lookup(f, "primary", FLUX_KVS_TREEOBJ, "log", &err);
    assert_memory_equal(text, "1234567890", 10); /* no reference to blobs */
    free(TAKE(text));
    for (int i = 0; i < 10; i++)
        assert_int_equal(
            fake_commit(
                f, "primary",
                "[" FAKE_APPEND(
                    "log", FAKE_VAL("MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Nj"
                                    "c4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw"
                                    "MTIzNDU2Nzg5MA==")) "]"),
            0);
    text = fake_lookup(f, "primary", FLUX_KVS_TREEOBJ, "log", &err);
    assert_non_null(strstr(text, "\"type\":\"valref\""));
}

/* What an older release stored: 32 buckets, up to 64 names in one. */
static void test_directories_of_other_bucket_sizes_are_read_and_changed(void **state)
{
    struct fake *f = *state;
    json_t *dir = json_object();
    CLEANUP(freep) char *ops = NULL;
    char name[16];

    for (int i = 0; i < 64; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        json_object_set_new(dir, name,
                            json_pack("{s:i s:s s:s}", "ver", 1, "type", "val", "data", "MQ=="));
    }
    dir = json_pack("[{s:s s:i s:{s:i s:s s:o}}]", "key", "old", "flags", 0, "dirent", "ver", 1,
                    "type", "dir", "data", dir);
    ops = json_dumps(dir, 0);
    json_decref(dir);
    assert_int_equal(fake_commit(f, "primary", ops), 0);
    fake_restart(f);
    fake_assert_value(f, "primary", "old.n63", "1");
    assert_int_equal(fake_put(f, "primary", "old.n64", "2"), 0);
    assert_int_equal(fake_unlink(f, "primary", "old.n3"), 0);
    fake_restart(f);
    fake_assert_value(f, "primary", "old.n63", "1");
    fake_assert_value(f, "primary", "old.n64", "2");
    fake_assert_error(f, "primary", 0, "old.n3", ENOENT);
}

static void test_large_directories_keep_every_name(void **state)
{
    struct fake *f = *state;
    char key[64], value[32];
    json_t *dir;
    char *text;
    int err;

    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "big.%04x", i * 37);
        snprintf(value, sizeof(value), "%d", i);
        assert_int_equal(fake_put(f, "primary", key, value), 0);
    }
    fake_restart(f);
    text = fake_lookup(f, "primary", FLUX_KVS_READDIR, "big", &err);
    dir = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_int_equal(json_object_size(json_object_get(dir, "data")), 3000);
    json_decref(dir);
    free(text);
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "big.%04x", i * 37);
        snprintf(value, sizeof(value), "%d", i);
        fake_assert_value(f, "primary", key, value);
        if (i % 3)
            assert_int_equal(fake_unlink(f, "primary", key), 0);
    }
    text = fake_lookup(f, "primary", FLUX_KVS_READDIR, "big", &err);
    dir = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_int_equal(json_object_size(json_object_get(dir, "data")), 1000);
    json_decref(dir);
    free(text);
}

static void test_links_are_followed_to_a_limit(void **state)
{
    struct fake *f = *state;
    int err;
    char *text;

    fake_put(f, "primary", "d.v", "1");
    fake_create(f, "job", 7);
    fake_put(f, "job", "x.y", "2");
    assert_int_equal(
        fake_commit(
            f, "primary",
            "[" FAKE_OP("l", FAKE_LINK("d")) "," FAKE_OP("m", FAKE_LINK("l.v")) "," FAKE_OP(
                "loop",
                FAKE_LINK(
                    "loop")) "," FAKE_OP("dangling",
                                         FAKE_LINK(
                                             "no.where")) "," FAKE_OP("guest",
                                                                      "{'ver':1,'type':'symlink','"
                                                                      "data':{'namespace':'job',"
                                                                      "'target':'x'}}") "]"),
        0);
    fake_assert_value(f, "primary", "l.v", "1");
    fake_assert_value(f, "primary", "m", "1");
    fake_assert_value(f, "primary", "guest.y", "2");
    fake_assert_error(f, "primary", 0, "loop", ELOOP);
    fake_assert_error(f, "primary", 0, "dangling", ENOENT);
    text = fake_lookup(f, "primary", FLUX_KVS_READLINK, "m", &err);
    assert_string_equal(text, "{\"ver\":1,\"type\":\"symlink\",\"data\":{\"target\":\"l.v\"}}");
    free(text);
    /* Writing through a link writes where it leads, within the namespace. */
    assert_int_equal(fake_put(f, "primary", "l.new", "3"), 0);
    fake_assert_value(f, "primary", "d.new", "3");
    assert_int_equal(fake_put(f, "primary", "guest.new", "3"), -EINVAL);
    assert_int_equal(fake_put(f, "primary", "loop.new", "3"), -ELOOP);
    assert_int_equal(fake_append(f, "primary", "m", "3"), -EINVAL);
    assert_int_equal(fake_put(f, "primary", "m", "4"), 0); /* replaces the link */
    fake_assert_value(f, "primary", "d.v", "1");
}

static void test_prune_removes_a_key_and_the_directories_that_this_leaves_empty(void **state)
{
    struct fake *f = *state;

    fake_put(f, "primary", "j.a.b.c.x", "1");
    fake_put(f, "primary", "j.a.b.d.x", "2");
    fake_restart(f); /* nothing is in memory */
    assert_int_equal(fake_commit(f, "primary", "[{'key':'j.a.b.c','flags':0,'prune':true}]"), 0);
    fake_assert_error(f, "primary", FLUX_KVS_READDIR, "j.a.b.c", ENOENT);
    fake_assert_value(f, "primary", "j.a.b.d.x", "2");
    fake_put(f, "primary", "j.z", "3");
    assert_int_equal(fake_commit(f, "primary",
                                 "[{'key':'j.a.b.d','flags':0,'prune':true},"
                                 "{'key':'j.a.no.such','flags':0,'prune':true}]"),
                     0);
    fake_assert_error(f, "primary", FLUX_KVS_READDIR, "j.a", ENOENT);
    fake_assert_value(f, "primary", "j.z", "3");
    assert_int_equal(fake_commit(f, "primary", "[" FAKE_OP("l", FAKE_LINK("j")) "]"), 0);
    assert_int_equal(fake_commit(f, "primary", "[{'key':'l.z','flags':0,'prune':true}]"), 0);
    fake_assert_error(f, "primary", 0, "j.z", ENOENT);
    assert_int_equal(fake_commit(f, "primary", "[{'key':'.','flags':0,'prune':true}]"), -EINVAL);
}

static void test_a_lost_blob_is_eio_for_those_who_need_it(void **state)
{
    struct fake *f = *state;
    char big[1000];
    const char *ref;
    json_t *o;
    char *text;
    int err;

    memset(big, 'y', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    fake_put(f, "primary", "d.big", big);
    fake_put(f, "primary", "d.small", "1");
    fake_fill(f, "d");
    text = fake_lookup(f, "primary", FLUX_KVS_TREEOBJ, "d.big", &err);
    o = json_loads(text, 0, NULL);
    ref = json_string_value(json_array_get(json_object_get(o, "data"), 0));
    fake_lose(f, ref);
    fake_restart(f);
    fake_assert_error(f, "primary", 0, "d.big", EIO);
    fake_assert_value(f, "primary", "d.small", "1");
    json_decref(o);
    free(text);
    text = fake_lookup(f, "primary", FLUX_KVS_TREEOBJ, "d", &err);
    o = json_loads(text, 0, NULL);
    ref = json_string_value(json_array_get(json_object_get(o, "data"), 0));
    fake_lose(f, ref);
    fake_restart(f);
    fake_assert_error(f, "primary", 0, "d.small", EIO);
    assert_int_equal(fake_put(f, "primary", "d.new", "1"), -EIO);
    assert_int_equal(fake_put(f, "primary", "e.new", "1"), 0);
    json_decref(o);
    free(text);
}

static void test_lookups_that_wait_do_not_hold_up_others(void **state)
{
    struct fake *f = *state;
    struct caller who = { .userid = FAKE_OWNER, .is_owner = true };
    struct lookup *lk;
    char *text;
    int err;

    fake_put(f, "primary", "cold.a", "1");
    fake_fill(f, "cold");
    fake_restart(f);
    fake_put(f, "primary", "warm.a", "2");
    fake_hold(f, true);
    assert_int_equal(lookup_new(fake_kvs(f), "primary", "cold.a", 0, &who, NULL, NULL, &lk), 0);
    assert_false(lookup_run(lk));
    text = fake_lookup(f, "primary", 0, "warm.a", &err);
    assert_string_equal(text, "2");
    free(text);
    lookup_free(lk); /* its client went away */
    fake_hold(f, false);
    fake_run(f);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_what_was_committed_can_be_read),
        T(test_a_value_is_stored_in_blobs_of_a_bounded_size),
        T(test_old_versions_of_directories_leave_the_cache),
        T(test_it_survives_a_restart),
        T(test_conflicting_keys_are_overwritten),
        T(test_unlink_removes_all_below_and_does_not_mind_absence),
        T(test_directories_list_names_in_order),
        T(test_what_is_small_is_stored_with_what_holds_it),
        T(test_deep_keys_survive_a_restart),
        T(test_an_appended_line_is_no_blob_until_the_log_is_long),
        T(test_directories_of_other_bucket_sizes_are_read_and_changed),
        T(test_large_directories_keep_every_name),
        T(test_links_are_followed_to_a_limit),
        T(test_prune_removes_a_key_and_the_directories_that_this_leaves_empty),
        T(test_a_lost_blob_is_eio_for_those_who_need_it),
        T(test_lookups_that_wait_do_not_hold_up_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
