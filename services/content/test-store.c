/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "content/store.h"

struct fixture {
    char dir[64];
    char path[128];
    struct store_params params;
};

static int setup(void **state)
{
    struct fixture *fx = calloc(1, sizeof(*fx));

    strcpy(fx->dir, "/tmp/test-store.XXXXXX");
    assert_non_null(mkdtemp(fx->dir));
    snprintf(fx->path, sizeof(fx->path), "%s/content.sqlite", fx->dir);
    fx->params = (struct store_params){ .path = fx->path, .sync = STORE_SYNC_OFF };
    *state = fx;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fx = *state;
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", fx->dir);
    assert_int_equal(system(command), 0);
    free(fx);
    return 0;
}

static struct store *open_store(struct fixture *fx)
{
    struct store *st = NULL;
    flux_error_t error;

    if (store_open(&fx->params, &st, &error) < 0)
        fail_msg("%s", error.text);
    return st;
}

static void digest_of(const void *data, size_t size, uint8_t digest[DIGEST_SIZE])
{
    digest_compute(DIGEST_BLAKE2B, data, size, digest);
}

static void put(struct store *st, const void *data, size_t size)
{
    uint8_t digest[DIGEST_SIZE];

    digest_of(data, size, digest);
    assert_int_equal(store_begin(st), 0);
    assert_int_equal(store_put_blob(st, digest, data, size), 0);
    assert_int_equal(store_commit(st), 0);
}

static void assert_blob(struct store *st, const void *data, size_t size)
{
    uint8_t digest[DIGEST_SIZE];
    void *back = NULL;
    size_t n = 99;

    digest_of(data, size, digest);
    assert_int_equal(store_load(st, digest, &back, &n), 0);
    assert_int_equal(n, size);
    assert_memory_equal(back, data, size);
    free(back);
}

static void test_blobs_are_kept_over_reopening(void **state)
{
    struct store *st = open_store(*state);
    char big[100000];

    memset(big, 'b', sizeof(big));
    put(st, "hello", 5);
    put(st, "", 0);
    put(st, big, sizeof(big));
    put(st, "hello", 5); /* again: nothing happens */
    store_close(st);
    st = open_store(*state);
    assert_blob(st, "hello", 5);
    assert_blob(st, "", 0);
    assert_blob(st, big, sizeof(big));
    store_close(st);
}

static void test_unknown_digests_are_enoent(void **state)
{
    struct store *st = open_store(*state);
    uint8_t digest[DIGEST_SIZE] = { 0 };
    size_t size;
    void *data;

    assert_int_equal(store_load(st, digest, &data, &size), -ENOENT);
    store_close(st);
}

static void test_rollback_keeps_nothing(void **state)
{
    struct store *st = open_store(*state);
    uint8_t digest[DIGEST_SIZE];
    json_t *roots;
    size_t size;
    void *data;

    digest_of("x", 1, digest);
    assert_int_equal(store_begin(st), 0);
    assert_int_equal(store_put_blob(st, digest, "x", 1), 0);
    assert_int_equal(store_set_root(st, "primary", "{}"), 0);
    store_rollback(st);
    assert_int_equal(store_load(st, digest, &data, &size), -ENOENT);
    assert_int_equal(store_roots(st, &roots), 0);
    assert_int_equal(json_array_size(roots), 0);
    json_decref(roots);
    store_close(st);
}

static void test_roots_are_set_replaced_and_deleted(void **state)
{
    struct store *st = open_store(*state);
    json_t *roots;
    char *text;

    assert_int_equal(store_begin(st), 0);
    assert_int_equal(store_set_root(st, "primary", "{\"seq\":1}"), 0);
    assert_int_equal(store_set_root(st, "job", "{\"seq\":7}"), 0);
    assert_int_equal(store_set_root(st, "primary", "{\"seq\":2}"), 0);
    assert_int_equal(store_set_root(st, "gone", "{}"), 0);
    assert_int_equal(store_set_root(st, "gone", NULL), 0);
    assert_int_equal(store_commit(st), 0);
    store_close(st);
    st = open_store(*state);
    assert_int_equal(store_roots(st, &roots), 0);
    text = json_dumps(roots, JSON_COMPACT);
    assert_string_equal(text, "[{\"ns\":\"job\",\"root\":{\"seq\":7}},"
                              "{\"ns\":\"primary\",\"root\":{\"seq\":2}}]");
    free(text);
    json_decref(roots);
    store_close(st);
}

