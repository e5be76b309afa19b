/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervise/rundir.h"
#include "supervise/rundirsweep.h"

struct fixture {
    char tmp[64];
    char dir[96];
};

static const char *at(const struct fixture *fx, const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", fx->dir, name);
    return path;
}

static void touch(const char *path)
{
    assert_int_equal(close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
}

static void set_age(const struct fixture *fx, int seconds)
{
    char command[256];

    (void)snprintf(command, sizeof(command), "find %s -exec touch -h -d '%d seconds ago' {} +",
                   fx->tmp, seconds);
    assert_int_equal(system(command), 0);
}

/* One whose supervisor is dead, with all that there may be in it, four days old. */
static int setup(void **state)
{
    struct fixture *fx = calloc(1, sizeof(*fx));
    int fd;

    strcpy(fx->tmp, "/tmp/test-sweep-XXXXXX");
    assert_non_null(mkdtemp(fx->tmp));
    (void)snprintf(fx->dir, sizeof(fx->dir), "%s/flux-abcDEF", fx->tmp);
    assert_int_equal(mkdir(fx->dir, 0700), 0);
    assert_int_equal(rundir_hold(fx->dir, &fd), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(mkdir(at(fx, "log"), 0700), 0);
    assert_int_equal(mkdir(at(fx, "0"), 0700), 0);
    assert_int_equal(mkdir(at(fx, "0/node"), 0700), 0);
    assert_int_equal(mkdir(at(fx, "0/log"), 0700), 0);
    touch(at(fx, "0/node/file"));
    touch(at(fx, "log/kvs.log"));
    set_age(fx, 4 * 86400);
    *state = fx;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fx = *state;

    rundir_remove(fx->tmp);
    free(fx);
    return 0;
}

static bool is_there(const struct fixture *fx)
{
    return access(at(fx, "0/node/file"), F_OK) == 0;
}

static void test_what_a_dead_supervisor_left_is_removed(void **state)
{
    struct fixture *fx = *state;

    rundir_sweep(fx->tmp);
    assert_int_equal(access(fx->dir, F_OK), -1);
}

static void test_one_whose_supervisor_lives_stays(void **state)
{
    struct fixture *fx = *state;
    CLEANUP(closep) int fd = -EBADF;

    assert_int_equal(unlink(at(fx, "supervisor.lock")), 0);
    assert_int_equal(rundir_hold(fx->dir, &fd), 0);
    set_age(fx, 4 * 86400);
    rundir_sweep(fx->tmp);
    assert_true(is_there(fx));
}

static void test_one_in_which_something_happened_lately_stays(void **state)
{
    struct fixture *fx = *state;

    touch(at(fx, "log/exec.log"));
    rundir_sweep(fx->tmp);
    assert_true(is_there(fx));
    set_age(fx, 4 * 86400);
    touch(at(fx, "0/log/kvs.log"));
    rundir_sweep(fx->tmp);
    assert_true(is_there(fx));
    set_age(fx, 2 * 86400);
    rundir_sweep(fx->tmp);
    assert_true(is_there(fx));
}

static void test_one_that_was_never_held_or_is_named_otherwise_stays(void **state)
{
    struct fixture *fx = *state;
    char other[96];

    (void)snprintf(other, sizeof(other), "%s/flux-mine", fx->tmp);
    assert_int_equal(rename(fx->dir, other), 0);
    rundir_sweep(fx->tmp);
    assert_int_equal(rename(other, fx->dir), 0);
    assert_true(is_there(fx));
    assert_int_equal(unlink(at(fx, "supervisor.lock")), 0);
    set_age(fx, 4 * 86400);
    rundir_sweep(fx->tmp);
    assert_true(is_there(fx));
}

static void test_links_are_not_followed(void **state)
{
    struct fixture *fx = *state;
    char real[96], kept[96], file[128];

    (void)snprintf(kept, sizeof(kept), "%s/kept", fx->tmp);
    (void)snprintf(file, sizeof(file), "%s/file", kept);
    assert_int_equal(mkdir(kept, 0700), 0);
    touch(file);
    assert_int_equal(symlink(kept, at(fx, "link")), 0);
    (void)snprintf(real, sizeof(real), "%s/real", fx->tmp);
    assert_int_equal(rename(fx->dir, real), 0);
    assert_int_equal(symlink(real, fx->dir), 0);
    set_age(fx, 4 * 86400);
    rundir_sweep(fx->tmp);
    assert_true(is_there(fx)); /* not through a link to it */
    assert_int_equal(unlink(fx->dir), 0);
    assert_int_equal(rename(real, fx->dir), 0);
    set_age(fx, 4 * 86400);
    rundir_sweep(fx->tmp);
    assert_int_equal(access(fx->dir, F_OK), -1);
    assert_int_equal(access(file, F_OK), 0); /* nor what a link in it leads to */
}

static void test_what_is_not_only_ours_stays(void **state)
{
    struct fixture *fx = *state;

    assert_int_equal(chmod(fx->dir, 0750), 0);
    rundir_sweep(fx->tmp);
    assert_true(is_there(fx));
    assert_int_equal(chmod(fx->dir, 0700), 0);
    assert_int_equal(chmod(fx->tmp, 0777), 0); /* names can be changed by anybody */
    rundir_sweep(fx->tmp);
    assert_true(is_there(fx));
    assert_int_equal(chmod(fx->tmp, 01777), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(fx->dir, 65533, 65533), 0);
        rundir_sweep(fx->tmp);
        assert_true(is_there(fx));
        assert_int_equal(chown(fx->dir, 0, 0), 0);
    }
    rundir_sweep(fx->tmp);
    assert_int_equal(access(fx->dir, F_OK), -1);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_what_a_dead_supervisor_left_is_removed),
        T(test_one_whose_supervisor_lives_stays),
        T(test_one_in_which_something_happened_lately_stays),
        T(test_one_that_was_never_held_or_is_named_otherwise_stays),
        T(test_links_are_not_followed),
        T(test_what_is_not_only_ours_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
