/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The spawn back end with real processes: scripts stand for the shell. */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "base/fluid.h"
#include "launch.h"
#include "proc.h"

#define ID UINT64_C(77)

struct fixture {
    char dir[32];
    flux_reactor_t *r;
    struct launcher *l;
    struct launch *p;
    bool started, exited;
    int failed, status;
    char reason[200];
};

static struct fixture fx;

static void on_started(void *arg)
{
    fx.started = true;
    if (arg) /* stop when it runs */
        flux_reactor_stop(fx.r);
}

static void on_failed(void *arg, int errnum, const char *reason)
{
    fx.failed = errnum;
    (void)snprintf(fx.reason, sizeof(fx.reason), "%s", reason);
    fx.p = launch_free(fx.p);
}

static void on_exited(void *arg, int status)
{
    fx.exited = true;
    fx.status = status;
    fx.p = launch_free(fx.p);
    flux_reactor_stop(fx.r);
}

static struct launcher *new_launcher(void)
{
    const struct launcher_config config = {
        .reactor = fx.r,
        .rundir = fx.dir,
        .events = { .on_started = on_started, .on_failed = on_failed, .on_exited = on_exited },
    };
    flux_error_t error = { .text = "" };
    struct launcher *l = NULL;

    assert_int_equal(launcher_new(&config, &l, &error), 0);
    return l;
}

static int setup(void **state)
{
    fx = (struct fixture){ .dir = "/tmp/test-launch-XXXXXX" };
    if (!mkdtemp(fx.dir) || !(fx.r = flux_reactor_create(0)))
        return -1;
    fx.l = new_launcher();
    return 0;
}

static int teardown(void **state)
{
    char command[128];

    launch_free(fx.p);
    launcher_free(fx.l);
    flux_reactor_destroy(fx.r);
    (void)snprintf(command, sizeof(command), "rm -rf %s", fx.dir);
    return system(command);
}

/* Write a script and start it as the shell of job ID. */
static void start(const char *script)
{
    char path[64];
    struct launch_request req = { .id = ID, .userid = geteuid(), .shell = path };
    int fd;

    (void)snprintf(path, sizeof(path), "%s/shell", fx.dir);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    assert_true(fd >= 0);
    assert_int_equal(dprintf(fd, "#!/bin/sh\n%s\n", script), strlen(script) + 11);
    (void)close(fd);
    assert_int_equal(launch_start(fx.l, &req, NULL, &fx.p), 0);
}

static void exit_code_and_environment_arrive(void **state)
{
    start("[ \"$FLUX_JOB_ID\" = 77 ] && [ \"$1\" = 77 ] && [ -n \"$FLUX_URI\" ] && exit 3");
    assert_true(fx.started);
    assert_int_equal(flux_reactor_run(fx.r, 0) < 0, 0);
    assert_true(fx.exited);
    assert_int_equal(fx.status, 3 << 8);
}

static void a_record_exists_as_soon_as_it_runs(void **state)
{
    struct record rec;
    struct proc_stat st;

    start("exec sleep 100");
    assert_true(fx.started);
    assert_int_equal(record_read(launcher_records(fx.l), ID, &rec), 0);
    assert_int_equal(rec.pid, launch_pid(fx.p));
    assert_false(rec.informed);
    assert_int_equal(proc_stat_read(rec.pid, &st), 0);
    assert_true(rec.starttime == st.starttime);
    assert_int_equal(st.session, rec.pid);
    assert_int_equal(launch_signal(fx.p, SIGKILL), 0);
    (void)flux_reactor_run(fx.r, 0);
    assert_int_equal(fx.status, SIGKILL);
}

static void what_a_killed_shell_leaves_is_killed(void **state)
{
    char path[64], text[32] = "";
    struct proc_stat st;
    pid_t child;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/child", fx.dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    start("cd \"${0%/*}\"; sh -c 'echo $$ > child; exec sleep 100' & wait");
    fd = open(path, O_RDONLY);
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    (void)close(fd);
    child = (pid_t)strtol(text, NULL, 10);
    assert_int_equal(proc_stat_read(child, &st), 0);
    assert_int_equal(kill(launch_pid(fx.p), SIGKILL), 0); /* the shell alone, as oom would */
    (void)flux_reactor_run(fx.r, 0);
    assert_int_equal(fx.status, SIGKILL);
    /* SIGKILL was sent; it is gone or on its way out (as our grandchild it goes to init) */
    for (int i = 0; i < 1000 && proc_stat_read(child, &st) == 0 && st.state != 'Z'; i++)
        (void)sched_yield();
    assert_true(proc_stat_read(child, &st) < 0 || st.state == 'Z' || st.state == 'X');
}