static void test_checkpoints_are_kept(void **state)
{
    struct store *st = open_store(*state);
    char *value = NULL;

    assert_int_equal(store_get_checkpoint(st, "a", &value), -ENOENT);
    assert_int_equal(store_begin(st), 0);
    assert_int_equal(store_set_checkpoint(st, "a", "1"), 0);
    assert_int_equal(store_set_checkpoint(st, "a", "2"), 0);
    assert_int_equal(store_commit(st), 0);
    assert_int_equal(store_get_checkpoint(st, "a", &value), 0);
    assert_string_equal(value, "2");
    free(value);
    store_close(st);
}

/* Changes one byte of every copy of a text in the file. */
static size_t damage(const char *path, const char *needle)
{
    FILE *f = fopen(path, "r+b");
    static char buf[4 << 20];
    size_t size = fread(buf, 1, sizeof(buf), f);
    size_t len = strlen(needle);
    size_t n = 0;

    for (size_t i = 0; i + len <= size; i++) {
        if (memcmp(buf + i, needle, len) == 0) {
            fseek(f, (long)i, SEEK_SET);
            fputc(needle[0] ^ 1, f);
            n++;
        }
    }
    fclose(f);
    return n;
}

static void test_a_flipped_bit_is_found_and_hits_one_blob_only(void **state)
{
    struct fixture *fx = *state;
    struct store *st = open_store(fx);
    uint8_t digest[DIGEST_SIZE];
    void *data = NULL;
    size_t size;

    put(st, "the first blob of this file", 27);
    put(st, "the second blob of this file", 28);
    store_close(st); /* moves the log into the file */
    assert_true(damage(fx->path, "the first blob") > 0);
    st = open_store(fx);
    digest_of("the first blob of this file", 27, digest);
    assert_int_equal(store_load(st, digest, &data, &size), -EBADMSG);
    assert_null(data);
    assert_blob(st, "the second blob of this file", 28);
    store_close(st);
}

static void test_a_full_disk_is_enospc_and_the_rest_goes_on(void **state)
{
    struct fixture *fx = *state;
    struct store *st;
    char big[200000];
    uint8_t digest[DIGEST_SIZE];
    int rc;

    fx->params.max_pages = 40;
    st = open_store(fx);
    put(st, "small", 5);
    memset(big, 'b', sizeof(big));
    digest_of(big, sizeof(big), digest);
    assert_int_equal(store_begin(st), 0);
    rc = store_put_blob(st, digest, big, sizeof(big));
    if (rc == 0)
        rc = store_commit(st);
    assert_int_equal(rc, -ENOSPC);
    store_rollback(st);
    assert_blob(st, "small", 5);
    put(st, "another", 7);
    assert_blob(st, "another", 7);
    store_close(st);
}

