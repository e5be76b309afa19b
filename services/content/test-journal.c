/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "content/faulty-vfs.h"
#include "content/journal.h"

/* A disk for the journal that fails at the n-th write or sync from now; or has room for so many
 * bytes. */
static int fail_after = -1;
static off_t disk_size = -1;

static bool fails(void)
{
    return fail_after >= 0 && fail_after-- <= 0 && (fail_after = 0, true);
}

static ssize_t faulty_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    struct iovec half = { iov[0].iov_base, iov[0].iov_len / 2 };

    if (fails()) {
        (void)pwritev(fd, &half, 1, offset); /* a torn one */
        errno = EIO;
        return -1;
    }
    if (disk_size >= 0 && offset + (off_t)iov[0].iov_len > disk_size) {
        errno = ENOSPC;
        return -1;
    }
    return pwritev(fd, iov, disk_size >= 0 ? 1 : count, offset);
}

static int faulty_fdatasync(int fd)
{
    if (fails()) {
        errno = EIO;
        return -1;
    }
    return 0; /* no test cuts the power */
}

static int no_sync_directory(const char *path)
{
    return 0;
}

static const struct segment_io faulty_io = { faulty_pwritev, faulty_fdatasync, unlink,
                                             no_sync_directory };

struct fixture {
    char dir[64];
    char path[128];
    struct store_params params;
    struct journal_params jparams;
    struct segment_scan scan;
    struct store *st;
    struct journal *j;
};

static void close_all(struct fixture *fx)
{
    fx->j = journal_close(fx->j);
    fx->st = store_close(fx->st);
}

static void reopen(struct fixture *fx)
{
    flux_error_t error;

    close_all(fx);
    fx->jparams = (struct journal_params){ .path = fx->path,
                                           .sync = fx->params.sync,
                                           .io = &faulty_io,
                                           .segment_blobs = fx->jparams.segment_blobs };
    if (store_open(&fx->params, &fx->st, &error) < 0 ||
        journal_open(&fx->jparams, fx->st, &fx->scan, &fx->j, &error) < 0)
        fail_msg("%s", error.text);
}

static int setup(void **state)
{
    struct fixture *fx = calloc(1, sizeof(*fx));

    strcpy(fx->dir, "/tmp/test-journal.XXXXXX");
    assert_non_null(mkdtemp(fx->dir));
    snprintf(fx->path, sizeof(fx->path), "%s/content.sqlite", fx->dir);
    fx->params = (struct store_params){ .path = fx->path, .sync = STORE_SYNC_FULL };
    *state = fx;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fx = *state;
    char command[128];

    faulty_vfs_arm(-1);
    fail_after = -1;
    disk_size = -1;
    close_all(fx);
    snprintf(command, sizeof(command), "rm -rf %s", fx->dir);
    assert_int_equal(system(command), 0);
    free(fx);
    return 0;
}

static size_t message(char *buf, const char *header, const char *blobs)
{
    uint32_t n = htonl((uint32_t)strlen(header));

    memcpy(buf, &n, 4);
    strcpy(buf + 4, header);
    strcpy(buf + 4 + strlen(header), blobs);
    return 4 + strlen(header) + strlen(blobs);
}

static int decode(const char *header, const char *blobs)
{
    char buf[1000];
    size_t size = message(buf, header, blobs);
    json_t *o = NULL;
    flux_error_t error = { .text = "" };
    struct change ch;
    int rc = change_decode(buf, size, 100, &ch, &o, &error);

    if (rc < 0)
        assert_true(error.text[0]); /* every refusal is a sentence */
    json_decref(o);
    return rc;
}

static void test_well_formed_commits_are_accepted(void **state)
{
    assert_int_equal(decode("{\"blobs\":[],\"roots\":[]}", ""), 0);
    assert_int_equal(decode("{\"blobs\":[3,0,2]}", "abcde"), 0);
    assert_int_equal(decode("{\"blobs\":[1],\"roots\":[{\"ns\":\"a\",\"root\":null},"
                            "{\"ns\":\"b\",\"root\":{\"seq\":1}}]}",
                            "x"),
                     0);
}

