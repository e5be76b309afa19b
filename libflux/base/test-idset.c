/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "base/testing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <flux/idset.h>

#include "base/cleanup.h"

static void check_string(const char *in, int flags, const char *out)
{
    struct idset *set = idset_decode(in);
    char *s;

    assert_non_null(set);
    s = idset_encode(set, flags);
    assert_string_equal(s, out);
    free(s);
    idset_destroy(set);
}

static void strings_of_the_manual_page_are_understood(void **state)
{
    check_string("1,2,5,4", IDSET_FLAG_RANGE, "1-2,4-5");
    check_string("1-4,7,9-10", 0, "1,2,3,4,7,9,10");
    check_string("42", IDSET_FLAG_RANGE | IDSET_FLAG_BRACKETS, "42");
    check_string("[99-101]", IDSET_FLAG_RANGE | IDSET_FLAG_BRACKETS, "[99-101]");
    check_string("", IDSET_FLAG_BRACKETS, "");
    check_string("[]", 0, "");
    check_string("0,63-64,127-128", IDSET_FLAG_RANGE, "0,63-64,127-128");
}

static void malformed_strings_are_refused(void **state)
{
    static const char *const bad[] = {
        "a",   "1,",   ",1", "1,,2", "[1",    "1]",       "[1-2]x",
        "4-3", "1--2", "-1", "01",   " 1",    "1 ",       "1-",
        "[",   "]",    "+1", "0x1",  "[[1]]", "67108865", "1-99999999999999999999"
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        errno = 0;
        if (idset_decode(bad[i]))
            fail_msg("'%s' was accepted", bad[i]);
        assert_int_equal(errno, EINVAL);
    }
    assert_null(idset_decode(NULL));
}

static void substring_is_decoded_up_to_its_length(void **state)
{
    struct idset *set = idset_ndecode("1-3,9xyz", 3);

    assert_int_equal(idset_count(set), 3);
    idset_destroy(set);
}

static void set_beyond_slots_is_refused_without_autogrow(void **state)
{
    struct idset *set = idset_create(10, 0);

    assert_int_equal(idset_set(set, 9), 0);
    errno = 0;
    assert_int_equal(idset_set(set, 10), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(idset_range_set(set, 5, 10), -1);
    assert_int_equal(idset_count(set), 1);
    idset_destroy(set);
}

static void set_grows_with_autogrow(void **state)
{
    struct idset *set = idset_create(1, IDSET_FLAG_AUTOGROW);

    assert_int_equal(idset_set(set, 100000), 0);
    assert_true(idset_test(set, 100000));
    assert_int_equal(idset_set(set, IDSET_INVALID_ID), -1);
    assert_int_equal(idset_last(set), 100000);
    idset_destroy(set);
}

static void iteration_visits_every_id_in_order(void **state)
{
    static const unsigned int want[] = { 0, 63, 64, 200, 1023 };
    struct idset *set = idset_create(1024, 0);
    unsigned int id;
    size_t n = 0;

    assert_int_equal(idset_first(set), IDSET_INVALID_ID);
    assert_int_equal(idset_last(set), IDSET_INVALID_ID);
    for (size_t i = 5; i-- > 0;)
        assert_int_equal(idset_set(set, want[i]), 0);
    for (id = idset_first(set); id != IDSET_INVALID_ID; id = idset_next(set, id))
        assert_int_equal(id, want[n++]);
    assert_int_equal(n, 5);
    assert_int_equal(idset_next(set, UINT32_MAX), IDSET_INVALID_ID);
    idset_destroy(set);
}

static void ranges_are_set_and_cleared_across_words(void **state)
{
    struct idset *set = idset_create(0, IDSET_FLAG_AUTOGROW);
    char *s;

    assert_int_equal(idset_range_set(set, 60, 200), 0);
    assert_int_equal(idset_count(set), 141);
    assert_int_equal(idset_range_clear(set, 130, 64), 0); /* either order */
    assert_int_equal(idset_range_clear(set, 199, 100000), 0);
    s = idset_encode(set, IDSET_FLAG_RANGE);
    assert_string_equal(s, "60-63,131-198");
    assert_int_equal(idset_count(set), 4 + 68);
    free(s);
    idset_destroy(set);
}

static void runs_end_where_the_first_gap_is(void **state)
{
    static const char *const strings[] = { "0",         "63",      "0-63",
                                           "0-64",      "64-127",  "5-127",
                                           "62-128",    "0-63,65", "1-191,193-255",
                                           "0-67108864" };

    for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
        struct idset *set = idset_decode(strings[i]);
        char *s = idset_encode(set, IDSET_FLAG_RANGE);

        assert_string_equal(s, strings[i]);
        free(s);
        idset_destroy(set);
    }
}

