/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "service/quota.h"

#define OWNER 100
#define GUEST 200

static const struct quota_limits owner_limits = { .bytes = 1000, .requests = 10 };
static const struct quota_limits guest_limits = { .bytes = 100, .requests = 2 };

static int setup(void **state)
{
    return quota_new(OWNER, &owner_limits, &guest_limits, (struct quota **)state);
}

static int teardown(void **state)
{
    quota_free(*state);
    return 0;
}

static void a_guest_beyond_his_requests_is_told_to_try_again(void **state)
{
    flux_error_t error = { .text = "" };

    assert_int_equal(quota_charge(*state, GUEST, 1, &error), 0);
    assert_int_equal(quota_charge(*state, GUEST, 1, &error), 0);
    assert_int_equal(quota_charge(*state, GUEST, 1, &error), -EAGAIN);
    assert_non_null(strstr(error.text, "user 200"));
    quota_release(*state, GUEST, 1);
    assert_int_equal(quota_charge(*state, GUEST, 1, &error), 0);
    quota_release(*state, GUEST, 1);
    quota_release(*state, GUEST, 1);
}

static void a_guest_beyond_his_bytes_is_told_to_try_again(void **state)
{
    flux_error_t error = { .text = "" };

    assert_int_equal(quota_charge(*state, GUEST, 60, &error), 0);
    assert_int_equal(quota_charge(*state, GUEST, 41, &error), -EAGAIN);
    assert_int_equal(quota_charge(*state, GUEST, 40, &error), 0);
    assert_int_equal(quota_bytes(*state, GUEST), 100);
    quota_release(*state, GUEST, 60);
    quota_release(*state, GUEST, 40);
}

static void one_guest_does_not_take_from_another_or_from_the_owner(void **state)
{
    assert_int_equal(quota_charge(*state, GUEST, 100, NULL), 0);
    assert_int_equal(quota_charge(*state, GUEST + 1, 100, NULL), 0);
    assert_int_equal(quota_charge(*state, OWNER, 900, NULL), 0);
    quota_release(*state, GUEST, 100);
    quota_release(*state, GUEST + 1, 100);
    quota_release(*state, OWNER, 900);
}

static void a_user_with_nothing_in_flight_takes_no_memory(void **state)
{
    for (uint32_t uid = 1000; uid < 2000; uid++) {
        assert_int_equal(quota_charge(*state, uid, 1, NULL), 0);
        quota_release(*state, uid, 1);
    }
    assert_int_equal(quota_charge(*state, GUEST, 101, NULL), -EAGAIN);
    assert_int_equal(quota_users(*state), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_guest_beyond_his_requests_is_told_to_try_again),
        T(a_guest_beyond_his_bytes_is_told_to_try_again),
        T(one_guest_does_not_take_from_another_or_from_the_owner),
        T(a_user_with_nothing_in_flight_takes_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
