/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the pages of section 3 promise of calls that need an instance: results and error numbers,
 * against the services that run. Run by test_man3.py; linked as a user's program, with the shared
 * library. What needs no instance is tested beside the code. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conformance.h"

static int put_flags(const char *ns, const char *key, const char *value, int flags)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    int errnum;

    assert_non_null(txn);
    assert_int_equal(flux_kvs_txn_put(txn, flags, key, value), 0);
    errnum = outcome(flux_kvs_commit(h, ns, 0, txn));
    flux_kvs_txn_destroy(txn);
    return errnum;
}

static void put(const char *key, const char *value)
{
    assert_int_equal(put_flags(NULL, key, value, 0), 0);
}

static void commit(flux_kvs_txn_t *txn)
{
    assert_int_equal(outcome(flux_kvs_commit(h, NULL, 0, txn)), 0);
    flux_kvs_txn_destroy(txn);
}

static void unlink_key(const char *key)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();

    assert_int_equal(flux_kvs_txn_unlink(txn, 0, key), 0);
    commit(txn);
}

static int lookup_error(const char *ns, int flags, const char *key)
{
    return outcome(flux_kvs_lookup(h, ns, flags, key));
}

/* The next value of a watch; "!ERRNO" if it ended. */
static const char *next_value(flux_future_t *f)
{
    static char buf[64];
    const char *s;

    if (flux_future_wait_for(f, LIMIT) < 0 || flux_kvs_lookup_get(f, &s) < 0)
        (void)snprintf(buf, sizeof(buf), "!%d", errno);
    else
        (void)snprintf(buf, sizeof(buf), "%s", s ? s : "(empty)");
    flux_future_reset(f);
    return buf;
}

static const char *error_of(int errnum)
{
    static char buf[16];

    (void)snprintf(buf, sizeof(buf), "!%d", errnum);
    return buf;
}

static void end_watch(flux_future_t *f)
{
    assert_int_equal(flux_kvs_lookup_cancel(f), 0);
    assert_string_equal(next_value(f), error_of(ENODATA));
    flux_future_destroy(f);
}

/* kvs */

static void lookups_fail_as_the_page_says(void **state)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();

    assert_int_equal(flux_kvs_txn_put(txn, 0, "c.val", "1"), 0);
    assert_int_equal(flux_kvs_txn_mkdir(txn, 0, "c.dir"), 0);
    commit(txn);
    assert_int_equal(lookup_error(NULL, 0, "c.no"), ENOENT);
    assert_int_equal(lookup_error(NULL, 0, "c.val.below"), ENOENT);
    assert_int_equal(lookup_error(NULL, FLUX_KVS_READDIR, "c.val.below"), ENOENT);
    assert_int_equal(lookup_error(NULL, FLUX_KVS_READDIR, "c.val"), ENOTDIR);
    assert_int_equal(lookup_error(NULL, 0, "c.dir"), EISDIR);
    assert_int_equal(lookup_error(NULL, FLUX_KVS_READLINK, "c.val"), EINVAL);
    assert_int_equal(lookup_error("no-such-namespace", 0, "c.val"), ENOTSUP);
    assert_int_equal(lookup_error(NULL, 0x40000000, "c.val"), EINVAL);
    assert_int_equal(lookup_error(NULL, 0, NULL), EINVAL);
}

#define MODES (FLUX_KVS_READDIR | FLUX_KVS_READLINK | FLUX_KVS_TREEOBJ)
#define HOWS  (FLUX_KVS_WATCH_UNIQ | FLUX_KVS_WATCH_APPEND | FLUX_KVS_WATCH_FULL)
#define WAITS (FLUX_KVS_WATCH | FLUX_KVS_WAITCREATE)

/* What the page allows of an OR of all flags of <flux/kvs.h>. */
static bool may_look_up(int flags)
{
    if (flags & ~(MODES | HOWS | WAITS))
        return false;
    if ((flags & FLUX_KVS_READDIR) && (flags & FLUX_KVS_READLINK))
        return false;
    if ((flags & HOWS) && !(flags & FLUX_KVS_WATCH))
        return false;
    return !(flags & FLUX_KVS_WATCH_APPEND) || !(flags & MODES);
}

