/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A terminal for task 0, with whoever is attached to the job at its other end.
 *
 *     pty.interactive   task 0 has a terminal (default: pipes)
 *
 * What is typed and shown goes over the shell's service and is kept nowhere: it may be a password.
 * Only what nobody has seen when the task ends goes to the output eventlog.
 * The last who attached has the terminal. A chunk that was sent and not acknowledged counts against
 * a window; when that is full, or nobody is attached, the task waits in its write. What is typed is
 * answered when the terminal has taken it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/errorx.h"
#include "base/iodata.h"
#include "option.h"
#include "peers.h"
#include "plugins.h"

#define WINDOW    (256 * 1024)
#define CHUNK     4096
#define WRITE_MAX (64 * 1024) /* of one request */

struct pty {
    struct shell *shell;
    int fd;     /* of our end */
    char *path; /* of the other */
    flux_watcher_t *r, *w;
    size_t sent; /* and not acknowledged */
    const flux_msg_t *client;
    const flux_msg_t *writer; /* waits for the terminal to take the rest */
    size_t written;
    flux_msg_handler_t *mh[4];
};

static void forget(const flux_msg_t **msg)
{
    flux_msg_decref(*msg);
    *msg = NULL;
}

/* The terminal is gone, or will not come. */
static void end_client(struct pty *p)
{
    if (p->client)
        (void)flux_respond_error(p->shell->h, p->client, ENODATA, NULL);
    forget(&p->client);
}

/* --- to the client */

static void check_window(struct pty *p)
{
    if (p->client && p->sent < WINDOW && p->fd >= 0)
        flux_watcher_start(p->r);
    else
        flux_watcher_stop(p->r);
}

static void keep(struct pty *p, const char *data, size_t size)
{
    CLEANUP(json_decrefp) json_t *o = iodata_encode("stdout", "0", data, size, false);

    if (o)
        (void)logs_event_json(p->shell->logs, LOGS_OUTPUT, "data", o);
}

/* 1: there may be more. */
static int read_once(struct pty *p)
{
    char buf[CHUNK];
    const ssize_t n = read(p->fd, buf, sizeof(buf));

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return -1; /* EIO: no process has it open */
    p->sent += (size_t)n;
    if (!p->client)
        keep(p, buf, (size_t)n);
    else if (flux_respond_raw(p->shell->h, p->client, buf, (int)n) < 0)
        forget(&p->client);
    return 1;
}

static void on_readable(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct pty *p = arg;

    if (read_once(p) < 0)
        flux_watcher_stop(p->r); /* the end of the task will be noticed */
    else
        check_window(p);
}

/* --- from the client */

static void answer(struct pty *p, const flux_msg_t *msg, int rc)
{
    if (rc < 0)
        (void)flux_respond_error(p->shell->h, msg, -rc, NULL);
    else
        (void)flux_respond(p->shell->h, msg, "{}");
}

static bool authorized(struct pty *p, const flux_msg_t *msg)
{
    if (flux_msg_authorize(msg, p->shell->info.userid) == 0)
        return true;
    answer(p, msg, -EPERM);
    return false;
}

static int resize(struct pty *p, int rows, int cols)
{
    const struct winsize ws = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols };

    if (rows < 0 || cols < 0 || rows > 0xffff || cols > 0xffff)
        return -EINVAL;
    if (p->fd < 0 || rows == 0 || cols == 0)
        return 0;
    return ioctl(p->fd, TIOCSWINSZ, &ws) < 0 ? -errno : 0;
}

static void on_attach(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    struct pty *p = arg;
    int rows = 0, cols = 0, rc;

    if (!authorized(p, msg))
        return;
    if (!flux_msg_is_streaming(msg) ||
        flux_request_unpack(msg, NULL, "{s:i s:i}", "rows", &rows, "cols", &cols) < 0)
        rc = -EPROTO;
    else
        rc = p->fd < 0 ? -ENODATA : resize(p, rows, cols);
    if (rc < 0) {
        answer(p, msg, rc);
        return;
    }
    end_client(p);
    p->client = flux_msg_incref(msg);
    p->sent = 0;
    check_window(p);
}

static void on_resize(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    struct pty *p = arg;
    int rows, cols, size = 0, rc = 0;

    if (!authorized(p, msg))
        return;
    if (flux_request_unpack(msg, NULL, "{s:i s:i s?i}", "rows", &rows, "cols", &cols, "seen",
                            &size) < 0 ||
        size < 0)
        rc = -EPROTO;
    if (rc == 0) {
        rc = resize(p, rows, cols);
        p->sent -= (size_t)size < p->sent ? (size_t)size : p->sent;
        check_window(p);
    }
    answer(p, msg, rc);
}

