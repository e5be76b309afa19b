/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <flux/kvs.h>
#include "kvs/fake-content.h"

#define CACHE (4u << 20)

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

static void assert_value(struct fake *f, const char *ns, const char *key, const char *expected)
{
    int err;
    char *value = fake_lookup(f, ns, 0, key, &err);

    assert_int_equal(err, 0);
    assert_string_equal(value, expected);
    free(value);
}

static void assert_error(struct fake *f, const char *ns, int flags, const char *key, int expected)
{
    int err;
    char *value = fake_lookup(f, ns, flags, key, &err);

    assert_null(value);
    assert_int_equal(err, -expected);
}

#define VAL(base64)         "{'ver':1,'type':'val','data':'" base64 "'}"
#define LINK(target)        "{'ver':1,'type':'symlink','data':{'target':'" target "'}}"
#define OP(key, dirent)     "{'key':'" key "','flags':0,'dirent':" dirent "}"
#define APPEND(key, dirent) "{'key':'" key "','flags':32,'dirent':" dirent "}"

/* Names enough under a directory that it has a blob of its own. */
static void fill(struct fake *f, const char *dir)
{
    char key[64];

    for (int i = 0; i < 12; i++) {
        snprintf(key, sizeof(key), "%s.filler%d", dir, i);
        assert_int_equal(fake_put(f, "primary", key, "a value of some thirty bytes or so"), 0);
    }
}

static void test_what_was_committed_can_be_read(void **state)
{
    assert_int_equal(fake_put(*state, "primary", "a.b.c", "hello"), 0);
    assert_value(*state, "primary", "a.b.c", "hello");
    assert_value(*state, "primary", ".a..b.c.", "hello");
    assert_error(*state, "primary", 0, "a.b", EISDIR);
    assert_error(*state, "primary", 0, "a.b.x", ENOENT);
    assert_error(*state, "primary", 0, "a.b.c.d", ENOENT);
    assert_error(*state, "primary", FLUX_KVS_READDIR, "a.b.c", ENOTDIR);
    assert_error(*state, "primary", FLUX_KVS_READLINK, "a.b.c", EINVAL);
    assert_error(*state, "nowhere", 0, "a", ENOTSUP);
    assert_error(*state, "primary", 0, "", EINVAL);
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
    assert_value(*state, "primary", "big", big);
    assert_int_equal(fake_append(*state, "primary", "big", "end"), 0);
    strcpy(big + size, "end");
    objcache_drop(fake_kvs(*state)->cache);
    assert_value(*state, "primary", "big", big);
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
    assert_value(*state, "primary", "d.name7", "1");
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
    assert_value(*state, "primary", "a.small", "1");
    assert_value(*state, "primary", "a.big", big);
    assert_value(*state, "job", "x", "2");
    assert_error(*state, "primary", FLUX_KVS_READDIR, "a.big", ENOTDIR);
}

static void test_nothing_is_seen_before_it_is_stored(void **state)
{
    struct fake *f = *state;
    struct result *r;

    fake_put(f, "primary", "a", "1");
    fake_hold(f, true);
    r = fake_begin(f, "primary", 0, "[" OP("a", VAL("Mg==")) "]");
    fake_run(f);
    assert_false(r->done);
    assert_value(f, "primary", "a", "1");
    fake_hold(f, false);
    fake_run(f);
    assert_true(r->done);
    assert_value(f, "primary", "a", "2");
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
        snprintf(ops, sizeof(ops), "[" OP("k%d", VAL("Mg==")) "]", i);
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
    r[0] = fake_begin(f, "primary", 0, "[" OP("a", VAL("MQ==")) "]");
    r[1] = fake_begin(f, "primary", 0, "[" OP("b", VAL("MQ==")) "," APPEND("d", VAL("MQ==")) "]");
    r[2] = fake_begin(f, "primary", 0, "[" OP("c", VAL("MQ==")) "]");
    fake_hold(f, false);
    fake_run(f);
    assert_int_equal(r[0]->err, 0);
    assert_int_equal(r[1]->err, -EISDIR);
    assert_int_equal(r[2]->err, 0);
    assert_int_equal(r[0]->seq, r[2]->seq);
    assert_value(f, "primary", "a", "1");
    assert_error(f, "primary", 0, "b", ENOENT);
    assert_value(f, "primary", "c", "1");
    for (int i = 0; i < 3; i++)
        free(r[i]);
}

