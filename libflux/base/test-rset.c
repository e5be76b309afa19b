/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "base/testing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/rset.h"

static const char example[] =
    "{\"version\":1,\"execution\":{\"R_lite\":[{\"rank\":\"0-1\",\"children\":{\"core\":\"0-3\"}},"
    "{\"rank\":\"2\",\"children\":{\"core\":\"0-7\",\"gpu\":\"0-1\"}}],\"starttime\":10.0,"
    "\"expiration\":20.0,\"nodelist\":[\"node[0-1]\",\"big\"]}}";

static struct rset *decode(const char *s)
{
    struct rset *r = NULL;
    flux_error_t e;

    if (rset_decode_string(s, &r, &e) < 0)
        fail_msg("%s", e.text);
    return r;
}

static void sets_round_trip_through_json(void **state)
{
    struct rset *r = decode(example);
    char *s = rset_encode_string(r);
    struct rset *again = decode(s);
    char *nodelist = rset_nodelist(again);
    char *text = rset_describe(again);

    assert_int_equal(rset_nnodes(r), 3);
    assert_int_equal(rset_count(r, "core"), 16);
    assert_int_equal(rset_count(r, "gpu"), 2);
    assert_int_equal(rset_count(r, "node"), 3);
    assert_true(rset_expiration(r) == 20);
    assert_string_equal(rset_find(r, 2)->hostname, "big");
    assert_string_equal(rset_nth(r, 1)->hostname, "node1");
    assert_null(rset_nth(r, 3));
    assert_null(rset_find(r, 3));
    assert_true(rset_contains(r, again) && rset_contains(again, r));
    assert_string_equal(nodelist, "node[0-1],big");
    assert_string_equal(text, "rank[0-1]/core[0-3] rank2/core[0-7],gpu[0-1]");
    free(nodelist);
    free(text);
    free(s);
    rset_free(r);
    rset_free(again);
}

static void equal_neighbours_share_an_entry(void **state)
{
    struct rset *r = decode(example);
    json_t *o = rset_encode(r);

    assert_int_equal(json_array_size(json_object_get(json_object_get(o, "execution"), "R_lite")),
                     2);
    json_decref(o);
    rset_free(r);
}

static void arithmetic_is_by_rank_core_and_gpu(void **state)
{
    struct rset *a = decode(example);
    struct rset *b = NULL;
    struct rset *all = NULL;
    struct idset *cores = idset_decode("0-3");
    struct idset *ranks;

    assert_int_equal(rset_new(&b), 0);
    assert_int_equal(rset_add(b, 2, NULL, cores, NULL), 0);
    assert_int_equal(rset_add(b, 1, NULL, cores, NULL), 0);
    assert_int_equal(rset_copy(a, &all), 0);
    assert_true(rset_contains(a, b));
    assert_false(rset_contains(b, a));
    assert_int_equal(rset_subtract(a, b), 0);
    assert_int_equal(rset_nnodes(a), 2); /* rank 1 is empty and gone */
    assert_int_equal(rset_count(a, "core"), 8);
    assert_int_equal(rset_count(a, "gpu"), 2);
    assert_false(rset_contains(a, b));
    assert_int_equal(rset_union(a, b), 0);
    assert_true(rset_contains(a, all) && rset_contains(all, a));
    ranks = rset_ranks(a);
    assert_int_equal(idset_count(ranks), 3);
    idset_destroy(ranks);
    idset_destroy(cores);
    rset_free(a);
    rset_free(b);
    rset_free(all);
}

static void sets_of_fixed_size_are_taken_and_can_grow(void **state)
{
    struct rset *r = NULL;
    struct idset *small = idset_create(2, 0);
    struct idset *large = idset_decode("500");

    assert_int_equal(rset_new(&r), 0);
    idset_set(small, 1);
    assert_int_equal(rset_add(r, 0, "a", small, NULL), 0);
    assert_int_equal(rset_add(r, 0, NULL, large, large), 0);
    assert_int_equal(rset_count(r, "core"), 2);
    assert_int_equal(rset_count(r, "gpu"), 1);
    idset_destroy(small);
    idset_destroy(large);
    rset_free(r);
}

static void malformed_sets_are_refused_in_words(void **state)
{
#define LITE(s) "{\"version\":1,\"execution\":{\"R_lite\":" s "}}"
    for (const char *const *s =
             (const char *const[]){
                 "{}",
                 "[]",
                 "{\"version\":2}",
                 "{\"version\":1}",
                 LITE("{}"),
                 LITE("[1]"),
                 LITE("[{}]"),
                 LITE("[{\"rank\":0,\"children\":{}}]"),
                 LITE("[{\"rank\":\"x\",\"children\":{}}]"),
                 LITE("[{\"rank\":\"0\",\"children\":{\"core\":1}}]"),
                 LITE("[{\"rank\":\"0\",\"children\":{}},{\"rank\":\"0\",\"children\":{}}]"),
                 LITE("[{\"rank\":\"0-67108863\",\"children\":{\"core\":\"0\"}}]"),
                 LITE("[{\"rank\":\"0-9999\",\"children\":{\"core\":\"67108863\"}}]"),
                 LITE("[{\"rank\":\"0\",\"children\":{}}],\"nodelist\":[\"a\",\"b\"]"),
                 LITE("[{\"rank\":\"0\",\"children\":{}}],\"nodelist\":[\"a[\"]"),
                 LITE("[{\"rank\":\"0\",\"node\":\",\",\"children\":{}}]"),
                 LITE("[{\"rank\":\"0\",\"node\":\"a[0-1]\",\"children\":{}}]"),
                 LITE("[],\"expiration\":-1"),
                 LITE("[],\"starttime\":\"1\""),
                 NULL };
         *s; s++) {
        struct rset *r;
        flux_error_t e = { "" };

        if (rset_decode_string(*s, &r, &e) != -EPROTO)
            fail_msg("'%s' was accepted", *s);
        assert_true(e.text[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_round_trip_through_json),
        cmocka_unit_test(equal_neighbours_share_an_entry),
        cmocka_unit_test(arithmetic_is_by_rank_core_and_gpu),
        cmocka_unit_test(sets_of_fixed_size_are_taken_and_can_grow),
        cmocka_unit_test(malformed_sets_are_refused_in_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