/* Of a key that is what the flags say: the outcome, or the end of a watch that was canceled. */
static int look_up_and_end(int flags, const char *key)
{
    flux_future_t *f = flux_kvs_lookup(h, NULL, flags, key);
    int rc = f ? flux_future_get(f, NULL) : -1;

    if (rc == 0 && (flags & WAITS)) {
        if (flags & FLUX_KVS_WATCH)
            assert_int_equal(flux_kvs_lookup_cancel(f), 0);
        flux_future_reset(f);
        assert_int_equal(flux_future_get(f, NULL), -1);
        assert_int_equal(errno, ENODATA);
    }
    flux_future_destroy(f);
    return rc < 0 ? errno : 0;
}

static void flags_are_combined_as_the_pages_allow(void **state)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *root;
    const char *treeobj;

    assert_int_equal(flux_kvs_txn_put(txn, 0, "fl.dir.val", "1"), 0);
    assert_int_equal(flux_kvs_txn_symlink(txn, 0, "fl.link", NULL, "fl.dir"), 0);
    commit(txn);
    root = flux_kvs_getroot(h, NULL, 0);
    assert_int_equal(flux_kvs_getroot_get_treeobj(root, &treeobj), 0);
    for (int flags = 0; flags < 2 * FLUX_KVS_SYNC; flags++) {
        const char *key = flags & FLUX_KVS_READDIR    ? "fl.dir"
                          : flags & FLUX_KVS_READLINK ? "fl.link"
                                                      : "fl.dir.val";
        const bool may = may_look_up(flags);

        assert_int_equal(look_up_and_end(flags, key), may ? 0 : EINVAL);
        assert_int_equal(outcome(flux_kvs_lookupat(h, flags, key, treeobj)),
                         may && !(flags & WAITS) ? 0 : EINVAL);
    }
    flux_future_destroy(root);
    txn = flux_kvs_txn_create();
    for (int bit = 0; bit < 31; bit++) {
        const int flags = 1 << bit;
        const bool may = flags == FLUX_KVS_NO_MERGE || flags == FLUX_KVS_SYNC;
        char name[32];

        (void)snprintf(name, sizeof(name), "flags-%d", flags);
        assert_int_equal(outcome(flux_kvs_commit(h, NULL, flags, txn)), may ? 0 : EINVAL);
        assert_int_equal(outcome(flux_kvs_fence(h, NULL, flags, name, 1, txn)), may ? 0 : EINVAL);
        assert_int_equal(outcome(flux_kvs_copy(h, "fl", "fl2", flags)), may ? 0 : EINVAL);
        assert_int_equal(outcome(flux_kvs_move(h, "fl2", "fl3", flags)), may ? 0 : EINVAL);
        assert_int_equal(outcome(flux_kvs_getroot(h, NULL, flags)), EINVAL);
        assert_int_equal(outcome(flux_kvs_namespace_create(h, "flags", 1, flags)), EINVAL);
    }
    flux_kvs_txn_destroy(txn);
}

static void a_directory_is_watched_as_a_whole_with_full(void **state)
{
    const int flags = FLUX_KVS_READDIR | FLUX_KVS_WATCH;
    flux_future_t *full, *plain;
    const flux_kvsdir_t *dir;

    put("wd.a", "1");
    full = flux_kvs_lookup(h, NULL, flags | FLUX_KVS_WATCH_FULL, "wd");
    plain = flux_kvs_lookup(h, NULL, flags, "wd");
    for (int n = 1; n < 4; n++) {
        char key[16];

        assert_int_equal(flux_future_wait_for(full, LIMIT), 0);
        assert_int_equal(flux_kvs_lookup_get_dir(full, &dir), 0);
        assert_int_equal(flux_kvsdir_get_size(dir), n);
        flux_future_reset(full);
        (void)snprintf(key, sizeof(key), "wd.%d", n);
        put(key, "1");
    }
    assert_int_equal(flux_kvs_lookup_get_dir(plain, &dir), 0);
    flux_future_reset(plain);
    assert_int_equal(flux_future_wait_for(plain, 0.), -1); /* nothing has named the key */
    flux_future_destroy(plain);
    flux_future_destroy(full);
}

