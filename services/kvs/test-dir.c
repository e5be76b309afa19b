/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "kvs/dir.h"
#include "kvs/key.h"
#include "kvs/objcache.h"

/* A source that holds what was emitted. */
struct source {
    struct dir_source base;
    struct objcache *cache;
    size_t emitted, bytes;
};

static int source_get(struct dir_source *base, const uint8_t digest[DIGEST_SIZE], struct dir **ret)
{
    struct source *src = container_of(base, struct source, base);
    struct obj *o = objcache_find(src->cache, OBJ_DIR, digest);

    if (!o) {
        memcpy(base->missing, digest, DIGEST_SIZE);
        return -EAGAIN;
    }
    *ret = obj_dir(o);
    return 0;
}

/* Keeps not the directory but what its text decodes to. */
static int emit(struct dir *d, const void *text, size_t size, void *arg)
{
    struct source *src = arg;
    CLEANUP(dir_unrefp) struct dir *decoded = NULL;
    bool is_new;

    assert_int_equal(dir_decode(text, size, DIGEST_BLAKE2B, &decoded), 0);
    memcpy(decoded->digest, d->digest, DIGEST_SIZE);
    decoded->sealed = true;
    assert_non_null(objcache_put_dir(src->cache, decoded, size, &is_new));
    src->emitted++;
    src->bytes += size;
    return 0;
}

static int emit_value(const uint8_t digest[DIGEST_SIZE], const void *data, size_t size, void *arg)
{
    struct source *src = arg;
    CLEANUP(blob_unrefp) struct blob *b = blob_new(data, size);
    bool is_new;

    assert_non_null(objcache_put_blob(src->cache, digest, b, &is_new));
    src->emitted++;
    src->bytes += size;
    return 0;
}

static void seal(struct source *src, struct dir *d)
{
    struct strbuf scratch = { 0 };
    const struct seal_sink sink = { emit, emit_value, src, &scratch };

    assert_int_equal(dir_seal(d, DIGEST_BLAKE2B, &sink), 0);
    strbuf_deinit(&scratch);
}

static int setup(void **state)
{
    struct source *src = calloc(1, sizeof(*src));

    src->base.alg = DIGEST_BLAKE2B;
    src->base.get = source_get;
    assert_int_equal(objcache_new(SIZE_MAX, &src->cache), 0);
    *state = src;
    return 0;
}

static int teardown(void **state)
{
    struct source *src = *state;

    objcache_free(src->cache);
    free(src);
    return 0;
}

static void put(struct source *src, uint64_t owner, struct dir *d, const char *name, int value)
{
    CLEANUP(node_unrefp)
    struct node *n = node_new_val(name, strlen(name), &value, sizeof(value));

    assert_int_equal(dir_put(&src->base, owner, d, n), 0);
}

static int get(struct source *src, struct dir *d, const char *name)
{
    struct node *n;
    int value;
    int rc = dir_find(&src->base, d, name, strlen(name), &n);

    if (rc < 0)
        return rc;
    memcpy(&value, n->val.data, sizeof(value));
    return value;
}

static int count_one(struct node *n, void *arg)
{
    ++*(int *)arg;
    return 0;
}

static int count(struct source *src, struct dir *d)
{
    int n = 0;

    assert_int_equal(dir_walk(&src->base, d, count_one, &n), 0);
    return n;
}

static void test_names_are_found_whatever_their_number(void **state)
{
    struct source *src = *state;
    CLEANUP(dir_unrefp) struct dir *d = dir_new(1, 0);
    char name[32];

    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof(name), "name-%d", i);
        put(src, 1, d, name, i);
    }
    assert_true(d->hashed);
    assert_int_equal(count(src, d), 20000);
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof(name), "name-%d", i);
        assert_int_equal(get(src, d, name), i);
    }
    assert_int_equal(get(src, d, "name"), -ENOENT);
    assert_int_equal(get(src, d, ""), -ENOENT);
}

