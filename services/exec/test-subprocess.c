/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "subprocess.h"

struct fixture {
    flux_reactor_t *r;
    struct subprocesses *ps;
    char out[256 * 1024], err[256];
    size_t out_size, err_size, credit;
    int eofs, status;
    bool exited, complete;
};

static struct fixture fx;

static void on_output(struct subprocess *sp, const char *stream, const void *data, size_t size,
                      bool eof)
{
    const bool is_out = strcmp(stream, "stdout") == 0;
    char *to = is_out ? fx.out : fx.err;
    size_t *used = is_out ? &fx.out_size : &fx.err_size;

    assert_true(*used + size < (is_out ? sizeof(fx.out) : sizeof(fx.err)));
    if (size > 0)
        memcpy(to + *used, data, size);
    *used += size;
    fx.eofs += eof;
}

static void on_credit(struct subprocess *sp, size_t bytes)
{
    fx.credit += bytes;
}

static void on_exited(struct subprocess *sp, int status)
{
    fx.exited = true;
    fx.status = status;
}

static void on_complete(struct subprocess *sp)
{
    fx.complete = true;
    subprocess_free(sp);
    flux_reactor_stop(fx.r);
}

static const struct subprocess_ops ops = {
    .on_output = on_output,
    .on_credit = on_credit,
    .on_exited = on_exited,
    .on_complete = on_complete,
};

static int setup(void **state)
{
    (void)signal(SIGPIPE, SIG_IGN);
    memset(&fx, 0, sizeof(fx));
    fx.r = flux_reactor_create(0);
    return fx.r && subprocesses_new(fx.r, -EBADF, &fx.ps) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    subprocesses_free(fx.ps);
    flux_reactor_destroy(fx.r);
    return 0;
}

static struct subprocess *start(const char *script, const char *label, bool background)
{
    char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
    char *envp[] = { (char *)"GREETING=hello", (char *)"PATH=/usr/bin:/bin", NULL };
    const struct subprocess_command cmd = {
        .argv = argv,
        .envp = envp,
        .cwd = "/",
        .label = label,
        .background = background,
    };
    struct subprocess *sp = NULL;

    assert_int_equal(subprocess_new(fx.ps, &cmd, &ops, NULL, &sp), 0);
    return sp;
}

static void output_status_environment_and_directory_arrive(void **state)
{
    start("echo $GREETING; pwd; echo oops >&2; exit 7", NULL, false);
    (void)flux_reactor_run(fx.r, 0);
    assert_true(fx.complete);
    assert_int_equal(fx.status, 7 << 8);
    assert_int_equal(fx.eofs, 2);
    assert_memory_equal(fx.out, "hello\n/\n", 8);
    assert_int_equal(fx.out_size, 8);
    assert_memory_equal(fx.err, "oops\n", 5);
    assert_int_equal(subprocesses_count(fx.ps), 0);
}

static void on_tick(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    if (fx.exited)
        subprocess_close_output(arg);
}

/* A client that left: what the process left behind in a group of its own must not hold its place.
 */
static void without_a_reader_it_is_complete_when_it_has_exited(void **state)
{
    struct subprocess *sp = start("setsid sleep 1000 & echo $!", NULL, false);
    flux_watcher_t *w = flux_timer_watcher_create(fx.r, 0.01, 0.01, on_tick, sp);
    pid_t left;

    flux_watcher_start(w);
    (void)flux_reactor_run(fx.r, 0);
    flux_watcher_destroy(w);
    assert_true(fx.complete);
    assert_int_equal(subprocesses_count(fx.ps), 0);
    left = (pid_t)atoi(fx.out);
    assert_true(left > 1);
    assert_int_equal(kill(left, SIGKILL), 0);
}

static void input_reaches_the_process_and_gives_credit_back(void **state)
{
    struct subprocess *sp = start("cat; echo end", NULL, false);

    assert_int_equal(subprocess_write(sp, "abc", 3, false), 0);
    assert_int_equal(subprocess_write(sp, "def", 3, true), 0);
    (void)flux_reactor_run(fx.r, 0);
    assert_int_equal(fx.credit, 6);
    assert_int_equal(fx.out_size, 10);
    assert_memory_equal(fx.out, "abcdefend\n", 10);
}

static void input_that_is_not_read_is_bounded(void **state)
{
    static char block[SUBPROCESS_STDIN_MAX];
    struct subprocess *sp = start("exec sleep 100", NULL, false);
    int rc = 0, n = 0;

    while (rc == 0 && n++ < 100)
        rc = subprocess_write(sp, block, sizeof(block), false);
    assert_int_equal(rc, -EOVERFLOW);
    assert_true(n < 10);
    assert_int_equal(subprocess_kill(sp, SIGKILL), 0);
    (void)flux_reactor_run(fx.r, 0);
    assert_int_equal(fx.status, SIGKILL);
}

static void much_output_arrives_whole(void **state)
{
    start("head -c 200000 /dev/zero | tr '\\0' x", NULL, false);
    (void)flux_reactor_run(fx.r, 0);
    assert_int_equal(fx.out_size, 200000);
}

static void signals_reach_the_whole_group(void **state)
{
    struct subprocess *sp = start("sleep 100 & echo ready; wait", NULL, false);

    while (fx.out_size == 0)
        (void)flux_reactor_run(fx.r, FLUX_REACTOR_ONCE);
    assert_int_equal(subprocess_kill(sp, SIGTERM), 0);
    (void)flux_reactor_run(fx.r, 0); /* complete: the sleep's copy of stdout is closed too */
    assert_int_equal(fx.status, SIGTERM);
}

static void labels_are_unique(void **state)
{
    struct subprocess *sp = start("exec sleep 100", "one", true);
    char *argv[] = { (char *)"true", NULL }, *envp[] = { NULL };
    const struct subprocess_command cmd = { .argv = argv, .envp = envp, .label = "one" };
    struct subprocess *other = NULL;

    assert_string_equal(subprocess_label(sp), "one");
    assert_int_equal(subprocess_new(fx.ps, &cmd, &ops, NULL, &other), -EEXIST);
    assert_int_equal(subprocesses_count(fx.ps), 1);
    assert_int_equal(subprocess_kill(sp, SIGKILL), 0);
    (void)flux_reactor_run(fx.r, 0);
    assert_true(fx.complete);
}

static void what_cannot_be_executed_is_an_error(void **state)
{
    char *argv[] = { (char *)"/nonexistent", NULL }, *envp[] = { NULL };
    const struct subprocess_command cmd = { .argv = argv, .envp = envp };
    struct subprocess *sp = NULL;

    assert_int_equal(subprocess_new(fx.ps, &cmd, &ops, NULL, &sp), -ENOENT);
    assert_int_equal(subprocesses_count(fx.ps), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(output_status_environment_and_directory_arrive, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(without_a_reader_it_is_complete_when_it_has_exited, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(input_reaches_the_process_and_gives_credit_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(input_that_is_not_read_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(much_output_arrives_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(signals_reach_the_whole_group, setup, teardown),
        cmocka_unit_test_setup_teardown(labels_are_unique, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_executed_is_an_error, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