static void test_malformed_commits_are_refused(void **state)
{
    char buf[8] = { 0, 0, 0, 100 };
    flux_error_t error;
    struct change ch;
    json_t *o;

    assert_int_equal(decode("{", ""), -EPROTO);
    assert_int_equal(decode("[]", ""), -EPROTO);
    assert_int_equal(decode("{}", ""), -EPROTO);
    assert_int_equal(decode("{\"blobs\":[3]}", "ab"), -EPROTO);
    assert_int_equal(decode("{\"blobs\":[1]}", "ab"), -EPROTO);
    assert_int_equal(decode("{\"blobs\":[-1,3]}", "ab"), -EPROTO);
    assert_int_equal(decode("{\"blobs\":[9223372036854775807,9223372036854775807]}", "ab"), -EFBIG);
    assert_int_equal(decode("{\"blobs\":[101]}", "ab"), -EFBIG);
    assert_int_equal(decode("{\"blobs\":[],\"roots\":{}}", ""), -EPROTO);
    assert_int_equal(decode("{\"blobs\":[],\"roots\":[{\"ns\":\"a\"}]}", ""), -EPROTO);
    assert_int_equal(decode("{\"blobs\":[],\"roots\":[{\"ns\":7,\"root\":null}]}", ""), -EPROTO);
    assert_int_equal(change_decode(buf, 3, 100, &ch, &o, &error), -EPROTO);
    assert_int_equal(change_decode(buf, 8, 100, &ch, &o, &error), -EPROTO);
}

static int load(struct fixture *fx, const char *text, size_t len)
{
    uint8_t digest[DIGEST_SIZE];
    void *data = NULL;
    size_t size = 0;
    int rc;

    digest_compute(DIGEST_BLAKE2B, text, len, digest);
    if ((rc = journal_load(fx->j, digest, &data, &size)) == -ENOENT)
        rc = store_load(fx->st, digest, &data, &size);
    if (rc == 0) {
        assert_int_equal(size, len);
        assert_memory_equal(data, text, len);
    }
    free(data);
    return rc;
}

static void assert_stored(struct fixture *fx, const char *text, int expected)
{
    assert_int_equal(load(fx, text, strlen(text)), expected);
}

static int append(struct fixture *fx, struct change *ch)
{
    struct change_list list = TAILQ_HEAD_INITIALIZER(list);

    TAILQ_INSERT_TAIL(&list, ch, link);
    return journal_append(fx->j, &list);
}

static void put_bytes(struct fixture *fx, const char *data, size_t size)
{
    struct change ch = { .data = data, .data_size = size };

    assert_int_equal(append(fx, &ch), 0);
    assert_int_equal(ch.err, 0);
}

static void put(struct fixture *fx, const char *text)
{
    put_bytes(fx, text, strlen(text));
}

/* As content.commit. */
static void commit(struct fixture *fx, const char *header, const char *blobs)
{
    char buf[1000];
    size_t size = message(buf, header, blobs);
    struct change ch;
    flux_error_t error;
    json_t *o;

    assert_int_equal(change_decode(buf, size, 1000, &ch, &o, &error), 0);
    assert_int_equal(append(fx, &ch), 0);
    assert_int_equal(ch.err, 0);
    json_decref(o);
}

static void fold_all(struct fixture *fx)
{
    journal_rotate(fx->j);
    while (journal_foldable(fx->j))
        assert_int_equal(journal_fold(fx->j, fx->st), 0);
}

static void assert_roots(struct fixture *fx, const char *expected)
{
    json_t *roots, *sorted = json_object(), *o;
    char *text;
    size_t i;

    assert_int_equal(store_roots(fx->st, &roots), 0);
    assert_int_equal(journal_overlay_roots(fx->j, roots), 0);
    json_array_foreach (roots, i, o)
        json_object_set(sorted, json_string_value(json_object_get(o, "ns")),
                        json_object_get(json_object_get(o, "root"), "seq"));
    text = json_dumps(sorted, JSON_SORT_KEYS | JSON_COMPACT);
    assert_string_equal(text, expected);
    free(text);
    json_decref(sorted);
    json_decref(roots);
}

static int nfiles(struct fixture *fx)
{
    return (int)journal_stats(fx->j).segments;
}

static void test_what_was_appended_is_there_before_and_after_it_is_moved(void **state)
{
    struct fixture *fx = *state;
    struct change cp = { .checkpoint_key = "k", .checkpoint_value = "\"v\"" };
    char *value;

    reopen(fx);
    put(fx, "one");
    commit(fx, "{\"blobs\":[3,0],\"roots\":[{\"ns\":\"a\",\"root\":{\"seq\":1}}]}", "two");
    assert_int_equal(append(fx, &cp), 0);
    for (int i = 0; i < 4; i++) { /* as it is, read again, moved, read again */
        if (i == 2) {
            fold_all(fx);
            assert_int_equal(nfiles(fx), 0);
        } else if (i > 0) {
            reopen(fx);
        }
        assert_stored(fx, "one", 0);
        assert_stored(fx, "two", 0);
        assert_stored(fx, "", 0);
        assert_stored(fx, "three", -ENOENT);
        assert_roots(fx, "{\"a\":1}");
        if (journal_get_checkpoint(fx->j, "k", &value) < 0)
            assert_int_equal(store_get_checkpoint(fx->st, "k", &value), 0);
        assert_string_equal(value, "\"v\"");
        free(value);
    }
}

