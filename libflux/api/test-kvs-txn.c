/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "api/kvs_internal.h"
#include "base/cleanup.h"

DEFINE_CLEANUP(flux_kvs_txn_t *, flux_kvs_txn_destroy)
DEFINE_CLEANUP(flux_kvsdir_t *, flux_kvsdir_destroy)

static void assert_op(flux_kvs_txn_t *txn, size_t i, const char *expected)
{
    CLEANUP(freep)
    char *text = json_dumps(json_array_get(kvs_txn_ops(txn), i), JSON_COMPACT | JSON_SORT_KEYS);

    assert_string_equal(text, expected);
}

static void test_operations_keep_their_order_and_form(void **state)
{
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = flux_kvs_txn_create();

    assert_int_equal(flux_kvs_txn_put(txn, 0, "a", "42"), 0);
    assert_int_equal(flux_kvs_txn_put(txn, FLUX_KVS_APPEND, "a", NULL), 0);
    assert_int_equal(flux_kvs_txn_pack(txn, 0, "b", "{s:i}", "x", 1), 0);
    assert_int_equal(flux_kvs_txn_mkdir(txn, 0, "c.d"), 0);
    assert_int_equal(flux_kvs_txn_unlink(txn, 0, "e"), 0);
    assert_int_equal(flux_kvs_txn_symlink(txn, 0, "f", "ns", "t"), 0);
    assert_int_equal(flux_kvs_txn_archive(txn, 0, "g", "job-1"), 0);
    assert_int_equal(flux_kvs_txn_namespace(txn, 0, "h", "job-2", 7), 0);
    assert_int_equal(flux_kvs_txn_archive_job(txn, 0, "i", "job-3", "x\n"), 0);
    assert_int_equal(json_array_size(kvs_txn_ops(txn)), 9);
    assert_op(txn, 0,
              "{\"dirent\":{\"data\":\"NDI=\",\"type\":\"val\",\"ver\":1},"
              "\"flags\":0,\"key\":\"a\"}");
    assert_op(txn, 1,
              "{\"dirent\":{\"data\":\"\",\"type\":\"val\",\"ver\":1},"
              "\"flags\":32,\"key\":\"a\"}");
    assert_op(txn, 2,
              "{\"dirent\":{\"data\":\"eyJ4IjoxfQ==\",\"type\":\"val\",\"ver\":1},"
              "\"flags\":0,\"key\":\"b\"}");
    assert_op(txn, 3,
              "{\"dirent\":{\"data\":{},\"type\":\"dir\",\"ver\":1},"
              "\"flags\":0,\"key\":\"c.d\"}");
    assert_op(txn, 4, "{\"dirent\":null,\"flags\":0,\"key\":\"e\"}");
    assert_op(txn, 5,
              "{\"dirent\":{\"data\":{\"namespace\":\"ns\",\"target\":\"t\"},"
              "\"type\":\"symlink\",\"ver\":1},\"flags\":0,\"key\":\"f\"}");
    assert_op(txn, 6, "{\"archive\":\"job-1\",\"flags\":0,\"key\":\"g\"}");
    assert_op(txn, 8, "{\"archive\":\"job-3\",\"flags\":0,\"key\":\"i\",\"log\":\"x\\n\"}");
    assert_op(txn, 7, "{\"create\":\"job-2\",\"flags\":0,\"key\":\"h\",\"owner\":7}");
}

