/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "content/faulty-vfs.h"
#include "content/sweep.h"

struct fixture {
    char dir[64];
    char path[128];
    struct store *st;
    struct journal *j;
    struct sweep *sw;
    uint64_t generation;
    int64_t loose; /* of what is put */
};

static void open_all(struct fixture *fx)
{
    struct store_params params = { .path = fx->path };
    struct journal_params jparams = { .path = fx->path };
    struct segment_scan scan;
    flux_error_t error;

    assert_int_equal(store_open(&params, &fx->st, &error), 0);
    assert_int_equal(journal_open(&jparams, fx->st, &scan, &fx->j, &error), 0);
    assert_int_equal(sweep_new(fx->st, fx->j, &fx->sw), 0);
}

static void close_all(struct fixture *fx)
{
    fx->sw = sweep_free(fx->sw);
    fx->j = journal_close(fx->j);
    fx->st = store_close(fx->st);
}

static int setup(void **state)
{
    struct fixture *fx = calloc(1, sizeof(*fx));

    strcpy(fx->dir, "/tmp/test-sweep.XXXXXX");
    assert_non_null(mkdtemp(fx->dir));
    snprintf(fx->path, sizeof(fx->path), "%s/content.sqlite", fx->dir);
    open_all(fx);
    *state = fx;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fx = *state;
    char command[128];

    close_all(fx);
    snprintf(command, sizeof(command), "rm -rf %s", fx->dir);
    assert_int_equal(system(command), 0);
    free(fx);
    return 0;
}

static void digest_of(int n, uint8_t digest[DIGEST_SIZE])
{
    char text[32];
    int size = snprintf(text, sizeof(text), "blob %d", n);

    digest_compute(DIGEST_BLAKE2B, text, (size_t)size, digest);
}

/* Into the journal. */
static void put(struct fixture *fx, int n)
{
    struct change_list list = TAILQ_HEAD_INITIALIZER(list);
    char text[32];
    struct change ch = { .data = text, .loose = fx->loose };

    ch.data_size = (size_t)snprintf(text, sizeof(text), "blob %d", n);
    TAILQ_INSERT_TAIL(&list, &ch, link);
    assert_int_equal(journal_append(fx->j, &list), 0);
    assert_int_equal(ch.err, 0);
}

static void fold(struct fixture *fx)
{
    journal_rotate(fx->j);
    while (journal_foldable(fx->j))
        assert_int_equal(journal_fold(fx->j, fx->st), 0);
}

static void put_in_store(struct fixture *fx, int first, int n)
{
    for (int i = first; i < first + n; i++)
        put(fx, i);
    fold(fx);
}

static bool is_there(struct fixture *fx, int n)
{
    uint8_t digest[DIGEST_SIZE];
    void *data = NULL;
    size_t size;
    int rc;

    digest_of(n, digest);
    rc = journal_load(fx->j, digest, &data, &size);
    if (rc == -ENOENT)
        rc = store_load(fx->st, digest, &data, &size);
    free(data);
    assert_true(rc == 0 || rc == -ENOENT);
    return rc == 0;
}

static uint64_t mark(struct fixture *fx, int n)
{
    struct sweep_marked marked = { 0 };
    uint8_t digest[DIGEST_SIZE];

    digest_of(n, digest);
    assert_int_equal(sweep_mark(fx->sw, fx->generation, digest, &marked), 0);
    return marked.unknown;
}

static void begin(struct fixture *fx)
{
    assert_int_equal(sweep_begin(fx->sw, 3600, &fx->generation), 0);
}

static struct sweep_step run(struct fixture *fx)
{
    struct sweep_step step = { 0 };

    while (!step.done)
        assert_int_equal(sweep_step(fx->sw, fx->generation, 3, &step), 0);
    return step;
}

static void test_what_is_not_marked_is_removed(void **state)
{
    struct fixture *fx = *state;
    struct sweep_step step;

    put_in_store(fx, 0, 100);
    begin(fx);
    for (int i = 0; i < 100; i += 2)
        assert_int_equal(mark(fx, i), 0);
    step = run(fx);
    assert_int_equal(step.looked, 100);
    assert_int_equal(step.removed, 50);
    assert_int_equal(step.bytes, 50 * strlen("blob 11") - 5);
    for (int i = 0; i < 100; i++)
        assert_int_equal(is_there(fx, i), i % 2 == 0);
}

static void test_a_step_is_bounded(void **state)
{
    struct fixture *fx = *state;
    struct sweep_step step = { 0 };
    int left = 0;

    put_in_store(fx, 0, 10);
    begin(fx);
    assert_int_equal(sweep_step(fx->sw, fx->generation, 4, &step), 0);
    assert_int_equal(step.looked, 4);
    assert_false(step.done);
    for (int i = 0; i < 10; i++)
        left += is_there(fx, i);
    assert_int_equal(left, 6);
}