static void test_a_file_is_moved_in_the_order_of_the_index(void **state)
{
    struct fixture *fx = *state;
    struct store_row row = { 0 };
    unsigned int last = 0;
    char text[16];
    int n = 0;

    reopen(fx);
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "blob %d", i);
        put(fx, text);
    }
    fold_all(fx);
    while (store_next_row(fx->st, row.number, &row) == 0) {
        unsigned int prefix = (unsigned int)row.digest[0] << 8 | row.digest[1];

        assert_true(prefix >= last);
        last = prefix;
        n++;
    }
    assert_int_equal(n, 1000);
}

static void test_the_newest_root_counts(void **state)
{
    struct fixture *fx = *state;

    reopen(fx);
    commit(fx,
           "{\"blobs\":[],\"roots\":[{\"ns\":\"a\",\"root\":{\"seq\":1}},"
           "{\"ns\":\"b\",\"root\":{\"seq\":1}}]}",
           "");
    fold_all(fx);
    commit(fx, "{\"blobs\":[],\"roots\":[{\"ns\":\"a\",\"root\":{\"seq\":2}}]}", "");
    journal_rotate(fx->j);
    commit(fx,
           "{\"blobs\":[],\"roots\":[{\"ns\":\"a\",\"root\":{\"seq\":3}},"
           "{\"ns\":\"b\",\"root\":null},{\"ns\":\"c\",\"root\":{\"seq\":7}}]}",
           "");
    assert_roots(fx, "{\"a\":3,\"c\":7}");
    assert_int_equal(journal_fold(fx->j, fx->st), 0); /* the older file only */
    assert_roots(fx, "{\"a\":3,\"c\":7}");
    reopen(fx);
    assert_roots(fx, "{\"a\":3,\"c\":7}");
    fold_all(fx);
    assert_roots(fx, "{\"a\":3,\"c\":7}");
}

/* A crash may bring back a file that was moved and deleted. */
static void test_a_file_is_not_applied_twice(void **state)
{
    struct fixture *fx = *state;
    char command[300], path[200];

    reopen(fx);
    commit(fx, "{\"blobs\":[],\"roots\":[{\"ns\":\"a\",\"root\":{\"seq\":1}}]}", "");
    snprintf(path, sizeof(path), "%s-journal.1", fx->path);
    snprintf(command, sizeof(command), "cp %s %s/saved", path, fx->dir);
    assert_int_equal(system(command), 0);
    fold_all(fx);
    commit(fx, "{\"blobs\":[],\"roots\":[{\"ns\":\"a\",\"root\":{\"seq\":2}}]}", "");
    fold_all(fx);
    close_all(fx);
    snprintf(command, sizeof(command), "cp %s/saved %s", fx->dir, path);
    assert_int_equal(system(command), 0);
    reopen(fx);
    assert_roots(fx, "{\"a\":2}");
    fold_all(fx);
    assert_roots(fx, "{\"a\":2}");
    assert_int_equal(access(path, F_OK), -1);
}

static void test_files_are_bounded_and_moved_in_steps(void **state)
{
    struct fixture *fx = *state;
    char text[32];
    int steps = 0;

    fx->jparams.segment_blobs = 3000;
    reopen(fx);
    for (int i = 0; i < 6500; i++) {
        struct change ch = { .data = text,
                             .data_size = (size_t)snprintf(text, sizeof(text), "blob %d", i) };

        fx->jparams.sync = STORE_SYNC_OFF;
        assert_int_equal(append(fx, &ch), 0);
    }
    assert_int_equal(nfiles(fx), 3);
    assert_false(journal_behind(fx->j));
    while (journal_foldable(fx->j)) {
        assert_int_equal(journal_fold(fx->j, fx->st), 0);
        steps++;
    }
    assert_int_equal(steps, 2 * ((3000 + JOURNAL_FOLD_BLOBS - 1) / JOURNAL_FOLD_BLOBS));
    assert_int_equal(nfiles(fx), 1);
    assert_int_equal(journal_stats(fx->j).folded, 6000);
    for (int i = 0; i < 6500; i++) {
        snprintf(text, sizeof(text), "blob %d", i);
        assert_stored(fx, text, 0);
    }
}