static void test_the_file_belongs_to_one_process(void **state)
{
    struct fixture *fx = *state;
    struct store *st = open_store(fx);
    pid_t pid;
    int status;

    put(st, "x", 1);
    if ((pid = fork()) == 0) {
        struct store *other = NULL;
        flux_error_t error = { .text = "" };
        int rc = store_open(&fx->params, &other, &error);

        _exit(rc == -EBUSY && strstr(error.text, "another flux-content") ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    put(st, "y", 1);
    store_close(st);
}

static void test_committed_blobs_survive_kill_9(void **state)
{
    struct fixture *fx = *state;
    struct store *st;
    int pipefd[2];
    char text[32];
    int n = 0;
    pid_t pid;

    assert_int_equal(pipe(pipefd), 0);
    if ((pid = fork()) == 0) {
        st = open_store(fx);
        for (int i = 0;; i++) {
            put(st, text, (size_t)snprintf(text, sizeof(text), "blob %d", i));
            if (write(pipefd[1], "x", 1) != 1) /* acknowledged */
                _exit(1);
        }
    }
    close(pipefd[1]);
    while (n < 200)
        n += (int)read(pipefd[0], text, 1);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    for (ssize_t got; (got = read(pipefd[0], text, 1)) > 0;)
        n += (int)got;
    close(pipefd[0]);
    st = open_store(fx);
    for (int i = 0; i < n; i++) {
        int len = snprintf(text, sizeof(text), "blob %d", i);

        assert_blob(st, text, (size_t)len);
    }
    store_close(st);
}

static void test_another_hash_or_a_newer_version_is_refused(void **state)
{
    struct fixture *fx = *state;
    struct store *st = open_store(fx);
    struct store *other = NULL;
    flux_error_t error;
    sqlite3 *db;

    store_close(st);
    fx->params.hash = DIGEST_SHA256;
    assert_int_equal(store_open(&fx->params, &other, &error), -EINVAL);
    assert_non_null(strstr(error.text, "blake2b"));
    fx->params.hash = DIGEST_BLAKE2B;
    assert_int_equal(sqlite3_open(fx->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=5", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(store_open(&fx->params, &other, &error), -EPROTO);
    assert_non_null(strstr(error.text, "version 5"));
}

static void test_a_file_of_version_1_is_taken_over(void **state)
{
    struct fixture *fx = *state;
    struct store *st = open_store(fx);
    uint64_t number;
    sqlite3 *db;

    put(st, "old", 3);
    store_close(st);
    assert_int_equal(sqlite3_open(fx->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=1", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    st = open_store(fx);
    assert_blob(st, "old", 3);
    assert_int_equal(store_get_folded(st, &number), 0);
    assert_int_equal(number, 0);
    assert_int_equal(store_begin(st), 0);
    assert_int_equal(store_set_folded(st, 7), 0);
    assert_int_equal(store_commit(st), 0);
    st = store_close(st);
    st = open_store(fx);
    assert_int_equal(store_get_folded(st, &number), 0);
    assert_int_equal(number, 7);
    store_close(st);
}

static void test_a_file_that_is_no_database_is_refused_untouched(void **state)
{
    struct fixture *fx = *state;
    FILE *f = fopen(fx->path, "w");
    struct store *st = NULL;
    flux_error_t error;
    struct stat sb;

    for (int i = 0; i < 1000; i++)
        fputs("this is my diary\n", f);
    fclose(f);
    assert_int_equal(store_open(&fx->params, &st, &error), -EBADMSG);
    assert_non_null(strstr(error.text, fx->path));
    assert_int_equal(stat(fx->path, &sb), 0);
    assert_int_equal(sb.st_size, 17000);
    fx->params.path = "/nonexistent/content.sqlite";
    assert_int_equal(store_open(&fx->params, &st, &error), -EACCES);
}

/* A full disk has no room for it. */
static void test_a_file_is_opened_without_writing(void **state)
{
    struct fixture *fx = *state;
    struct store *st = open_store(fx);
    char wal[160];
    struct stat sb;

    put(st, "x", 1);
    store_close(st);
    st = open_store(fx);
    assert_blob(st, "x", 1);
    snprintf(wal, sizeof(wal), "%s-wal", fx->path);
    assert_true(stat(wal, &sb) < 0 || sb.st_size == 0);
    store_close(st);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_blobs_are_kept_over_reopening),
        T(test_unknown_digests_are_enoent),
        T(test_rollback_keeps_nothing),
        T(test_roots_are_set_replaced_and_deleted),
        T(test_checkpoints_are_kept),
        T(test_a_flipped_bit_is_found_and_hits_one_blob_only),
        T(test_a_full_disk_is_enospc_and_the_rest_goes_on),
        T(test_the_file_belongs_to_one_process),
        T(test_committed_blobs_survive_kill_9),
        T(test_another_hash_or_a_newer_version_is_refused),
        T(test_a_file_of_version_1_is_taken_over),
        T(test_a_file_that_is_no_database_is_refused_untouched),
        T(test_a_file_is_opened_without_writing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
