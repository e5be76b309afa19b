/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "proc.h"
#include "record.h"

#define ID UINT64_C(1234567890123)

static char dir_path[] = "/tmp/test-record-XXXXXX";
static int dir = -EBADF;

static int setup(void **state)
{
    if (!mkdtemp(dir_path))
        return -1;
    dir = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 ? -1 : 0;
}

static size_t count_files(void)
{
    DIR *d = opendir(dir_path);
    size_t n = 0;

    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    (void)closedir(d);
    return n;
}

static int teardown(void **state)
{
    char name[32];

    (void)record_remove(dir, ID);
    for (int i = 0; count_files() > 0 && i < 100; i++) {
        (void)snprintf(name, sizeof(name), "free-%d", i);
        (void)unlinkat(dir, name, 0);
    }
    (void)close(dir);
    return rmdir(dir_path);
}

static const struct record sample = {
    .pid = 4711,
    .starttime = 987654321,
    .userid = 1000,
    .boot_id = "4f1c0c6e-5d2a-4d0e-8a0f-6a1b3c5d7e91",
};

static void what_was_written_is_read(void **state)
{
    struct record r;

    assert_int_equal(record_read(dir, ID, &r), -ENOENT);
    assert_int_equal(record_write(dir, ID, &sample), 0);
    assert_int_equal(record_read(dir, ID, &r), 0);
    assert_false(r.informed);
    assert_int_equal(r.pid, sample.pid);
    assert_true(r.starttime == sample.starttime);
    assert_int_equal(r.userid, sample.userid);
    assert_string_equal(r.boot_id, sample.boot_id);
}

static void a_record_is_not_replaced(void **state)
{
    assert_int_equal(record_write(dir, ID, &sample), -EEXIST);
}

static void informed_is_noted_in_place(void **state)
{
    struct record r;

    assert_int_equal(record_set_informed(dir, ID), 0);
    assert_int_equal(record_read(dir, ID, &r), 0);
    assert_true(r.informed);
    assert_int_equal(r.pid, sample.pid);
    assert_int_equal(record_set_informed(dir, ID + 1), -ENOENT);
}

static void removing_twice_is_fine(void **state)
{
    struct record r;

    assert_int_equal(record_remove(dir, ID), 0);
    assert_int_equal(record_remove(dir, ID), 0);
    assert_int_equal(record_read(dir, ID, &r), -ENOENT);
}

static void note_id(flux_jobid_t id, void *arg)
{
    size_t *count = arg;

    ++*count;
}

static void files_of_records_are_used_again_and_few_are_kept(void **state)
{
    const struct record longer = { .pid = 1234567, .starttime = UINT64_MAX, .userid = UINT32_MAX };
    struct record r;
    size_t count = 0;

    for (int i = 0; i < 50; i++)
        assert_int_equal(record_write(dir, ID + i, &longer), 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(record_remove(dir, ID + i), 0);
    assert_int_equal(record_each(dir, note_id, &count), 0);
    assert_int_equal(count, 0);
    assert_in_range(count_files(), 1, 8);
    count = count_files();
    /* Nothing of what a file said before is left in it. */
    assert_int_equal(record_write(dir, ID, &(struct record){ .pid = 2 }), 0);
    assert_int_equal(count_files(), count);
    assert_int_equal(record_read(dir, ID, &r), 0);
    assert_int_equal(r.pid, 2);
    assert_int_equal(r.starttime, 0);
    assert_int_equal(record_write(dir, ID, &longer), -EEXIST);
    assert_int_equal(record_read(dir, ID, &r), 0);
    assert_int_equal(r.pid, 2);
    assert_int_equal(record_remove(dir, ID), 0);
}

static void a_broken_record_is_an_error_and_not_the_absence_of_one(void **state)
{
    char name[32];
    struct record r;
    int fd;

    (void)snprintf(name, sizeof(name), "%" PRIu64, ID);
    fd = openat(dir, name, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    /* Created and not written: whoever did it died in between, and its shell was told nothing. */
    assert_int_equal(record_read(dir, ID, &r), -ENOENT);
    assert_int_equal(write(fd, "flux-exec", 9), 9);
    (void)close(fd);
    assert_int_equal(record_read(dir, ID, &r), -EPROTO);
    assert_int_equal(record_remove(dir, ID), 0);
}

static void a_symbolic_link_is_not_followed(void **state)
{
    char name[32];
    struct record r;

    (void)snprintf(name, sizeof(name), "%" PRIu64, ID);
    assert_int_equal(symlinkat("/proc/self/stat", dir, name), 0);
    assert_int_equal(record_read(dir, ID, &r), -ELOOP);
    assert_int_equal(record_write(dir, ID, &sample), -EEXIST);
    assert_int_equal(record_remove(dir, ID), 0);
}

static void wrong_lines_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "\n",
        "flux-exec 1 \n",
        "flux-exec 2 s 4711 1 1 b\n",
        "flux-exec 1 x 4711 1 1 b\n",
        "flux-exec 1 s 0 1 1 b\n",
        "flux-exec 1 s 1 1 1 b\n",
        "flux-exec 1 s -4711 1 1 b\n",
        "flux-exec 1 s 4711 1 1\n",
        "flux-exec 1 s 4711 1 1 b c\n",
        "flux-exec 1 s 4711 1 1 b",
        "flux-exec 1 s 99999999999 1 1 b\n",
        "flux-exec 1 s 4711 18446744073709551616 1 b\n",
        "flux-exec 1 s 4711 1 1 0123456789012345678901234567890123456789\n",
    };
    struct record r;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(record_parse(bad[i], strlen(bad[i]), &r), -EPROTO);
}