static void values_are_read_in_every_way(void **state)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *f;
    const char *s, *ns;
    const void *data;
    const flux_kvsdir_t *dir;
    int len, n;

    assert_int_equal(flux_kvs_txn_pack(txn, 0, "v.json", "{s:i}", "n", 5), 0);
    assert_int_equal(flux_kvs_txn_put(txn, 0, "v.empty", NULL), 0);
    assert_int_equal(flux_kvs_txn_put_raw(txn, 0, "v.raw", "a\0b", 3), 0);
    assert_int_equal(flux_kvs_txn_symlink(txn, 0, "v.link", "elsewhere", "x.y"), 0);
    assert_int_equal(flux_kvs_txn_symlink(txn, 0, "v.near", NULL, "v.json"), 0);
    commit(txn);

    f = flux_kvs_lookup(h, NULL, 0, "v.near"); /* through the link */
    assert_int_equal(flux_kvs_lookup_get_unpack(f, "{s:i}", "n", &n), 0);
    assert_int_equal(n, 5);
    assert_int_equal(flux_kvs_lookup_get(f, &s), 0);
    assert_string_equal(s, "{\"n\":5}");
    assert_int_equal(flux_kvs_lookup_get_treeobj(f, &s), 0);
    assert_non_null(strstr(s, "\"val\""));
    assert_string_equal(flux_kvs_lookup_get_key(f), "v.near");
    assert_int_equal(flux_kvs_lookup_get_dir(f, &dir), -1);
    assert_int_equal(flux_kvs_lookup_get_symlink(f, &ns, &s), -1);
    flux_future_destroy(f);

    f = flux_kvs_lookup(h, NULL, 0, "v.empty");
    assert_int_equal(flux_kvs_lookup_get(f, &s), 0);
    assert_null(s);
    assert_int_equal(flux_kvs_lookup_get_raw(f, &data, &len), 0);
    assert_null(data);
    assert_int_equal(len, 0);
    flux_future_destroy(f);

    f = flux_kvs_lookup(h, NULL, 0, "v.raw");
    assert_int_equal(flux_kvs_lookup_get_raw(f, &data, &len), 0);
    assert_int_equal(len, 3);
    assert_memory_equal(data, "a\0b", 3);
    flux_future_destroy(f);

    f = flux_kvs_lookup(h, NULL, FLUX_KVS_READLINK, "v.link");
    assert_int_equal(flux_kvs_lookup_get_symlink(f, &ns, &s), 0);
    assert_string_equal(ns, "elsewhere");
    assert_string_equal(s, "x.y");
    flux_future_destroy(f);
    f = flux_kvs_lookup(h, NULL, FLUX_KVS_READLINK, "v.near");
    assert_int_equal(flux_kvs_lookup_get_symlink(f, &ns, &s), 0);
    assert_null(ns);
    flux_future_destroy(f);
    assert_int_equal(lookup_error(NULL, 0, "v.link"), ENOTSUP);

    f = flux_kvs_lookup(h, NULL, FLUX_KVS_READDIR, "v");
    assert_int_equal(flux_kvs_lookup_get_dir(f, &dir), 0);
    assert_int_equal(flux_kvsdir_get_size(dir), 5);
    assert_true(flux_kvsdir_issymlink(dir, "link"));
    assert_int_equal(flux_kvs_lookup_get(f, &s), -1);
    flux_future_destroy(f);

    f = flux_rpc(h, "broker.ping", "{}", FLUX_NODEID_ANY, 0);
    assert_null(flux_kvs_lookup_get_key(f));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(flux_kvs_lookup_get(f, &s), -1);
    assert_int_equal(errno, EINVAL);
    flux_future_destroy(f);
}

static void a_snapshot_does_not_change(void **state)
{
    flux_future_t *f, *f2;
    const char *treeobj, *s;

    put("snap.a", "old");
    f = flux_kvs_lookup(h, NULL, FLUX_KVS_READDIR | FLUX_KVS_TREEOBJ, "snap");
    assert_int_equal(flux_kvs_lookup_get_treeobj(f, &treeobj), 0);
    put("snap.a", "new");
    f2 = flux_kvs_lookupat(h, 0, "a", treeobj);
    assert_int_equal(flux_kvs_lookup_get(f2, &s), 0);
    assert_string_equal(s, "old");
    flux_future_destroy(f2);
    flux_future_destroy(f);
    f = flux_kvs_lookupat(h, 0, "snap.a", NULL);
    assert_int_equal(flux_kvs_lookup_get(f, &s), 0);
    assert_string_equal(s, "new");
    flux_future_destroy(f);
    assert_null(flux_kvs_lookupat(h, 0, "a", "no json"));
    assert_int_equal(errno, EINVAL);
}

