/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Process groups that somebody noted and then forgot about, with real processes. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "leftovers.h"
#include "proc.h"
#include "record.h"

static char dir[32];
static int fd;

/* A shell that leads a group and has written a line once its script has got there. */
static pid_t start(const char *script)
{
    int pipefd[2];
    pid_t pid;
    char c;

    assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)setpgid(0, 0);
        (void)dup2(pipefd[1], 1);
        (void)raise(SIGSTOP); /* until it is noted */
        (void)execl("/bin/sh", "sh", "-c", script, NULL);
        _exit(127);
    }
    (void)waitpid(pid, NULL, WUNTRACED);
    assert_int_equal(leftovers_note(fd, pid), 0);
    assert_int_equal(kill(pid, SIGCONT), 0);
    close(pipefd[1]);
    assert_int_equal(read(pipefd[0], &c, 1), 1);
    close(pipefd[0]);
    return pid;
}

/* Those that were killed are zombies of the group until whoever they went to, who is us, has reaped
 * them. */
static void wait_gone(pid_t pgrp)
{
    while (waitpid(-pgrp, NULL, 0) > 0)
        ;
    assert_int_equal(kill(-pgrp, 0), -1);
}

static bool has_record(pid_t pid)
{
    struct record rec;

    return record_read(fd, (flux_jobid_t)pid, &rec) == 0;
}

static int setup(void **state)
{
    (void)strcpy(dir, "/tmp/test-leftovers-XXXXXX");
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || !mkdtemp(dir))
        return -1;
    fd = leftovers_open(dir);
    return fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    record_drop_free(fd);
    close(fd);
    return rmdir(dir); /* no record is left */
}

static void a_group_whose_leader_lives_is_killed(void **state)
{
    const pid_t pid = start("sleep 1000 & echo; sleep 1000");
    int status;

    assert_true(leftovers_end(fd) >= 2);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    wait_gone(pid);
    assert_false(has_record(pid));
}

static void what_a_leader_that_ended_has_left_in_its_group_is_killed(void **state)
{
    const pid_t pid = start("sleep 1000 & echo");

    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(kill(-pid, 0), 0);
    assert_true(leftovers_end(fd) >= 1);
    wait_gone(pid);
}

static void what_left_the_group_is_spared(void **state)
{
    char script[160], text[16] = "";
    pid_t pid;
    int status, f;

    (void)snprintf(script, sizeof(script),
                   "setsid sh -c 'echo $$ >%s/pid; echo; exec sleep 1000' & wait", dir);
    pid = start(script);
    f = openat(fd, "pid", O_RDONLY | O_CLOEXEC);
    assert_true(f >= 0 && read(f, text, sizeof(text) - 1) > 0);
    close(f);
    (void)unlinkat(fd, "pid", 0);
    assert_true(leftovers_end(fd) >= 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(kill(atoi(text), SIGKILL), 0); /* it was there */
}

static void a_number_that_means_another_group_now_harms_nobody(void **state)
{
    const pid_t pid = start("echo; exec sleep 1000");
    struct record rec;

    assert_int_equal(record_read(fd, (flux_jobid_t)pid, &rec), 0);
    rec.starttime--; /* the one that is noted was another one */
    assert_int_equal(record_remove(fd, (flux_jobid_t)pid), 0);
    assert_int_equal(record_write(fd, (flux_jobid_t)pid, &rec), 0);
    assert_int_equal(leftovers_end(fd), 0);
    assert_false(has_record(pid));
    assert_int_equal(kill(-pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void records_of_another_boot_and_such_as_cannot_be_read_are_dropped(void **state)
{
    const pid_t pid = start("echo; exec sleep 1000");
    struct record rec;
    int f;

    assert_int_equal(record_read(fd, (flux_jobid_t)pid, &rec), 0);
    (void)strcpy(rec.boot_id, "other");
    assert_int_equal(record_remove(fd, (flux_jobid_t)pid), 0);
    assert_int_equal(record_write(fd, (flux_jobid_t)pid, &rec), 0);
    f = openat(fd, "12345", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(f >= 0 && write(f, "nonsense\n", 9) == 9);
    close(f);
    assert_int_equal(leftovers_end(fd), 0);
    assert_int_equal(kill(-pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_process_that_is_done_with_is_forgotten(void **state)
{
    const pid_t pid = start("echo; exec sleep 1000");

    assert_true(has_record(pid));
    leftovers_forget(fd, pid);
    assert_int_equal(leftovers_end(fd), 0);
    assert_int_equal(kill(-pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_group_whose_leader_lives_is_killed),
        TEST(what_a_leader_that_ended_has_left_in_its_group_is_killed),
        TEST(what_left_the_group_is_spared),
        TEST(a_number_that_means_another_group_now_harms_nobody),
        TEST(records_of_another_boot_and_such_as_cannot_be_read_are_dropped),
        TEST(a_process_that_is_done_with_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
