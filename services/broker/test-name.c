/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "broker/name.h"

static void a_name_that_could_leave_the_directory_is_refused(void **state)
{
    char name[SERVICE_NAME_SIZE];

    assert_int_equal(service_name_of_topic("../etc.passwd", name), -22);
    assert_int_equal(service_name_of_topic("..", name), -22);
    assert_int_equal(service_name_of_topic("a/b.c", name), -22);
    assert_int_equal(service_name_of_topic("/abs.c", name), -22);
    assert_int_equal(service_name_of_topic("kvs\n.get", name), -22);
    assert_int_equal(service_name_of_topic("", name), -22);
    assert_int_equal(service_name_of_topic(".get", name), -22);
    assert_false(service_name_valid("a.b"));
    assert_false(service_name_valid("."));
}

static void the_service_is_the_part_before_the_first_period(void **state)
{
    char name[SERVICE_NAME_SIZE];

    assert_int_equal(service_name_of_topic("job-manager.sched.hello", name), 0);
    assert_string_equal(name, "job-manager");
    assert_int_equal(service_name_of_topic("kvs", name), 0);
    assert_string_equal(name, "kvs");
}

static void names_of_64_characters_pass_and_longer_ones_do_not(void **state)
{
    char topic[128], name[SERVICE_NAME_SIZE];

    memset(topic, 'a', sizeof(topic));
    topic[64] = '\0';
    assert_int_equal(service_name_of_topic(topic, name), 0);
    assert_int_equal(strlen(name), 64);
    topic[64] = 'a';
    topic[65] = '.';
    topic[66] = '\0';
    assert_int_equal(service_name_of_topic(topic, name), -22);
}

static void a_guest_owns_names_that_begin_with_his_uid_and_a_dash(void **state)
{
    assert_true(service_name_is_of_user("1000-shell-7", 1000));
    assert_false(service_name_is_of_user("1000-", 1000));
    assert_false(service_name_is_of_user("10001-shell", 1000));
    assert_false(service_name_is_of_user("100-shell", 1000));
    assert_false(service_name_is_of_user("kvs", 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_that_could_leave_the_directory_is_refused),
        cmocka_unit_test(the_service_is_the_part_before_the_first_period),
        cmocka_unit_test(names_of_64_characters_pass_and_longer_ones_do_not),
        cmocka_unit_test(a_guest_owns_names_that_begin_with_his_uid_and_a_dash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