/* The rest of what `writer` brought. */
static void write_on(struct pty *p)
{
    const void *data;
    int size, rc = 0;

    if (flux_request_decode_raw(p->writer, NULL, &data, &size) < 0)
        size = 0;
    while (rc == 0 && p->fd >= 0 && p->written < (size_t)size) {
        const ssize_t n = write(p->fd, (const char *)data + p->written, (size_t)size - p->written);

        if (n < 0 && errno == EAGAIN) {
            flux_watcher_start(p->w);
            return;
        }
        if (n < 0 && errno != EINTR)
            rc = -EPIPE;
        p->written += n > 0 ? (size_t)n : 0;
    }
    flux_watcher_stop(p->w);
    answer(p, p->writer, p->fd < 0 ? -EPIPE : rc);
    forget(&p->writer);
}

static void on_writable(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    write_on(arg);
}

/* A client sends one after the other. */
static void on_write(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    struct pty *p = arg;
    const void *data;
    int size;

    if (!authorized(p, msg))
        return;
    if (flux_request_decode_raw(msg, NULL, &data, &size) < 0 || size > WRITE_MAX) {
        answer(p, msg, -EPROTO);
    } else if (p->writer) {
        answer(p, msg, -EBUSY);
    } else {
        p->writer = flux_msg_incref(msg);
        p->written = 0;
        write_on(p);
    }
}

/* --- the terminal */

static int open_terminal(struct pty *p)
{
    char path[64];

    p->fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (p->fd < 0 || grantpt(p->fd) < 0 || unlockpt(p->fd) < 0 ||
        ptsname_r(p->fd, path, sizeof(path)) != 0 || fcntl(p->fd, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    p->path = strdup(path);
    p->r = flux_fd_watcher_create(p->shell->reactor, p->fd, FLUX_POLLIN, on_readable, p);
    p->w = flux_fd_watcher_create(p->shell->reactor, p->fd, FLUX_POLLOUT, on_writable, p);
    return p->path && p->r && p->w ? 0 : -ENOMEM;
}

static int add_handler(struct pty *p, int i, const char *method, flux_msg_handler_f cb)
{
    char topic[80];
    struct flux_match match = FLUX_MATCH_REQUEST;

    (void)snprintf(topic, sizeof(topic), "%u-shell-%" PRIu64 ".%s", p->shell->info.userid,
                   p->shell->id, method);
    match.topic_glob = topic;
    p->mh[i] = flux_msg_handler_create(p->shell->h, match, cb, p);
    if (!p->mh[i])
        return -errno;
    flux_msg_handler_allow_rolemask(p->mh[i], FLUX_ROLE_USER);
    flux_msg_handler_start(p->mh[i]);
    return 0;
}

bool pty_wanted(const struct shell *shell)
{
    bool wanted = false;

    (void)option_flag(&shell->info, "pty.interactive", &wanted, NULL);
    return wanted;
}

static int on_shell_init(struct shell *shell, flux_error_t *error)
{
    bool wanted = false;
    struct pty *p;
    int rc = option_flag(&shell->info, "pty.interactive", &wanted, error);

    if (rc < 0)
        return rc;
    if (!wanted || !idset_test(shell->info.tasks, 0))
        return 0;
    if (!peers_is_leader(shell))
        return errorx_fail(error, EINVAL, "-o pty.interactive: task 0 must be on the first node");
    p = shell->pty = calloc(1, sizeof(*p));
    if (!p)
        return errorx_fail(error, ENOMEM, "out of memory");
    p->shell = shell;
    p->fd = -EBADF;
    if ((rc = open_terminal(p)) < 0 || (rc = add_handler(p, 0, "pty-attach", on_attach)) < 0 ||
        (rc = add_handler(p, 1, "pty-write", on_write)) < 0 ||
        (rc = add_handler(p, 2, "pty-resize", on_resize)) < 0)
        return errorx_fail(error, -rc, "cannot make a terminal: %s", strerror(-rc));
    return 0;
}

static int on_task_init(struct task *task, flux_error_t *error)
{
    if (task->shell->pty && task->rank == 0)
        task->tty = task->shell->pty->path;
    return 0;
}

/* What was written before the end is still in it. */
static void on_shell_finish(struct shell *shell)
{
    struct pty *p = shell->pty;

    if (!p || p->fd < 0)
        return;
    while (read_once(p) > 0)
        ;
    end_client(p);
    flux_watcher_stop(p->r);
    flux_watcher_stop(p->w);
    closep(&p->fd);
    p->fd = -EBADF;
    if (p->writer)
        write_on(p);
}

static void on_shell_exit(struct shell *shell)
{
    struct pty *p = shell->pty;

    if (!p)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(p->mh); i++)
        flux_msg_handler_destroy(p->mh[i]);
    forget(&p->writer);
    forget(&p->client);
    flux_watcher_destroy(p->w);
    flux_watcher_destroy(p->r);
    closep(&p->fd);
    free(p->path);
    free(p);
    shell->pty = NULL;
}

const struct shell_plugin plugin_pty = {
    .name = "pty",
    .options = "pty.interactive",
    .shell_init = on_shell_init,
    .task_init = on_task_init,
    .shell_finish = on_shell_finish,
    .shell_exit = on_shell_exit,
};