static void what_left_the_session_is_found_by_its_environment(void **state)
{
    char path[64], text[32] = "", f58[32];
    struct proc_stat st;
    char script[256];
    pid_t child;
    int fd;

    assert_int_equal(fluid_encode(f58, sizeof(f58), ID, FLUID_F58), 0);
    (void)snprintf(path, sizeof(path), "%s/child", fx.dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    (void)snprintf(script, sizeof(script),
                   "cd \"${0%%/*}\"; export FLUX_JOB_ID=%s; "
                   "setsid sh -c 'echo $$ > child; exec sleep 100' & wait",
                   f58);
    start(script);
    fd = open(path, O_RDONLY);
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    (void)close(fd);
    child = (pid_t)strtol(text, NULL, 10);
    assert_int_equal(proc_stat_read(child, &st), 0);
    assert_int_not_equal(st.session, launch_pid(fx.p));
    assert_int_equal(kill(launch_pid(fx.p), SIGKILL), 0);
    (void)flux_reactor_run(fx.r, 0);
    for (int i = 0; i < 1000 && proc_stat_read(child, &st) == 0 && st.state != 'Z'; i++)
        (void)sched_yield();
    assert_true(proc_stat_read(child, &st) < 0 || st.state == 'Z' || st.state == 'X');
}

/* Starts a shell that starts an escaped task: a session of its own, no environment, an orphan, and
 * returns when it runs. */
static pid_t start_escape(void)
{
    char path[64], text[32] = "";
    struct proc_stat st;
    pid_t child;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/child", fx.dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    /* The record is written once the mark is set. */
    start("cd \"${0%/*}\"; until [ -s jobs/77 ]; do :; done; "
          "(env -i setsid sh -c 'echo $$ > child; exec sleep 100' &) ; sleep 100 & wait");
    fd = open(path, O_RDONLY);
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    (void)close(fd);
    child = (pid_t)strtol(text, NULL, 10);
    assert_int_equal(proc_stat_read(child, &st), 0);
    assert_int_not_equal(st.session, launch_pid(fx.p));
    assert_int_not_equal(st.ppid, launch_pid(fx.p));
    return child;
}

static void assert_killed(pid_t child)
{
    struct proc_stat st;

    for (int i = 0; i < 1000 && proc_stat_read(child, &st) == 0 && st.state != 'Z'; i++)
        (void)sched_yield();
    assert_true(proc_stat_read(child, &st) < 0 || st.state == 'Z' || st.state == 'X');
}

static void what_left_session_family_and_environment_is_found_by_its_mark(void **state)
{
    const pid_t child = start_escape();

    assert_int_equal(kill(launch_pid(fx.p), SIGKILL), 0);
    (void)flux_reactor_run(fx.r, 0);
    assert_killed(child);
}

static void a_mark_is_known_to_the_next_launcher(void **state)
{
    const pid_t child = start_escape(), shell = launch_pid(fx.p);
    struct record rec;

    fx.p = launch_free(fx.p);
    launcher_free(fx.l);
    fx.l = new_launcher();
    assert_int_equal(record_read(launcher_records(fx.l), ID, &rec), 0);
    assert_int_equal(launch_adopt(fx.l, ID, &rec, NULL, &fx.p), 0);
    assert_int_equal(kill(shell, SIGKILL), 0);
    (void)flux_reactor_run(fx.r, 0);
    assert_killed(child);
    (void)waitpid(shell, NULL, 0);
}

static void shells_have_marks_of_their_own_and_later_ones_lower_ones(void **state)
{
    assert_true(proc_mark(10, 5) != proc_mark(11, 5));
    assert_true(proc_mark(10, 6) < proc_mark(10, 5));
    assert_true(proc_mark(4194303, 6) < proc_mark(2, 5));
    assert_true(proc_mark(4194303, 0) < INT64_MAX);
}

static void a_restarted_launcher_adopts_and_sees_the_end(void **state)
{
    struct record rec;
    pid_t pid;

    start("exec sleep 100");
    pid = launch_pid(fx.p);
    fx.p = launch_free(fx.p); /* as kill -9 would */
    launcher_free(fx.l);
    fx.l = new_launcher();
    assert_int_equal(record_read(launcher_records(fx.l), ID, &rec), 0);
    assert_int_equal(launch_adopt(fx.l, ID, &rec, NULL, &fx.p), 0);
    assert_int_equal(launch_pid(fx.p), pid);
    /* shells start with signals blocked, and a script lets none in: so this one */
    assert_int_equal(launch_signal(fx.p, SIGKILL), 0);
    (void)flux_reactor_run(fx.r, 0);
    assert_true(fx.exited);
    assert_int_equal(fx.status, -1); /* nobody can wait for another's child */
    (void)waitpid(pid, NULL, 0);
    assert_int_equal(launch_adopt(fx.l, ID, &rec, NULL, &fx.p), -ESRCH);
}

static void a_record_of_another_process_with_that_number_is_not_adopted(void **state)
{
    struct record rec = { .pid = getpid(), .userid = geteuid() };
    struct proc_stat st;

    assert_int_equal(proc_stat_read(getpid(), &st), 0);
    (void)snprintf(rec.boot_id, sizeof(rec.boot_id), "%s", proc_boot_id());
    rec.starttime = st.starttime + 1;
    assert_int_equal(launch_adopt(fx.l, ID, &rec, NULL, &fx.p), -ESRCH);
    rec.starttime = st.starttime;
    assert_int_equal(launch_adopt(fx.l, ID, &rec, NULL, &fx.p), 0);
    fx.p = launch_free(fx.p);
    rec.boot_id[0] ^= 1; /* another boot */
    assert_int_equal(launch_adopt(fx.l, ID, &rec, NULL, &fx.p), -ESRCH);
}

static void a_missing_shell_is_said_in_words(void **state)
{
    struct launch_request req = { .id = ID, .userid = geteuid(), .shell = "/nonexistent/shell" };
    struct record rec;

    assert_int_equal(launch_start(fx.l, &req, NULL, &fx.p), 0);
    assert_int_equal(fx.failed, ENOENT);
    assert_non_null(strstr(fx.reason, "/nonexistent/shell"));
    assert_non_null(strstr(fx.reason, "No such file"));
    assert_int_equal(record_read(launcher_records(fx.l), ID, &rec), -ENOENT);
}

/* No descriptor to watch it by, or no room for its record: it is ended and collected. */
static void a_shell_that_cannot_be_watched_or_recorded_is_not_left_behind(void **state)
{
    struct rlimit old, none;
    char path[64];

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    for (int i = 0; i < 2; i++) {
        struct launch_request req = { .id = ID, .userid = geteuid(), .shell = "/bin/cat" };

        none = old;
        if (i == 0) {
            const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* the lowest that is free */

            none.rlim_cur = (rlim_t)fd;
            (void)close(fd);
        } else { /* a record that exists as a directory cannot be replaced */
            (void)snprintf(path, sizeof(path), "%s/jobs/%d", fx.dir, (int)ID);
            assert_int_equal(mkdir(path, 0700), 0);
        }
        fx.failed = 0;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        assert_int_equal(launch_start(fx.l, &req, NULL, &fx.p), 0);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_int_not_equal(fx.failed, 0);
        assert_true(i == 1 || strstr(fx.reason, "Too many open files"));
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child, no zombie */
        assert_int_equal(errno, ECHILD);
    }
}

static void a_living_shell_is_not_called_dead_for_want_of_a_descriptor(void **state)
{
    struct record rec = { .pid = getpid(), .userid = geteuid() };
    struct rlimit old, none;
    struct proc_stat st;
    int fd, rc;

    assert_int_equal(proc_stat_read(getpid(), &st), 0);
    (void)snprintf(rec.boot_id, sizeof(rec.boot_id), "%s", proc_boot_id());
    rec.starttime = st.starttime;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    none = old;
    none.rlim_cur = (rlim_t)fd;
    (void)close(fd);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    rc = launch_adopt(fx.l, ID, &rec, NULL, &fx.p);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(rc, -EMFILE);
}

static void another_users_job_is_refused(void **state)
{
    struct launch_request req = { .id = ID, .userid = geteuid() + 1, .shell = "/bin/true" };

    assert_int_equal(launch_start(fx.l, &req, NULL, &fx.p), 0);
    assert_int_equal(fx.failed, EPERM);
}

static void on_listed(flux_jobid_t id, void *arg)
{
    uint64_t *sum = arg;

    *sum += id ? id : 1000;
}

static void shells_are_listed_and_can_be_purged(void **state)
{
    uint64_t sum = 0;

    start("exec sleep 100");
    assert_int_equal(launcher_list(fx.l, on_listed, &sum), 0);
    assert_int_equal(sum, ID + 1000);
    assert_int_equal(launcher_purge(fx.l, ID), 0);
    (void)flux_reactor_run(fx.r, 0);
    assert_int_equal(fx.status, SIGKILL);
    sum = 0;
    assert_int_equal(launcher_list(fx.l, on_listed, &sum), 0);
    assert_int_equal(sum, 1000);
}

static void an_unknown_back_end_is_refused(void **state)
{
    const struct launcher_config config = { .reactor = fx.r, .rundir = fx.dir, .backend = "magic" };
    flux_error_t error = { .text = "" };
    struct launcher *l = NULL;

    assert_int_equal(launcher_new(&config, &l, &error), -EINVAL);
    assert_non_null(strstr(error.text, "magic"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(exit_code_and_environment_arrive, setup, teardown),
        cmocka_unit_test_setup_teardown(a_record_exists_as_soon_as_it_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_killed_shell_leaves_is_killed, setup, teardown),
        cmocka_unit_test_setup_teardown(what_left_the_session_is_found_by_its_environment, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            what_left_session_family_and_environment_is_found_by_its_mark, setup, teardown),
        cmocka_unit_test_setup_teardown(a_mark_is_known_to_the_next_launcher, setup, teardown),
        cmocka_unit_test(shells_have_marks_of_their_own_and_later_ones_lower_ones),
        cmocka_unit_test_setup_teardown(a_restarted_launcher_adopts_and_sees_the_end, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_record_of_another_process_with_that_number_is_not_adopted,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_shell_is_said_in_words, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_shell_that_cannot_be_watched_or_recorded_is_not_left_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(a_living_shell_is_not_called_dead_for_want_of_a_descriptor,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(another_users_job_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(shells_are_listed_and_can_be_purged, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_back_end_is_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