static void transactions_are_made_in_order_and_replace_what_is_in_the_way(void **state)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *f;
    const char *s;

    assert_int_equal(flux_kvs_txn_put(txn, 0, "order.a", "value"), 0);
    assert_int_equal(flux_kvs_txn_put(txn, 0, "order.a.b", "1"), 0); /* now a directory */
    assert_int_equal(flux_kvs_txn_put(txn, FLUX_KVS_APPEND, "order.a.b", "2"), 0);
    assert_int_equal(flux_kvs_txn_put(txn, FLUX_KVS_APPEND, "order.new", "3"), 0);
    assert_int_equal(flux_kvs_txn_unlink(txn, 0, "order.none"), 0);
    commit(txn);
    f = flux_kvs_lookup(h, NULL, 0, "order.a.b");
    assert_int_equal(flux_kvs_lookup_get(f, &s), 0);
    assert_string_equal(s, "12");
    flux_future_destroy(f);
    unlink_key("order.a");
    assert_int_equal(lookup_error(NULL, 0, "order.a.b"), ENOENT);
    assert_int_equal(lookup_error(NULL, 0, "order.new"), 0);
}

static void waitcreate_waits_and_can_be_canceled(void **state)
{
    flux_future_t *f = flux_kvs_lookup(h, NULL, FLUX_KVS_WAITCREATE, "wait.a");

    assert_int_equal(flux_future_wait_for(f, 0.), -1);
    assert_int_equal(errno, ETIMEDOUT);
    put("wait.a", "there");
    assert_string_equal(next_value(f), "there");
    flux_future_destroy(f);
    f = flux_kvs_lookup(h, NULL, FLUX_KVS_WAITCREATE, "wait.never");
    end_watch(f);
    f = flux_kvs_lookup(h, NULL, 0, "wait.a");
    assert_int_equal(flux_kvs_lookup_cancel(f), -1); /* nothing to cancel */
    assert_int_equal(errno, EINVAL);
    flux_future_destroy(f);
}

static void a_watch_tells_each_mention_and_uniq_only_changes(void **state)
{
    flux_future_t *all, *uniq, *full;

    put("w.a", "1");
    all = flux_kvs_lookup(h, NULL, FLUX_KVS_WATCH, "w.a");
    uniq = flux_kvs_lookup(h, NULL, FLUX_KVS_WATCH | FLUX_KVS_WATCH_UNIQ, "w.a");
    full = flux_kvs_lookup(h, NULL, FLUX_KVS_WATCH | FLUX_KVS_WATCH_FULL, "w.a");
    assert_string_equal(next_value(all), "1");
    assert_string_equal(next_value(uniq), "1");
    assert_string_equal(next_value(full), "1");
    put("w.a", "1");
    put("w.other", "1");
    put("w.a", "2");
    assert_string_equal(next_value(all), "1");
    assert_string_equal(next_value(all), "2");
    assert_string_equal(next_value(uniq), "2");
    assert_string_equal(next_value(full), "2");

    /* Replacing a directory above does not mention the key; only FULL sees it. */
    assert_int_equal(put_flags(NULL, "w2.a", "3", 0), 0);
    assert_int_equal(outcome(flux_kvs_copy(h, "w2", "w", 0)), 0);
    assert_string_equal(next_value(full), "3");
    assert_int_equal(flux_future_wait_for(uniq, 0.), -1);
    end_watch(all);
    end_watch(uniq);
    end_watch(full);
}

static void a_watch_for_appends_tells_what_was_added(void **state)
{
    flux_future_t *f;

    put("app.a", "one");
    f = flux_kvs_lookup(h, NULL, FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND, "app.a");
    assert_string_equal(next_value(f), "one");
    assert_int_equal(put_flags(NULL, "app.a", "two", FLUX_KVS_APPEND), 0);
    assert_string_equal(next_value(f), "two");
    assert_int_equal(put_flags(NULL, "app.a", "three", FLUX_KVS_APPEND), 0);
    assert_string_equal(next_value(f), "three");
    assert_int_equal(put_flags(NULL, "app.a", "shorter", 0), 0);
    assert_string_equal(next_value(f), error_of(EINVAL));
    flux_future_destroy(f);
}

static void a_watch_ends_with_its_key_and_with_its_namespace(void **state)
{
    flux_future_t *f;

    put("gone.a", "1");
    f = flux_kvs_lookup(h, NULL, FLUX_KVS_WATCH, "gone.a");
    assert_string_equal(next_value(f), "1");
    unlink_key("gone.a");
    assert_string_equal(next_value(f), error_of(ENOENT));
    flux_future_destroy(f);

    assert_int_equal(outcome(flux_kvs_namespace_create(h, "conf", FLUX_USERID_UNKNOWN, 0)), 0);
    assert_int_equal(put_flags("conf", "a", "1", 0), 0);
    f = flux_kvs_lookup(h, "conf", FLUX_KVS_WATCH, "a");
    assert_string_equal(next_value(f), "1");
    assert_int_equal(outcome(flux_kvs_namespace_remove(h, "conf")), 0);
    assert_string_equal(next_value(f), error_of(ENOTSUP));
    flux_future_destroy(f);
}

