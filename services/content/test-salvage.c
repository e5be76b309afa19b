/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What is left of a store when pages of its file are bad. Both layouts of a file are tried. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "content/faulty-vfs.h"
#include "content/salvage.h"

#define PAGE           4096
#define BLOBS          60
#define STORED         1700000000 /* and a second for each: when every third of them came */
#define TREES          8          /* the first pages are those that trees begin with */
#define INDEX_INTERIOR 0x02
#define TABLE_INTERIOR 0x05
#define INDEX_LEAF     0x0a
#define TABLE_LEAF     0x0d

struct fixture {
    char dir[64];
    char path[128];
    bool fixed; /* the layout of former builds */
    struct salvage_report report;
};

/* Small ones, some that share a page with a part of another, and some of many pages. */
static size_t size_of(int n)
{
    static const size_t sizes[] = { 0, 30, 700, 1500, 3900, 4096, 9000, 70000 };

    return sizes[n % 8];
}

static const char *blob(int n, uint8_t digest[DIGEST_SIZE])
{
    static char data[70000];

    uint32_t word = (uint32_t)n * 2654435761u + 1;

    for (size_t i = 0; i < size_of(n); i++) {
        word = word * 1664525 + 1013904223;
        data[i] = (char)(word >> 24);
    }
    digest_compute(DIGEST_BLAKE2B, data, size_of(n), digest);
    return data;
}

static bool is_loose(int n)
{
    return n % 3 == 0 && size_of(n) > 0;
}

static void make(struct fixture *fx)
{
    struct store_params params = { .path = fx->path, .fixed = fx->fixed };
    CLEANUP(store_closep) struct store *st = NULL;
    uint8_t digest[DIGEST_SIZE];
    flux_error_t error;

    assert_int_equal(store_open(&params, &st, &error), 0);
    assert_int_equal(store_begin(st), 0);
    for (int n = 0; n < BLOBS; n++) {
        const char *data = blob(n, digest);

        assert_int_equal(store_put_blob(st, digest, data, size_of(n)), 0);
        if (is_loose(n))
            assert_int_equal(store_set_loose(st, digest, STORED + n), 0);
    }
    assert_int_equal(store_set_root(st, "primary", "{\"seq\":7}"), 0);
    assert_int_equal(store_set_checkpoint(st, "mine", "\"value\""), 0);
    assert_int_equal(store_set_folded(st, 41), 0);
    assert_int_equal(store_commit(st), 0);
    assert_int_equal(store_settle(st), 0);
}

static void wipe(const struct fixture *fx)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s/*", fx->dir);
    assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
    struct fixture *fx = calloc(1, sizeof(*fx));

    strcpy(fx->dir, "/tmp/test-salvage.XXXXXX");
    assert_non_null(mkdtemp(fx->dir));
    snprintf(fx->path, sizeof(fx->path), "%s/content.sqlite", fx->dir);
    *state = fx;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fx = *state;

    wipe(fx);
    (void)rmdir(fx->dir);
    free(fx);
    return 0;
}

/* --- harm */

static int npages(const struct fixture *fx)
{
    struct stat st;

    assert_int_equal(stat(fx->path, &st), 0);
    return (int)(st.st_size / PAGE);
}

/* Pages count from 1, as SQLite's do. */
static void read_page(const struct fixture *fx, int page, uint8_t *buf)
{
    CLEANUP(closep) int fd = open(fx->path, O_RDONLY | O_CLOEXEC);

    assert_int_equal(pread(fd, buf, PAGE, (off_t)(page - 1) * PAGE), PAGE);
}

static void write_page(const struct fixture *fx, int page, const uint8_t *buf, size_t size)
{
    CLEANUP(closep) int fd = open(fx->path, O_WRONLY | O_CLOEXEC);

    assert_int_equal(pwrite(fd, buf, size, (off_t)(page - 1) * PAGE), (ssize_t)size);
}

static void spoil(const struct fixture *fx, int page, int how)
{
    uint8_t buf[PAGE];

    for (size_t i = 0; i < sizeof(buf); i++)
        buf[i] = how == 0 ? 0 : (uint8_t)(i * 2654435761u >> 13);
    write_page(fx, page, buf, sizeof(buf));
}

static int page_type(const struct fixture *fx, int page)
{
    uint8_t buf[PAGE];

    read_page(fx, page, buf);
    return buf[0];
}

/* The page that has these bytes, and where. */
static int find_bytes(const struct fixture *fx, const void *bytes, size_t size, size_t *ret_at)
{
    uint8_t buf[PAGE];

    for (int page = 2; page <= npages(fx); page++) {
        const uint8_t *p;

        read_page(fx, page, buf);
        if ((p = memmem(buf, sizeof(buf), bytes, size))) {
            *ret_at = (size_t)(p - buf);
            return page;
        }
    }
    fail_msg("no page has these bytes");
    return 0;
}

/* --- what is left */

