/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The client API against the real daemons: run by flux-supervise, which starts router, content and
 * kvs as they are needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <flux/core.h>
#include "base/cleanup.h"
#include "kvs/fence.h"

DEFINE_CLEANUP(flux_future_t *, flux_future_destroy)
DEFINE_CLEANUP(flux_kvs_txn_t *, flux_kvs_txn_destroy)

static int setup(void **state)
{
    *state = flux_open(NULL, 0);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    flux_close(*state);
    return 0;
}

static void commit(flux_t *h, const char *ns, flux_kvs_txn_t *txn)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = flux_kvs_commit(h, ns, 0, txn);

    if (!f || flux_future_get(f, NULL) < 0)
        fail_msg("commit: %s", f ? flux_future_error_string(f) : strerror(errno));
}

static void put(flux_t *h, const char *ns, int flags, const char *key, const char *value)
{
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = flux_kvs_txn_create();

    assert_int_equal(flux_kvs_txn_put(txn, flags, key, value), 0);
    commit(h, ns, txn);
}

static void assert_value(flux_t *h, const char *ns, const char *key, const char *expected)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = flux_kvs_lookup(h, ns, 0, key);
    const char *value;

    assert_non_null(f);
    assert_int_equal(flux_kvs_lookup_get(f, &value), 0);
    if (expected)
        assert_string_equal(value, expected);
    else
        assert_null(value);
}

static void assert_lookup_error(flux_t *h, const char *ns, int flags, const char *key, int errnum)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = flux_kvs_lookup(h, ns, flags, key);

    assert_non_null(f);
    assert_int_equal(flux_kvs_lookup_get(f, NULL), -1);
    assert_int_equal(errno, errnum);
}

static void test_values_come_back_in_every_form(void **state)
{
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = flux_kvs_txn_create();
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    const char raw[] = { 1, 0, 2 };
    const char *text, *ns, *target;
    const flux_kvsdir_t *dir;
    const void *data;
    int n;

    assert_int_equal(flux_kvs_txn_pack(txn, 0, "c.json", "{s:i}", "x", 42), 0);
    assert_int_equal(flux_kvs_txn_put_raw(txn, 0, "c.raw", raw, sizeof(raw)), 0);
    assert_int_equal(flux_kvs_txn_put(txn, 0, "c.empty", NULL), 0);
    assert_int_equal(flux_kvs_txn_mkdir(txn, 0, "c.dir"), 0);
    assert_int_equal(flux_kvs_txn_symlink(txn, 0, "c.link", NULL, "c.json"), 0);
    commit(*state, NULL, txn);

    f = flux_kvs_lookup(*state, NULL, 0, "c.link");
    assert_int_equal(flux_kvs_lookup_get_unpack(f, "{s:i}", "x", &n), 0);
    assert_int_equal(n, 42);
    assert_int_equal(flux_kvs_lookup_get(f, &text), 0);
    assert_string_equal(text, "{\"x\":42}");
    assert_string_equal(flux_kvs_lookup_get_key(f), "c.link");
    assert_int_equal(flux_kvs_lookup_get_symlink(f, NULL, NULL), -1);
    flux_future_destroy(f);

    f = flux_kvs_lookup(*state, NULL, 0, "c.raw");
    assert_int_equal(flux_kvs_lookup_get_raw(f, &data, &n), 0);
    assert_int_equal(n, 3);
    assert_memory_equal(data, raw, 3);
    flux_future_destroy(f);

    f = flux_kvs_lookup(*state, NULL, FLUX_KVS_READLINK, "c.link");
    assert_int_equal(flux_kvs_lookup_get_symlink(f, &ns, &target), 0);
    assert_null(ns);
    assert_string_equal(target, "c.json");
    flux_future_destroy(f);

    f = flux_kvs_lookup(*state, NULL, FLUX_KVS_READDIR, "c");
    assert_int_equal(flux_kvs_lookup_get_dir(f, &dir), 0);
    assert_int_equal(flux_kvsdir_get_size(dir), 5);
    assert_true(flux_kvsdir_isdir(dir, "dir"));
    assert_true(flux_kvsdir_issymlink(dir, "link"));
    assert_value(*state, NULL, "c.empty", NULL);
}

static void test_errors_are_those_of_the_manual(void **state)
{
    put(*state, NULL, 0, "e.a", "1");
    assert_lookup_error(*state, NULL, 0, "e.b", ENOENT);
    assert_lookup_error(*state, NULL, 0, "e", EISDIR);
    assert_lookup_error(*state, NULL, FLUX_KVS_READDIR, "e.a", ENOTDIR);
    assert_lookup_error(*state, NULL, FLUX_KVS_READLINK, "e.a", EINVAL);
    assert_lookup_error(*state, "nowhere", 0, "e.a", ENOTSUP);
    assert_null(flux_kvs_lookup(*state, NULL, 0, ""));
    assert_int_equal(errno, EINVAL);
    assert_null(flux_kvs_lookup(*state, NULL, FLUX_KVS_WATCH_UNIQ, "e"));
    assert_null(flux_kvs_lookup(NULL, NULL, 0, "e"));
}

