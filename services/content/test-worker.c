/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include "content/worker.h"

struct fixture {
    char dir[64];
    char path[128];
    struct worker *wk;
    int done;
    int failed;
    uint64_t generation; /* of a sweep */
};

static bool broken;

static ssize_t faulty_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    errno = EIO;
    return broken ? -1 : pwritev(fd, iov, count, offset);
}

/* What the threads of the worker wait for, and what they have come to. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool gate_shut, gate_reached, file_removed;

static void set(bool *flag, bool value)
{
    (void)pthread_mutex_lock(&mutex);
    *flag = value;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&mutex);
}

static void wait_for(const bool *flag, bool value)
{
    (void)pthread_mutex_lock(&mutex);
    while (*flag != value)
        (void)pthread_cond_wait(&changed, &mutex);
    (void)pthread_mutex_unlock(&mutex);
}

static int gated_fdatasync(int fd)
{
    set(&gate_reached, true);
    wait_for(&gate_shut, false);
    return 0;
}

static int telling_unlink(const char *path)
{
    const int rc = unlink(path);

    set(&file_removed, true);
    return rc;
}

static int no_sync_directory(const char *path)
{
    return 0;
}

static const struct segment_io faulty_io = { faulty_pwritev, gated_fdatasync, telling_unlink,
                                             no_sync_directory };

static int setup_with(void **state, enum store_sync sync, int max_pages)
{
    struct fixture *fx = calloc(1, sizeof(*fx));
    struct store_params params = { .sync = sync, .max_pages = max_pages };
    struct journal_params jparams = { .sync = sync, .io = &faulty_io };
    struct segment_scan scan;
    struct journal *j;
    struct store *st;
    flux_error_t error;

    broken = false;

    strcpy(fx->dir, "/tmp/test-worker.XXXXXX");
    assert_non_null(mkdtemp(fx->dir));
    snprintf(fx->path, sizeof(fx->path), "%s/content.sqlite", fx->dir);
    params.path = jparams.path = fx->path;
    assert_int_equal(store_open(&params, &st, &error), 0);
    assert_int_equal(journal_open(&jparams, st, &scan, &j, &error), 0);
    assert_int_equal(worker_new(st, j, sync, &fx->wk), 0);
    *state = fx;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, STORE_SYNC_FULL, 0);
}

static int setup_unsynced(void **state)
{
    return setup_with(state, STORE_SYNC_OFF, 0);
}

static int setup_full(void **state)
{
    return setup_with(state, STORE_SYNC_OFF, 20);
}

static int teardown(void **state)
{
    struct fixture *fx = *state;
    char command[128];

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
        assert_int_equal(poll(&pfd, 1, -1), 1);
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

static void test_many_changes_share_few_syncs(void **state)
{
    struct fixture *fx = *state;
    static struct work work[500];
    static char text[500][16];
    struct journal_stats stats;

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
    stats = journal_stats(worker_journal(fx->wk));
    assert_int_equal(stats.changes, 500);
    assert_true(stats.transactions < 500);
    assert_int_equal(worker_stats(fx->wk).queued_bytes, 0);
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

    broken = true;
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

/* What takes long in the store does not hold up commits, nor a slow disk the reads. */
static void test_reads_do_not_wait_for_a_sync(void **state)
{
    struct fixture *fx = *state;
    struct work first = { .type = WORK_CHANGE, .done = on_done, .arg = fx };
    struct work second = { .type = WORK_CHANGE, .done = on_done, .arg = fx };
    struct work load = { .type = WORK_LOAD, .done = on_done, .arg = fx };
    struct work roots = { .type = WORK_ROOTS, .done = on_done, .arg = fx };
    struct pollfd pfd = { .fd = worker_fd(fx->wk), .events = POLLIN };

    first.change.data = "first";
    first.change.data_size = 5;
    second.change.data = "second";
    second.change.data_size = 6;
    assert_int_equal(worker_submit(fx->wk, &first), WORKER_QUEUED);
    assert_int_equal(drain(fx), 0);
    set(&gate_shut, true);
    set(&gate_reached, false);
    assert_int_equal(worker_submit(fx->wk, &second), WORKER_QUEUED);
    wait_for(&gate_reached, true);
    memcpy(load.digest, first.change.digest, DIGEST_SIZE);
    assert_int_equal(worker_submit(fx->wk, &load), WORKER_QUEUED);
    assert_int_equal(poll(&pfd, 1, -1), 1);
    assert_int_equal(worker_dispatch(fx->wk), 0);
    assert_int_equal(load.size, 5);
    assert_int_equal(worker_pending(fx->wk), 1);
    /* But nobody sees a root that is not on the disk yet. */
    assert_int_equal(worker_submit(fx->wk, &roots), WORKER_QUEUED);
    assert_int_equal(poll(&pfd, 1, 50), 0);
    set(&gate_shut, false);
    assert_int_equal(drain(fx), 0);
    assert_int_equal(second.err, 0);
    assert_int_equal(roots.err, 0);
    json_decref(roots.json);
    free(load.data);
}