static void test_removing_everything_leaves_a_plain_empty_directory(void **state)
{
    struct source *src = *state;
    CLEANUP(dir_unrefp) struct dir *d = dir_new(1, 0);
    char name[32];

    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "%x", i * 7);
        put(src, 1, d, name, i);
    }
    for (int i = 0; i < 5000; i++) {
        int len = snprintf(name, sizeof(name), "%x", i * 7);

        assert_int_equal(dir_remove(&src->base, 1, d, name, (size_t)len), 0);
        assert_int_equal(dir_remove(&src->base, 1, d, name, (size_t)len), -ENOENT);
    }
    assert_int_equal(d->count, 0);
    assert_false(d->hashed);
}

static void test_a_copy_does_not_change_the_original(void **state)
{
    struct source *src = *state;
    CLEANUP(dir_unrefp) struct dir *d = dir_new(1, 0);
    CLEANUP(dir_unrefp) struct dir *copy = NULL;
    CLEANUP(dir_unrefp) struct dir *same = NULL;
    char name[32];

    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "%d", i);
        put(src, 1, d, name, i);
    }
    assert_int_equal(dir_writable(1, d, &same), 0);
    assert_ptr_equal(same, d);
    assert_int_equal(dir_writable(2, d, &copy), 0);
    assert_ptr_not_equal(copy, d);
    for (int i = 0; i < 1000; i++) {
        int len = snprintf(name, sizeof(name), "%d", i);

        if (i % 2)
            put(src, 2, copy, name, -1000 - i);
        else
            assert_int_equal(dir_remove(&src->base, 2, copy, name, (size_t)len), 0);
    }
    put(src, 2, copy, "new", 1);
    assert_int_equal(count(src, d), 1000);
    assert_int_equal(count(src, copy), 501);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "%d", i);
        assert_int_equal(get(src, d, name), i);
    }
}

static void test_a_change_of_a_large_directory_writes_little(void **state)
{
    struct source *src = *state;
    CLEANUP(dir_unrefp) struct dir *d = dir_new(1, 0);
    CLEANUP(dir_unrefp) struct dir *next = NULL;
    char name[32];

    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof(name), "name-%d", i);
        put(src, 1, d, name, i);
    }
    seal(src, d);
    assert_true(src->emitted > 100);
    src->emitted = src->bytes = 0;
    assert_int_equal(dir_writable(2, d, &next), 0);
    put(src, 2, next, "name-777", 1);
    seal(src, next);
    assert_true(src->emitted <= 5);
    assert_true(src->bytes < 20000); /* a plain directory of this size has 1.5 MB */
    assert_int_equal(get(src, d, "name-777"), 777);
    assert_int_equal(get(src, next, "name-777"), 1);
}

static void test_what_was_sealed_reads_the_same_from_its_blobs(void **state)
{
    struct source *src = *state;
    CLEANUP(dir_unrefp) struct dir *d = dir_new(1, 0);
    struct dir *loaded;
    char name[64];

    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof(name), "odd \"name\\ %d \xc3\xa4\n", i);
        put(src, 1, d, name, i);
    }
    seal(src, d);
    assert_int_equal(src->base.get(&src->base, d->digest, &loaded), 0);
    assert_int_equal(count(src, loaded), 3000);
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof(name), "odd \"name\\ %d \xc3\xa4\n", i);
        assert_int_equal(get(src, loaded, name), i);
    }
}

/* An hdir of an older release: five bits of the hash for each level. */
static void test_an_hdir_says_its_number_of_buckets(void **state)
{
    struct source *src = *state;
    CLEANUP(dir_unrefp) struct dir *d = dir_new(1, 0);
    CLEANUP(dir_unrefp) struct dir *next = NULL;
    struct dir *loaded;
    char name[32];

    d->bits = 5;
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof(name), "name-%d", i);
        put(src, 1, d, name, i);
    }
    seal(src, d);
    assert_int_equal(src->base.get(&src->base, d->digest, &loaded), 0);
    assert_int_equal(dir_slots(loaded), 32);
    assert_int_equal(dir_writable(2, loaded, &next), 0);
    for (int i = 3000; i < 6000; i++) {
        snprintf(name, sizeof(name), "name-%d", i);
        put(src, 2, next, name, i);
    }
    seal(src, next);
    assert_int_equal(src->base.get(&src->base, next->digest, &loaded), 0);
    assert_int_equal(count(src, loaded), 6000);
    for (int i = 0; i < 6000; i++) {
        snprintf(name, sizeof(name), "name-%d", i);
        assert_int_equal(get(src, loaded, name), i);
    }
}

