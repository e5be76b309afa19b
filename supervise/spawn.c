/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fork and exec. A daemon gets a session of its own (the terminal's signals are for the initial
 * program), /dev/null as input, our error output, a clean signal state, the highest limit of
 * descriptors, and dies with us. The initial program stays in the foreground and is hung up when we
 * die. Between fork and exec a child may use the C library freely: we are single-threaded. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "supervise/spawn.h"
#include "supervise/unitfile.h"

#define FIRST_FD        3
#define EXIT_EXEC       203 /* as systemd has it */
#define EXIT_NO_PROGRAM 127

/* Variables of whoever started us that would mislead a child. */
static const char *const manager_variables[] = {
    "LISTEN_PID",   "LISTEN_FDS",    "LISTEN_FDNAMES", "NOTIFY_SOCKET",  "WATCHDOG_USEC",
    "WATCHDOG_PID", "INVOCATION_ID", "JOURNAL_STREAM", "STATE_DIRECTORY"
};

/* fork() with all signals blocked: a signal that comes before the child has given back our handlers
 * must wait for it, not vanish in a handler that nobody looks at. */
static pid_t fork_quietly(void)
{
    sigset_t all, old;
    pid_t pid;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &old);
    pid = fork();
    if (pid != 0)
        (void)sigprocmask(SIG_SETMASK, &old, NULL);
    return pid;
}

static void reset_signals(void)
{
    sigset_t none;

    for (int sig = 1; sig < NSIG; sig++)
        (void)signal(sig, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* What a batch system sends to all processes of its job is for the program and the tasks of jobs.
 */
static void ignore_signals_of_others(void)
{
    static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM };

    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)signal(signals[i], SIG_IGN);
}

static void die_with_parent(pid_t parent, int sig)
{
    (void)prctl(PR_SET_PDEATHSIG, sig);
    if (getppid() != parent) /* it died before that took effect */
        _exit(EXIT_FAILURE);
}

static void clean_environment(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(manager_variables); i++)
        (void)unsetenv(manager_variables[i]);
}

static int put_all(char *const *environment)
{
    for (size_t i = 0; environment && environment[i]; i++) {
        if (putenv(environment[i]) != 0)
            return -ENOMEM;
    }
    return 0;
}

static int set_number(const char *name, uint64_t value)
{
    char buf[32];

    (void)snprintf(buf, sizeof(buf), "%" PRIu64, value);
    return setenv(name, buf, 1) < 0 ? -errno : 0;
}

static int set_environment(const struct spawn_common *common, const struct spawn_request *req)
{
    int rc;

    clean_environment();
    if ((rc = put_all(req->environment)) < 0 || (rc = put_all(common->environment)) < 0 ||
        (rc = setenv("NOTIFY_SOCKET", common->notify_path, 1)) < 0)
        return rc;
    if (req->nfds > 0 && ((rc = set_number("LISTEN_PID", getpid())) < 0 ||
                          (rc = set_number("LISTEN_FDS", req->nfds)) < 0 ||
                          (rc = setenv("LISTEN_FDNAMES", req->fdnames, 1)) < 0))
        return rc;
    if (req->watchdog_usec > 0 && ((rc = set_number("WATCHDOG_USEC", req->watchdog_usec)) < 0 ||
                                   (rc = set_number("WATCHDOG_PID", getpid())) < 0))
        return rc;
    return 0;
}

/* Move descriptors to 3, 4, ... They may lie in each other's way, so all are moved up first. */
static int place_fds(const int *fds, size_t nfds)
{
    CLEANUP(freep) int *above = calloc(nfds + 1, sizeof(*above));

    if (!above)
        return -ENOMEM;
    for (size_t i = 0; i < nfds; i++) {
        above[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FIRST_FD + (int)nfds);
        if (above[i] < 0)
            return -errno;
    }
    for (size_t i = 0; i < nfds; i++) {
        if (dup2(above[i], FIRST_FD + (int)i) < 0)
            return -errno;
    }
    return 0;
}

/* The PMI connection that the unit's environment names, moved above those we place; -EBADF: none.
 */
static int keep_pmi(const struct spawn_request *req)
{
    int fd = -EBADF;

    for (size_t i = 0; req->environment && req->environment[i]; i++)
        if (strncmp(req->environment[i], "PMI_FD=", 7) == 0)
            (void)number_parse_int(req->environment[i] + 7, 0, 1 << 20, &fd);
    if (fd >= 0)
        fd = fcntl(fd, F_DUPFD, FIRST_FD + 2 * (int)req->nfds);
    return fd < 0 ? -EBADF : fd;
}

static int redirect_stdio(void)
{
    CLEANUP(closep) int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return -errno;
    return 0;
}

static void raise_fd_limit(void)
{
    struct rlimit rl;

    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &rl);
    }
}

char *spawn_resolve(const char *exec_path, const char *path)
{
    const char *base = strrchr(path, '/') + 1;
    const char *dir = exec_path;

    while (dir && *dir) {
        size_t len = strcspn(dir, ":");
        char *candidate;

        if (asprintf(&candidate, "%.*s/%s", (int)len, dir, base) < 0)
            return NULL;
        if (len > 0 && access(candidate, X_OK) == 0)
            return candidate;
        free(candidate);
        dir += len;
        dir += *dir == ':';
    }
    return strdup(path);
}

__attribute__((noreturn)) static void run_daemon(const struct spawn_common *common,
                                                 const struct spawn_request *req, const char *path,
                                                 pid_t parent)
{
    const int pmi = keep_pmi(req);
    int rc;

    die_with_parent(parent, SIGKILL);
    (void)setsid();
    reset_signals();
    ignore_signals_of_others();
    raise_fd_limit();
    (void)umask(077);
    if (chdir("/") < 0 || (rc = redirect_stdio()) < 0 ||
        (rc = place_fds(req->fds, req->nfds)) < 0 || (rc = set_environment(common, req)) < 0 ||
        (pmi >= 0 && (rc = set_number("PMI_FD", (uint64_t)pmi)) < 0))
        _exit(EXIT_EXEC);
    (void)execv(path, req->argv);
    fprintf(stderr, "flux-supervise: cannot execute %s: %s\n", path, strerror(errno));
    _exit(EXIT_EXEC);
}

pid_t spawn_daemon(const struct spawn_common *common, const struct spawn_request *req)
{
    CLEANUP(freep) char *path = spawn_resolve(common->exec_path, req->argv[0]);
    const pid_t parent = getpid();
    pid_t pid;

    if (!path)
        return -ENOMEM;
    if (access(path, X_OK) < 0)
        return -errno;
    pid = fork_quietly();
    if (pid == 0)
        run_daemon(common, req, path, parent);
    return pid < 0 ? -errno : pid;
}

pid_t spawn_program(char *const *argv, char *const *environment, bool own_group)
{
    const pid_t parent = getpid();
    const pid_t pid = fork_quietly();

    if (pid != 0)
        return pid < 0 ? -errno : pid;
    die_with_parent(parent, SIGHUP);
    if (own_group)
        (void)setpgid(0, 0);
    reset_signals();
    clean_environment();
    if (put_all(environment) == 0)
        (void)execvp(argv[0], argv);
    fprintf(stderr, "flux-supervise: cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(EXIT_NO_PROGRAM);
}