static void test_large_values_pass(void **state)
{
    size_t size = 3u << 20;
    CLEANUP(freep) char *big = malloc(size + 1);

    memset(big, 'x', size);
    big[size] = '\0';
    put(*state, NULL, 0, "big", big);
    assert_value(*state, NULL, "big", big);
}

static void test_snapshots_stay_as_they_were(void **state)
{
    CLEANUP(flux_future_destroyp) flux_future_t *root = NULL;
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    const char *treeobj, *value, *ref;
    int before, after;

    put(*state, NULL, 0, "s.a", "old");
    root = flux_kvs_getroot(*state, NULL, 0);
    assert_int_equal(flux_kvs_getroot_get_treeobj(root, &treeobj), 0);
    assert_int_equal(flux_kvs_getroot_get_blobref(root, &ref), 0);
    assert_int_equal(flux_kvs_getroot_get_sequence(root, &before), 0);
    put(*state, NULL, 0, "s.a", "new");
    f = flux_kvs_lookupat(*state, 0, "s.a", treeobj);
    assert_int_equal(flux_kvs_lookup_get(f, &value), 0);
    assert_string_equal(value, "old");
    assert_value(*state, NULL, "s.a", "new");
    assert_int_equal(flux_kvs_get_version(*state, NULL, &after), 0);
    assert_int_equal(after, before + 1);
    assert_int_equal(flux_kvs_wait_version(*state, NULL, after), 0);
}

static void wait_done(flux_future_t *f)
{
    assert_non_null(f);
    assert_int_equal(flux_future_get(f, NULL), 0);
    flux_future_destroy(f);
}

static int version(flux_t *h, const char *ns)
{
    int ret;

    assert_int_equal(flux_kvs_get_version(h, ns, &ret), 0);
    return ret;
}

static flux_future_t *wait_for_version(flux_t *h, const char *ns, int seq)
{
    flux_future_t *f = flux_rpc_pack(h, "kvs.wait-version", FLUX_NODEID_ANY, 0, "{s:s s:i}",
                                     "namespace", ns, "rootseq", seq);

    assert_non_null(f);
    return f;
}

static void assert_reached(flux_future_t *f, int seq)
{
    int got;

    assert_int_equal(flux_rpc_get_unpack(f, "{s:i}", "rootseq", &got), 0);
    assert_int_equal(got, seq);
}

#define VERSIONS 40

static void test_versions_are_waited_for_in_any_order_and_number(void **state)
{
    static const char *const spaces[] = { "wait1", "wait2" };
    flux_future_t *waits[2][VERSIONS];
    flux_t *other = flux_open(NULL, 0);
    int first[2];

    for (int s = 0; s < 2; s++) {
        wait_done(flux_kvs_namespace_create(*state, spaces[s], FLUX_USERID_UNKNOWN, 0));
        first[s] = version(*state, spaces[s]) + 1;
        for (int i = 0; i < VERSIONS; i++) { /* 7 and 40 have no common divisor */
            int seq = first[s] + i * 7 % VERSIONS;

            waits[s][seq - first[s]] = wait_for_version(i % 2 ? *state : other, spaces[s], seq);
        }
        (void)version(other, spaces[s]); /* what came before it on this connection is waiting */
        (void)version(*state, spaces[s]);
    }
    for (int i = 0; i < VERSIONS - 1; i++) {
        put(*state, spaces[0], 0, "k", "1");
        assert_reached(waits[0][i], first[0] + i);
        assert_int_equal(version(*state, spaces[0]), first[0] + i);
        assert_false(flux_future_is_ready(waits[0][i + 1]));
        if (i == 3)
            put(*state, spaces[1], 0, "k", "1");
    }
    assert_reached(waits[1][0], first[1]);
    assert_int_equal(version(*state, spaces[1]), first[1]);
    assert_false(flux_future_is_ready(waits[1][1]));
    wait_done(flux_kvs_namespace_remove(*state, spaces[1]));
    for (int i = 1; i < VERSIONS; i++) {
        assert_int_equal(flux_future_get(waits[1][i], NULL), -1);
        assert_int_equal(errno, ENOTSUP);
    }
    for (int s = 0; s < 2; s++) {
        for (int i = 0; i < VERSIONS; i++)
            flux_future_destroy(waits[s][i]);
    }
    waits[0][0] = wait_for_version(other, spaces[0], first[0] + VERSIONS - 1);
    (void)version(other, spaces[0]);
    flux_future_destroy(waits[0][0]);
    flux_close(other); /* and nobody waits any more */
    put(*state, spaces[0], 0, "k", "1");
    assert_int_equal(version(*state, spaces[0]), first[0] + VERSIONS - 1);
    wait_done(flux_kvs_namespace_remove(*state, spaces[0]));
}