static void test_what_is_moved_first_was_stored_first(void **state)
{
    struct fixture *fx = *state;
    struct work w = { .type = WORK_CHANGE, .done = on_done, .arg = fx };
    struct work flush = { .type = WORK_FLUSH, .done = on_done, .arg = fx };

    set(&gate_shut, true);
    w.change.data = "x";
    w.change.data_size = 1;
    assert_int_equal(worker_submit(fx->wk, &w), WORKER_QUEUED);
    assert_int_equal(worker_submit(fx->wk, &flush), WORKER_QUEUED);
    set(&gate_shut, false);
    assert_int_equal(drain(fx), 0);
    assert_int_equal(flush.err, 0);
    assert_int_equal(journal_stats(worker_journal(fx->wk)).folded, 1);
}

static void test_what_is_not_synced_is_done_at_once(void **state)
{
    struct fixture *fx = *state;
    struct work w = { .type = WORK_CHANGE, .done = on_done, .arg = fx };
    struct work load = { .type = WORK_LOAD, .done = on_done, .arg = fx };
    struct pollfd pfd = { .fd = worker_fd(fx->wk), .events = POLLIN };

    w.change.data = "hello";
    w.change.data_size = 5;
    assert_int_equal(worker_submit(fx->wk, &w), WORKER_DONE);
    assert_int_equal(w.err, 0);
    memcpy(load.digest, w.change.digest, DIGEST_SIZE);
    assert_int_equal(worker_submit(fx->wk, &load), WORKER_QUEUED);
    assert_int_equal(worker_submit(fx->wk, &w), WORKER_DONE); /* also while something is read */
    assert_int_equal(drain(fx), 0);
    assert_int_equal(load.err, 0);
    free(load.data);
    broken = true;
    assert_int_equal(worker_submit(fx->wk, &w), WORKER_DONE);
    assert_int_equal(w.err, -EIO);
    assert_int_equal(poll(&pfd, 1, -1), 1);
    assert_int_equal(worker_dispatch(fx->wk), -EIO);
}

static void test_a_long_journal_is_moved_into_the_store(void **state)
{
    struct fixture *fx = *state;
    char text[32];

    set(&file_removed, false);
    for (int i = 0; i < JOURNAL_SEGMENT_BLOBS; i++) {
        struct work w = { .type = WORK_CHANGE };

        w.change.data = text;
        w.change.data_size = (size_t)snprintf(text, sizeof(text), "blob %d", i);
        assert_int_equal(worker_submit(fx->wk, &w), WORKER_DONE);
        assert_int_equal(w.err, 0);
    }
    wait_for(&file_removed, true); /* the last of it */
    assert_int_equal(journal_stats(worker_journal(fx->wk)).folded, JOURNAL_SEGMENT_BLOBS);
    assert_int_equal(journal_stats(worker_journal(fx->wk)).segments, 0);
}

static void test_when_nothing_can_be_moved_changes_wait_for_an_attempt_and_are_kept(void **state)
{
    struct fixture *fx = *state;
    static char blob[100000]; /* no room for that in the store */
    struct work w = { .type = WORK_CHANGE, .done = on_done, .arg = fx };

    fx->done = fx->failed = 0;
    w.change.data = blob;
    w.change.data_size = sizeof(blob);
    for (int i = 0; i <= JOURNAL_SEGMENTS_MAX; i++) {
        assert_int_equal(worker_submit(fx->wk, &w), WORKER_DONE);
        journal_rotate(worker_journal(fx->wk));
    }
    assert_int_equal(worker_submit(fx->wk, &w), WORKER_QUEUED);
    assert_int_equal(drain(fx), 0);
    assert_int_equal(fx->done, 1);
    assert_int_equal(fx->failed, 0);
    assert_int_equal(worker_stats(fx->wk).waits, 1);
}