static void namespaces_are_separate_and_their_errors_known(void **state)
{
    flux_future_t *f;
    uint32_t owner;

    assert_int_equal(outcome(flux_kvs_namespace_create(h, "ns1", 12345, 0)), 0);
    assert_int_equal(outcome(flux_kvs_namespace_create(h, "ns1", 12345, 0)), EEXIST);
    f = flux_kvs_getroot(h, "ns1", 0);
    assert_int_equal(flux_kvs_getroot_get_owner(f, &owner), 0);
    assert_int_equal(owner, 12345);
    flux_future_destroy(f);
    put("nskey", "1");
    assert_int_equal(lookup_error("ns1", 0, "nskey"), ENOENT);
    assert_int_equal(setenv("FLUX_KVS_NAMESPACE", "ns1", 1), 0);
    assert_int_equal(lookup_error(NULL, 0, "nskey"), ENOENT);
    assert_int_equal(lookup_error("primary", 0, "nskey"), 0);
    assert_int_equal(unsetenv("FLUX_KVS_NAMESPACE"), 0);
    assert_int_equal(outcome(flux_kvs_namespace_remove(h, "ns1")), 0);
    assert_int_equal(outcome(flux_kvs_namespace_remove(h, "ns1")), ENOTSUP);
    assert_int_equal(outcome(flux_kvs_namespace_remove(h, "primary")), ENOTSUP);
    assert_int_equal(outcome(flux_kvs_getroot(h, "ns1", 0)), ENOTSUP);
    assert_int_equal(put_flags("ns1", "a", "1", 0), ENOTSUP);
    assert_int_equal(outcome(flux_kvs_namespace_create(h, "x", 1, 1)), EINVAL);
    assert_int_equal(outcome(flux_kvs_getroot(h, NULL, 1)), EINVAL);
}

static void copies_are_independent_and_a_move_removes(void **state)
{
    put("cp.a.b", "1");
    assert_int_equal(outcome(flux_kvs_copy(h, "cp.a", "cp.c", 0)), 0);
    unlink_key("cp.a.b");
    assert_int_equal(lookup_error(NULL, 0, "cp.c.b"), 0);
    assert_int_equal(outcome(flux_kvs_move(h, "cp.c", "cp.d", FLUX_KVS_NO_MERGE)), 0);
    assert_int_equal(lookup_error(NULL, FLUX_KVS_READDIR, "cp.c"), ENOENT);
    assert_int_equal(lookup_error(NULL, 0, "cp.d.b"), 0);
    assert_int_equal(outcome(flux_kvs_copy(h, "cp.none", "cp.x", 0)), ENOENT);
    assert_int_equal(outcome(flux_kvs_move(h, "cp.none", "cp.x", 0)), ENOENT);
    assert_int_equal(outcome(flux_kvs_copy(h, NULL, "x", 0)), EINVAL);
    assert_int_equal(outcome(flux_kvs_copy(h, "a", "b", 0x40000000)), EINVAL);
}

static void a_fence_is_one_commit_when_all_have_come(void **state)
{
    flux_kvs_txn_t *a = flux_kvs_txn_create();
    flux_kvs_txn_t *b = flux_kvs_txn_create();
    flux_future_t *f1, *f2;
    int seq1, seq2;

    assert_int_equal(flux_kvs_txn_put(a, 0, "fence.a", "1"), 0);
    assert_int_equal(flux_kvs_txn_put(b, 0, "fence.b", "1"), 0);
    f1 = flux_kvs_fence(h, NULL, 0, "conf-fence", 2, a);
    assert_int_equal(flux_future_wait_for(f1, 0.), -1);
    assert_int_equal(lookup_error(NULL, 0, "fence.a"), ENOENT);
    f2 = flux_kvs_fence(h, NULL, 0, "conf-fence", 2, b);
    assert_int_equal(flux_kvs_commit_get_sequence(f1, &seq1), 0);
    assert_int_equal(flux_kvs_commit_get_sequence(f2, &seq2), 0);
    assert_int_equal(seq1, seq2);
    assert_int_equal(lookup_error(NULL, 0, "fence.b"), 0);
    assert_int_equal(outcome(flux_kvs_fence(h, NULL, 0, "conf-fence", 2, a)), EOVERFLOW);
    assert_int_equal(outcome(flux_kvs_fence(h, NULL, 0, "f", 0, a)), EINVAL);
    flux_future_destroy(f1);
    flux_future_destroy(f2);
    flux_kvs_txn_destroy(a);
    flux_kvs_txn_destroy(b);
}