static void test_the_same_names_in_any_order_are_the_same_blob(void **state)
{
    struct source *src = *state;
    CLEANUP(dir_unrefp) struct dir *up = dir_new(1, 0);
    CLEANUP(dir_unrefp) struct dir *down = dir_new(1, 0);
    char name[32];

    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "%d", i);
        put(src, 1, up, name, i);
        snprintf(name, sizeof(name), "%d", 999 - i);
        put(src, 1, down, name, 999 - i);
    }
    seal(src, up);
    seal(src, down);
    assert_memory_equal(up->digest, down->digest, DIGEST_SIZE);
}

static void test_a_missing_directory_is_named(void **state)
{
    struct source *src = *state;
    CLEANUP(dir_unrefp) struct dir *d = dir_new(1, 0);
    CLEANUP(node_unrefp) struct node *n = NULL;
    uint8_t digest[DIGEST_SIZE] = { 1, 2, 3 };
    struct dir *sub;

    n = node_new_dirref("sub", 3, digest);
    assert_int_equal(dir_put(&src->base, 1, d, n), 0);
    assert_int_equal(dir_enter(&src->base, 1, d, "sub", 3, &sub), -EAGAIN);
    assert_memory_equal(src->base.missing, digest, DIGEST_SIZE);
}

static void test_malformed_blobs_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "7",
        "{\"ver\":1,\"type\":\"val\",\"data\":\"\"}",
        "{\"ver\":1,\"type\":\"dir\",\"data\":[]}",
        "{\"ver\":2,\"type\":\"dir\",\"data\":{}}",
        ("{\"ver\":1,\"type\":\"dir\",\"data\":{\"a.b\":{\"ver\":1,\"type\":\"val\",\"data\":\"\"}}"
         "}"),
        "{\"ver\":1,\"type\":\"hdir\",\"data\":{}}",
        "{\"ver\":1,\"type\":\"hdir\",\"data\":{\"size\":32,\"func\":\"fnv1a32/0\",\"bucket\":[]}}",
        "{\"ver\":1,\"type\":\"hdir\",\"data\":{\"size\":1,\"func\":\"city32\",\"bucket\":[null]}}",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct dir *d = NULL;

        assert_int_equal(dir_decode(bad[i], strlen(bad[i]), DIGEST_BLAKE2B, &d), -EPROTO);
    }
}

static void assert_key(const char *key, const char *expected)
{
    CLEANUP(freep) char *normal = NULL;

    assert_int_equal(key_normalize(key, &normal), 0);
    assert_string_equal(normal, expected);
}

static void test_keys_are_normalized(void **state)
{
    assert_key("a", "a");
    assert_key(".", ".");
    assert_key("...", ".");
    assert_key(".a..b.", "a.b");
    assert_key("a.b c.\xc3\xa4", "a.b c.\xc3\xa4");
}

static void test_endless_keys_are_refused(void **state)
{
    char key[KEY_SIZE_MAX + 1];
    char *normal;

    assert_int_equal(key_normalize("", &normal), -EINVAL);
    memset(key, 'a', sizeof(key));
    key[KEY_SIZE_MAX] = '\0';
    assert_int_equal(key_normalize(key, &normal), -EINVAL);
    for (int i = 0; i < 2 * KEY_NAMES_MAX + 2; i++)
        key[i] = i % 2 ? '.' : 'a';
    key[2 * KEY_NAMES_MAX + 2] = '\0';
    assert_int_equal(key_normalize(key, &normal), -EINVAL);
    key[2 * KEY_NAMES_MAX] = '\0';
    assert_int_equal(key_normalize(key, &normal), 0);
    free(normal);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_names_are_found_whatever_their_number),
        T(test_removing_everything_leaves_a_plain_empty_directory),
        T(test_a_copy_does_not_change_the_original),
        T(test_a_change_of_a_large_directory_writes_little),
        T(test_what_was_sealed_reads_the_same_from_its_blobs),
        T(test_an_hdir_says_its_number_of_buckets),
        T(test_the_same_names_in_any_order_are_the_same_blob),
        T(test_a_missing_directory_is_named),
        cmocka_unit_test(test_malformed_blobs_are_refused),
        cmocka_unit_test(test_keys_are_normalized),
        cmocka_unit_test(test_endless_keys_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
