/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* PMI-1 for the tasks (RFC 13): parallel programs learn their rank and exchange addresses with it.
 *
 *     pmi=simple (default)   a socket, as descriptor PMI_FD, on which the simple protocol is spoken
 *     pmi=off                no PMI
 *
 * Until a task says something there is nothing but the socket. A task has one request under way, as
 * the protocol wants: one whose answer finds no room in the socket breaks it. Who breaks the
 * protocol, or aborts, ends the job. */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/errorx.h"
#include "pmi/server.h"
#include "peers.h"
#include "plugins.h"

struct pmi_task {
    struct pmi *pmi;
    struct task *task;
    int fd;
    flux_watcher_t *w;
    struct pmi_reader *reader; /* from the first byte on */
};

struct pmi {
    struct shell *shell;
    struct pmi_task *tasks;
    struct pmi_server *server; /* from the first line on */
};

static void hang_up(struct pmi_task *t)
{
    flux_watcher_destroy(t->w);
    t->w = NULL;
    closep(&t->fd);
    t->fd = -EBADF;
    free(t->reader);
    t->reader = NULL;
}

/* --- the server */

static struct pmi_task *find(struct pmi *pmi, uint32_t rank)
{
    for (int i = 0; i < pmi->shell->info.nlocal; i++)
        if (pmi->tasks[i].task && (uint32_t)pmi->tasks[i].task->rank == rank)
            return &pmi->tasks[i];
    return NULL;
}

static int on_send(uint32_t rank, const char *line, void *arg)
{
    struct pmi_task *t = find(arg, rank);
    const size_t len = strlen(line);
    ssize_t n;

    if (!t || t->fd < 0)
        return -ENOTCONN;
    while ((n = send(t->fd, line, len, MSG_NOSIGNAL | MSG_DONTWAIT)) < 0)
        if (errno != EINTR)
            return -errno;
    return (size_t)n == len ? 0 : -EAGAIN;
}

static void on_abort(uint32_t rank, int exit_code, void *arg)
{
    struct pmi *pmi = arg;
    char note[96];

    (void)snprintf(note, sizeof(note), "task %u aborted the program with exit code %d", rank,
                   exit_code);
    shell_log(pmi->shell, LOG_ERR, "%s", note);
    shell_raise(pmi->shell, note);
}

static void on_barrier(struct pmi_server *server, json_t *keys, void *arg)
{
    struct pmi *pmi = arg;

    peers_barrier(pmi->shell, BARRIER_PMI, keys);
}

void pmi_barrier_done(struct pmi *pmi, int rc, json_t *keys)
{
    if (pmi && pmi->server) /* -EINVAL: our tasks are gone */
        (void)pmi_server_barrier_done(pmi->server, rc, keys);
}

static int start_server(struct pmi *pmi)
{
    const struct shell_info *info = &pmi->shell->info;
    const size_t n = (size_t)info->nlocal;
    CLEANUP(freep) uint32_t *ranks = calloc(n, sizeof(*ranks));
    CLEANUP(freep) char *mapping = taskmap_encode_pmi(info->taskmap);
    char name[32];
    struct pmi_server_options o = {
        .size = (uint32_t)info->ntasks,
        .ranks = ranks,
        .nranks = n,
        .kvsname = name,
        .mapping = mapping && strlen(mapping) < PMI_VALUE_MAX ? mapping : NULL,
        .ops = { .send = on_send,
                 .barrier = info->nshells > 1 ? on_barrier : NULL,
                 .abort = on_abort },
        .arg = pmi,
    };

    if (!ranks || !mapping)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        ranks[i] = (uint32_t)pmi->shell->tasks[i].rank;
    (void)snprintf(name, sizeof(name), "%" PRIu64, info->id);
    return pmi_server_new(&o, &pmi->server);
}

/* --- tasks */

static void broken(struct pmi_task *t, const char *why)
{
    char note[320];

    (void)snprintf(note, sizeof(note), "task %d: PMI: %s", t->task->rank, why);
    shell_log(t->pmi->shell, LOG_ERR, "%s", note);
    hang_up(t);
    shell_raise(t->pmi->shell, note);
}

/* What was read, line by line. 0, or -errno with a sentence. */
static int take_lines(struct pmi_task *t, flux_error_t *error)
{
    char line[PMI_LINE_MAX];
    size_t len;
    int rc;

    while (t->reader && (rc = pmi_reader_line(t->reader, line, &len)) > 0) {
        if (!t->pmi->server && (rc = start_server(t->pmi)) < 0)
            return errorx_fail(error, -rc, "the server cannot be started: %s", strerror(-rc));
        rc = pmi_server_request(t->pmi->server, (uint32_t)t->task->rank, line, error);
        if (rc < 0)
            return rc;
    }
    return t->reader && rc < 0 ? errorx_fail(error, -rc, "a line is too long") : 0;
}