static void test_a_full_disk_refuses_and_leaves_everything_as_it_was(void **state)
{
    struct fake *f = *state;
    struct result *r[3];

    fake_put(f, "primary", "a", "1");
    fake_fail_next(f, -ENOSPC);
    r[0] = fake_begin(f, "primary", 0, "[" OP("a", VAL("Mg==")) "," OP("d.e", VAL("Mg==")) "]");
    fake_hold(f, true);
    fake_run(f);
    r[1] = fake_begin(f, "primary", 0, "[" OP("b", VAL("Mw==")) "]");
    fake_hold(f, false);
    fake_run(f);
    assert_int_equal(r[0]->err, -ENOSPC);
    assert_int_equal(r[1]->err, 0);
    assert_false(fake_is_fatal(f));
    assert_value(f, "primary", "a", "1");
    assert_error(f, "primary", 0, "d.e", ENOENT);
    fake_fail_next(f, -ENOSPC);
    assert_int_equal(fake_create(f, "job", 7), -ENOSPC);
    assert_error(f, "job", FLUX_KVS_READDIR, ".", ENOTSUP);
    assert_int_equal(fake_create(f, "job", 7), 0);
    assert_int_equal(fake_put(f, "primary", "d.e", "2"), 0); /* stored this time */
    fake_restart(f);
    assert_value(f, "primary", "d.e", "2");
    assert_value(f, "primary", "b", "3");
    free(r[0]);
    free(r[1]);
}

static void test_an_unknown_outcome_ends_the_process(void **state)
{
    struct fake *f = *state;
    struct result *r;

    fake_fail_next(f, -ECONNRESET);
    r = fake_begin(f, "primary", 0, "[" OP("a", VAL("Mg==")) "]");
    fake_run(f);
    assert_true(fake_is_fatal(f));
    assert_false(r->done); /* the router tells the client that we went away */
    free(r);
}

static void test_conflicting_keys_are_overwritten(void **state)
{
    fake_put(*state, "primary", "a", "1");
    assert_int_equal(fake_put(*state, "primary", "a.b.c", "2"), 0);
    assert_value(*state, "primary", "a.b.c", "2");
    assert_int_equal(fake_put(*state, "primary", "a", "3"), 0);
    assert_value(*state, "primary", "a", "3");
    assert_error(*state, "primary", 0, "a.b", ENOENT);
}

static void test_unlink_removes_all_below_and_does_not_mind_absence(void **state)
{
    fake_put(*state, "primary", "a.b.c", "2");
    assert_int_equal(fake_unlink(*state, "primary", "x.y"), 0);
    assert_int_equal(fake_unlink(*state, "primary", "a.b.c.d"), 0);
    assert_error(*state, "primary", FLUX_KVS_READDIR, "x", ENOENT);
    assert_value(*state, "primary", "a.b.c", "2");
    assert_int_equal(fake_unlink(*state, "primary", "a.b"), 0);
    assert_error(*state, "primary", 0, "a.b.c", ENOENT);
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
    fill(*state, "d");
    text = fake_lookup(*state, "primary", FLUX_KVS_TREEOBJ, "d", &err);
    assert_non_null(strstr(text, "\"type\":\"dirref\",\"data\":[\"blake2b-"));
    free(text);
    assert_int_equal(
        fake_commit(*state, "primary", "[" OP("e", "{'ver':1,'type':'dir','data':{}}") "]"), 0);
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
    assert_value(f, "primary", key, value);
    fake_restart(f);
    assert_value(f, "primary", key, value);
    assert_value(f, "primary", "a.b.c.d.e", "2");
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
    assert_value(*state, "primary", key, "deep");
    key[2 * 127] = 'y';
    assert_int_equal(fake_put(*state, "primary", key, "deeper"), 0);
    fake_restart(*state);
    assert_value(*state, "primary", key, "deeper");
}