static void each_commit_has_a_greater_sequence_and_can_be_waited_for(void **state)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    int last = -1;
    int seq;

    assert_int_equal(flux_kvs_txn_put(txn, 0, "seq.a", "1"), 0);
    for (int i = 0; i < 3; i++) {
        flux_future_t *f = flux_kvs_commit(h, NULL, i ? FLUX_KVS_NO_MERGE : 0, txn);

        assert_int_equal(flux_kvs_commit_get_sequence(f, &seq), 0);
        assert_true(seq > last);
        last = seq;
        flux_future_destroy(f);
        put("seq.b", i ? "1" : "2");
    }
    assert_int_equal(flux_kvs_wait_version(h, NULL, last), 0);
    assert_int_equal(flux_kvs_get_version(h, NULL, &seq), 0);
    assert_true(seq >= last);
    assert_int_equal(outcome(flux_kvs_commit(h, NULL, 0x40000000, txn)), EINVAL);
    assert_int_equal(outcome(flux_kvs_commit(h, NULL, 0, NULL)), EINVAL);
    flux_kvs_txn_destroy(txn);
}

/* content, attributes */

static void blobs_are_found_by_what_they_contain(void **state)
{
    char unknown[96];
    flux_future_t *f = flux_content_store(h, NULL, 0, 0);
    const char *ref;
    size_t len = 1;
    const void *buf;
    flux_future_t *f2;

    assert_int_equal(flux_content_store_get(f, &ref), 0); /* the empty blob */
    f2 = flux_content_load(h, ref, CONTENT_FLAG_CACHE_BYPASS);
    assert_int_equal(flux_content_load_get(f2, &buf, &len), 0);
    assert_non_null(buf);
    assert_int_equal(len, 0);
    flux_future_destroy(f2);
    (void)snprintf(unknown, sizeof(unknown), "%s", ref);
    flux_future_destroy(f);
    memset(strchr(unknown, '-') + 1, '0', 16);
    assert_int_equal(outcome(flux_content_load(h, unknown, 0)), ENOENT);
    assert_int_equal(outcome(flux_content_load(h, unknown, CONTENT_FLAG_UPSTREAM)), EHOSTUNREACH);
    assert_int_equal(outcome(flux_content_store(h, "x", 1, CONTENT_FLAG_UPSTREAM)), EHOSTUNREACH);
    assert_int_equal(outcome(flux_content_load(h, "no-blobref", 0)), EINVAL);
    assert_int_equal(outcome(flux_content_load(h, unknown, 0x40000000)), EINVAL);
    assert_int_equal(outcome(flux_content_store(h, NULL, 3, 0)), EINVAL);
}