/* How many there are; each is whole, and reading goes to the end. */
static int count_left(struct fixture *fx, struct store *st, bool *has)
{
    int left = 0;

    for (int n = 0; n < BLOBS; n++) {
        CLEANUP(freep) void *data = NULL;
        uint8_t digest[DIGEST_SIZE];
        size_t size;
        int rc;

        (void)blob(n, digest);
        rc = store_load(st, digest, &data, &size);
        assert_true(rc == 0 || rc == -ENOENT);
        assert_true(rc < 0 || size == size_of(n));
        has[n] = rc == 0;
        left += rc == 0;
    }
    return left;
}

/* The ages are those of before, or else now: never none. */
static int count_ages(struct store *st, const bool *has)
{
    int same = 0;

    for (int n = 0; n < BLOBS; n++) {
        uint8_t digest[DIGEST_SIZE];
        int64_t stored = 0;
        uint64_t row;

        (void)blob(n, digest);
        if (!has[n] || !is_loose(n))
            continue;
        assert_int_equal(store_find_row(st, digest, &row), 0);
        assert_int_equal(store_get_loose(st, row, &stored), 0);
        assert_true(stored == STORED + n || llabs(stored - time(NULL)) < 600);
        same += stored == STORED + n;
    }
    return same;
}

static bool has[BLOBS];

/* Distinct blobs: the empty one is there eight times. */
#define DISTINCT (BLOBS - 7)

static int repair_and_count(struct fixture *fx, int *ret_ages)
{
    struct store_params params = { .path = fx->path };
    CLEANUP(store_closep) struct store *st = NULL;
    flux_error_t error;
    int left;

    assert_int_equal(salvage(&params, NULL, &fx->report, &error), 0);
    assert_int_equal(store_open(&params, &st, &error), 0);
    left = count_left(fx, st, has);
    for (int n = 8; n < BLOBS; n += 8)
        left -= has[n];
    assert_int_equal(fx->report.blobs, left);
    if (ret_ages)
        *ret_ages = count_ages(st, has);
    return left;
}

static int repair(struct fixture *fx)
{
    return repair_and_count(fx, NULL);
}

/* The names are as they were. */
static void assert_names(struct fixture *fx)
{
    struct store_params params = { .path = fx->path };
    CLEANUP(store_closep) struct store *st = NULL;
    CLEANUP(json_decrefp) json_t *roots = NULL;
    CLEANUP(freep) char *value = NULL;
    uint64_t folded;
    flux_error_t error;

    assert_int_equal(store_open(&params, &st, &error), 0);
    assert_int_equal(store_roots(st, &roots), 0);
    assert_int_equal(json_array_size(roots), 1);
    assert_int_equal(store_get_checkpoint(st, "mine", &value), 0);
    assert_string_equal(value, "\"value\"");
    assert_int_equal(store_get_folded(st, &folded), 0);
    assert_int_equal(folded, 41);
}

static void each_layout(struct fixture *fx, void (*test)(struct fixture *fx))
{
    for (int fixed = 0; fixed < 2; fixed++) {
        fx->fixed = fixed;
        wipe(fx);
        make(fx);
        test(fx);
    }
}

static void sound(struct fixture *fx)
{
    assert_int_equal(repair(fx), DISTINCT);
    assert_int_equal(fx->report.damaged, 0);
    assert_false(fx->report.broken);
    assert_names(fx);
}

static void test_all_of_a_sound_file_is_taken_over(void **state)
{
    each_layout(*state, sound);
}

#define LOOSE 17 /* of those that are not empty */

static void ages(struct fixture *fx)
{
    const uint8_t first[4] = { (uint8_t)((STORED + 3) >> 24), (uint8_t)((STORED + 3) >> 16 & 0xff),
                               (uint8_t)((STORED + 3) >> 8 & 0xff),
                               (uint8_t)((STORED + 3) & 0xff) };
    static const uint8_t zeros[100];
    size_t at;
    int n;

    assert_int_equal(repair_and_count(fx, &n), DISTINCT);
    assert_int_equal(n, LOOSE);
    write_page(fx, 1, zeros, sizeof(zeros));
    assert_int_equal(repair_and_count(fx, &n), DISTINCT);
    assert_int_equal(n, LOOSE);
    spoil(fx, find_bytes(fx, first, sizeof(first), &at), 1);
    assert_int_equal(repair_and_count(fx, &n), DISTINCT);
    assert_int_equal(n, 0);
}

static void test_blobs_that_came_by_themselves_keep_their_age_or_get_a_new_one(void **state)
{
    each_layout(*state, ages);
}

static void without_head(struct fixture *fx)
{
    static const uint8_t zeros[100];

    write_page(fx, 1, zeros, sizeof(zeros));
    assert_int_equal(repair(fx), DISTINCT);
    assert_true(fx->report.broken);
    assert_names(fx);
}

static void without_first_page(struct fixture *fx)
{
    spoil(fx, 1, 1);
    assert_int_equal(repair(fx), DISTINCT);
    assert_names(fx);
}

static void test_a_head_or_a_first_page_that_is_bad_costs_nothing(void **state)
{
    each_layout(*state, without_head);
    each_layout(*state, without_first_page);
}

