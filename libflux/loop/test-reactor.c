/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <flux/reactor.h>

struct seen {
    int calls;
    int revents;
    int stop_after; /* stop the reactor at this call; 0: never */
    flux_watcher_t *destroy;
};

static void on_any(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct seen *seen = arg;

    seen->calls++;
    seen->revents = revents;
    if (seen->destroy)
        flux_watcher_destroy(seen->destroy);
    seen->destroy = NULL;
    if (seen->stop_after > 0 && seen->calls >= seen->stop_after)
        flux_reactor_stop(r);
}

static void test_an_empty_reactor_returns_at_once(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);

    assert_int_equal(flux_reactor_run(r, 0), 0);
    assert_int_equal(flux_reactor_run(r, 0x80), -1);
    assert_int_equal(errno, EINVAL);
    flux_reactor_destroy(r);
    assert_null(flux_reactor_create(0x80));
}

static void test_fd_watchers_are_level_triggered_and_change_events(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    struct seen seen = { .stop_after = 3 };
    flux_watcher_t *w;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    w = flux_fd_watcher_create(r, fds[0], FLUX_POLLIN, on_any, &seen);
    assert_int_equal(flux_fd_watcher_get_fd(w), fds[0]);
    flux_watcher_start(w);
    flux_watcher_start(w);
    assert_true(flux_watcher_is_active(w));
    assert_int_equal(flux_reactor_run(r, FLUX_REACTOR_NOWAIT), 1);
    assert_int_equal(seen.calls, 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(flux_reactor_run(r, 0), 1);
    assert_int_equal(seen.calls, 3);
    assert_int_equal(seen.revents, FLUX_POLLIN);
    flux_fd_watcher_set_events(w, 0);
    assert_int_equal(flux_reactor_run(r, FLUX_REACTOR_NOWAIT), 1);
    assert_int_equal(seen.calls, 3);
    flux_fd_watcher_set_events(w, FLUX_POLLIN);
    assert_int_equal(flux_reactor_run(r, FLUX_REACTOR_ONCE), 1);
    assert_int_equal(seen.calls, 4);
    flux_watcher_destroy(w);
    assert_null(flux_fd_watcher_create(r, -1, FLUX_POLLIN, on_any, &seen));
    flux_reactor_destroy(r);
    close(fds[0]);
    close(fds[1]);
}

static void test_a_watcher_may_be_destroyed_in_its_callback(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    struct seen seen = { 0 };

    seen.destroy = flux_timer_watcher_create(r, 0., 0.001, on_any, &seen);
    flux_watcher_start(seen.destroy);
    assert_int_equal(flux_reactor_run(r, 0), 0);
    assert_int_equal(seen.calls, 1);
    flux_reactor_destroy(r);
}

static void test_one_shot_timers_stop_and_repeating_ones_do_not(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    struct seen once = { 0 };
    struct seen often = { .stop_after = 3 };
    flux_watcher_t *a = flux_timer_watcher_create(r, 0., 0., on_any, &once);
    flux_watcher_t *b = flux_timer_watcher_create(r, 0.001, 0.001, on_any, &often);

    flux_watcher_start(a);
    flux_watcher_start(b);
    assert_true(flux_watcher_next_wakeup(b) >= flux_reactor_now(r));
    assert_int_equal(flux_reactor_run(r, 0), 1);
    assert_int_equal(once.calls, 1);
    assert_int_equal(often.calls, 3);
    assert_false(flux_watcher_is_active(a));
    flux_watcher_stop(b);
    flux_timer_watcher_reset(a, 0., 0.);
    flux_watcher_start(a);
    assert_int_equal(flux_reactor_run(r, 0), 0);
    assert_int_equal(once.calls, 2);
    flux_watcher_destroy(a);
    flux_watcher_destroy(b);
    assert_null(flux_timer_watcher_create(r, -1., 0., on_any, NULL));
    flux_reactor_destroy(r);
}

static void test_again_restarts_with_the_repeat_value(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    struct seen seen = { .stop_after = 1 };
    flux_watcher_t *w = flux_timer_watcher_create(r, 3600., 0.001, on_any, &seen);

    flux_watcher_start(w);
    flux_timer_watcher_again(w);
    assert_true(flux_watcher_next_wakeup(w) < flux_reactor_now(r) + 10.);
    assert_int_equal(flux_reactor_run(r, 0), 1);
    assert_int_equal(seen.calls, 1);
    flux_watcher_destroy(w);
    flux_reactor_destroy(r);
}

static void test_unreferenced_watchers_do_not_keep_the_reactor_running(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    struct seen seen = { 0 };
    flux_watcher_t *idle = flux_idle_watcher_create(r, on_any, &seen);
    flux_watcher_t *timer = flux_timer_watcher_create(r, 0., 0., on_any, &seen);

    flux_watcher_unref(idle);
    flux_watcher_start(idle);
    flux_watcher_unref(timer); /* one that stops by itself must leave the count right */
    flux_watcher_start(timer);
    assert_int_equal(flux_reactor_run(r, 0), 0);
    assert_int_equal(flux_reactor_run(r, FLUX_REACTOR_NOWAIT), 0);
    assert_true(seen.calls >= 1);
    flux_watcher_ref(idle);
    assert_int_equal(flux_reactor_run(r, FLUX_REACTOR_NOWAIT), 1);
    flux_watcher_stop(idle);
    assert_int_equal(flux_reactor_run(r, 0), 0);
    flux_watcher_destroy(timer);
    flux_watcher_destroy(idle);
    flux_reactor_destroy(r);
}

static void fail_with_eio(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    errno = EIO;
    flux_reactor_stop_error(r);
}

static void test_stop_error_makes_run_fail_with_errno(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    flux_watcher_t *w = flux_timer_watcher_create(r, 0., 0., fail_with_eio, NULL);

    flux_watcher_start(w);
    errno = 0;
    assert_int_equal(flux_reactor_run(r, 0), -1);
    assert_int_equal(errno, EIO);
    assert_int_equal(flux_reactor_run(r, 0), 0);
    flux_watcher_destroy(w);
    flux_reactor_destroy(r);
}

static void test_prepare_and_check_surround_blocking(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    struct seen prepare = { 0 };
    struct seen check = { 0 };
    flux_watcher_t *p = flux_prepare_watcher_create(r, on_any, &prepare);
    flux_watcher_t *c = flux_check_watcher_create(r, on_any, &check);

    flux_watcher_start(p);
    flux_watcher_start(c);
    assert_int_equal(flux_reactor_run(r, FLUX_REACTOR_NOWAIT), 2);
    assert_int_equal(prepare.calls, 1);
    assert_int_equal(check.calls, 1);
    errno = 0;
    assert_true(flux_watcher_next_wakeup(p) < 0);
    assert_int_equal(errno, EINVAL);
    flux_watcher_destroy(p);
    flux_watcher_destroy(c);
    flux_reactor_destroy(r);
}

static double in_the_past(flux_watcher_t *w, double now, void *arg)
{
    return now - 1.;
}

static double soon(flux_watcher_t *w, double now, void *arg)
{
    return now + 0.001;
}

static void test_periodic_watchers_follow_their_schedule(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    struct seen seen = { .stop_after = 2 };
    flux_watcher_t *w = flux_periodic_watcher_create(r, 0., 0., soon, on_any, &seen);

    flux_watcher_start(w);
    assert_int_equal(flux_reactor_run(r, 0), 1);
    assert_int_equal(seen.calls, 2);
    flux_periodic_watcher_reset(w, 0., 0.001, NULL);
    seen.stop_after = 3;
    assert_int_equal(flux_reactor_run(r, 0), 1);
    assert_int_equal(seen.calls, 3);
    flux_periodic_watcher_reset(w, 0., 0.001, soon);
    flux_periodic_watcher_reset(w, 0., 3600.); /* keeps the callback: the hour does not matter */
    seen.stop_after = 4;
    assert_int_equal(flux_reactor_run(r, 0), 1);
    assert_int_equal(seen.calls, 4);
    flux_watcher_destroy(w);
    flux_reactor_destroy(r);
}

static void test_rescheduling_into_the_past_stops_the_watcher(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    struct seen seen = { 0 };
    flux_watcher_t *w = flux_periodic_watcher_create(r, 0., 0., in_the_past, on_any, &seen);

    flux_watcher_start(w);
    assert_int_equal(flux_reactor_run(r, FLUX_REACTOR_NOWAIT), 0);
    assert_false(flux_watcher_is_active(w));
    assert_int_equal(seen.calls, 0);
    flux_watcher_destroy(w);
    flux_reactor_destroy(r);
}

static void test_signals_are_delivered_in_the_loop(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    struct seen seen = { .stop_after = 1 };
    flux_watcher_t *w = flux_signal_watcher_create(r, SIGUSR1, on_any, &seen);

    assert_int_equal(flux_signal_watcher_get_signum(w), SIGUSR1);
    flux_watcher_start(w);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    assert_int_equal(seen.calls, 0);
    assert_int_equal(flux_reactor_run(r, 0), 1);
    assert_int_equal(seen.calls, 1);
    flux_watcher_destroy(w);
    assert_null(flux_signal_watcher_create(r, SIGKILL, on_any, &seen));
    flux_reactor_destroy(r);
}

static void test_children_are_reaped_by_a_sigchld_reactor_only(void **state)
{
    flux_reactor_t *plain = flux_reactor_create(0);
    flux_reactor_t *r = flux_reactor_create(FLUX_REACTOR_SIGCHLD);
    struct seen seen = { .stop_after = 1 };
    flux_watcher_t *w;
    pid_t pid;

    assert_null(flux_child_watcher_create(plain, 0, false, on_any, &seen));
    assert_int_equal(errno, EINVAL);
    assert_null(flux_reactor_create(FLUX_REACTOR_SIGCHLD));
    assert_int_equal(errno, EBUSY);
    pid = fork();
    if (pid == 0)
        _exit(7);
    w = flux_child_watcher_create(r, pid, false, on_any, &seen);
    flux_watcher_start(w);
    assert_true(flux_reactor_run(r, 0) >= 0);
    assert_int_equal(flux_child_watcher_get_rpid(w), pid);
    assert_true(WIFEXITED(flux_child_watcher_get_rstatus(w)));
    assert_int_equal(WEXITSTATUS(flux_child_watcher_get_rstatus(w)), 7);
    flux_watcher_destroy(w);
    flux_reactor_destroy(r);
    r = flux_reactor_create(FLUX_REACTOR_SIGCHLD); /* free again */
    assert_non_null(r);
    flux_reactor_destroy(r);
    flux_reactor_destroy(plain);
}

static void touch(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    int fd = open(arg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
}

static void on_trace(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    int status = flux_child_watcher_get_rstatus(w);
    int *steps = arg;

    switch ((*steps)++) {
    case 0:
        assert_true(WIFSTOPPED(status));
        kill(flux_child_watcher_get_rpid(w), SIGCONT);
        break;
    case 1:
        assert_true(WIFCONTINUED(status));
        kill(flux_child_watcher_get_rpid(w), SIGKILL);
        break;
    default:
        assert_true(WIFSIGNALED(status));
        flux_watcher_stop(w);
    }
}

static void test_a_traced_child_tells_that_it_stops_and_goes_on(void **state)
{
    flux_reactor_t *r = flux_reactor_create(FLUX_REACTOR_SIGCHLD);
    flux_watcher_t *w;
    int steps = 0;
    pid_t pid = fork();

    if (pid == 0) {
        for (;;)
            (void)pause();
    }
    w = flux_child_watcher_create(r, pid, true, on_trace, &steps);
    flux_watcher_start(w);
    kill(pid, SIGSTOP);
    assert_int_equal(flux_reactor_run(r, 0), 0);
    assert_int_equal(steps, 3);
    flux_watcher_destroy(w);
    flux_reactor_destroy(r);
}

static void test_the_active_count_can_be_corrected(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    flux_watcher_t *w = flux_timer_watcher_create(r, 3600., 0., NULL, NULL);

    flux_watcher_start(w);
    flux_reactor_active_decref(r);
    assert_int_equal(flux_reactor_run(r, 0), 0); /* does not wait */
    flux_reactor_active_incref(r);
    flux_watcher_destroy(w);
    flux_reactor_destroy(r);
}

static void test_wrong_arguments_and_foreign_watchers_are_EINVAL(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    flux_watcher_t *idle = flux_idle_watcher_create(r, NULL, NULL);
    struct stat st;

#define EXPECT_EINVAL(expr, failure)      \
    do {                                  \
        errno = 0;                        \
        assert_true((expr) == (failure)); \
        assert_int_equal(errno, EINVAL);  \
    } while (0)
    EXPECT_EINVAL(flux_fd_watcher_get_fd(idle), -1);
    EXPECT_EINVAL(flux_signal_watcher_get_signum(idle), -1);
    EXPECT_EINVAL(flux_child_watcher_get_rpid(idle), -1);
    EXPECT_EINVAL(flux_child_watcher_get_rstatus(idle), -1);
    EXPECT_EINVAL(flux_stat_watcher_get_rstat(idle, &st, NULL), -1);
    EXPECT_EINVAL(flux_handle_watcher_get_flux(idle), NULL);
    EXPECT_EINVAL(flux_watcher_next_wakeup(idle), -1);
    EXPECT_EINVAL(flux_fd_watcher_create(r, -1, FLUX_POLLIN, NULL, NULL), NULL);
    EXPECT_EINVAL(flux_fd_watcher_create(NULL, 0, FLUX_POLLIN, NULL, NULL), NULL);
    EXPECT_EINVAL(flux_timer_watcher_create(r, -1., 0., NULL, NULL), NULL);
    EXPECT_EINVAL(flux_timer_watcher_create(r, 0., -1., NULL, NULL), NULL);
    EXPECT_EINVAL(flux_periodic_watcher_create(r, 0., -1., NULL, NULL, NULL), NULL);
    EXPECT_EINVAL(flux_signal_watcher_create(r, SIGKILL, NULL, NULL), NULL);
    EXPECT_EINVAL(flux_stat_watcher_create(r, NULL, 0., NULL, NULL), NULL);
    EXPECT_EINVAL(flux_handle_watcher_create(r, NULL, FLUX_POLLIN, NULL, NULL), NULL);
    EXPECT_EINVAL(flux_idle_watcher_create(NULL, NULL, NULL), NULL);
    EXPECT_EINVAL(flux_reactor_create(0x100), NULL);
    EXPECT_EINVAL(flux_reactor_run(r, 0x100), -1);
#undef EXPECT_EINVAL
    flux_watcher_destroy(idle);
    flux_reactor_destroy(r);
}

static void test_times_that_make_no_sense_leave_a_watcher_as_it_was(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    struct seen seen = { 0 };
    flux_watcher_t *w = flux_timer_watcher_create(r, 0., 0., on_any, &seen);

    errno = 0;
    flux_timer_watcher_reset(w, 0., -1.);
    assert_int_equal(errno, EINVAL);
    flux_timer_watcher_reset(w, NAN, 0.);
    flux_timer_watcher_reset(w, 0., NAN);
    flux_watcher_start(w);
    assert_int_equal(flux_reactor_run(r, 0), 0);
    assert_int_equal(seen.calls, 1);
    flux_timer_watcher_reset(w, 1000., 0.);
    flux_timer_watcher_reset(w, -5., 0.); /* overdue */
    flux_watcher_start(w);
    assert_int_equal(flux_reactor_run(r, 0), 0);
    assert_int_equal(seen.calls, 2);
    flux_watcher_destroy(w);

    w = flux_periodic_watcher_create(r, 1., 0., NULL, on_any, &seen);
    errno = 0;
    flux_periodic_watcher_reset(w, 0., -1., NULL);
    assert_int_equal(errno, EINVAL);
    flux_periodic_watcher_reset(w, NAN, 1., NULL);
    flux_periodic_watcher_reset(w, 0., INFINITY);
    flux_watcher_start(w);
    assert_int_equal(flux_reactor_run(r, 0), 0);
    assert_int_equal(seen.calls, 3);
    flux_watcher_destroy(w);

    errno = 0;
    assert_true(flux_reactor_now(NULL) < 0. && errno == EINVAL);
    flux_reactor_destroy(r);
}

static void test_with_a_reschedule_callback_offset_and_interval_do_not_matter(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    struct seen seen = { .stop_after = 1 };
    flux_watcher_t *w = flux_periodic_watcher_create(r, NAN, -1., soon, on_any, &seen);

    assert_non_null(w);
    flux_watcher_start(w);
    assert_int_equal(flux_reactor_run(r, 0), 1);
    assert_int_equal(seen.calls, 1);
    flux_periodic_watcher_set(w, -INFINITY, NAN);
    seen.stop_after = 2;
    assert_int_equal(flux_reactor_run(r, 0), 1);
    assert_int_equal(seen.calls, 2);
    flux_watcher_destroy(w);
    flux_reactor_destroy(r);
}

static void test_a_descriptor_that_is_not_open_is_an_error_told_once(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    struct seen seen = { 0 };
    const int none[] = { 1000000, INT_MAX };

    for (int i = 0; i < 2; i++) {
        flux_watcher_t *w = flux_fd_watcher_create(r, none[i], FLUX_POLLIN, on_any, &seen);

        flux_watcher_start(w);
        assert_int_equal(flux_reactor_run(r, 0), 0);
        assert_int_equal(seen.calls, i + 1);
        assert_int_equal(seen.revents, FLUX_POLLERR);
        flux_watcher_start(w);
        flux_watcher_destroy(w); /* before it was told */
        assert_int_equal(flux_reactor_run(r, 0), 0);
        assert_int_equal(seen.calls, i + 1);
    }
    flux_reactor_destroy(r);
}

static void test_a_signal_belongs_to_the_reactor_that_watches_it_first(void **state)
{
    flux_reactor_t *a = flux_reactor_create(0);
    flux_reactor_t *b = flux_reactor_create(0);
    struct seen seen = { 0 };
    flux_watcher_t *wa = flux_signal_watcher_create(a, SIGUSR2, on_any, &seen);
    flux_watcher_t *wb = flux_signal_watcher_create(b, SIGUSR2, on_any, &seen);
    flux_watcher_t *chld = flux_signal_watcher_create(a, SIGCHLD, on_any, &seen);
    flux_reactor_t *children;

    flux_watcher_start(wa);
    errno = 0;
    flux_watcher_start(wb);
    assert_int_equal(errno, EBUSY);
    assert_false(flux_watcher_is_active(wb));
    flux_watcher_stop(wa);
    flux_watcher_start(wb);
    assert_true(flux_watcher_is_active(wb));

    flux_watcher_start(chld);
    assert_null(flux_reactor_create(FLUX_REACTOR_SIGCHLD));
    assert_int_equal(errno, EBUSY);
    flux_watcher_stop(chld);
    children = flux_reactor_create(FLUX_REACTOR_SIGCHLD);
    assert_non_null(children);
    flux_watcher_start(chld);
    assert_false(flux_watcher_is_active(chld));
    flux_reactor_destroy(children);

    flux_watcher_destroy(chld);
    flux_watcher_destroy(wb);
    flux_watcher_destroy(wa);
    flux_reactor_destroy(b);
    flux_reactor_destroy(a);
}

static void test_changes_of_a_file_are_seen(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    char path[] = "/tmp/test-reactor-XXXXXX";
    struct seen seen = { .stop_after = 1 };
    flux_watcher_t *w, *t;
    struct stat now, prev;

    close(mkstemp(path));
    w = flux_stat_watcher_create(r, path, 0.01, on_any, &seen);
    t = flux_timer_watcher_create(r, 0., 0., touch, path);
    flux_watcher_start(w);
    flux_watcher_start(t);
    assert_true(flux_reactor_run(r, 0) >= 0);
    assert_int_equal(flux_stat_watcher_get_rstat(w, &now, &prev), 0);
    assert_int_equal(now.st_size, 1);
    assert_int_equal(prev.st_size, 0);
    flux_watcher_destroy(w);
    flux_watcher_destroy(t);
    flux_reactor_destroy(r);
    (void)unlink(path);
}

static void test_a_reactor_outlives_its_last_reference_while_it_has_watchers(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    flux_watcher_t *w = flux_timer_watcher_create(r, 0., 0., NULL, NULL);

    flux_reactor_destroy(r);
    flux_watcher_start(w);
    assert_true(flux_watcher_is_active(w));
    flux_watcher_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_reactor_returns_at_once),
        cmocka_unit_test(test_fd_watchers_are_level_triggered_and_change_events),
        cmocka_unit_test(test_a_watcher_may_be_destroyed_in_its_callback),
        cmocka_unit_test(test_one_shot_timers_stop_and_repeating_ones_do_not),
        cmocka_unit_test(test_again_restarts_with_the_repeat_value),
        cmocka_unit_test(test_unreferenced_watchers_do_not_keep_the_reactor_running),
        cmocka_unit_test(test_stop_error_makes_run_fail_with_errno),
        cmocka_unit_test(test_prepare_and_check_surround_blocking),
        cmocka_unit_test(test_periodic_watchers_follow_their_schedule),
        cmocka_unit_test(test_rescheduling_into_the_past_stops_the_watcher),
        cmocka_unit_test(test_signals_are_delivered_in_the_loop),
        cmocka_unit_test(test_children_are_reaped_by_a_sigchld_reactor_only),
        cmocka_unit_test(test_a_traced_child_tells_that_it_stops_and_goes_on),
        cmocka_unit_test(test_the_active_count_can_be_corrected),
        cmocka_unit_test(test_wrong_arguments_and_foreign_watchers_are_EINVAL),
        cmocka_unit_test(test_times_that_make_no_sense_leave_a_watcher_as_it_was),
        cmocka_unit_test(test_with_a_reschedule_callback_offset_and_interval_do_not_matter),
        cmocka_unit_test(test_a_descriptor_that_is_not_open_is_an_error_told_once),
        cmocka_unit_test(test_a_signal_belongs_to_the_reactor_that_watches_it_first),
        cmocka_unit_test(test_changes_of_a_file_are_seen),
        cmocka_unit_test(test_a_reactor_outlives_its_last_reference_while_it_has_watchers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