static void test_one_that_does_not_fit_does_not_take_others_with_it(void **state)
{
    struct fixture *fx = *state;
    struct change_list list = TAILQ_HEAD_INITIALIZER(list);
    static char big[400000];
    struct change ch[3] = { { .data = "one", .data_size = 3 },
                            { .data = big, .data_size = sizeof(big) },
                            { .data = "two", .data_size = 3 } };

    reopen(fx);
    disk_size = 100000;
    for (int i = 0; i < 3; i++)
        TAILQ_INSERT_TAIL(&list, &ch[i], link);
    assert_int_equal(journal_append(fx->j, &list), 0);
    assert_int_equal(ch[0].err, 0);
    assert_int_equal(ch[1].err, -ENOSPC);
    assert_int_equal(ch[2].err, 0);
    for (int i = 0; i < 2; i++) {
        assert_stored(fx, "one", 0);
        assert_stored(fx, "two", 0);
        assert_int_equal(load(fx, big, sizeof(big)), -ENOENT);
        reopen(fx);
        assert_int_equal(fx->scan.dropped, 0);
    }
}

static void test_a_full_disk_delays_moving_and_loses_nothing(void **state)
{
    struct fixture *fx = *state;
    char text[1000];

    fx->params.max_pages = 40;
    reopen(fx);
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (int i = 0; i < 300; i++, text[i % 900]++)
        put(fx, text);
    journal_rotate(fx->j);
    assert_int_equal(journal_fold(fx->j, fx->st), -ENOSPC);
    assert_true(journal_foldable(fx->j));
    put(fx, "meanwhile");
    fx->params.max_pages = 0;
    reopen(fx);
    fold_all(fx);
    assert_stored(fx, "meanwhile", 0);
    text[300 % 900]--;
    assert_stored(fx, text, 0);
}

/* Whatever write or sync fails, of the journal or of the store: what was acknowledged is there when
 * the disk works again, and what is there is whole. */
static void test_no_failing_write_loses_what_was_acknowledged(void **state)
{
    struct fixture *fx = *state;
    int failed = 0;

    fx->jparams.segment_blobs = 10;
    for (int fault = 0; fault < 100; fault++) {
        bool acknowledged[30] = { false };
        char text[30][32];
        int rc = 0;

        reopen(fx);
        if (fault % 2)
            faulty_vfs_arm(fault / 2);
        else
            fail_after = fault / 2;
        for (int i = 0; i < 30 && rc == 0; i++) {
            int len = snprintf(text[i], sizeof(text[i]), "fault %d blob %d", fault, i);
            struct change ch = { .data = text[i], .data_size = (size_t)len };

            rc = append(fx, &ch);
            acknowledged[i] = ch.err == 0;
            if (rc < 0)
                assert_int_equal(ch.err, -EIO);
            if (rc == 0 && i % 3 == 0 && journal_foldable(fx->j))
                rc = journal_fold(fx->j, fx->st);
        }
        failed += rc < 0;
        close_all(fx); /* as the process would: exit */
        faulty_vfs_arm(-1);
        fail_after = -1;
        reopen(fx);
        for (int i = 0; i < 30; i++) {
            if (acknowledged[i])
                assert_stored(fx, text[i], 0);
        }
    }
    assert_true(failed > 40);
}

static char *journal_bytes(struct fixture *fx, size_t *ret_size)
{
    char path[200];
    char *buf;
    FILE *f;

    snprintf(path, sizeof(path), "%s-journal.1", fx->path);
    f = fopen(path, "r");
    assert_non_null(f);
    buf = malloc(10000);
    *ret_size = fread(buf, 1, 10000, f);
    fclose(f);
    return buf;
}

static void set_journal_bytes(struct fixture *fx, const char *buf, size_t size)
{
    char path[200];
    FILE *f;

    snprintf(path, sizeof(path), "%s-journal.1", fx->path);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(buf, 1, size, f), size);
    fclose(f);
}

static void journal_remove(struct fixture *fx)
{
    char path[200];

    snprintf(path, sizeof(path), "%s-journal.1", fx->path);
    assert_int_equal(unlink(path), 0);
}

static void write_three(struct fixture *fx)
{
    reopen(fx);
    put(fx, "the first blob");
    commit(fx, "{\"blobs\":[15],\"roots\":[{\"ns\":\"a\",\"root\":{\"seq\":1}}]}",
           "the second blob");
    put(fx, "the third blob");
    close_all(fx);
}

