/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include "content/faulty-vfs.h"
#include "content/worker.h"

struct fixture {
    char dir[64];
    char path[128];
    struct worker *wk;
    int done;
    int failed;
};

static int setup(void **state)
{
    struct fixture *fx = calloc(1, sizeof(*fx));
    struct store_params params = { .sync = STORE_SYNC_OFF };
    struct store *st;
    flux_error_t error;

    strcpy(fx->dir, "/tmp/test-worker.XXXXXX");
    assert_non_null(mkdtemp(fx->dir));
    snprintf(fx->path, sizeof(fx->path), "%s/content.sqlite", fx->dir);
    params.path = fx->path;
    assert_int_equal(store_open(&params, &st, &error), 0);
    assert_int_equal(worker_new(st, DIGEST_BLAKE2B, &fx->wk), 0);
    *state = fx;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fx = *state;
    char command[128];

    faulty_vfs_arm(-1);
    worker_free(fx->wk);
    snprintf(command, sizeof(command), "rm -rf %s", fx->dir);
    assert_int_equal(system(command), 0);
    free(fx);
    return 0;
}

/* Waits for the thread and dispatches until nothing is pending. */
static int drain(struct fixture *fx)
{
    struct pollfd pfd = { .fd = worker_fd(fx->wk), .events = POLLIN };
    int rc = 0;

    while (worker_pending(fx->wk) > 0) {
        assert_int_equal(poll(&pfd, 1, 10000), 1);
        rc = worker_dispatch(fx->wk);
    }
    return rc;
}

static void on_done(struct work *w, void *arg)
{
    struct fixture *fx = arg;

    fx->done++;
    fx->failed += w->err < 0;
}

static void test_many_changes_share_few_transactions(void **state)
{
    struct fixture *fx = *state;
    static struct work work[500];
    static char text[500][16];
    struct worker_stats stats;

    memset(work, 0, sizeof(work));
    for (int i = 0; i < 500; i++) {
        work[i].type = WORK_CHANGE;
        work[i].done = on_done;
        work[i].arg = fx;
        work[i].change.data = text[i];
        work[i].change.data_size = (size_t)snprintf(text[i], sizeof(text[i]), "blob %d", i);
        assert_int_equal(worker_submit(fx->wk, &work[i]), 0);
    }
    assert_int_equal(drain(fx), 0);
    assert_int_equal(fx->done, 500);
    assert_int_equal(fx->failed, 0);
    stats = worker_stats(fx->wk);
    assert_int_equal(stats.changes, 500);
    assert_true(stats.transactions <= 500);
    assert_int_equal(stats.queued_bytes, 0);
}

static void test_a_load_after_the_acknowledgement_finds_the_blob(void **state)
{
    struct fixture *fx = *state;
    struct work w = { .type = WORK_CHANGE, .done = on_done, .arg = fx };
    struct work load = { .type = WORK_LOAD, .done = on_done, .arg = fx };
    struct work none = { .type = WORK_LOAD, .done = on_done, .arg = fx };

    w.change.data = "hello";
    w.change.data_size = 5;
    assert_int_equal(worker_submit(fx->wk, &w), 0);
    assert_int_equal(drain(fx), 0);
    memcpy(load.digest, w.change.digest, DIGEST_SIZE);
    assert_int_equal(worker_submit(fx->wk, &load), 0);
    assert_int_equal(worker_submit(fx->wk, &none), 0);
    assert_int_equal(drain(fx), 0);
    assert_int_equal(load.err, 0);
    assert_int_equal(load.size, 5);
    assert_memory_equal(load.data, "hello", 5);
    assert_int_equal(none.err, -ENOENT);
    free(load.data);
}

static void test_sync_comes_after_the_changes_before_it(void **state)
{
    struct fixture *fx = *state;
    struct work w = { .type = WORK_CHANGE, .done = on_done, .arg = fx };
    struct work sync = { .type = WORK_SYNC, .done = on_done, .arg = fx };

    w.change.data = "x";
    w.change.data_size = 1;
    w.err = 1;
    assert_int_equal(worker_submit(fx->wk, &w), 0);
    assert_int_equal(worker_submit(fx->wk, &sync), 0);
    assert_int_equal(drain(fx), 0);
    assert_int_equal(w.err, 0);
    assert_int_equal(sync.err, 0);
}

static void test_a_broken_disk_is_reported_and_nothing_acknowledged(void **state)
{
    struct fixture *fx = *state;
    struct work w = { .type = WORK_CHANGE, .done = on_done, .arg = fx };

    faulty_vfs_arm(0);
    w.change.data = "x";
    w.change.data_size = 1;
    assert_int_equal(worker_submit(fx->wk, &w), 0);
    assert_int_equal(drain(fx), -EIO);
    assert_int_equal(w.err, -EIO);
    assert_true(w.error.text[0]);
}

static void test_the_queue_has_a_limit(void **state)
{
    struct fixture *fx = *state;
    struct work first = { .type = WORK_SYNC, .done = on_done, .arg = fx };
    struct work second = { .type = WORK_CHANGE, .done = on_done, .arg = fx };

    /* Only the size counts here; WORK_SYNC never touches the data. */
    first.change.data_size = WORKER_QUEUE_BYTES_MAX;
    assert_int_equal(worker_submit(fx->wk, &first), 0);
    second.change.data = "x";
    second.change.data_size = 1;
    assert_int_equal(worker_submit(fx->wk, &second), -EAGAIN);
    assert_int_equal(drain(fx), 0);
    assert_int_equal(worker_submit(fx->wk, &second), 0);
    assert_int_equal(drain(fx), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_many_changes_share_few_transactions),
        T(test_a_load_after_the_acknowledgement_finds_the_blob),
        T(test_sync_comes_after_the_changes_before_it),
        T(test_a_broken_disk_is_reported_and_nothing_acknowledged),
        T(test_the_queue_has_a_limit),
    };

    faulty_vfs_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