static void on_readable(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct pmi_task *t = arg;
    flux_error_t error = { .text = "" };
    ssize_t n;
    int rc;

    if (!t->reader && !(t->reader = calloc(1, sizeof(*t->reader)))) {
        broken(t, strerror(ENOMEM));
        return;
    }
    n = pmi_reader_fill(t->reader, t->fd);
    if (n == -EAGAIN || n == -EINTR)
        return;
    if (n <= 0) {
        hang_up(t);
        return;
    }
    rc = take_lines(t, &error);
    if (rc < 0)
        broken(t, error.text[0] ? error.text : strerror(-rc));
}

/* 1: on, 0: off. What is below (pmi.kvs, pmi.exchange.k) is for exchanges of another kind. */
static int read_option(const struct shell_info *info, flux_error_t *error)
{
    json_t *o = shell_info_option(info, "pmi");
    const char *value = json_string_value(o);

    if (!o || json_is_object(o) || (value && strcmp(value, "simple") == 0))
        return 1;
    if (value && (strcmp(value, "off") == 0 || strcmp(value, "none") == 0))
        return 0;
    return errorx_fail(error, EINVAL, "-o pmi%s%s: must be simple or off", value ? "=" : "",
                       value ? value : "");
}

static int on_shell_init(struct shell *shell, flux_error_t *error)
{
    static const char *const vars[] = { "PMI_FD", "PMI_RANK", "PMI_SIZE", "PMI_SPAWNED" };
    const size_t n = (size_t)shell->info.nlocal;
    const int on = read_option(&shell->info, error);
    struct pmi *pmi;

    for (size_t i = 0; i < ARRAY_SIZE(vars); i++)
        env_unset(&shell->env, vars[i]); /* of a program that this job was submitted from */
    if (on <= 0)
        return on;
    pmi = shell->pmi = calloc(1, sizeof(*pmi));
    if (!pmi || !(pmi->tasks = calloc(n > 0 ? n : 1, sizeof(*pmi->tasks))))
        return errorx_fail(error, ENOMEM, "out of memory");
    pmi->shell = shell;
    for (size_t i = 0; i < n; i++)
        pmi->tasks[i] = (struct pmi_task){ .pmi = pmi, .fd = -EBADF };
    return 0;
}

static int set_env(struct task *task)
{
    int rc = env_set(&task->env, "PMI_FD", "%d", task->pmi_fd);

    if (rc == 0)
        rc = env_set(&task->env, "PMI_RANK", "%d", task->rank);
    return rc < 0 ? rc : env_set(&task->env, "PMI_SIZE", "%d", task->shell->info.ntasks);
}

static int on_task_init(struct task *task, flux_error_t *error)
{
    struct pmi *pmi = task->shell->pmi;
    struct pmi_task *t;
    int fds[2];

    if (!pmi)
        return 0;
    t = &pmi->tasks[task->index];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return errorx_fail(error, errno, "cannot make a socket: %s", strerror(errno));
    t->task = task;
    t->fd = fds[0];
    task->pmi_fd = fds[1];
    (void)fcntl(t->fd, F_SETFL, O_NONBLOCK);
    t->w = flux_fd_watcher_create(task->shell->reactor, t->fd, FLUX_POLLIN, on_readable, t);
    if (!t->w || set_env(task) < 0)
        return errorx_fail(error, ENOMEM, "out of memory");
    return 0;
}

static void on_task_fork(struct task *task)
{
    if (task->shell->pmi)
        flux_watcher_start(task->shell->pmi->tasks[task->index].w);
}

static void on_task_exit(struct task *task)
{
    if (task->shell->pmi)
        hang_up(&task->shell->pmi->tasks[task->index]);
}

static void on_shell_exit(struct shell *shell)
{
    struct pmi *pmi = shell->pmi;

    if (!pmi)
        return;
    for (int i = 0; pmi->tasks && i < shell->info.nlocal; i++)
        hang_up(&pmi->tasks[i]);
    pmi_server_free(pmi->server);
    free(pmi->tasks);
    free(pmi);
    shell->pmi = NULL;
}

const struct shell_plugin plugin_pmi = {
    .name = "pmi",
    .options = "pmi",
    .shell_init = on_shell_init,
    .task_init = on_task_init,
    .task_fork = on_task_fork,
    .task_exit = on_task_exit,
    .shell_exit = on_shell_exit,
};