static void test_what_was_named_is_told_before_more_is_removed(void **state)
{
    struct fixture *fx = *state;
    struct sweep_step step = { 0 };
    uint8_t digest[DIGEST_SIZE], named[DIGEST_SIZE];

    put_in_store(fx, 0, 10);
    digest_of(7, digest);       /* not the first row */
    sweep_name(fx->sw, digest); /* none is under way */
    assert_false(sweep_take_name(fx->sw, named));
    begin(fx);
    assert_int_equal(sweep_step(fx->sw, fx->generation, 1, &step), 0);
    assert_int_equal(step.removed, 1);
    sweep_name(fx->sw, digest);
    step = (struct sweep_step){ 0 };
    assert_int_equal(sweep_step(fx->sw, fx->generation, 10, &step), 0);
    assert_true(step.named);
    assert_int_equal(step.looked, 0);
    assert_true(sweep_take_name(fx->sw, named));
    assert_memory_equal(named, digest, DIGEST_SIZE);
    assert_false(sweep_take_name(fx->sw, named));
    (void)mark(fx, 7);
    (void)run(fx);
    assert_true(is_there(fx, 7));
    for (int i = 0; i <= SWEEP_NAMES_MAX; i++) { /* of one that has ended */
        sweep_name(fx->sw, digest);
        assert_false(sweep_take_name(fx->sw, named));
    }
    begin(fx);
    for (int i = 0; i <= SWEEP_NAMES_MAX; i++)
        sweep_name(fx->sw, digest);
    assert_int_equal(sweep_step(fx->sw, fx->generation, 1, &step), -ESTALE);
}

static void test_what_is_stored_after_the_beginning_stays(void **state)
{
    struct fixture *fx = *state;

    put_in_store(fx, 0, 10);
    put(fx, 10); /* in the journal when it begins */
    begin(fx);
    put_in_store(fx, 11, 10);
    assert_int_equal(run(fx).removed, 10);
    for (int i = 10; i < 21; i++)
        assert_true(is_there(fx, i));
}

static void test_what_is_stored_again_stays_if_moved_before_the_step(void **state)
{
    struct fixture *fx = *state;

    put_in_store(fx, 0, 10);
    begin(fx);
    put_in_store(fx, 5, 1);
    assert_int_equal(run(fx).removed, 9);
    assert_true(is_there(fx, 5));
}

static void test_what_is_stored_again_stays_if_moved_after_the_step(void **state)
{
    struct fixture *fx = *state;

    put_in_store(fx, 0, 10);
    begin(fx);
    put(fx, 5);
    assert_int_equal(run(fx).removed, 10);
    assert_true(is_there(fx, 5));
    fold(fx);
    assert_true(is_there(fx, 5));
    close_all(fx);
    open_all(fx);
    assert_true(is_there(fx, 5));
}

static void test_a_mark_of_what_is_nowhere_is_counted(void **state)
{
    struct fixture *fx = *state;

    put_in_store(fx, 0, 1);
    put(fx, 1);
    begin(fx);
    assert_int_equal(mark(fx, 0), 0);
    assert_int_equal(mark(fx, 1), 0);
    assert_int_equal(mark(fx, 2), 1);
}

static void test_a_sweep_ends_with_the_next_one_and_with_its_process(void **state)
{
    struct fixture *fx = *state;
    struct sweep_marked marked = { 0 };
    struct sweep_step step = { 0 };
    uint8_t digest[DIGEST_SIZE];
    uint64_t first;

    digest_of(0, digest);
    put_in_store(fx, 0, 10);
    begin(fx);
    first = fx->generation;
    begin(fx);
    assert_int_equal(sweep_step(fx->sw, first, 10, &step), -ESTALE);
    assert_int_equal(sweep_mark(fx->sw, first, digest, &marked), -ESTALE);
    close_all(fx);
    open_all(fx);
    assert_int_equal(sweep_step(fx->sw, fx->generation, 10, &step), -ESTALE);
    begin(fx);
    assert_int_equal(sweep_end(fx->sw, fx->generation), 0);
    assert_int_equal(sweep_step(fx->sw, fx->generation, 10, &step), -ESTALE);
    for (int i = 0; i < 10; i++)
        assert_true(is_there(fx, i));
}

static void test_an_end_in_the_middle_loses_nothing_that_was_marked(void **state)
{
    struct fixture *fx = *state;

    put_in_store(fx, 0, 90);
    for (int end = 0; end < 30; end++) {
        struct sweep_step step = { 0 };

        begin(fx);
        for (int i = 0; i < 90; i += 3)
            assert_int_equal(mark(fx, i), 0);
        put(fx, 1 + 3 * end);
        for (int i = 0; i < end && !step.done; i++)
            assert_int_equal(sweep_step(fx->sw, fx->generation, 3, &step), 0);
        if (end % 2)
            fold(fx);
        close_all(fx);
        open_all(fx);
        for (int i = 0; i < 90; i += 3)
            assert_true(is_there(fx, i));
        assert_true(is_there(fx, 1 + 3 * end));
    }
}

