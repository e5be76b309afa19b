/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Shells forked from this process, which is loaded, relocated and does nothing else. Half of what a
 * shell costs that runs a short task is the start of its program.
 *
 * The shells are children of our parent, flux-exec (CLONE_PARENT), which waits for them as for
 * those that it executes. fork(2) as libc has it cannot do that, so the kernel is asked: this
 * process has one thread, no handlers to run at a fork and nothing buffered. What libc keeps of the
 * number of a thread is set by the kernel at the address that libc told it; where the kernel does
 * not say which (it needs CONFIG_CHECKPOINT_RESTORE) there is no fork server. */
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "forkserver.h"

/* Where libc keeps the number of this thread; NULL: unknown. */
static pid_t *tid_address(void)
{
    pid_t *tid = NULL;

    return prctl(PR_GET_TID_ADDRESS, &tid, 0, 0, 0) == 0 && tid && *tid == getpid() ? tid : NULL;
}

static pid_t fork_sibling(pid_t *tid)
{
    struct clone_args args = {
        .flags = CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
        .child_tid = (uintptr_t)tid,
    };

    return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static bool answer(uint64_t tag, int64_t pid)
{
    const struct forkserver_answer a = { .tag = tag, .pid = pid };

    return send(FORKSERVER_FD, &a, sizeof(a), MSG_NOSIGNAL) == (ssize_t)sizeof(a);
}

/* What ps shows: the command line of a shell that was executed. argv[1] is longer than an id. */
static void set_title(char *arg, const char *text)
{
    const size_t size = strlen(arg);

    memset(arg, 0, size);
    (void)snprintf(arg, size, "%s", text);
}

/* In the new process. */
static void become_shell(char **argv, const struct forkserver_request *req)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, req->id);
    set_title(argv[1], text);
    (void)unsetenv("LD_BIND_NOW");
    if (setsid() < 0 || setenv("FLUX_JOB_ID", text, 1) < 0 || !answer(req->tag, getpid()))
        _exit(1);
    (void)close(FORKSERVER_FD);
}

void forkserver_run(char **argv, flux_jobid_t *ret_id)
{
    pid_t *tid = tid_address();
    struct forkserver_request req;

    if (!tid || !answer(0, getpid()))
        _exit(1);
    while (recv(FORKSERVER_FD, &req, sizeof(req), 0) == (ssize_t)sizeof(req)) {
        const pid_t pid = fork_sibling(tid);

        if (pid == 0) {
            become_shell(argv, &req);
            *ret_id = req.id;
            return;
        }
        if (pid < 0)
            (void)answer(req.tag, -errno);
    }
    _exit(0);
}