static void a_command_name_with_parentheses_does_not_confuse(void **state)
{
    static const char text[] =
        "42 (a) S 1 (b) R 7 7 9 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 5555 1 1\n";
    static const char tricky[] =
        "42 (x) 1 2 3 (y) S 7 8 9 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 5555 1 1\n";
    struct proc_stat st;

    assert_int_equal(proc_stat_parse(tricky, strlen(tricky), &st), 0);
    assert_int_equal(st.state, 'S');
    assert_int_equal(st.session, 9);
    assert_int_equal(st.ppid, 7);
    assert_int_equal(st.starttime, 5555);
    assert_int_equal(proc_stat_parse(text, 10, &st), -EPROTO);
    assert_int_equal(proc_stat_parse("", 0, &st), -EPROTO);
}

static void this_process_is_found(void **state)
{
    struct proc_stat st;

    assert_int_equal(proc_stat_read(getpid(), &st), 0);
    assert_int_equal(st.session, getsid(0));
    assert_int_equal(st.state, 'R');
    assert_int_equal(strlen(proc_boot_id()), 36);
}

static void a_number_that_means_another_process_is_left_alone(void **state)
{
    /* Our parent lives and its session has members (us, for one): nothing may be sent. */
    const struct proc_job parent = { .shell = getppid(), .shell_known = false };
    const struct proc_job init = { .shell = 1 };

    assert_int_equal(proc_signal_job(&parent, 0), 0);
    assert_int_equal(proc_signal_job(&init, 0), -EINVAL);
}

static void environments_are_compared_whole(void **state)
{
    static const char env[] = "A=1\0FLUX_JOB_ID=f12\0FLUX_URI=local:///x\0LAST=cut";

    assert_true(proc_environ_has(env, sizeof(env) - 1, "FLUX_JOB_ID", "f12"));
    assert_false(proc_environ_has(env, sizeof(env) - 1, "FLUX_JOB_ID", "f1"));
    assert_false(proc_environ_has(env, sizeof(env) - 1, "FLUX_JOB_ID", "f123"));
    assert_false(proc_environ_has(env, sizeof(env) - 1, "JOB_ID", "f12"));
    assert_true(proc_environ_has(env, sizeof(env) - 1, "LAST", "cut"));
    assert_false(proc_environ_has(env, 5, "FLUX_JOB_ID", "f12"));
    assert_false(proc_environ_has("", 0, "A", "1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(a_record_is_not_replaced),
        cmocka_unit_test(informed_is_noted_in_place),
        cmocka_unit_test(removing_twice_is_fine),
        cmocka_unit_test(files_of_records_are_used_again_and_few_are_kept),
        cmocka_unit_test(a_broken_record_is_an_error_and_not_the_absence_of_one),
        cmocka_unit_test(a_symbolic_link_is_not_followed),
        cmocka_unit_test(wrong_lines_are_refused),
        cmocka_unit_test(a_command_name_with_parentheses_does_not_confuse),
        cmocka_unit_test(this_process_is_found),
        cmocka_unit_test(a_number_that_means_another_process_is_left_alone),
        cmocka_unit_test(environments_are_compared_whole),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
