/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Invariants: a call, which is a request on its way, is in the list from forks_ask() until its
 * answer or the end of the server; `pid` > 0 while the server is our child and not reaped, and then
 * `fd` and `w` are there.
 *
 * A server that dies between a fork and the answer of that shell leaves a shell that nobody knows:
 * it is told so when it asks for its job (shellinfo.c) and runs nothing. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/list.h"
#include "base/monotime.h"
#include "forks.h"
#include "service/log.h"
#include "shell/forkserver.h"

#define BURST_USEC   1000000 /* a server is worth it for two launches within this time */
#define FAILURES_MAX 3       /* servers that were never ready, one after the other */

struct fork_call {
    TAILQ_ENTRY(fork_call) link;
    uint64_t tag, sent_usec;
    struct launch *p; /* NULL: nobody wants it any more */
};

struct forks {
    struct forks_config config;
    TAILQ_HEAD(, fork_call) calls; /* in the order of their tags */
    uint64_t last_tag, last_usec, nforked;
    unsigned failures;
    char *shell; /* that the server was started as */
    pid_t pid;
    bool ready;
    int fd;
    flux_watcher_t *w, *tick;
};

static void stop_server(struct forks *fs)
{
    flux_watcher_destroy(fs->w);
    fs->w = NULL;
    if (fs->tick)
        flux_watcher_stop(fs->tick);
    closep(&fs->fd);
    fs->fd = -EBADF;
    if (fs->pid > 0) {
        (void)kill(fs->pid, SIGKILL);
        (void)waitpid(fs->pid, NULL, 0); /* does not take long */
    }
    fs->pid = 0;
    fs->ready = false;
    free(fs->shell);
    fs->shell = NULL;
}

static struct launch *take_call(struct forks *fs, struct fork_call *call)
{
    struct launch *p = call->p;

    TAILQ_REMOVE(&fs->calls, call, link);
    free(call);
    return p;
}

/* What the server owes is executed. */
static void give_up(struct forks *fs, const char *why)
{
    CLEANUP(freep) char *shell = fs->shell;
    struct fork_call *call;

    fs->shell = NULL;
    if (!fs->ready && ++fs->failures == FAILURES_MAX)
        log_warning("%s cannot fork shells (%s): each is executed", shell, why);
    else if (fs->ready && !TAILQ_EMPTY(&fs->calls))
        log_warning("the process that forks shells %s: they are executed", why);
    stop_server(fs);
    while ((call = TAILQ_FIRST(&fs->calls))) {
        struct launch *p = take_call(fs, call);

        if (p)
            fs->config.ops->on_forked(p, shell, 0);
    }
}

static void on_tick(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct forks *fs = arg;
    const struct fork_call *call = TAILQ_FIRST(&fs->calls);
    const uint64_t now = monotime_usec();

    if (call ? (double)(now - call->sent_usec) > fs->config.timeout * 1e6 : !fs->ready)
        give_up(fs, "does not answer");
    else if (!call && (double)(now - fs->last_usec) > fs->config.idle * 1e6)
        stop_server(fs);
}

static bool is_child(pid_t pid)
{
    siginfo_t si;

    return waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void take_answer(struct forks *fs, const struct forkserver_answer *a)
{
    struct fork_call *call;
    struct launch *p;

    if (a->pid > INT32_MAX || (a->pid > 0 && !is_child((pid_t)a->pid))) {
        give_up(fs, "names a process that is not its work");
        return;
    }
    TAILQ_FOREACH (call, &fs->calls, link)
        if (call->tag == a->tag)
            break;
    p = call ? take_call(fs, call) : NULL;
    if (a->pid > 0)
        fs->nforked++;
    if (p) {
        fs->config.ops->on_forked(p, fs->shell, a->pid > 0 ? (pid_t)a->pid : 0);
    } else if (a->pid > 0) {
        (void)kill((pid_t)a->pid, SIGKILL);
        (void)waitpid((pid_t)a->pid, NULL, 0);
    }
}

static void on_answer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct forks *fs = arg;
    struct forkserver_answer a;
    const ssize_t n = recv(fs->fd, &a, sizeof(a), MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n != (ssize_t)sizeof(a)) {
        give_up(fs, "ended");
    } else if (a.tag == 0) {
        fs->ready = true;
        fs->failures = 0;
    } else {
        take_answer(fs, &a);
    }
}

static int start_server(struct forks *fs, const char *shell)
{
    CLEANUP(closep) int theirs = -EBADF;
    int fds[2], rc;

    if (!(fs->shell = strdup(shell)))
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    fs->fd = fds[0];
    theirs = fds[1];
    rc = fs->config.ops->serve(shell, theirs, &fs->pid, fs->config.arg);
    if (rc < 0)
        return rc;
    fs->w = flux_fd_watcher_create(fs->config.reactor, fs->fd, FLUX_POLLIN, on_answer, fs);
    if (!fs->w)
        return -errno;
    flux_watcher_start(fs->w);
    flux_timer_watcher_reset(fs->tick, fs->config.timeout, fs->config.timeout / 2);
    flux_watcher_start(fs->tick);
    return 0;
}

/* Started when shells come in quick succession; one that cannot be started is not tried forever. */
static void want_server(struct forks *fs, const char *shell)
{
    const uint64_t now = monotime_usec();
    const bool burst = fs->last_usec > 0 && now - fs->last_usec < BURST_USEC;

    fs->last_usec = now;
    if (fs->pid > 0 && fs->ready && strcmp(fs->shell, shell) != 0 && TAILQ_EMPTY(&fs->calls))
        stop_server(fs); /* the configuration names another shell now */
    if (fs->pid == 0 && burst && fs->failures < FAILURES_MAX && start_server(fs, shell) < 0) {
        fs->failures++;
        stop_server(fs);
    }
}

bool forks_ask(struct forks *fs, const char *shell, flux_jobid_t id, struct launch *p, void **ret)
{
    struct fork_call *call;
    const struct forkserver_request req = { .tag = fs->last_tag + 1, .id = id };

    want_server(fs, shell);
    if (!fs->ready || strcmp(fs->shell, shell) != 0 || !(call = calloc(1, sizeof(*call))))
        return false;
    if (send(fs->fd, &req, sizeof(req), MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)sizeof(req)) {
        free(call);
        return false;
    }
    call->tag = fs->last_tag = req.tag;
    call->sent_usec = monotime_usec();
    call->p = p;
    TAILQ_INSERT_TAIL(&fs->calls, call, link);
    *ret = call;
    return true;
}

void forks_forget(struct forks *fs, void *call)
{
    struct fork_call *c = call;

    c->p = NULL;
}

uint64_t forks_count(const struct forks *fs)
{
    return fs->nforked;
}

pid_t forks_pid(const struct forks *fs)
{
    return fs->pid;
}

int forks_new(const struct forks_config *config, struct forks **ret)
{
    struct forks *fs = calloc(1, sizeof(*fs));

    if (!fs)
        return -ENOMEM;
    TAILQ_INIT(&fs->calls);
    fs->config = *config;
    fs->fd = -EBADF;
    fs->tick =
        flux_timer_watcher_create(config->reactor, config->timeout, config->timeout, on_tick, fs);
    if (!fs->tick) {
        const int rc = -errno;

        free(fs);
        return rc;
    }
    *ret = fs;
    return 0;
}

struct forks *forks_free(struct forks *fs)
{
    if (fs) {
        stop_server(fs);
        while (!TAILQ_EMPTY(&fs->calls))
            (void)take_call(fs, TAILQ_FIRST(&fs->calls));
        flux_watcher_destroy(fs->tick);
        free(fs);
    }
    return NULL;
}