static void without_index(struct fixture *fx)
{
    int n = 0;

    for (int page = TREES + 1; page <= npages(fx); page++) {
        int type = page_type(fx, page);

        if (type == INDEX_INTERIOR || type == INDEX_LEAF) {
            spoil(fx, page, n++ % 2);
        }
    }
    assert_int_equal(repair(fx), DISTINCT);
    assert_names(fx);
}

static void test_an_index_that_is_bad_costs_nothing(void **state)
{
    each_layout(*state, without_index);
}

static void flipped_bit(struct fixture *fx)
{
    uint8_t digest[DIGEST_SIZE];
    uint8_t buf[PAGE];
    size_t at;
    int page = find_bytes(fx, blob(7, digest) + 40000, 64, &at);

    read_page(fx, page, buf);
    buf[at] ^= 0x10;
    write_page(fx, page, buf, sizeof(buf));
    assert_int_equal(repair(fx), DISTINCT - 1);
    assert_int_equal(fx->report.damaged, 1);
    assert_false(has[7]);
}

/* The chain of pages of a large blob leads nowhere, or to itself. */
static void broken_chain(struct fixture *fx)
{
    static const uint8_t targets[][4] = { { 0xff, 0xff, 0xff, 0xff },
                                          { 0, 0, 0, 0 },
                                          { 0, 0, 0, 2 } };
    uint8_t digest[DIGEST_SIZE];
    size_t at;

    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        int page;

        wipe(fx);
        make(fx);
        page = find_bytes(fx, blob(7, digest) + 40000, 64, &at);
        write_page(fx, page, targets[i], 4);
        assert_int_equal(repair(fx), DISTINCT - 1);
        assert_false(has[7]);
        assert_names(fx);
    }
}

static void test_a_page_of_a_large_blob_that_is_bad_costs_that_blob(void **state)
{
    each_layout(*state, flipped_bit);
    each_layout(*state, broken_chain);
}

static void without_leaf(struct fixture *fx)
{
    uint8_t digest[DIGEST_SIZE];
    uint8_t buf[PAGE];
    size_t at;
    int page = find_bytes(fx, blob(26, digest), size_of(26), &at); /* of 700 bytes */
    int left;

    read_page(fx, page, buf);
    assert_int_equal(buf[0], TABLE_LEAF);
    spoil(fx, page, 1);
    left = repair(fx);
    assert_true(left < DISTINCT && left >= DISTINCT - 6);
    assert_false(has[26]);
    assert_true(fx->report.broken);
    assert_names(fx);
}

static void test_a_page_of_small_blobs_that_is_bad_costs_those(void **state)
{
    each_layout(*state, without_leaf);
}

static void truncated(struct fixture *fx)
{
    int pages = npages(fx);
    int left;

    assert_int_equal(truncate(fx->path, (off_t)(pages / 2) * PAGE + 100), 0);
    left = repair(fx);
    assert_true(left >= DISTINCT / 3 && left < DISTINCT);
    assert_names(fx);
}

static void test_of_a_file_without_its_end_the_beginning_is_taken_over(void **state)
{
    each_layout(*state, truncated);
}

/* Whichever page it is: it ends, and what is there is whole. Of a page that is no root of a tree
 * most is left. */
static void any_page(struct fixture *fx)
{
    int pages = npages(fx);

    for (int page = 2; page <= pages; page += page < 14 ? 1 : 17) {
        int type, left;

        wipe(fx);
        make(fx);
        type = page_type(fx, page);
        spoil(fx, page, page % 2);
        left = repair(fx);
        if (page > TREES && type != TABLE_INTERIOR)
            assert_true(left >= DISTINCT - 6);
    }
}

static void test_no_page_that_is_bad_keeps_it_from_coming_to_an_end(void **state)
{
    each_layout(*state, any_page);
}

static void test_an_end_in_between_loses_nothing(void **state)
{
    struct fixture *fx = *state;
    char damaged[160], new[160];

    make(fx);
    snprintf(damaged, sizeof(damaged), "%s.damaged", fx->path);
    snprintf(new, sizeof(new), "%s.new", fx->path);
    /* It was being written. */
    assert_int_equal(close(open(new, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
    assert_int_equal(repair(fx), DISTINCT);
    /* The files' names were being changed. */
    assert_int_equal(rename(fx->path, new), 0);
    assert_int_equal(access(damaged, F_OK), 0);
    (void)salvage(&(struct store_params){ .path = fx->path }, NULL, &fx->report,
                  &(flux_error_t){ 0 });
    assert_int_equal(repair(fx), DISTINCT);
    assert_names(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_of_a_sound_file_is_taken_over, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_blobs_that_came_by_themselves_keep_their_age_or_get_a_new_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_head_or_a_first_page_that_is_bad_costs_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_index_that_is_bad_costs_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_page_of_a_large_blob_that_is_bad_costs_that_blob,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_page_of_small_blobs_that_is_bad_costs_those, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_of_a_file_without_its_end_the_beginning_is_taken_over,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_page_that_is_bad_keeps_it_from_coming_to_an_end,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_end_in_between_loses_nothing, setup, teardown),
    };

    faulty_vfs_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