static void on_chore(struct work *w, void *arg)
{
    struct fixture *fx = arg;

    assert_int_equal(w->err, -ESTALE);
    fx->done++;
    if (journal_stats(worker_journal(fx->wk)).folded == 0 && fx->done < 3000000)
        assert_int_equal(worker_submit(fx->wk, w), WORKER_QUEUED);
}

static void test_a_long_journal_is_moved_while_there_are_always_chores(void **state)
{
    struct fixture *fx = *state;
    static struct work chores[64];

    fx->done = 0;
    memset(chores, 0, sizeof(chores));
    for (size_t i = 0; i < ARRAY_SIZE(chores); i++) {
        chores[i].type = WORK_SWEEP_END; /* of none */
        chores[i].done = on_chore;
        chores[i].arg = fx;
    }
    for (int i = 0; i <= JOURNAL_SEGMENTS_SOON; i++) {
        struct work w = { .type = WORK_CHANGE, .change.data = &i, .change.data_size = sizeof(i) };

        assert_int_equal(worker_submit(fx->wk, &w), WORKER_DONE);
        journal_rotate(worker_journal(fx->wk));
    }
    for (size_t i = 0; i < ARRAY_SIZE(chores); i++)
        assert_int_equal(worker_submit(fx->wk, &chores[i]), WORKER_QUEUED);
    assert_int_equal(drain(fx), 0);
    assert_true(journal_stats(worker_journal(fx->wk)).folded > 0);
}

/* One of many pieces. */
static uint64_t pauses_of_a_chore(struct fixture *fx)
{
    static uint8_t digests[1024][DIGEST_SIZE];
    struct work w = { .type = WORK_SWEEP_MARK, .done = on_done, .arg = fx };
    uint64_t pauses = worker_stats(fx->wk).pauses;

    w.sweep.generation = fx->generation;
    w.sweep.digests = digests[0];
    w.sweep.ndigests = ARRAY_SIZE(digests);
    assert_int_equal(worker_submit(fx->wk, &w), WORKER_QUEUED);
    assert_int_equal(drain(fx), 0);
    assert_int_equal(w.err, 0);
    assert_int_equal(w.sweep.marked.unknown, ARRAY_SIZE(digests));
    return worker_stats(fx->wk).pauses - pauses;
}

static void test_a_chore_makes_pauses_while_changes_come_and_only_then(void **state)
{
    struct fixture *fx = *state;
    struct work begin = { .type = WORK_SWEEP_BEGIN, .done = on_done, .arg = fx };
    struct work change = { .type = WORK_CHANGE };
    uint64_t pauses = 0;

    assert_int_equal(worker_submit(fx->wk, &begin), WORKER_QUEUED);
    assert_int_equal(drain(fx), 0);
    assert_int_equal(begin.err, 0);
    json_decref(begin.json);
    fx->generation = begin.sweep.generation;
    while (pauses_of_a_chore(fx) > 0)
        ;
    for (int i = 0; pauses < 10; i++) { /* a slow machine sees them as rare */
        assert_true(i < 1000);
        change.change.data = &i;
        change.change.data_size = sizeof(i);
        assert_int_equal(worker_submit(fx->wk, &change), WORKER_DONE);
        pauses = pauses_of_a_chore(fx);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_many_changes_share_few_syncs),
        T(test_a_load_after_the_acknowledgement_finds_the_blob),
        T(test_sync_comes_after_the_changes_before_it),
        T(test_a_broken_disk_is_reported_and_nothing_acknowledged),
        T(test_the_queue_has_a_limit),
        T(test_reads_do_not_wait_for_a_sync),
        T(test_what_is_moved_first_was_stored_first),
        cmocka_unit_test_setup_teardown(test_what_is_not_synced_is_done_at_once, setup_unsynced,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_long_journal_is_moved_into_the_store, setup_unsynced,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_when_nothing_can_be_moved_changes_wait_for_an_attempt_and_are_kept, setup_full,
            teardown),
        cmocka_unit_test_setup_teardown(test_a_long_journal_is_moved_while_there_are_always_chores,
                                        setup_unsynced, teardown),
        cmocka_unit_test_setup_teardown(test_a_chore_makes_pauses_while_changes_come_and_only_then,
                                        setup_unsynced, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
