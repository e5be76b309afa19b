/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The fork server's client against servers of all kinds. A server here is a child of this process
 * that speaks the protocol; the "shells" it makes are our children too, as those of the real one
 * (tests/test_forkserver.py runs that). */
#include <linux/sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/monotime.h"
#include "forks.h"
#include "shell/forkserver.h"

#define LAUNCH(n) ((struct launch *)(uintptr_t)(n)) /* never looked into */

enum kind { FORKS, REFUSES, DIES_WHEN_ASKED, IS_OF_ANOTHER_VERSION, HANGS, NAMES_A_STRANGER };

static struct {
    enum kind kind;
    flux_reactor_t *r;
    struct forks *fs;
    int nserved, ncalls;
    struct launch *p[8];
    pid_t pid[8];
    int wanted; /* calls to wait for */
} fx;

static void answer(int fd, uint64_t tag, int64_t pid)
{
    const struct forkserver_answer a = { .tag = tag, .pid = pid };

    (void)send(fd, &a, sizeof(a), MSG_NOSIGNAL);
}

/* A shell: a sibling that says who it is and waits for a signal. */
static void fork_one(int fd, uint64_t tag)
{
    struct clone_args args = { .flags = CLONE_PARENT };

    if (syscall(SYS_clone3, &args, sizeof(args)) == 0) {
        answer(fd, tag, getpid());
        (void)close(fd);
        for (;;)
            (void)pause();
    }
}

static void serve(int fd)
{
    struct forkserver_request req;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (fx.kind == IS_OF_ANOTHER_VERSION)
        _exit(1);
    answer(fd, 0, getpid());
    while (recv(fd, &req, sizeof(req), 0) == (ssize_t)sizeof(req)) {
        if (fx.kind == FORKS)
            fork_one(fd, req.tag);
        else if (fx.kind == REFUSES)
            answer(fd, req.tag, -EAGAIN);
        else if (fx.kind == NAMES_A_STRANGER)
            answer(fd, req.tag, getppid());
        else if (fx.kind == DIES_WHEN_ASKED)
            _exit(1);
    }
    _exit(0);
}

static int on_serve(const char *shell, int socket, pid_t *ret_pid, void *arg)
{
    const pid_t pid = fork();

    assert_string_equal(shell, "/the/shell");
    assert_true(pid >= 0);
    fx.nserved++;
    if (pid == 0) {
        (void)dup2(socket, FORKSERVER_FD);
        (void)syscall(SYS_close_range, FORKSERVER_FD + 1, ~0U, 0); /* our end among them */
        serve(FORKSERVER_FD);
    }
    *ret_pid = pid;
    return 0;
}

static void on_forked(struct launch *p, const char *shell, pid_t pid)
{
    assert_string_equal(shell, "/the/shell");
    fx.p[fx.ncalls] = p;
    fx.pid[fx.ncalls++] = pid;
    if (fx.ncalls == fx.wanted)
        flux_reactor_stop(fx.r);
}

static void new_forks(enum kind kind, double timeout, double idle)
{
    static const struct forks_ops ops = { .serve = on_serve, .on_forked = on_forked };
    const struct forks_config config = {
        .reactor = fx.r, .ops = &ops, .timeout = timeout, .idle = idle
    };

    fx.kind = kind;
    assert_int_equal(forks_new(&config, &fx.fs), 0);
}

static int setup(void **state)
{
    memset(&fx, 0, sizeof(fx));
    fx.r = flux_reactor_create(0);
    return fx.r ? 0 : -1;
}

static int teardown(void **state)
{
    for (int i = 0; i < fx.ncalls; i++)
        if (fx.pid[i] > 0) {
            (void)kill(fx.pid[i], SIGKILL);
            (void)waitpid(fx.pid[i], NULL, 0);
        }
    forks_free(fx.fs);
    flux_reactor_destroy(fx.r);
    return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD ? 0 : -1; /* nobody is left */
}

static bool ask(int n, void **request)
{
    return forks_ask(fx.fs, "/the/shell", (flux_jobid_t)n, LAUNCH(n), request);
}

/* Until forks_ask() takes one, which is once the server is ready; the number of those refused. */
static void ask_until_taken(int n, void **request)
{
    const uint64_t end = monotime_usec() + 30000000;

    while (!ask(n, request)) {
        assert_true(monotime_usec() < end);
        assert_true(flux_reactor_run(fx.r, FLUX_REACTOR_ONCE) >= 0);
    }
}