static void setting_twice_counts_once(void **state)
{
    struct idset *set = idset_create(64, 0);

    idset_set(set, 3);
    idset_set(set, 3);
    assert_int_equal(idset_count(set), 1);
    idset_clear(set, 3);
    idset_clear(set, 3);
    assert_int_equal(idset_count(set), 0);
    idset_destroy(set);
}

static void check_op(struct idset *got, const char *want)
{
    char *s = idset_encode(got, IDSET_FLAG_RANGE);

    assert_string_equal(s, want);
    free(s);
    idset_destroy(got);
}

static void set_arithmetic_follows_its_definition(void **state)
{
    struct idset *a = idset_decode("0-9,100");
    struct idset *b = idset_decode("5-70");

    check_op(idset_union(a, b), "0-70,100");
    check_op(idset_union(b, a), "0-70,100");
    check_op(idset_difference(a, b), "0-4,100");
    check_op(idset_difference(b, a), "10-70");
    check_op(idset_intersect(a, b), "5-9");
    check_op(idset_intersect(b, a), "5-9");
    assert_true(idset_has_intersection(a, b));
    assert_int_equal(idset_subtract(a, b), 0);
    assert_false(idset_has_intersection(a, b));
    assert_int_equal(idset_add(a, b), 0);
    assert_int_equal(idset_count(a), 72);
    assert_int_equal(idset_clear_all(a), 0);
    assert_int_equal(idset_count(a), 0);
    idset_destroy(a);
    idset_destroy(b);
}

static void adding_more_than_fits_changes_nothing(void **state)
{
    struct idset *a = idset_create(8, 0);
    struct idset *b = idset_decode("1,8");

    assert_int_equal(idset_add(a, b), -1);
    assert_int_equal(idset_count(a), 0);
    idset_destroy(a);
    idset_destroy(b);
}

static void equality_ignores_how_the_sets_came_about(void **state)
{
    struct idset *a = idset_create(2048, 0);
    struct idset *b = idset_decode("3");
    struct idset *c;

    idset_set(a, 2000);
    idset_set(a, 3);
    idset_clear(a, 2000);
    c = idset_copy(a);
    assert_true(idset_equal(a, b));
    assert_true(idset_equal(a, c));
    assert_false(idset_equal(a, NULL));
    idset_set(c, 4);
    assert_false(idset_equal(a, c));
    idset_destroy(a);
    idset_destroy(b);
    idset_destroy(c);
}

static void missing_arguments_are_answered_with_einval(void **state)
{
    assert_null(idset_create(0, IDSET_FLAG_RANGE));
    assert_int_equal(idset_set(NULL, 1), -1);
    assert_int_equal(idset_clear(NULL, 1), -1);
    assert_false(idset_test(NULL, 1));
    assert_int_equal(idset_count(NULL), 0);
    assert_int_equal(idset_first(NULL), IDSET_INVALID_ID);
    assert_null(idset_copy(NULL));
    assert_null(idset_union(NULL, NULL));
    assert_null(idset_encode(NULL, 0));
    idset_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_of_the_manual_page_are_understood),
        cmocka_unit_test(malformed_strings_are_refused),
        cmocka_unit_test(substring_is_decoded_up_to_its_length),
        cmocka_unit_test(set_beyond_slots_is_refused_without_autogrow),
        cmocka_unit_test(set_grows_with_autogrow),
        cmocka_unit_test(iteration_visits_every_id_in_order),
        cmocka_unit_test(ranges_are_set_and_cleared_across_words),
        cmocka_unit_test(runs_end_where_the_first_gap_is),
        cmocka_unit_test(setting_twice_counts_once),
        cmocka_unit_test(set_arithmetic_follows_its_definition),
        cmocka_unit_test(adding_more_than_fits_changes_nothing),
        cmocka_unit_test(equality_ignores_how_the_sets_came_about),
        cmocka_unit_test(missing_arguments_are_answered_with_einval),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
