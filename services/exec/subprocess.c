/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A process with pipes. It leads a process group of its own, inherits nothing, and is watched by
 * its pidfd, so no SIGCHLD handler exists to miss it. Input that the process does not read is kept
 * up to a limit; output is read 64 KiB at a time and handed on at once. Complete means: exited, and
 * every output stream at its end (children of the process may keep those open). */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/list.h"
#include "leftovers.h"
#include "service/log.h"
#include "subprocess.h"

struct stream {
    struct subprocess *sp;
    const char *name;
    int fd; /* our end */
    flux_watcher_t *w;
};

struct subprocess {
    struct subprocesses *ps;
    TAILQ_ENTRY(subprocess) link;
    const struct subprocess_ops *ops;
    void *arg;
    char *label, *name;
    pid_t pid;
    int pidfd;
    flux_watcher_t *w;
    bool exited;
    int status;
    struct stream in, out, err;
    char *inbuf;
    size_t inbuf_size;
    bool in_eof;
};

struct subprocesses {
    flux_reactor_t *reactor;
    int records;
    TAILQ_HEAD(, subprocess) list;
    size_t count;
};

static void stream_close(struct stream *s)
{
    flux_watcher_destroy(s->w);
    s->w = NULL;
    closep(&s->fd);
    s->fd = -EBADF;
}

static void check_complete(struct subprocess *sp)
{
    if (sp->exited && sp->out.fd < 0 && sp->err.fd < 0)
        sp->ops->on_complete(sp);
}

static void on_readable(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct stream *s = arg;
    static char buf[64 * 1024];
    const ssize_t n = read(s->fd, buf, sizeof(buf));

    if (n > 0) {
        s->sp->ops->on_output(s->sp, s->name, buf, (size_t)n, false);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        stream_close(s);
        s->sp->ops->on_output(s->sp, s->name, NULL, 0, true);
        check_complete(s->sp);
    }
}

static void flush_input(struct subprocess *sp)
{
    size_t done = 0;

    while (sp->in.fd >= 0 && done < sp->inbuf_size) {
        const ssize_t n = write(sp->in.fd, sp->inbuf + done, sp->inbuf_size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) { /* EPIPE: it will not read any more; what comes is dropped */
            done = sp->inbuf_size;
            stream_close(&sp->in);
            break;
        }
        done += (size_t)n;
    }
    memmove(sp->inbuf, sp->inbuf + done, sp->inbuf_size - done);
    sp->inbuf_size -= done;
    if (sp->in.w && sp->inbuf_size > 0)
        flux_watcher_start(sp->in.w);
    else if (sp->in.w)
        flux_watcher_stop(sp->in.w);
    if (sp->inbuf_size == 0 && sp->in_eof)
        stream_close(&sp->in);
    if (done > 0)
        sp->ops->on_credit(sp, done);
}

static void on_writable(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct stream *s = arg;

    flush_input(s->sp);
}

static void on_pidfd(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct subprocess *sp = arg;
    siginfo_t si = { .si_pid = 0 };

    flux_watcher_stop(w);
    if (waitid(P_PIDFD, (id_t)sp->pidfd, &si, WEXITED | WNOHANG) == 0)
        sp->status = si.si_code == CLD_EXITED
                         ? (si.si_status & 0xff) << 8
                         : si.si_status | (si.si_code == CLD_DUMPED ? 0x80 : 0);
    else
        sp->status = SIGKILL;
    sp->exited = true;
    stream_close(&sp->in);
    sp->ops->on_exited(sp, sp->status);
    check_complete(sp);
}