static void attributes_fail_as_the_page_says(void **state)
{
    assert_null(flux_attr_get(h, "conf.none"));
    assert_int_equal(errno, ENOENT);
    assert_int_equal(flux_attr_set(h, "rank", "3"), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(flux_attr_set(h, "conf.a", "1"), 0);
    assert_string_equal(flux_attr_get(h, "conf.a"), "1");
    assert_int_equal(flux_attr_set(h, "conf.a", ""), 0);
    assert_string_equal(flux_attr_get(h, "conf.a"), "");
    assert_int_equal(flux_attr_set(h, "conf.a", NULL), 0);
    assert_null(flux_attr_get(h, "conf.a"));
    assert_int_equal(errno, ENOENT);
    assert_null(flux_attr_get(h, NULL));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(flux_get_rank(h, NULL), -1);
    assert_int_equal(errno, EINVAL);
}

/* rpc, services, events */

static int rpc_error(const char *topic, uint32_t nodeid, int flags)
{
    return outcome(flux_rpc(h, topic, "{}", nodeid, flags));
}

static void requests_that_cannot_be_served_say_why(void **state)
{
    flux_future_t *f;

    assert_int_equal(rpc_error("nosuchservice.x", FLUX_NODEID_ANY, 0), ENOSYS);
    assert_int_equal(rpc_error("broker.nosuchmethod", FLUX_NODEID_ANY, 0), ENOSYS);
    assert_int_equal(rpc_error("kvs.nosuchmethod", FLUX_NODEID_ANY, 0), ENOSYS);
    assert_int_equal(rpc_error("broker.ping", 0, 0), 0);
    assert_int_equal(rpc_error("broker.ping", 7, 0), EHOSTUNREACH);
    assert_int_equal(rpc_error("broker.ping", FLUX_NODEID_UPSTREAM, 0), EHOSTUNREACH);
    assert_int_equal(rpc_error("nosuchservice.x", FLUX_NODEID_ANY, FLUX_RPC_NORESPONSE), 0);
    assert_int_equal(rpc_error("broker.ping", FLUX_NODEID_ANY, 0x40), EINVAL);
    assert_int_equal(rpc_error("no topic!", FLUX_NODEID_ANY, 0), EINVAL);
    /* A service that streams wants the flag. */
    f = flux_rpc_pack(h, "kvs-watch.lookup", FLUX_NODEID_ANY, 0, "{s:s s:s s:i}", "key", "a",
                      "namespace", "primary", "flags", FLUX_KVS_WATCH);
    assert_int_equal(outcome(f), EPROTO);
    /* Payloads of the wrong shape. */
    assert_int_equal(rpc_error("attr.get", FLUX_NODEID_ANY, 0), EPROTO);
    f = flux_rpc_raw(h, "attr.get", "\1\2", 2, FLUX_NODEID_ANY, 0);
    assert_int_equal(outcome(f), EPROTO);
}

static void a_service_has_one_owner_and_ends_with_him(void **state)
{
    flux_t *h2 = flux_open(NULL, 0);

    assert_int_equal(outcome(flux_service_register(h, "conformance")), 0);
    assert_int_equal(outcome(flux_service_register(h2, "conformance")), EEXIST);
    assert_int_equal(outcome(flux_service_register(h2, "kvs")), EEXIST);
    assert_int_equal(outcome(flux_service_register(h2, "not a name")), EINVAL);
    assert_int_equal(outcome(flux_service_unregister(h, "conformance")), 0);
    assert_int_equal(outcome(flux_service_unregister(h, "conformance")), ENOENT);
    assert_int_equal(outcome(flux_service_register(h2, "conformance")), 0);
    flux_close(h2);
    /* The router learns of the end of h2 by itself, before what we send after it or a little later.
     */
    for (int i = 0; i < 1000 && rpc_error("conformance.x", FLUX_NODEID_ANY, 0) != ENOSYS; i++)
        (void)usleep(2000);
    assert_int_equal(outcome(flux_service_register(h, "conformance")), 0);
    assert_int_equal(outcome(flux_service_unregister(h, "conformance")), 0);
}

static flux_msg_t *next_event(const char *topic)
{
    flux_msg_t *msg = flux_recv(h, FLUX_MATCH_EVENT, 0);
    const char *t;

    assert_non_null(msg);
    assert_int_equal(flux_msg_get_topic(msg, &t), 0);
    assert_string_equal(t, topic);
    return msg;
}

static void events_pass_with_every_payload(void **state)
{
    flux_msg_t *msg;
    flux_future_t *f;
    const char *s;
    const void *data;
    int len, a, b, n;
    uint32_t seq;

    assert_int_equal(flux_event_subscribe(h, "conf."), 0);
    assert_int_equal(flux_event_subscribe(h, "conf."), 0);
    assert_int_equal(flux_event_subscribe(h, "conf.s"), 0);

    f = flux_event_publish(h, "conf.none", 0, NULL);
    assert_int_equal(flux_event_publish_get_seq(f, &a), 0);
    flux_future_destroy(f);
    msg = next_event("conf.none");
    assert_int_equal(flux_event_decode(msg, NULL, &s), 0);
    assert_null(s);
    assert_int_equal(flux_event_decode_raw(msg, NULL, &data, &len), 0);
    assert_null(data);
    assert_int_equal(len, 0);
    assert_int_equal(flux_msg_get_seq(msg, &seq), 0);
    assert_int_equal((int)seq, a);
    flux_msg_destroy(msg);

    f = flux_event_publish(h, "conf.string", 0, "text");
    assert_int_equal(flux_event_publish_get_seq(f, &b), 0);
    assert_true(b > a);
    flux_future_destroy(f);
    msg = next_event("conf.string"); /* once, although three subscriptions match */
    assert_int_equal(flux_event_decode(msg, NULL, &s), 0);
    assert_string_equal(s, "text");
    assert_false(flux_msg_is_private(msg));
    flux_msg_destroy(msg);

    f = flux_event_publish_pack(h, "conf.json", FLUX_MSGFLAG_PRIVATE, "{s:i}", "n", 9);
    assert_int_equal(outcome(f), 0);
    msg = next_event("conf.json");
    assert_true(flux_msg_is_private(msg));
    assert_int_equal(flux_event_unpack(msg, NULL, "{s:i}", "n", &n), 0);
    assert_int_equal(n, 9);
    flux_msg_destroy(msg);

    assert_int_equal(outcome(flux_event_publish_raw(h, "conf.raw", 0, "\0\1\2", 3)), 0);
    msg = next_event("conf.raw");
    assert_int_equal(flux_event_decode_raw(msg, NULL, &data, &len), 0);
    assert_int_equal(len, 3);
    assert_memory_equal(data, "\0\1\2", 3);
    flux_msg_destroy(msg);

    msg = flux_event_encode("conf.sent", NULL);
    assert_int_equal(flux_msg_set_private(msg), 0);
    assert_int_equal(flux_send(h, msg, 0), 0);
    flux_msg_destroy(msg);
    msg = next_event("conf.sent");
    assert_true(flux_msg_is_private(msg));
    flux_msg_destroy(msg);

    assert_int_equal(flux_event_unsubscribe(h, "conf."), 0);
    assert_int_equal(flux_event_unsubscribe(h, "conf.s"), 0);
    assert_int_equal(outcome(flux_event_publish(h, "conf.still", 0, NULL)), 0);
    flux_msg_destroy(next_event("conf.still"));
    assert_int_equal(flux_event_unsubscribe(h, "conf."), 0);
    assert_int_equal(flux_event_unsubscribe(h, "conf."), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(outcome(flux_event_publish(h, "conf.nobody", 0, NULL)), 0);
    assert_null(flux_recv(h, FLUX_MATCH_EVENT, FLUX_O_NONBLOCK));
    assert_int_equal(errno, EAGAIN);

    assert_int_equal(outcome(flux_event_publish(h, NULL, 0, NULL)), EINVAL);
    assert_int_equal(outcome(flux_event_publish(h, "conf.x", FLUX_MSGFLAG_STREAMING, NULL)),
                     EINVAL);
    assert_int_equal(outcome(flux_event_publish_pack(h, "conf.x", 0, "i", 1)), EINVAL);
    assert_int_equal(flux_event_subscribe(h, NULL), -1);
    assert_int_equal(errno, EINVAL);
}

static void handles_open_and_fail_as_the_page_says(void **state)
{
    flux_error_t error;

    assert_null(flux_open("nosuchscheme://x", 0));
    assert_int_equal(errno, EINVAL);
    assert_null(flux_open_ex("local:///nonexistent", 0, &error));
    assert_int_equal(errno, ENOENT);
    assert_non_null(strstr(error.text, "/nonexistent"));
    assert_null(flux_open(NULL, 0x40000000));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(flux_send(h, NULL, 0), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(flux_log(h, LOG_INFO, "conformance: %d", 1), 0);
    assert_int_equal(flux_log(h, LOG_DEBUG + 1, "x"), -1);
    assert_int_equal(errno, EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lookups_fail_as_the_page_says),
        cmocka_unit_test(flags_are_combined_as_the_pages_allow),
        cmocka_unit_test(a_directory_is_watched_as_a_whole_with_full),
        cmocka_unit_test(values_are_read_in_every_way),
        cmocka_unit_test(a_snapshot_does_not_change),
        cmocka_unit_test(transactions_are_made_in_order_and_replace_what_is_in_the_way),
        cmocka_unit_test(waitcreate_waits_and_can_be_canceled),
        cmocka_unit_test(a_watch_tells_each_mention_and_uniq_only_changes),
        cmocka_unit_test(a_watch_for_appends_tells_what_was_added),
        cmocka_unit_test(a_watch_ends_with_its_key_and_with_its_namespace),
        cmocka_unit_test(namespaces_are_separate_and_their_errors_known),
        cmocka_unit_test(copies_are_independent_and_a_move_removes),
        cmocka_unit_test(a_fence_is_one_commit_when_all_have_come),
        cmocka_unit_test(each_commit_has_a_greater_sequence_and_can_be_waited_for),
        cmocka_unit_test(blobs_are_found_by_what_they_contain),
        cmocka_unit_test(attributes_fail_as_the_page_says),
        cmocka_unit_test(requests_that_cannot_be_served_say_why),
        cmocka_unit_test(a_service_has_one_owner_and_ends_with_him),
        cmocka_unit_test(events_pass_with_every_payload),
        cmocka_unit_test(handles_open_and_fail_as_the_page_says),
    };

    return cmocka_run_group_tests_name("conformance", tests, setup, teardown);
}