static void test_an_appended_line_is_no_blob_until_the_log_is_long(void **state)
{
    struct fake *f = *state;
    CLEANUP(freep) char *text = NULL;
    int err;

    for (int i = 0; i < 5; i++) { /* 100 bytes each */
        char line[] =
            "[" APPEND("log", VAL("MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Nj"
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
                "[" APPEND("log",
                           VAL("MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Nj"
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
    assert_value(f, "primary", "old.n63", "1");
    assert_int_equal(fake_put(f, "primary", "old.n64", "2"), 0);
    assert_int_equal(fake_unlink(f, "primary", "old.n3"), 0);
    fake_restart(f);
    assert_value(f, "primary", "old.n63", "1");
    assert_value(f, "primary", "old.n64", "2");
    assert_error(f, "primary", 0, "old.n3", ENOENT);
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
        assert_value(f, "primary", key, value);
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
            "[" OP("l", LINK("d")) "," OP("m", LINK("l.v")) "," OP("loop", LINK("loop")) "," OP(
                "dangling",
                LINK("no.where")) "," OP("guest",
                                         "{'ver':1,'type':'symlink','data':{'namespace':'job',"
                                         "'target':'x'}}") "]"),
        0);
    assert_value(f, "primary", "l.v", "1");
    assert_value(f, "primary", "m", "1");
    assert_value(f, "primary", "guest.y", "2");
    assert_error(f, "primary", 0, "loop", ELOOP);
    assert_error(f, "primary", 0, "dangling", ENOENT);
    text = fake_lookup(f, "primary", FLUX_KVS_READLINK, "m", &err);
    assert_string_equal(text, "{\"ver\":1,\"type\":\"symlink\",\"data\":{\"target\":\"l.v\"}}");
    free(text);
    /* Writing through a link writes where it leads, within the namespace. */
    assert_int_equal(fake_put(f, "primary", "l.new", "3"), 0);
    assert_value(f, "primary", "d.new", "3");
    assert_int_equal(fake_put(f, "primary", "guest.new", "3"), -EINVAL);
    assert_int_equal(fake_put(f, "primary", "loop.new", "3"), -ELOOP);
    assert_int_equal(fake_append(f, "primary", "m", "3"), -EINVAL);
    assert_int_equal(fake_put(f, "primary", "m", "4"), 0); /* replaces the link */
    assert_value(f, "primary", "d.v", "1");
}

static void test_namespaces_come_and_go(void **state)
{
    struct fake *f = *state;

    assert_int_equal(fake_create(f, "job", 7), 0);
    assert_int_equal(fake_create(f, "job", 7), -EEXIST);
    assert_int_equal(fake_create(f, "", 7), -EINVAL);
    assert_int_equal(fake_put(f, "job", "a", "1"), 0);
    assert_error(f, "primary", 0, "a", ENOENT);
    assert_int_equal(fake_remove(f, "job"), 0);
    assert_int_equal(fake_remove(f, "job"), -ENOTSUP);
    assert_int_equal(fake_remove(f, "primary"), -ENOTSUP);
    assert_error(f, "job", 0, "a", ENOTSUP);
    assert_int_equal(fake_put(f, "job", "a", "1"), -ENOTSUP);
    fake_restart(f);
    assert_error(f, "job", 0, "a", ENOTSUP);
    assert_int_equal(fake_create(f, "job", 7), 0);
    assert_error(f, "job", 0, "a", ENOENT);
}

static void test_prune_removes_a_key_and_the_directories_that_this_leaves_empty(void **state)
{
    struct fake *f = *state;

    fake_put(f, "primary", "j.a.b.c.x", "1");
    fake_put(f, "primary", "j.a.b.d.x", "2");
    fake_restart(f); /* nothing is in memory */
    assert_int_equal(fake_commit(f, "primary", "[{'key':'j.a.b.c','flags':0,'prune':true}]"), 0);
    assert_error(f, "primary", FLUX_KVS_READDIR, "j.a.b.c", ENOENT);
    assert_value(f, "primary", "j.a.b.d.x", "2");
    fake_put(f, "primary", "j.z", "3");
    assert_int_equal(fake_commit(f, "primary",
                                 "[{'key':'j.a.b.d','flags':0,'prune':true},"
                                 "{'key':'j.a.no.such','flags':0,'prune':true}]"),
                     0);
    assert_error(f, "primary", FLUX_KVS_READDIR, "j.a", ENOENT);
    assert_value(f, "primary", "j.z", "3");
    assert_int_equal(fake_commit(f, "primary", "[" OP("l", LINK("j")) "]"), 0);
    assert_int_equal(fake_commit(f, "primary", "[{'key':'l.z','flags':0,'prune':true}]"), 0);
    assert_error(f, "primary", 0, "j.z", ENOENT);
    assert_int_equal(fake_commit(f, "primary", "[{'key':'.','flags':0,'prune':true}]"), -EINVAL);
}

static void test_archive_moves_a_namespace_under_a_key(void **state)
{
    struct fake *f = *state;

    fake_create(f, "job", 7);
    fake_put(f, "job", "x.y", "1");
    assert_int_equal(fake_commit(f, "primary",
                                 "[{'key':'j.guest','flags':0,'archive':'job'},"
                                 "{'key':'j.again','flags':0,'archive':'job'}]"),
                     -ENOTSUP);
    assert_value(f, "job", "x.y", "1"); /* the whole transaction failed */
    assert_int_equal(fake_commit(f, "primary", "[{'key':'j.guest','flags':0,'archive':'job'}]"), 0);
    assert_value(f, "primary", "j.guest.x.y", "1");
    assert_error(f, "job", 0, "x.y", ENOTSUP);
    assert_int_equal(fake_commit(f, "primary", "[{'key':'j.guest','flags':0,'archive':'job'}]"),
                     -ENOTSUP);
    assert_int_equal(fake_commit(f, "primary", "[{'key':'p','flags':0,'archive':'primary'}]"),
                     -ENOTSUP);
    fake_restart(f);
    assert_value(f, "primary", "j.guest.x.y", "1");
    assert_error(f, "job", 0, "x.y", ENOTSUP);
}

static void test_guests_reach_their_own_namespaces_only(void **state)
{
    struct fake *f = *state;
    struct caller guest = { .userid = 7 };
    flux_error_t error;
    struct txn *t;
    json_t *ops;
    char *text;
    int err;

    fake_create(f, "job", 7);
    fake_put(f, "job", "a", "1");
    fake_commit(f, "job",
                "[" OP("out", "{'ver':1,'type':'symlink','data':{'namespace':'primary',"
                              "'target':'secret'}}") "]");
    fake_put(f, "primary", "secret", "2");
    text = fake_lookup_as(f, 7, "job", 0, "a", &err);
    assert_string_equal(text, "1");
    free(text);
    assert_null(fake_lookup_as(f, 8, "job", 0, "a", &err));
    assert_int_equal(err, -EPERM);
    assert_null(fake_lookup_as(f, 7, "primary", 0, "secret", &err));
    assert_int_equal(err, -EPERM);
    assert_null(fake_lookup_as(f, 7, "job", 0, "out", &err)); /* a link is no way round */
    assert_int_equal(err, -EPERM);
    ops = json_pack("[{s:s s:i s:{s:i s:s s:[s]}}]", "key", "x", "flags", 0, "dirent", "ver", 1,
                    "type", "dirref", "data",
                    "blake2b-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    assert_int_equal(txn_new_commit(fake_kvs(f), "job", 0, ops, &guest, &t, &error), -EPERM);
    json_decref(ops);
    ops = json_pack("[{s:s s:i s:{s:i s:s s:{}}}]", "key", ".", "flags", 0, "dirent", "ver", 1,
                    "type", "dir", "data");
    assert_int_equal(txn_new_commit(fake_kvs(f), "job", 0, ops, &guest, &t, &error), -EPERM);
    json_decref(ops);
    ops = json_pack("[{s:s s:i s:s}]", "key", "x", "flags", 0, "archive", "job");
    assert_int_equal(txn_new_commit(fake_kvs(f), "job", 0, ops, &guest, &t, &error), -EPERM);
    json_decref(ops);
}

/* flux-job-list reads a job's namespace and its archive for the job's user, as the owner: a link
 * would show him everything. */
static void test_guests_leave_no_links_for_those_who_may_more(void **state)
{
    static const char *const links[] = {
        "[" OP("x", "{'ver':1,'type':'symlink','data':{'namespace':'primary','target':'s'}}") "]",
        "[" OP("x", LINK("job.0.J")) "]",
        "[" OP("x", "{'ver':1,'type':'dir','data':{'y':" LINK("s") "}}") "]",
    };
    struct caller guest = { .userid = 7 };
    flux_error_t error;
    struct txn *t;

    fake_create(*state, "job", 7);
    for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
        CLEANUP(freep) char *text = strdup(links[i]);
        CLEANUP(json_decrefp) json_t *ops = NULL;

        for (char *p = text; *p; p++)
            *p = *p == '\'' ? '"' : *p;
        ops = json_loads(text, 0, NULL);
        assert_non_null(ops);
        assert_int_equal(txn_new_commit(fake_kvs(*state), "job", 0, ops, &guest, &t, &error),
                         -EPERM);
        assert_non_null(strstr(error.text, "x: only the instance owner"));
    }
}

/* They were written into the store as a number that it could not read, which ended the daemon. */
static void test_a_namespace_has_no_flags(void **state)
{
    flux_error_t error;
    struct txn *t;

    for (int flags = -1; flags <= 1; flags += 2) {
        assert_int_equal(txn_new_create(fake_kvs(*state), "new", 7, flags, NULL, &t, &error),
                         -EINVAL);
        assert_non_null(strstr(error.text, "flags"));
    }
}

static void test_bad_operations_are_refused_with_a_sentence(void **state)
{
    static const char *const bad[] = {
        "[7]",
        "[{}]",
        "[{'key':'a'}]",
        "[{'key':'a','flags':0}]",
        "[{'key':'','flags':0,'dirent':null}]",
        "[{'key':'.','flags':0,'dirent':null}]",
        "[{'key':'a','flags':1,'dirent':null}]",
        "[{'key':'a','flags':0,'dirent':{}}]",
        "[{'key':'a','flags':0,'dirent':{'ver':1,'type':'val','data':'!'}}]",
        "[{'key':'a','flags':32,'dirent':{'ver':1,'type':'dir','data':{}}}]",
        "[{'key':'a','flags':0,'dirent':{'ver':1,'type':'dirref','data':['sha1-aa']}}]",
        "[{'key':'a','flags':0,'dirent':{'ver':1,'type':'hdir','data':{}}}]",
        ("[{'key':'a','flags':0,'dirent':{'ver':1,'type':'dir','data':{'a.b':"
         "{'ver':1,'type':'val','data':''}}}}]"),
        "[{'key':'.','flags':0,'dirent':{'ver':1,'type':'val','data':''}}]",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int rc = fake_commit(*state, "primary", bad[i]);

        assert_true(rc == -EINVAL || rc == -EPROTO);
    }
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
    fill(f, "d");
    text = fake_lookup(f, "primary", FLUX_KVS_TREEOBJ, "d.big", &err);
    o = json_loads(text, 0, NULL);
    ref = json_string_value(json_array_get(json_object_get(o, "data"), 0));
    fake_lose(f, ref);
    fake_restart(f);
    assert_error(f, "primary", 0, "d.big", EIO);
    assert_value(f, "primary", "d.small", "1");
    json_decref(o);
    free(text);
    text = fake_lookup(f, "primary", FLUX_KVS_TREEOBJ, "d", &err);
    o = json_loads(text, 0, NULL);
    ref = json_string_value(json_array_get(json_object_get(o, "data"), 0));
    fake_lose(f, ref);
    fake_restart(f);
    assert_error(f, "primary", 0, "d.small", EIO);
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
    fill(f, "cold");
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

/* --- group commit is sequential application */

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
        struct fake *f = fake_new(CACHE);
        struct result *r[20];
        char ops[200], key[16];
        int steps = 0;

        for (int i = 0; i < 20; i++) {
            snprintf(ops, sizeof(ops), "[" OP("k%d", VAL("Mg==")) "]", i);
            r[i] = fake_begin(f, "primary", i % 3 == 0 ? FLUX_KVS_NO_MERGE : 0, ops);
        }
        do
            commit_pump(fake_kvs(f));
        while (steps++ < cut && fake_step(f));
        fake_restart(f);
        for (int i = 0; i < 20; i++) {
            snprintf(key, sizeof(key), "k%d", i);
            if (r[i]->done)
                assert_value(f, "primary", key, "2");
            free(r[i]);
        }
        fake_free(f);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_what_was_committed_can_be_read),
        T(test_a_value_is_stored_in_blobs_of_a_bounded_size),
        T(test_old_versions_of_directories_leave_the_cache),
        T(test_it_survives_a_restart),
        T(test_nothing_is_seen_before_it_is_stored),
        T(test_those_who_come_while_one_is_stored_share_the_next),
        T(test_one_that_fails_fails_alone_and_whole),
        T(test_a_full_disk_refuses_and_leaves_everything_as_it_was),
        T(test_an_unknown_outcome_ends_the_process),
        T(test_conflicting_keys_are_overwritten),
        T(test_unlink_removes_all_below_and_does_not_mind_absence),
        T(test_directories_list_names_in_order),
        T(test_what_is_small_is_stored_with_what_holds_it),
        T(test_deep_keys_survive_a_restart),
        T(test_an_appended_line_is_no_blob_until_the_log_is_long),
        T(test_directories_of_other_bucket_sizes_are_read_and_changed),
        T(test_large_directories_keep_every_name),
        T(test_links_are_followed_to_a_limit),
        T(test_namespaces_come_and_go),
        T(test_prune_removes_a_key_and_the_directories_that_this_leaves_empty),
        T(test_archive_moves_a_namespace_under_a_key),
        T(test_guests_reach_their_own_namespaces_only),
        T(test_guests_leave_no_links_for_those_who_may_more),
        T(test_a_namespace_has_no_flags),
        T(test_bad_operations_are_refused_with_a_sentence),
        T(test_a_lost_blob_is_eio_for_those_who_need_it),
        T(test_lookups_that_wait_do_not_hold_up_others),
        T(test_groups_are_equivalent_to_sequential_application),
        T(test_what_was_answered_survives_a_crash_at_any_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