/* One pipe; fds[0] for reading. The end that is ours does not block. */
static int make_pipe(int fds[2], int ours)
{
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    return fcntl(fds[ours], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int watch(struct stream *s, struct subprocess *sp, const char *name, int *fd, bool input)
{
    s->sp = sp;
    s->name = name;
    s->fd = TAKE_FD(*fd);
    s->w = flux_fd_watcher_create(sp->ps->reactor, s->fd, input ? FLUX_POLLOUT : FLUX_POLLIN,
                                  input ? on_writable : on_readable, s);
    if (!s->w)
        return -errno;
    if (!input)
        flux_watcher_start(s->w);
    return 0;
}

static int prepare(posix_spawnattr_t *attr, posix_spawn_file_actions_t *fa, const int fds[3],
                   const char *cwd)
{
    sigset_t none, all;
    int rc;

    sigemptyset(&none);
    sigfillset(&all);
    rc = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                            POSIX_SPAWN_SETSIGDEF);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(attr, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attr, &all);
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = fds[i] >= 0 ? posix_spawn_file_actions_adddup2(fa, fds[i], i)
                         : posix_spawn_file_actions_addopen(fa, i, "/dev/null", O_RDWR, 0);
    if (rc == 0 && cwd)
        rc = posix_spawn_file_actions_addchdir_np(fa, cwd);
    return rc;
}

static int spawn(const struct subprocess_command *cmd, const int fds[3], pid_t *ret_pid)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    int rc = posix_spawn_file_actions_init(&fa);

    if (rc != 0)
        return -rc;
    rc = posix_spawnattr_init(&attr);
    if (rc == 0) {
        rc = prepare(&attr, &fa, fds, cmd->cwd);
        if (rc == 0)
            rc = posix_spawnp(ret_pid, cmd->argv[0], &fa, &attr, cmd->argv, cmd->envp);
        (void)posix_spawnattr_destroy(&attr);
    }
    (void)posix_spawn_file_actions_destroy(&fa);
    return -rc;
}

struct pipes {
    int in[2], out[2], err[2];
};

static void pipes_close(struct pipes *p)
{
    for (int i = 0; i < 2; i++) {
        closep(&p->in[i]);
        closep(&p->out[i]);
        closep(&p->err[i]);
    }
}

static int start(struct subprocess *sp, const struct subprocess_command *cmd)
{
    CLEANUP(pipes_close)
    struct pipes p = { { -EBADF, -EBADF }, { -EBADF, -EBADF }, { -EBADF, -EBADF } };
    int rc = 0;

    if (!cmd->background && ((rc = make_pipe(p.in, 1)) < 0 || (rc = make_pipe(p.out, 0)) < 0 ||
                             (rc = make_pipe(p.err, 0)) < 0))
        return rc;
    rc = spawn(cmd, (int[3]){ p.in[0], p.out[1], p.err[1] }, &sp->pid);
    if (rc < 0)
        return rc;
    rc = sp->ps->records >= 0 ? leftovers_note(sp->ps->records, sp->pid) : 0;
    if (rc < 0)
        log_warning("process %d would outlive a flux-exec that is killed: %s", (int)sp->pid,
                    strerror(-rc));
    sp->pidfd = (int)syscall(SYS_pidfd_open, sp->pid, 0);
    if (sp->pidfd < 0)
        return -errno;
    sp->w = flux_fd_watcher_create(sp->ps->reactor, sp->pidfd, FLUX_POLLIN, on_pidfd, sp);
    if (!sp->w)
        return -errno;
    flux_watcher_start(sp->w);
    if (!cmd->background && ((rc = watch(&sp->in, sp, "stdin", &p.in[1], true)) < 0 ||
                             (rc = watch(&sp->out, sp, "stdout", &p.out[0], false)) < 0 ||
                             (rc = watch(&sp->err, sp, "stderr", &p.err[0], false)) < 0))
        return rc;
    return 0;
}

int subprocess_new(struct subprocesses *ps, const struct subprocess_command *cmd,
                   const struct subprocess_ops *ops, void *arg, struct subprocess **ret)
{
    struct subprocess *sp;
    int rc;

    if (ps->count >= SUBPROCESS_MAX)
        return -EAGAIN;
    TAILQ_FOREACH (sp, &ps->list, link)
        if (cmd->label && sp->label && strcmp(cmd->label, sp->label) == 0)
            return -EEXIST;
    sp = calloc(1, sizeof(*sp));
    if (!sp)
        return -ENOMEM;
    sp->ps = ps;
    sp->ops = ops;
    sp->arg = arg;
    sp->pidfd = sp->in.fd = sp->out.fd = sp->err.fd = -EBADF;
    TAILQ_INSERT_TAIL(&ps->list, sp, link);
    ps->count++;
    sp->name = strdup(cmd->argv[0]);
    sp->label = cmd->label ? strdup(cmd->label) : NULL;
    rc = sp->name && (!cmd->label || sp->label) ? start(sp, cmd) : -ENOMEM;
    if (rc < 0) {
        if (sp->pid > 0) {
            (void)kill(-sp->pid, SIGKILL);
            (void)waitpid(sp->pid, NULL, 0); /* SIGKILL was sent: does not take long */
        }
        subprocess_free(sp);
        return rc;
    }
    *ret = sp;
    return 0;
}

