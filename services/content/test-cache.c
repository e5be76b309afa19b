/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "content/cache.h"
#include "content/settings.h"

static void digest_of(int n, uint8_t digest[DIGEST_SIZE])
{
    memset(digest, 0, DIGEST_SIZE);
    memcpy(digest, &n, sizeof(n));
}

static void insert(struct cache *c, int n, size_t size)
{
    uint8_t digest[DIGEST_SIZE];
    static char data[100000];

    digest_of(n, digest);
    memset(data, n, size);
    cache_insert(c, digest, data, size);
}

static bool has(struct cache *c, int n)
{
    uint8_t digest[DIGEST_SIZE];
    const void *data;
    size_t size;

    digest_of(n, digest);
    if (cache_lookup(c, digest, &data, &size) < 0)
        return false;
    for (size_t i = 0; i < size; i++)
        assert_int_equal(((const char *)data)[i], (char)n);
    return true;
}

static void test_the_least_recently_used_goes_first(void **state)
{
    CLEANUP(cache_freep) struct cache *c = NULL;

    assert_int_equal(cache_new(12000, &c), 0);
    for (int i = 0; i < 4; i++)
        insert(c, i, 2500);
    assert_true(has(c, 0));
    insert(c, 4, 2500);
    insert(c, 5, 2500);
    assert_true(has(c, 0));
    assert_false(has(c, 1));
    assert_true(cache_stats(c)->bytes <= 12000);
    cache_drop(c);
    assert_int_equal(cache_stats(c)->bytes, 0);
    assert_int_equal(cache_stats(c)->count, 0);
    assert_false(has(c, 0));
}

static void test_a_huge_blob_does_not_sweep_the_cache(void **state)
{
    CLEANUP(cache_freep) struct cache *c = NULL;

    assert_int_equal(cache_new(12000, &c), 0);
    insert(c, 1, 100);
    insert(c, 2, 9000);
    assert_true(has(c, 1));
    assert_false(has(c, 2));
    insert(c, 1, 100); /* again */
    assert_int_equal(cache_stats(c)->count, 1);
}

static int parse(const char *text, bool durable, struct settings *s)
{
    json_t *o = json_loads(text, 0, NULL);
    flux_error_t error = { .text = "" };
    int rc = settings_parse(o, durable, s, &error);

    if (rc < 0)
        assert_non_null(strstr(error.text, "content."));
    json_decref(o);
    return rc;
}

static void test_settings_have_safe_defaults(void **state)
{
    flux_error_t error;
    struct settings s;

    assert_int_equal(settings_parse(NULL, true, &s, &error), 0);
    assert_int_equal(s.sync, STORE_SYNC_FULL);
    assert_int_equal(s.hash, DIGEST_BLAKE2B);
    assert_int_equal(s.blob_size_limit, 1u << 30);
    assert_int_equal(settings_parse(NULL, false, &s, &error), 0);
    assert_int_equal(s.sync, STORE_SYNC_OFF);
    assert_int_equal(parse("{\"sync\":\"normal\",\"hash\":\"sha256\",\"blob-size-limit\":\"1M\","
                           "\"purge-target-size\":1000}",
                           true, &s),
                     0);
    assert_int_equal(s.sync, STORE_SYNC_NORMAL);
    assert_int_equal(s.hash, DIGEST_SHA256);
    assert_int_equal(s.blob_size_limit, 1u << 20);
    assert_int_equal(s.purge_target_size, 1000);
}

static void test_wrong_settings_are_named(void **state)
{
    struct settings s;

    assert_int_equal(parse("{\"sync\":\"maybe\"}", true, &s), -EINVAL);
    assert_int_equal(parse("{\"sync\":1}", true, &s), -EINVAL);
    assert_int_equal(parse("{\"hash\":\"sha1\"}", true, &s), -EINVAL);
    assert_int_equal(parse("{\"blob-size-limit\":-1}", true, &s), -EINVAL);
    assert_int_equal(parse("{\"blob-size-limit\":\"2G\"}", true, &s), -EINVAL);
    assert_int_equal(parse("{\"purge-target-size\":\"much\"}", true, &s), -EINVAL);
}

static double the_time;

static double fake_now(void)
{
    return the_time;
}

static void on_excess(void *arg)
{
    ++*(int *)arg;
}

static void test_what_was_used_lately_stays_up_to_twice_the_limit(void **state)
{
    struct cache *c;
    uint8_t digest[DIGEST_SIZE] = { 0 };
    char blob[1000] = { 0 };
    const void *data;
    int excess = 0;
    size_t size;

    assert_int_equal(cache_new(10000, &c), 0);
    the_time = 100;
    cache_set_clock(c, fake_now);
    cache_set_old_entry(c, 10);
    cache_on_excess(c, on_excess, &excess);
    for (digest[0] = 0; digest[0] < 30; digest[0]++)
        cache_insert(c, digest, blob, sizeof(blob));
    assert_in_range(cache_stats(c)->bytes, 10001, 20000);
    assert_int_equal(cache_stats(c)->size, cache_stats(c)->count * sizeof(blob));
    assert_true(excess > 0);
    the_time = 105;
    digest[0] = 29;
    assert_int_equal(cache_lookup(c, digest, &data, &size), 0);
    assert_true(cache_purge(c)); /* nothing is old yet */
    the_time = 111;
    assert_false(cache_purge(c));
    assert_in_range(cache_stats(c)->bytes, 1, 10000);
    assert_int_equal(cache_lookup(c, digest, &data, &size), 0);
    cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_least_recently_used_goes_first),
        cmocka_unit_test(test_a_huge_blob_does_not_sweep_the_cache),
        cmocka_unit_test(test_settings_have_safe_defaults),
        cmocka_unit_test(test_wrong_settings_are_named),
        cmocka_unit_test(test_what_was_used_lately_stays_up_to_twice_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
