/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The usual way is posix_spawn(3), which does not copy the page tables of the shell. What it cannot
 * do, limits and a stop in exec, is done between fork and exec of a child; there an error travels
 * back through a pipe that a successful exec closes.
 *
 * stop-tasks-in-exec: the child asks to be traced, so the kernel stops it at its first instruction;
 * the shell then lets go of it and leaves it stopped, for a debugger to attach or SIGCONT to start.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "base/errorx.h"
#include "launch.h"
#include "rlimit.h"
#include "option.h"
#include "plugins.h"

struct launch {
    bool nosetpgrp, stop;
    struct limits limits;
};

static int read_options(struct shell *shell, struct launch *l, flux_error_t *error)
{
    int rc = option_flag(&shell->info, "nosetpgrp", &l->nosetpgrp, error);

    if (rc >= 0)
        rc = option_flag(&shell->info, "stop-tasks-in-exec", &l->stop, error);
    return rc < 0 ? rc : limits_read(shell, &l->limits, error);
}

static int launch_init(struct shell *shell, flux_error_t *error)
{
    shell->launch = calloc(1, sizeof(*shell->launch));
    if (!shell->launch)
        return errorx_fail(error, ENOMEM, "out of memory");
    return read_options(shell, shell->launch, error);
}

static void launch_exit(struct shell *shell)
{
    free(shell->launch);
    shell->launch = NULL;
}

const struct shell_plugin plugin_launch = {
    .name = "launch",
    .options = "nosetpgrp rlimit.* stop-tasks-in-exec",
    .shell_init = launch_init,
    .shell_exit = launch_exit,
};

/* --- posix_spawn */

/* Who leads a session and opens a terminal controls it. */
static int prepare_tty(posix_spawn_file_actions_t *fa, const char *path)
{
    int rc = posix_spawn_file_actions_addopen(fa, STDIN_FILENO, path, O_RDWR, 0);

    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(fa, STDIN_FILENO, STDOUT_FILENO);
    return rc == 0 ? posix_spawn_file_actions_adddup2(fa, STDIN_FILENO, STDERR_FILENO) : rc;
}

static int prepare_files(posix_spawn_file_actions_t *fa, const int fds[3])
{
    int rc = 0;

    for (int i = 0; i < 3 && rc == 0; i++)
        rc = fds[i] >= 0 ? posix_spawn_file_actions_adddup2(fa, fds[i], i)
                         : posix_spawn_file_actions_addopen(fa, i, "/dev/null", O_RDWR, 0);
    return rc;
}

static int prepare(const struct task *task, posix_spawnattr_t *attr, posix_spawn_file_actions_t *fa)
{
    sigset_t none, all;
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    int rc;

    if (task->tty)
        flags |= POSIX_SPAWN_SETSID;
    else if (!task->shell->launch->nosetpgrp)
        flags |= POSIX_SPAWN_SETPGROUP;
    sigemptyset(&none);
    sigfillset(&all);
    rc = posix_spawnattr_setflags(attr, flags);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(attr, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attr, &all);
    if (rc == 0)
        rc = task->tty ? prepare_tty(fa, task->tty) : prepare_files(fa, task->fds);
    if (task->pmi_fd >= 0 && rc == 0) /* the same number: only close-on-exec is taken off */
        rc = posix_spawn_file_actions_adddup2(fa, task->pmi_fd, task->pmi_fd);
    return rc;
}

static int spawn(struct task *task, char *const argv[], char *const envp[])
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    int rc = posix_spawn_file_actions_init(&fa);

    if (rc != 0)
        return -rc;
    rc = posix_spawnattr_init(&attr);
    if (rc == 0) {
        rc = prepare(task, &attr, &fa);
        if (rc == 0)
            rc = posix_spawnp(&task->pid, argv[0], &fa, &attr, argv, envp);
        (void)posix_spawnattr_destroy(&attr);
    }
    (void)posix_spawn_file_actions_destroy(&fa);
    return -rc;
}

/* --- fork */

static int child_signals(void)
{
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL); /* fails for those that are so always */
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

static int child_files(const struct task *task)
{
    const char *path = task->tty ? task->tty : "/dev/null";

    for (int i = 0; i < 3; i++) {
        int fd = task->fds[i] >= 0 ? task->fds[i] : open(path, O_RDWR | O_CLOEXEC);

        if (fd < 0 || dup2(fd, i) < 0)
            return -errno;
    }
    return 0;
}

static int child_prepare(const struct task *task)
{
    const struct launch *l = task->shell->launch;
    int rc = 0;

    if (task->tty ? setsid() < 0 : !l->nosetpgrp && setpgid(0, 0) < 0)
        rc = -errno;
    if (rc == 0)
        rc = child_files(task);
    if (rc == 0 && task->pmi_fd >= 0 && fcntl(task->pmi_fd, F_SETFD, 0) < 0)
        rc = -errno;
    if (rc == 0)
        rc = child_signals();
    if (rc == 0)
        rc = limits_apply(&l->limits);
    if (rc == 0 && l->stop && ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        rc = -errno;
    return rc;
}

static _Noreturn void child(const struct task *task, char *const argv[], char *const envp[],
                            int report)
{
    int rc = child_prepare(task);

    if (rc == 0) {
        (void)execvpe(argv[0], argv, envp);
        rc = -errno;
    }
    while (write(report, &rc, sizeof(rc)) < 0 && errno == EINTR)
        ;
    _exit(127);
}

/* Stopped in exec: let go of it, but not on. */
static int leave_stopped(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    if (!WIFSTOPPED(status) || ptrace(PTRACE_DETACH, pid, NULL, (void *)SIGSTOP) < 0) {
        (void)kill(pid, SIGKILL);
        return -ECHILD;
    }
    return 0;
}

static int fork_task(struct task *task, char *const argv[], char *const envp[])
{
    int report[2], rc = 0;
    ssize_t n;

    if (pipe2(report, O_CLOEXEC) < 0)
        return -errno;
    task->pid = fork();
    if (task->pid == 0)
        child(task, argv, envp, report[1]);
    if (task->pid < 0)
        rc = -errno;
    close(report[1]);
    while (rc == 0 && (n = read(report[0], &rc, sizeof(rc))) < 0)
        if (errno != EINTR)
            rc = -errno;
    close(report[0]);
    if (rc < 0 && task->pid > 0)
        while (waitpid(task->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    if (rc == 0 && task->shell->launch->stop)
        rc = leave_stopped(task->pid);
    return rc;
}

int launch_task(struct task *task, char *const argv[], char *const envp[])
{
    const struct launch *l = task->shell->launch;

    return l->stop || l->limits.count > 0 ? fork_task(task, argv, envp) : spawn(task, argv, envp);
}

int launch_signal(const struct task *task, int signum)
{
    return kill(task->shell->launch->nosetpgrp && !task->tty ? task->pid : -task->pid, signum);
}
