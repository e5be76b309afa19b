/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "broker/attr.h"

static int refuse_bad(const char *name, const char *value, void *arg)
{
    return strcmp(value, "bad") == 0 ? -EINVAL : 0;
}

static void immutable_attributes_can_neither_be_set_nor_removed(void **state)
{
    struct attrs a = { 0 };

    assert_int_equal(attr_add(&a, "rank", "0", ATTR_IMMUTABLE), 0);
    assert_int_equal(attr_set(&a, "rank", "1"), -EPERM);
    assert_int_equal(attr_rm(&a, "rank"), -EPERM);
    assert_string_equal(attr_find(&a, "rank")->value, "0");
    attrs_deinit(&a);
}

static void others_can_be_created_changed_and_removed(void **state)
{
    struct attrs a = { 0 };

    assert_int_equal(attr_set(&a, "mine", "1"), 0);
    assert_int_equal(attr_set(&a, "mine", "2"), 0);
    assert_string_equal(attr_find(&a, "mine")->value, "2");
    assert_int_equal(attr_rm(&a, "mine"), 0);
    assert_null(attr_find(&a, "mine"));
    assert_int_equal(attr_rm(&a, "mine"), -ENOENT);
    attrs_deinit(&a);
}

static void a_refused_value_leaves_the_old_one(void **state)
{
    struct attrs a = { .on_set = refuse_bad };

    assert_int_equal(attr_set(&a, "log-level", "6"), 0);
    assert_int_equal(attr_set(&a, "log-level", "bad"), -EINVAL);
    assert_string_equal(attr_find(&a, "log-level")->value, "6");
    attrs_deinit(&a);
}

static void names_must_be_printable_and_short(void **state)
{
    struct attrs a = { 0 };
    char name[ATTR_NAME_MAX + 2];

    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(attr_set(&a, name, "1"), -EINVAL);
    assert_int_equal(attr_set(&a, "", "1"), -EINVAL);
    assert_int_equal(attr_set(&a, "a b", "1"), -EINVAL);
    assert_int_equal(attr_set(&a, "a\n", "1"), -EINVAL);
    attrs_deinit(&a);
}

static void the_number_of_attributes_is_bounded(void **state)
{
    struct attrs a = { 0 };
    char name[32];

    for (int i = 0; i < ATTR_COUNT_MAX; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        assert_int_equal(attr_set(&a, name, "1"), 0);
    }
    assert_int_equal(attr_set(&a, "one-more", "1"), -ENOSPC);
    attrs_deinit(&a);
}

static void the_list_is_sorted(void **state)
{
    struct attrs a = { 0 };
    json_t *names;

    assert_int_equal(attr_add(&a, "size", "1", 0), 0);
    assert_int_equal(attr_add(&a, "rank", "0", 0), 0);
    assert_int_equal(attr_add(&a, "none", NULL, 0), 0);
    names = attr_names(&a);
    assert_int_equal(json_array_size(names), 2);
    assert_string_equal(json_string_value(json_array_get(names, 0)), "rank");
    json_decref(names);
    attrs_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(immutable_attributes_can_neither_be_set_nor_removed),
        cmocka_unit_test(others_can_be_created_changed_and_removed),
        cmocka_unit_test(a_refused_value_leaves_the_old_one),
        cmocka_unit_test(names_must_be_printable_and_short),
        cmocka_unit_test(the_number_of_attributes_is_bounded),
        cmocka_unit_test(the_list_is_sorted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
