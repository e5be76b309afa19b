/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "content/pace.h"

static void test_nothing_is_known_at_first(void **state)
{
    struct pace p = { 0 };

    pace_note(&p, 0, 1000);
    assert_int_equal(pace_wait_nsec(&p, 1, 3), -1);
}

static void test_a_group_waits_as_long_as_moving_it_takes(void **state)
{
    struct pace p = { 0 };

    pace_note(&p, 100, 100 * 9999);
    assert_int_equal(pace_wait_nsec(&p, 1, 0), 0);
    assert_int_equal(pace_wait_nsec(&p, 1, 3), 30000);
    assert_int_equal(pace_wait_nsec(&p, 2, 3), 60000);
    assert_int_equal(pace_wait_nsec(&p, PACE_FILES_MAX + 1, 3), -1);
}

static void test_a_single_slow_step_changes_little(void **state)
{
    struct pace p = { 0 };

    pace_note(&p, 100, 100 * 9999);
    pace_note(&p, 100, 100 * 89999);
    assert_int_equal(pace_wait_nsec(&p, 1, 1), 20000);
    for (int i = 0; i < 100; i++)
        pace_note(&p, 100, 100 * 9999);
    assert_in_range(pace_wait_nsec(&p, 1, 1), 10000, 10010);
}

static void test_no_wait_is_long(void **state)
{
    struct pace p = { 0 };

    pace_note(&p, 1, 50000);
    assert_int_equal(pace_wait_nsec(&p, 1, UINT64_MAX), PACE_WAIT_MAX_NSEC);
    pace_note(&p, 1, INT64_MAX / 16); /* a process that was stopped */
    assert_int_equal(pace_wait_nsec(&p, 2, 1), PACE_WAIT_MAX_NSEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_known_at_first),
        cmocka_unit_test(test_a_group_waits_as_long_as_moving_it_takes),
        cmocka_unit_test(test_a_single_slow_step_changes_little),
        cmocka_unit_test(test_no_wait_is_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