static void test_wrong_arguments_add_nothing(void **state)
{
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = flux_kvs_txn_create();

    assert_int_equal(flux_kvs_txn_put(NULL, 0, "a", "b"), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(flux_kvs_txn_put(txn, 0, "", "b"), -1);
    assert_int_equal(flux_kvs_txn_put(txn, 0, ".", "b"), -1);
    assert_int_equal(flux_kvs_txn_put(txn, 0, NULL, "b"), -1);
    assert_int_equal(flux_kvs_txn_put(txn, FLUX_KVS_WATCH, "a", "b"), -1);
    assert_int_equal(flux_kvs_txn_put_raw(txn, 0, "a", NULL, 3), -1);
    assert_int_equal(flux_kvs_txn_put_raw(txn, 0, "a", "b", -1), -1);
    assert_int_equal(flux_kvs_txn_pack(txn, 0, "a", "{"), -1);
    assert_int_equal(flux_kvs_txn_mkdir(txn, FLUX_KVS_APPEND, "a"), -1);
    assert_int_equal(flux_kvs_txn_symlink(txn, 0, "a", NULL, NULL), -1);
    assert_int_equal(flux_kvs_txn_put_treeobj(txn, 0, "a", "{}"), -1);
    assert_int_equal(flux_kvs_txn_put_treeobj(txn, 0, "a", "x"), -1);
    assert_int_equal(flux_kvs_txn_archive(txn, 0, "a", ""), -1);
    assert_int_equal(flux_kvs_txn_archive_job(txn, 0, "a", "b", NULL), -1);
    assert_int_equal(flux_kvs_txn_archive_job(txn, 0, "a", "", "c"), -1);
    assert_int_equal(flux_kvs_txn_namespace(txn, 0, "a", NULL, 1), -1);
    assert_int_equal(flux_kvs_txn_namespace(txn, 0, "a", "\xff", 1), -1);
    assert_int_equal(flux_kvs_txn_put(txn, 0, "\xff", "b"), -1);
    assert_int_equal(json_array_size(kvs_txn_ops(txn)), 0);
}

static void test_only_what_is_put_can_be_appended(void **state)
{
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = flux_kvs_txn_create();
    const char *val = "{\"ver\":1,\"type\":\"val\",\"data\":\"\"}";

    for (int bit = 0; bit < 31; bit++) {
        const int flags = 1 << bit;
        const int rc = flags == FLUX_KVS_APPEND ? 0 : -1;

        errno = EINVAL;
        assert_int_equal(flux_kvs_txn_put(txn, flags, "a", "b"), rc);
        assert_int_equal(flux_kvs_txn_put_raw(txn, flags, "a", "b", 1), rc);
        assert_int_equal(flux_kvs_txn_pack(txn, flags, "a", "i", 1), rc);
        assert_int_equal(flux_kvs_txn_mkdir(txn, flags, "a"), -1);
        assert_int_equal(flux_kvs_txn_unlink(txn, flags, "a"), -1);
        assert_int_equal(flux_kvs_txn_symlink(txn, flags, "a", NULL, "b"), -1);
        assert_int_equal(flux_kvs_txn_put_treeobj(txn, flags, "a", val), -1);
        assert_int_equal(flux_kvs_txn_prune(txn, flags, "a"), -1);
        assert_int_equal(flux_kvs_txn_archive(txn, flags, "a", "b"), -1);
        assert_int_equal(flux_kvs_txn_archive_job(txn, flags, "a", "b", "c"), -1);
        assert_int_equal(flux_kvs_txn_namespace(txn, flags, "a", "b", 1), -1);
        assert_int_equal(errno, EINVAL);
    }
    assert_int_equal(json_array_size(kvs_txn_ops(txn)), 3);
}

static void test_directory_answers_about_its_names(void **state)
{
    CLEANUP(flux_kvsdir_destroyp)
    flux_kvsdir_t *dir =
        flux_kvsdir_create(NULL, NULL, "a.b",
                           "{\"ver\":1,\"type\":\"dir\",\"data\":{"
                           "\"d\":{\"ver\":1,\"type\":\"dir\",\"data\":{}},"
                           "\"l\":{\"ver\":1,\"type\":\"symlink\",\"data\":{\"target\":\"x\"}},"
                           "\"v\":{\"ver\":1,\"type\":\"val\",\"data\":\"\"}}}");
    CLEANUP(freep) char *key = flux_kvsdir_key_at(dir, "v");
    flux_kvsitr_t *itr = flux_kvsitr_create(dir);

    assert_non_null(dir);
    assert_int_equal(flux_kvsdir_get_size(dir), 3);
    assert_true(flux_kvsdir_isdir(dir, "d"));
    assert_true(flux_kvsdir_issymlink(dir, "l"));
    assert_true(flux_kvsdir_exists(dir, "v"));
    assert_false(flux_kvsdir_isdir(dir, "v"));
    assert_false(flux_kvsdir_exists(dir, "w"));
    assert_string_equal(key, "a.b.v");
    assert_string_equal(flux_kvsitr_next(itr), "d");
    assert_string_equal(flux_kvsitr_next(itr), "l");
    assert_string_equal(flux_kvsitr_next(itr), "v");
    assert_null(flux_kvsitr_next(itr));
    assert_null(flux_kvsitr_next(itr));
    flux_kvsitr_rewind(itr);
    assert_string_equal(flux_kvsitr_next(itr), "d");
    flux_kvsitr_destroy(itr);
}

static void test_a_value_is_no_directory(void **state)
{
    assert_null(flux_kvsdir_create(NULL, NULL, "a", "{\"ver\":1,\"type\":\"val\",\"data\":\"\"}"));
    assert_int_equal(errno, ENOTDIR);
    assert_null(flux_kvsdir_create(NULL, NULL, "a", "{"));
    assert_int_equal(errno, EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations_keep_their_order_and_form),
        cmocka_unit_test(test_wrong_arguments_add_nothing),
        cmocka_unit_test(test_only_what_is_put_can_be_appended),
        cmocka_unit_test(test_directory_answers_about_its_names),
        cmocka_unit_test(test_a_value_is_no_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