static void test_rows_of_an_empty_store_and_far_marks(void **state)
{
    struct fixture *fx = *state;

    begin(fx);
    assert_int_equal(run(fx).looked, 0);
    assert_int_equal(store_begin(fx->st), 0);
    for (int i = 0; i < 70000; i++) {
        uint8_t digest[DIGEST_SIZE];
        char text[32];

        digest_of(i, digest);
        assert_int_equal(store_put_blob(fx->st, digest, text,
                                        (size_t)snprintf(text, sizeof(text), "blob %d", i)),
                         0);
    }
    assert_int_equal(store_commit(fx->st), 0);
    begin(fx);
    assert_int_equal(mark(fx, 69999), 0);
    assert_int_equal(mark(fx, 5), 0);
    assert_int_equal(run(fx).removed, 69998);
    assert_true(is_there(fx, 5));
    assert_true(is_there(fx, 69999));
}

static int64_t ago(int64_t seconds)
{
    return time(NULL) - seconds;
}

static void test_what_came_by_itself_stays_for_a_while(void **state)
{
    struct fixture *fx = *state;

    fx->loose = ago(4000);
    put_in_store(fx, 0, 10);
    fx->loose = ago(3000);
    put_in_store(fx, 10, 10);
    fx->loose = time(NULL) + 100000; /* the clock was wrong */
    put_in_store(fx, 20, 10);
    fx->loose = 0;
    put_in_store(fx, 15, 10); /* again, by a commit */
    close_all(fx);
    open_all(fx);
    begin(fx);
    assert_int_equal(run(fx).removed, 10);
    for (int i = 0; i < 30; i++)
        assert_int_equal(is_there(fx, i), i >= 10);
    /* What is stored again begins anew. */
    fx->loose = ago(5000);
    put_in_store(fx, 30, 1);
    fx->loose = ago(10);
    put_in_store(fx, 30, 1);
    begin(fx);
    assert_int_equal(run(fx).removed, 0);
    assert_int_equal(sweep_begin(fx->sw, 0, &fx->generation), 0);
    assert_int_equal(run(fx).removed, 21);
}

static void test_an_age_is_kept_in_the_journal(void **state)
{
    struct fixture *fx = *state;

    fx->loose = ago(100);
    put(fx, 1);
    put(fx, 1);
    fx->loose = ago(4000);
    put(fx, 1);
    put(fx, 2);
    close_all(fx);
    open_all(fx);
    fold(fx);
    begin(fx);
    assert_int_equal(run(fx).removed, 1);
    assert_true(is_there(fx, 1));
    assert_false(is_there(fx, 2));
}

/* --- room */

#define LARGE 20000

static void put_large(struct fixture *fx, int first, int n)
{
    static char data[LARGE];

    assert_int_equal(store_begin(fx->st), 0);
    for (int i = first; i < first + n; i++) {
        uint8_t digest[DIGEST_SIZE];

        memset(data, i & 0xff, sizeof(data));
        memcpy(data, &i, sizeof(i));
        digest_compute(DIGEST_BLAKE2B, data, sizeof(data), digest);
        assert_int_equal(store_put_blob(fx->st, digest, data, sizeof(data)), 0);
    }
    assert_int_equal(store_commit(fx->st), 0);
    assert_int_equal(store_settle(fx->st), 0);
}

/* Rows that are not there or not sound fail. */
static uint64_t count_sound(struct fixture *fx)
{
    struct store_row row = { 0 };
    uint64_t n = 0;

    while (store_next_row(fx->st, row.number, &row) == 0) {
        assert_int_equal(store_check_row(fx->st, &row), 0);
        n++;
    }
    return n;
}

static uint64_t file_size(const struct fixture *fx)
{
    struct stat st;

    assert_int_equal(stat(fx->path, &st), 0);
    return (uint64_t)st.st_size;
}

/* Every tenth one stays. */
static void mark_large(struct fixture *fx, int n)
{
    struct store_row row = { 0 };
    struct sweep_marked marked = { 0 };

    for (int i = 0; i < n; i++) {
        assert_int_equal(store_next_row(fx->st, row.number, &row), 0);
        if (i % 10 == 9)
            assert_int_equal(sweep_mark(fx->sw, fx->generation, row.digest, &marked), 0);
    }
}