static flux_future_t *next(flux_future_t *f)
{
    flux_future_reset(f);
    return f;
}

static void test_watches_stream_what_is_appended_until_cancelled(void **state)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    const char *value;

    f = flux_kvs_lookup(*state, NULL, FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND | FLUX_KVS_WAITCREATE,
                        "w.log");
    put(*state, NULL, FLUX_KVS_APPEND, "w.log", "one\n");
    assert_int_equal(flux_kvs_lookup_get(f, &value), 0);
    assert_string_equal(value, "one\n");
    put(*state, NULL, FLUX_KVS_APPEND, "w.log", "two\n");
    put(*state, NULL, FLUX_KVS_APPEND, "w.log", "three\n");
    assert_int_equal(flux_kvs_lookup_get(next(f), &value), 0);
    assert_string_equal(value, "two\n");
    assert_int_equal(flux_kvs_lookup_get(next(f), &value), 0);
    assert_string_equal(value, "three\n");
    assert_int_equal(flux_kvs_lookup_cancel(f), 0);
    assert_int_equal(flux_kvs_lookup_get(next(f), &value), -1);
    assert_int_equal(errno, ENODATA);
}

static void test_a_namespace_is_archived_under_a_key(void **state)
{
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = flux_kvs_txn_create();
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    CLEANUP(flux_future_destroyp) flux_future_t *w = NULL;

    f = flux_kvs_namespace_create(*state, "job-1", FLUX_USERID_UNKNOWN, 0);
    assert_int_equal(flux_future_get(f, NULL), 0);
    flux_future_destroy(f);
    f = flux_kvs_namespace_create(*state, "job-1", FLUX_USERID_UNKNOWN, 0);
    assert_int_equal(flux_future_get(f, NULL), -1);
    assert_int_equal(errno, EEXIST);
    put(*state, "job-1", 0, "a", "1");
    w = flux_kvs_lookup(*state, "job-1", FLUX_KVS_WATCH, "a");
    assert_int_equal(flux_kvs_lookup_get(w, NULL), 0);
    assert_int_equal(flux_kvs_txn_archive(txn, 0, "j.guest", "job-1"), 0);
    commit(*state, NULL, txn);
    assert_value(*state, NULL, "j.guest.a", "1");
    assert_lookup_error(*state, "job-1", 0, "a", ENOTSUP);
    assert_int_equal(flux_kvs_lookup_get(next(w), NULL), -1);
    assert_int_equal(errno, ENOTSUP);
}

static void test_copy_and_move(void **state)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;

    put(*state, NULL, 0, "cp.src.x", "1");
    f = flux_kvs_copy(*state, "cp.src", "cp.dst", 0);
    assert_int_equal(flux_future_get(f, NULL), 0);
    flux_future_destroy(f);
    assert_value(*state, NULL, "cp.dst.x", "1");
    f = flux_kvs_move(*state, "cp.dst", "cp.moved", 0);
    assert_int_equal(flux_future_get(f, NULL), 0);
    flux_future_destroy(f);
    assert_value(*state, NULL, "cp.moved.x", "1");
    assert_lookup_error(*state, NULL, 0, "cp.dst.x", ENOENT);
    f = flux_kvs_copy(*state, "cp.none", "cp.dst", 0);
    assert_int_equal(flux_future_get(f, NULL), -1);
    assert_int_equal(errno, ENOENT);
}

static void test_fences_commit_when_all_have_come(void **state)
{
    flux_kvs_txn_t *a = flux_kvs_txn_create();
    flux_kvs_txn_t *b = flux_kvs_txn_create();
    flux_future_t *fa, *fb;
    int seq_a, seq_b;

    flux_kvs_txn_put(a, 0, "f.a", "1");
    flux_kvs_txn_put(b, 0, "f.b", "2");
    fa = flux_kvs_fence(*state, NULL, 0, "fence", 2, a);
    put(*state, NULL, 0, "f.c", "3");
    assert_false(flux_future_is_ready(fa));
    fb = flux_kvs_fence(*state, NULL, 0, "fence", 2, b);
    assert_int_equal(flux_kvs_commit_get_sequence(fa, &seq_a), 0);
    assert_int_equal(flux_kvs_commit_get_sequence(fb, &seq_b), 0);
    assert_int_equal(seq_a, seq_b);
    assert_value(*state, NULL, "f.a", "1");
    assert_value(*state, NULL, "f.b", "2");
    flux_future_destroy(fa);
    flux_future_destroy(fb);
    flux_kvs_txn_destroy(a);
    flux_kvs_txn_destroy(b);
}