static void wait_calls(int n)
{
    fx.wanted = n;
    if (fx.ncalls < n)
        assert_true(flux_reactor_run(fx.r, 0) >= 0);
    assert_int_equal(fx.ncalls, n);
}

static void a_single_shell_needs_no_server(void **state)
{
    void *request;

    new_forks(FORKS, 30., 60.);
    assert_false(ask(1, &request));
    assert_int_equal(fx.nserved, 0);
    assert_int_equal(forks_pid(fx.fs), 0);
}

static void shells_in_quick_succession_are_forked_as_our_children(void **state)
{
    void *request;

    new_forks(FORKS, 30., 60.);
    assert_false(ask(1, &request));
    ask_until_taken(2, &request);
    assert_true(ask(3, &request));
    wait_calls(2);
    assert_int_equal(fx.nserved, 1);
    assert_int_equal(forks_count(fx.fs), 2);
    assert_true((fx.p[0] == LAUNCH(2) && fx.p[1] == LAUNCH(3)) ||
                (fx.p[0] == LAUNCH(3) && fx.p[1] == LAUNCH(2)));
    for (int i = 0; i < 2; i++) {
        assert_true(fx.pid[i] > 0);
        assert_int_equal(waitpid(fx.pid[i], NULL, WNOHANG), 0); /* ours, and alive */
    }
}

static void a_shell_that_nobody_wants_any_more_is_killed(void **state)
{
    void *request;

    new_forks(FORKS, 30., 60.);
    assert_false(ask(1, &request));
    ask_until_taken(2, &request);
    forks_forget(fx.fs, request);
    ask_until_taken(3, &request);
    wait_calls(1);
    assert_ptr_equal(fx.p[0], LAUNCH(3));
    while (forks_count(fx.fs) < 2)
        assert_true(flux_reactor_run(fx.r, FLUX_REACTOR_ONCE) >= 0);
} /* teardown: the other is gone and reaped */

/* What is asked is answered, by 0: execute it. */
static void expect_to_execute(enum kind kind)
{
    void *request;

    new_forks(kind, kind == HANGS ? 0.5 : 30., 60.);
    assert_false(ask(1, &request));
    ask_until_taken(2, &request);
    wait_calls(1);
    assert_ptr_equal(fx.p[0], LAUNCH(2));
    assert_int_equal(fx.pid[0], 0);
}

static void a_server_that_cannot_fork_is_told_from_one_that_died(void **state)
{
    expect_to_execute(REFUSES);
    assert_true(forks_pid(fx.fs) > 0);
}

static void what_a_dead_server_owes_is_executed(void **state)
{
    expect_to_execute(DIES_WHEN_ASKED);
    assert_int_equal(forks_pid(fx.fs), 0);
}

static void what_a_hanging_server_owes_is_executed(void **state)
{
    expect_to_execute(HANGS);
    assert_int_equal(forks_pid(fx.fs), 0);
}

static void a_process_that_is_not_our_child_is_not_believed(void **state)
{
    expect_to_execute(NAMES_A_STRANGER);
    assert_int_equal(forks_pid(fx.fs), 0);
}

static void another_version_is_tried_three_times_and_no_more(void **state)
{
    void *request;

    new_forks(IS_OF_ANOTHER_VERSION, 30., 60.);
    for (int i = 0; i < 10; i++) {
        assert_false(ask(i, &request));
        while (forks_pid(fx.fs) > 0)
            assert_true(flux_reactor_run(fx.r, FLUX_REACTOR_ONCE) >= 0);
    }
    assert_int_equal(fx.nserved, 3);
}

static void an_idle_server_is_ended(void **state)
{
    void *request;

    new_forks(FORKS, 0.5, 0.1);
    assert_false(ask(1, &request));
    ask_until_taken(2, &request);
    wait_calls(1);
    while (forks_pid(fx.fs) > 0)
        assert_true(flux_reactor_run(fx.r, FLUX_REACTOR_ONCE) >= 0);
    assert_int_equal(waitpid(fx.pid[0], NULL, WNOHANG), 0); /* the shell lives on */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_single_shell_needs_no_server),
        TEST(shells_in_quick_succession_are_forked_as_our_children),
        TEST(a_shell_that_nobody_wants_any_more_is_killed),
        TEST(a_server_that_cannot_fork_is_told_from_one_that_died),
        TEST(what_a_dead_server_owes_is_executed),
        TEST(what_a_hanging_server_owes_is_executed),
        TEST(a_process_that_is_not_our_child_is_not_believed),
        TEST(another_version_is_tried_three_times_and_no_more),
        TEST(an_idle_server_is_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