static void test_room_is_given_back_in_bounded_steps(void **state)
{
    struct fixture *fx = *state;
    struct sweep_step step = { 0 };
    struct store_space space;
    uint64_t before;
    int trims = 0;

    put_large(fx, 0, 1000);
    before = file_size(fx);
    begin(fx);
    mark_large(fx, 1000);
    while (!step.done) {
        uint64_t returned = step.returned;

        assert_int_equal(sweep_step(fx->sw, fx->generation, 64, &step), 0);
        assert_true(step.returned - returned <= 65 * 4096); /* and a page of the list of them */
        trims += step.returned > returned;
    }
    assert_int_equal(step.removed, 900);
    assert_true(trims > 10);
    assert_int_equal(file_size(fx), before - step.returned);
    assert_true(file_size(fx) < before / 2);
    assert_int_equal(store_space(fx->st, &space), 0);
    assert_true(space.shrinks);
    assert_int_equal(space.bytes, file_size(fx));
    assert_true(space.free_bytes >= 4 << 20 && space.free_bytes < 5 << 20);
    assert_int_equal(count_sound(fx), 100);
}

static void test_an_end_while_room_is_given_back_harms_nothing(void **state)
{
    struct fixture *fx = *state;
    uint64_t before;

    put_large(fx, 0, 1000);
    before = file_size(fx);
    begin(fx);
    mark_large(fx, 1000);
    for (int end = 0; end < 6; end++) {
        struct sweep_step step = { 0 };

        for (int i = 0; i < 20 + end && !step.done; i++)
            assert_int_equal(sweep_step(fx->sw, fx->generation, 64, &step), 0);
        close_all(fx);
        open_all(fx);
        begin(fx);
        for (struct store_row row = { 0 }; store_next_row(fx->st, row.number, &row) == 0;) {
            struct sweep_marked marked = { 0 };
            uint32_t n;
            void *data = NULL;
            size_t size;

            assert_int_equal(store_load(fx->st, row.digest, &data, &size), 0);
            memcpy(&n, data, sizeof(n));
            free(data);
            if (n % 10 == 9)
                assert_int_equal(sweep_mark(fx->sw, fx->generation, row.digest, &marked), 0);
        }
    }
    (void)run(fx);
    assert_int_equal(count_sound(fx), 100);
    assert_true(file_size(fx) < before / 2);
}

static void test_a_full_disk_keeps_the_room_until_the_next_sweep(void **state)
{
    struct fixture *fx = *state;
    struct sweep_step step = { 0 };
    uint64_t before;

    put_large(fx, 0, 1000);
    before = file_size(fx);
    begin(fx);
    mark_large(fx, 1000);
    while (step.looked < 1000 || step.pages == 0)
        assert_int_equal(sweep_step(fx->sw, fx->generation, 64, &step), 0);
    faulty_vfs_fill(true);
    assert_int_equal(sweep_step(fx->sw, fx->generation, 64, &step), 0);
    assert_true(step.done);
    assert_int_equal(count_sound(fx), 100);
    faulty_vfs_fill(false);
    begin(fx);
    mark_large(fx, 100);
    (void)run(fx);
    assert_true(file_size(fx) < before / 2);
    assert_int_equal(count_sound(fx), 10);
}

static void test_a_store_of_a_former_build_keeps_its_size_and_works(void **state)
{
    struct fixture *fx = *state;
    struct store_params params = { .path = fx->path, .fixed = true };
    struct store_space space;
    struct sweep_step step;
    flux_error_t error;
    uint64_t before;

    close_all(fx);
    assert_int_equal(unlink(fx->path), 0);
    assert_int_equal(store_open(&params, &fx->st, &error), 0);
    fx->st = store_close(fx->st);
    open_all(fx);
    put_large(fx, 0, 1000);
    before = file_size(fx);
    begin(fx);
    mark_large(fx, 1000);
    step = run(fx);
    assert_int_equal(step.removed, 900);
    assert_int_equal(step.returned, 0);
    assert_int_equal(file_size(fx), before);
    assert_int_equal(store_space(fx->st, &space), 0);
    assert_false(space.shrinks);
    assert_true(space.free_bytes > before / 2);
    assert_int_equal(count_sound(fx), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_not_marked_is_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_step_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_named_is_told_before_more_is_removed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_is_stored_after_the_beginning_stays, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_is_stored_again_stays_if_moved_before_the_step,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_stored_again_stays_if_moved_after_the_step,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_mark_of_what_is_nowhere_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_sweep_ends_with_the_next_one_and_with_its_process,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_end_in_the_middle_loses_nothing_that_was_marked,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_of_an_empty_store_and_far_marks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_came_by_itself_stays_for_a_while, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_an_age_is_kept_in_the_journal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_room_is_given_back_in_bounded_steps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_end_while_room_is_given_back_harms_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_full_disk_keeps_the_room_until_the_next_sweep, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_store_of_a_former_build_keeps_its_size_and_works,
                                        setup, teardown),
    };

    faulty_vfs_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
