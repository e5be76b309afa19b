/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "api/treeobj.h"
#include "base/cleanup.h"

#define REF "blake2b-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int validate_text(const char *text)
{
    CLEANUP(json_decrefp) json_t *o = json_loads(text, 0, NULL);

    assert_non_null(o);
    return treeobj_validate(o);
}

static void test_val_keeps_bytes(void **state)
{
    const char data[] = { 'a', 0, (char)0xff, 'z' };
    CLEANUP(json_decrefp) json_t *o = treeobj_create_val(data, sizeof(data));
    CLEANUP(freep) char *back = NULL;
    size_t size;

    assert_non_null(o);
    assert_int_equal(treeobj_validate(o), 0);
    assert_int_equal(treeobj_decode_val(o, &back, &size), 0);
    assert_int_equal(size, sizeof(data));
    assert_memory_equal(back, data, size);
    assert_int_equal(back[size], 0);
}

static void test_empty_val_has_no_bytes(void **state)
{
    CLEANUP(json_decrefp) json_t *o = treeobj_create_val(NULL, 0);
    CLEANUP(freep) char *back = NULL;
    size_t size = 7;

    assert_int_equal(treeobj_decode_val(o, &back, &size), 0);
    assert_int_equal(size, 0);
}

static void test_objects_of_each_type_are_valid(void **state)
{
    assert_int_equal(validate_text("{\"ver\":1,\"type\":\"val\",\"data\":\"NDI=\",\"size\":2}"), 0);
    assert_int_equal(validate_text("{\"ver\":1,\"type\":\"valref\",\"data\":[\"" REF "\"]}"), 0);
    assert_int_equal(validate_text("{\"ver\":1,\"type\":\"dirref\",\"data\":[\"" REF "\"]}"), 0);
    assert_int_equal(
        validate_text("{\"ver\":1,\"type\":\"symlink\",\"data\":{\"target\":\"a.b\"}}"), 0);
    assert_int_equal(validate_text("{\"ver\":1,\"type\":\"dir\",\"data\":{\"x\":"
                                   "{\"ver\":1,\"type\":\"dir\",\"data\":{}}}}"),
                     0);
}

static void test_malformed_objects_are_refused(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"ver\":2,\"type\":\"val\",\"data\":\"\"}",
        "{\"ver\":1,\"type\":\"nope\",\"data\":\"\"}",
        "{\"ver\":1,\"type\":\"val\",\"data\":\"!\"}",
        "{\"ver\":1,\"type\":\"val\",\"data\":7}",
        "{\"ver\":1,\"type\":\"val\",\"data\":\"\",\"size\":-1}",
        "{\"ver\":1,\"type\":\"valref\",\"data\":[]}",
        "{\"ver\":1,\"type\":\"valref\",\"data\":[\"sha1-aaa\"]}",
        "{\"ver\":1,\"type\":\"valref\",\"data\":\"" REF "\"}",
        "{\"ver\":1,\"type\":\"dirref\",\"data\":[\"" REF "\",\"" REF "\"]}",
        "{\"ver\":1,\"type\":\"symlink\",\"data\":{\"namespace\":\"a\"}}",
        "{\"ver\":1,\"type\":\"symlink\",\"data\":{\"namespace\":7,\"target\":\"a\"}}",
        "{\"ver\":1,\"type\":\"dir\",\"data\":[]}",
        ("{\"ver\":1,\"type\":\"dir\",\"data\":{\"a.b\":{\"ver\":1,\"type\":\"val\",\"data\":\"\"}}"
         "}"),
        "{\"ver\":1,\"type\":\"dir\",\"data\":{\"\":{\"ver\":1,\"type\":\"val\",\"data\":\"\"}}}",
        "{\"ver\":1,\"type\":\"dir\",\"data\":{\"a\":{}}}",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(validate_text(bad[i]), -EINVAL);
}

static void test_deep_nesting_is_refused(void **state)
{
    CLEANUP(json_decrefp) json_t *o = treeobj_create_dir();

    for (int i = 0; i < 40; i++) {
        json_t *outer = treeobj_create_dir();

        assert_int_equal(json_object_set_new((json_t *)treeobj_data(outer), "d", o), 0);
        o = outer;
    }
    assert_int_equal(treeobj_validate(o), -EINVAL);
}

static void test_symlink_and_dirref_check_their_arguments(void **state)
{
    assert_null(treeobj_create_symlink(NULL, ""));
    assert_int_equal(errno, EINVAL);
    assert_null(treeobj_create_symlink("", "a"));
    assert_null(treeobj_create_symlink(NULL, NULL));
    assert_null(treeobj_create_dirref("sha1-aaa"));
    assert_null(treeobj_create_dirref(NULL));
}

static void test_decode_refuses_trailing_and_foreign_text(void **state)
{
    assert_null(treeobj_decode("{", 1));
    assert_int_equal(errno, EINVAL);
    assert_null(treeobj_decode("[]", 2));
    assert_null(treeobj_decode(NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_val_keeps_bytes),
        cmocka_unit_test(test_empty_val_has_no_bytes),
        cmocka_unit_test(test_objects_of_each_type_are_valid),
        cmocka_unit_test(test_malformed_objects_are_refused),
        cmocka_unit_test(test_deep_nesting_is_refused),
        cmocka_unit_test(test_symlink_and_dirref_check_their_arguments),
        cmocka_unit_test(test_decode_refuses_trailing_and_foreign_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