static flux_future_t *fence_start(flux_t *h, const char *name, int nprocs)
{
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *f = flux_kvs_fence(h, NULL, 0, name, nprocs, txn);

    assert_non_null(f);
    return f;
}

static int fence(flux_t *h, const char *name, int nprocs)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = fence_start(h, name, nprocs);

    return flux_future_get(f, NULL) < 0 ? errno : 0;
}

static void test_one_too_many_for_a_fence_is_told_at_once(void **state)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = fence_start(*state, "many", 1);
    CLEANUP(flux_future_destroyp) flux_future_t *g = fence_start(*state, "many", 1);

    assert_int_equal(flux_future_get(f, NULL), 0);
    assert_int_equal(flux_future_get(g, NULL), -1); /* came while the first was being stored */
    assert_int_equal(errno, EOVERFLOW);
    assert_non_null(strstr(flux_future_error_string(g), "used once"));
    assert_int_equal(fence(*state, "many", 1), EOVERFLOW); /* and after it */
    assert_int_equal(fence(*state, "many", 2), EOVERFLOW);
}

static void test_the_names_of_the_latest_fences_are_remembered(void **state)
{
    char name[32];

    for (int i = 0; i <= FENCES_DONE_MAX; i++) {
        (void)snprintf(name, sizeof(name), "seq-%d", i);
        assert_int_equal(fence(*state, name, 1), 0);
    }
    assert_int_equal(fence(*state, "seq-1", 1), EOVERFLOW);
    assert_int_equal(fence(*state, "seq-0", 1), 0); /* long ago */
    assert_int_equal(fence(*state, "seq-1", 1), 0); /* which made it the oldest, and forgotten */
}

static void test_blobs_are_stored_and_loaded(void **state)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    CLEANUP(flux_future_destroyp) flux_future_t *f2 = NULL;
    const char *ref;
    const void *data;
    size_t size;

    f = flux_content_store(*state, "hello", 5, 0);
    assert_int_equal(flux_content_store_get(f, &ref), 0);
    f2 = flux_content_load(*state, ref, 0);
    assert_int_equal(flux_content_load_get(f2, &data, &size), 0);
    assert_int_equal(size, 5);
    assert_memory_equal(data, "hello", 5);
    flux_future_destroy(f2);
    f2 = flux_content_load(
        *state, "blake2b-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", 0);
    assert_int_equal(flux_content_load_get(f2, &data, &size), -1);
    assert_int_equal(errno, ENOENT);
    assert_null(flux_content_load(*state, "sha1-aaa", 0));
    assert_int_equal(errno, EINVAL);
}

static int all_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_come_back_in_every_form),
        cmocka_unit_test(test_errors_are_those_of_the_manual),
        cmocka_unit_test(test_large_values_pass),
        cmocka_unit_test(test_snapshots_stay_as_they_were),
        cmocka_unit_test(test_watches_stream_what_is_appended_until_cancelled),
        cmocka_unit_test(test_a_namespace_is_archived_under_a_key),
        cmocka_unit_test(test_copy_and_move),
        cmocka_unit_test(test_fences_commit_when_all_have_come),
        cmocka_unit_test(test_versions_are_waited_for_in_any_order_and_number),
        cmocka_unit_test(test_one_too_many_for_a_fence_is_told_at_once),
        cmocka_unit_test(test_the_names_of_the_latest_fences_are_remembered),
        cmocka_unit_test(test_blobs_are_stored_and_loaded),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

/* "put KEY VALUE" and "get KEY", for tests that look at a store from outside. */
static int run_command(int argc, char **argv)
{
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = flux_kvs_txn_create();
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    flux_t *h = flux_open(NULL, 0);
    const char *value;
    int rc = -1;

    if (!h || !txn)
        return EXIT_FAILURE;
    if (argc == 4 && flux_kvs_txn_put(txn, 0, argv[2], argv[3]) == 0) {
        f = flux_kvs_commit(h, NULL, 0, txn);
        rc = f ? flux_future_get(f, NULL) : -1;
    } else if (argc == 3) {
        f = flux_kvs_lookup(h, NULL, 0, argv[2]);
        if ((rc = f ? flux_kvs_lookup_get(f, &value) : -1) == 0)
            printf("%s\n", value ? value : "");
    }
    if (rc < 0)
        (void)fprintf(stderr, "test-kvs-client: %s\n", strerror(errno));
    flux_future_destroy(TAKE(f));
    flux_close(h);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return run_command(argc, argv);
    return all_tests();
}
