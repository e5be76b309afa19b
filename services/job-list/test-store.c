/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "job-list/store.h"

static char dir[] = "/tmp/test-job-list-store-XXXXXX";
static char path[100];

static int setup_dir(void **state)
{
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown_dir(void **state)
{
    return rmdir(dir);
}

static int setup(void **state)
{
    snprintf(path, sizeof(path), "%s/db", dir);
    return 0;
}

static int teardown(void **state)
{
    char name[120];

    (void)unlink(path);
    snprintf(name, sizeof(name), "%s-wal", path);
    (void)unlink(name);
    snprintf(name, sizeof(name), "%s-shm", path);
    (void)unlink(name);
    return 0;
}

static struct store *open_store(void)
{
    flux_error_t error;
    struct store *s = NULL;

    if (store_open(path, &s, &error) < 0)
        fail_msg("%s", error.text);
    return s;
}

static void put(struct store *s, flux_jobid_t id, uint32_t userid, flux_job_result_t result)
{
    CLEANUP(job_freep) struct job *job = NULL;

    assert_int_equal(job_new(id, &job), 0);
    job->userid = userid;
    job->state = FLUX_JOB_STATE_INACTIVE;
    job->result = result;
    job->t_inactive = (double)id * 10;
    job->ninactive = id;
    assert_int_equal(asprintf(&job->name, "job%d", (int)id % 2), 4);
    assert_int_equal(store_put(s, job), 0);
}

static void assert_list(struct store *s, const char *query, const char *expect)
{
    CLEANUP(json_decrefp) json_t *o = json_loads(query, 0, NULL);
    CLEANUP(json_decrefp) json_t *array = json_array();
    char ids[200] = "";
    struct query q;
    json_t *entry;
    size_t i;

    assert_int_equal(query_parse(o, &q, NULL), 0);
    assert_int_equal(store_list(s, &q, array), 0);
    json_array_foreach (array, i, entry)
        snprintf(ids + strlen(ids), sizeof(ids) - strlen(ids), "%s%d", i ? " " : "",
                 (int)json_integer_value(json_object_get(entry, "id")));
    assert_string_equal(ids, expect);
}

static void fill(struct store *s)
{
    put(s, 1, 7, FLUX_JOB_RESULT_COMPLETED);
    put(s, 2, 7, FLUX_JOB_RESULT_FAILED);
    put(s, 3, 8, FLUX_JOB_RESULT_COMPLETED);
    put(s, 4, 8, FLUX_JOB_RESULT_CANCELED);
    put(s, 5, 8, FLUX_JOB_RESULT_TIMEOUT);
}

static void a_job_that_was_purged_is_in_no_list_and_no_total(void **state)
{
    struct store *s = open_store();
    CLEANUP(json_decrefp) json_t *places = json_array();
    json_t *attrs;

    fill(s);
    assert_int_equal(store_remove(s, 2), 0);
    assert_int_equal(store_remove(s, 3), 0);
    assert_int_equal(store_remove(s, 77), 0);
    assert_int_equal(store_add_purged(s, 2), 0);
    assert_int_equal(store_commit(s), 0);
    store_close(s);
    s = open_store();
    assert_list(s, "{}", "5 4 1");
    assert_int_equal(store_get(s, 2, &attrs), -ENOENT);
    assert_false(store_has(s, 3));
    assert_int_equal(store_count(s), 3);
    assert_int_equal(store_counts(s).failed, 0);
    assert_int_equal(store_counts(s).completed, 1);
    assert_int_equal(store_purged(s), 2);
    assert_int_equal(store_last(s), 5);
    assert_int_equal(store_locate(s, 2, places), -ENOENT);
    assert_int_equal(store_locate(s, 4, places), 0);
    assert_int_equal(json_array_size(places), 1);
    store_close(s);
}

static void the_oldest_jobs_come_page_by_page(void **state)
{
    CLEANUP(store_closep) struct store *s = open_store();
    struct store_place place = { 0 };
    int seen = 0;

    fill(s);
    for (;;) {
        CLEANUP(json_decrefp) json_t *places = json_array();
        json_t *row;
        size_t i;

        assert_int_equal(store_oldest(s, place, 2, places), 0);
        if (json_array_size(places) == 0)
            break;
        json_array_foreach (places, i, row) {
            place.id = (flux_jobid_t)json_integer_value(json_array_get(row, 0));
            place.t_inactive = json_real_value(json_array_get(row, 1));
            assert_int_equal(place.id, ++seen);
        }
    }
    assert_int_equal(seen, 5);
}

static void past_jobs_are_listed_latest_first(void **state)
{
    CLEANUP(store_closep) struct store *s = open_store();

    fill(s);
    assert_list(s, "{}", "5 4 3 2 1");
    assert_list(s, "{\"max_entries\":2}", "5 4");
    assert_list(s, "{\"userid\":7}", "2 1");
    assert_list(s, "{\"results\":1}", "3 1");
    assert_list(s, "{\"results\":12}", "5 4");
    assert_list(s, "{\"since\":30}", "5 4");
    assert_list(s, "{\"name\":\"job1\"}", "5 3 1");
    assert_list(s, "{\"name\":\"job1\",\"userid\":8,\"results\":1}", "3");
    assert_list(s, "{\"states\":16}", "");
    assert_list(s, "{\"name\":\"' OR 1=1 --\"}", "");
}

static void a_job_is_found_by_id_with_its_attributes(void **state)
{
    CLEANUP(store_closep) struct store *s = open_store();
    CLEANUP(json_decrefp) json_t *o = NULL;

    fill(s);
    assert_int_equal(store_get(s, 2, &o), 0);
    assert_int_equal(json_integer_value(json_object_get(o, "result")), FLUX_JOB_RESULT_FAILED);
    assert_int_equal(json_integer_value(json_object_get(o, "userid")), 7);
    assert_true(json_is_false(json_object_get(o, "success")));
    assert_int_equal(store_get(s, 99, &o), -ENOENT);
    assert_true(store_has(s, 1));
    assert_false(store_has(s, 99));
}

static void ids_beyond_the_sign_bit_are_kept(void **state)
{
    CLEANUP(store_closep) struct store *s = open_store();
    flux_jobid_t id = 0xfedcba9876543210u;

    put(s, id, 1, FLUX_JOB_RESULT_COMPLETED);
    assert_true(store_has(s, id));
    assert_false(store_has(s, id ^ 1));
}

static void everything_is_there_after_reopening(void **state)
{
    struct store *s = open_store();

    fill(s);
    s = store_close(s);
    s = open_store();
    assert_list(s, "{}", "5 4 3 2 1");
    assert_int_equal(store_count(s), 5);
    assert_int_equal(store_counts(s).completed, 2);
    assert_int_equal(store_counts(s).failed, 1);
    assert_int_equal(store_counts(s).canceled, 1);
    assert_int_equal(store_counts(s).timeout, 1);
    assert_int_equal(store_last(s), 5);
    store_close(s);
}

static void a_job_put_twice_is_one_job(void **state)
{
    CLEANUP(store_closep) struct store *s = open_store();

    put(s, 1, 7, FLUX_JOB_RESULT_COMPLETED);
    put(s, 1, 7, FLUX_JOB_RESULT_COMPLETED);
    assert_int_equal(store_count(s), 1);
    assert_int_equal(store_commit(s), 0);
    assert_int_equal(store_uncommitted(s), 0);
    put(s, 1, 7, FLUX_JOB_RESULT_FAILED);
    assert_int_equal(store_count(s), 1);
    assert_list(s, "{}", "1");
}

static void a_cleared_store_is_empty_and_stays_so(void **state)
{
    struct store *s = open_store();

    fill(s);
    assert_int_equal(store_clear(s), 0);
    assert_int_equal(store_count(s), 0);
    assert_list(s, "{}", "");
    store_close(s);
    s = open_store();
    assert_int_equal(store_count(s), 0);
    assert_int_equal(store_last(s), 0);
    store_close(s);
}

static void a_damaged_file_is_made_anew(void **state)
{
    struct store *s = open_store();
    FILE *f;

    fill(s);
    store_close(s);
    f = fopen(path, "r+");
    assert_non_null(f);
    for (int i = 0; i < 1000; i++)
        fputs("garbage", f);
    fclose(f);
    s = open_store();
    assert_int_equal(store_count(s), 0);
    put(s, 1, 7, FLUX_JOB_RESULT_COMPLETED);
    assert_list(s, "{}", "1");
    store_close(s);
}

static void without_a_file_the_index_is_in_memory(void **state)
{
    CLEANUP(store_closep) struct store *s = NULL;
    flux_error_t error;

    assert_int_equal(store_open("/nonexistent/dir/db", &s, &error), 0);
    assert_true(store_in_memory(s));
    assert_false(store_could_open("/nonexistent/dir/db"));
    put(s, 1, 7, FLUX_JOB_RESULT_COMPLETED);
    assert_list(s, "{}", "1");
    assert_int_equal(store_commit(s), 0);
}

/* A disk that is full now must not cost what is on it. */
static void a_file_that_cannot_be_opened_now_is_not_deleted(void **state)
{
    struct store *s = open_store(), *other;
    struct rlimit old, none;
    flux_error_t error;
    int fd;

    fill(s);
    store_close(s);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    none = old;
    none.rlim_cur = (rlim_t)fd;
    (void)close(fd);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(store_open(path, &other, &error), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_true(store_in_memory(other));
    store_close(other);
    assert_true(store_could_open(path));
    s = open_store();
    assert_false(store_in_memory(s));
    assert_int_not_equal(store_count(s), 0);
    store_close(s);
}

/* Not a benchmark: 20,000 jobs must be nothing. */
static void many_jobs_are_put_and_found(void **state)
{
    CLEANUP(store_closep) struct store *s = open_store();

    for (flux_jobid_t id = 1; id <= 20000; id++)
        put(s, id, (uint32_t)id % 10, FLUX_JOB_RESULT_COMPLETED);
    assert_int_equal(store_commit(s), 0);
    assert_int_equal(store_count(s), 20000);
    assert_list(s, "{\"userid\":3,\"max_entries\":2}", "19993 19983");
    assert_list(s, "{\"results\":2}", "");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(past_jobs_are_listed_latest_first),
        T(a_job_that_was_purged_is_in_no_list_and_no_total),
        T(the_oldest_jobs_come_page_by_page),
        T(a_job_is_found_by_id_with_its_attributes),
        T(ids_beyond_the_sign_bit_are_kept),
        T(everything_is_there_after_reopening),
        T(a_job_put_twice_is_one_job),
        T(a_cleared_store_is_empty_and_stays_so),
        T(a_damaged_file_is_made_anew),
        T(without_a_file_the_index_is_in_memory),
        T(a_file_that_cannot_be_opened_now_is_not_deleted),
        T(many_jobs_are_put_and_found),
    };

    return cmocka_run_group_tests(tests, setup_dir, teardown_dir);
}