struct subprocess *subprocess_free(struct subprocess *sp)
{
    if (sp) {
        TAILQ_REMOVE(&sp->ps->list, sp, link);
        sp->ps->count--;
        if (sp->pid > 0 && sp->ps->records >= 0)
            leftovers_forget(sp->ps->records, sp->pid);
        stream_close(&sp->err);
        stream_close(&sp->out);
        stream_close(&sp->in);
        flux_watcher_destroy(sp->w);
        closep(&sp->pidfd);
        free(sp->inbuf);
        free(sp->name);
        free(sp->label);
        free(sp);
    }
    return NULL;
}

void *subprocess_arg(const struct subprocess *sp)
{
    return sp->arg;
}

pid_t subprocess_pid(const struct subprocess *sp)
{
    return sp->pid;
}

const char *subprocess_label(const struct subprocess *sp)
{
    return sp->label;
}

const char *subprocess_name(const struct subprocess *sp)
{
    return sp->name;
}

int subprocess_write(struct subprocess *sp, const void *data, size_t size, bool eof)
{
    if (sp->in.fd < 0 || sp->in_eof)
        return 0;
    if (size > SUBPROCESS_STDIN_MAX - sp->inbuf_size)
        return -EOVERFLOW;
    if (!sp->inbuf && !(sp->inbuf = malloc(SUBPROCESS_STDIN_MAX)))
        return -ENOMEM;
    if (size > 0)
        memcpy(sp->inbuf + sp->inbuf_size, data, size);
    sp->inbuf_size += size;
    sp->in_eof = eof;
    flush_input(sp);
    return 0;
}

int subprocess_kill(struct subprocess *sp, int signum)
{
    if (sp->exited)
        return -ESRCH;
    /* Not reaped while exited is false: the number is ours. */
    return kill(-sp->pid, signum) < 0 ? -errno : 0;
}

static void hold(struct stream *s, bool on)
{
    if (s->w && on)
        flux_watcher_stop(s->w);
    else if (s->w)
        flux_watcher_start(s->w);
}

void subprocess_hold_output(struct subprocess *sp, bool on)
{
    hold(&sp->out, on);
    hold(&sp->err, on);
}

void subprocess_close_output(struct subprocess *sp)
{
    stream_close(&sp->out);
    stream_close(&sp->err);
    check_complete(sp);
}

int subprocesses_new(flux_reactor_t *r, int records, struct subprocesses **ret)
{
    struct subprocesses *ps = calloc(1, sizeof(*ps));

    if (!ps)
        return -ENOMEM;
    ps->reactor = r;
    ps->records = records;
    TAILQ_INIT(&ps->list);
    *ret = ps;
    return 0;
}

struct subprocesses *subprocesses_free(struct subprocesses *ps)
{
    struct subprocess *sp, *next;

    if (ps) {
        TAILQ_FOREACH_SAFE (sp, &ps->list, link, next) {
            (void)subprocess_kill(sp, SIGKILL);
            subprocess_free(sp);
        }
        free(ps);
    }
    return NULL;
}

size_t subprocesses_count(const struct subprocesses *ps)
{
    return ps ? ps->count : 0;
}

struct subprocess *subprocesses_first(struct subprocesses *ps)
{
    return TAILQ_FIRST(&ps->list);
}

struct subprocess *subprocesses_next(struct subprocess *sp)
{
    return TAILQ_NEXT(sp, link);
}