/* Cut anywhere, as by a crash: what is before the cut is there, the rest is not. */
static void test_a_torn_end_is_dropped(void **state)
{
    struct fixture *fx = *state;
    size_t size;
    char *buf;
    int whole = 0;

    write_three(fx);
    buf = journal_bytes(fx, &size);
    for (size_t cut = 0; cut <= size; cut++) {
        set_journal_bytes(fx, buf, cut);
        reopen(fx);
        if (load(fx, "the third blob", 14) == 0) {
            assert_int_equal(cut, size);
            assert_int_equal(fx->scan.dropped, 0);
        }
        if (load(fx, "the second blob", 15) == 0) {
            assert_stored(fx, "the first blob", 0);
            assert_roots(fx, "{\"a\":1}");
            whole++;
        } else {
            assert_roots(fx, "{}");
        }
        close_all(fx);
    }
    assert_true(whole > 1);
    free(buf);
}

/* Any flipped bit: found, and only what it hit is lost. */
static void test_a_flipped_bit_hits_one_record_only(void **state)
{
    struct fixture *fx = *state;
    int damaged = 0;
    size_t size;
    char *buf;

    write_three(fx);
    buf = journal_bytes(fx, &size);
    for (size_t i = 0; i < size; i++) {
        int lost;

        buf[i] ^= 0x10;
        set_journal_bytes(fx, buf, size);
        buf[i] ^= 0x10;
        reopen(fx);
        lost = (load(fx, "the first blob", 14) < 0) + (load(fx, "the second blob", 15) < 0) +
               (load(fx, "the third blob", 14) < 0);
        assert_int_equal(lost, i < sizeof(struct file_head) ? 0 : 1);
        assert_int_equal(fx->scan.damaged + (fx->scan.dropped > 0), lost);
        damaged += (int)fx->scan.damaged;
        close_all(fx);
    }
    assert_true(damaged > 100); /* of the last one nobody says that it was there */
    free(buf);
}

/* A user may store what he likes; where a record begins is searched for behind a damaged one. */
static void test_a_record_in_a_blob_is_no_record(void **state)
{
    struct fixture *fx = *state;
    char record[400];
    size_t size, n;
    char *buf;

    reopen(fx);
    commit(fx, "{\"blobs\":[],\"roots\":[{\"ns\":\"a\",\"root\":{\"seq\":9}}]}", "");
    close_all(fx);
    buf = journal_bytes(fx, &size);
    n = size - sizeof(struct file_head);
    assert_true(n < sizeof(record));
    memcpy(record, buf + sizeof(struct file_head), n);
    free(buf);
    journal_remove(fx);

    reopen(fx);
    put_bytes(fx, record, n);
    put(fx, "the second blob");
    close_all(fx);
    buf = journal_bytes(fx, &size);
    buf[sizeof(struct file_head)] ^= 1; /* where the first record begins */
    set_journal_bytes(fx, buf, size);
    free(buf);
    reopen(fx);
    assert_int_equal(fx->scan.damaged, 1);
    assert_stored(fx, "the second blob", 0);
    assert_roots(fx, "{}");
}

/* Without a sync the disk may have kept a later record and not an earlier one: then the later one
 * does not count, its roots would lead to what is not there. */
static void test_unsynced_records_behind_a_gap_do_not_count(void **state)
{
    struct fixture *fx = *state;
    size_t size;
    char *buf;

    fx->params.sync = STORE_SYNC_NORMAL;
    write_three(fx);
    buf = journal_bytes(fx, &size);
    buf[100] ^= 1; /* in the first or second */
    set_journal_bytes(fx, buf, size);
    free(buf);
    reopen(fx);
    assert_stored(fx, "the third blob", -ENOENT);
    assert_roots(fx, "{}");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_well_formed_commits_are_accepted),
        cmocka_unit_test(test_malformed_commits_are_refused),
        T(test_what_was_appended_is_there_before_and_after_it_is_moved),
        T(test_a_file_is_moved_in_the_order_of_the_index),
        T(test_the_newest_root_counts),
        T(test_a_file_is_not_applied_twice),
        T(test_files_are_bounded_and_moved_in_steps),
        T(test_one_that_does_not_fit_does_not_take_others_with_it),
        T(test_a_full_disk_delays_moving_and_loses_nothing),
        T(test_no_failing_write_loses_what_was_acknowledged),
        T(test_a_torn_end_is_dropped),
        T(test_a_flipped_bit_hits_one_record_only),
        T(test_a_record_in_a_blob_is_no_record),
        T(test_unsynced_records_behind_a_gap_do_not_count),
    };

    faulty_vfs_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
