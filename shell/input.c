/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What tasks read: what attached users send (default), or a file.
 *
 *     input.stdin.type   service (default), file
 *     input.stdin.path   file name, with {{tags}}; each task reads it from its start
 *     input.stdin.ranks  the tasks that users' input goes to (default all); others read nothing
 *
 * Input from users is recorded in the input eventlog (RFC 24) as it is taken. A task that does not
 * read holds up to a megabyte, then the senders wait. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/errorx.h"
#include "input.h"
#include "peers.h"
#include "plugins.h"
#include "template.h"

#define INPUT_MAX (1024 * 1024)

struct instream {
    struct input *in;
    int fd;
    flux_watcher_t *w;
    char *data;
    size_t size, capacity;
    bool eof; /* close when data is written */
};

struct input {
    struct shell *shell;
    const char *path; /* NULL: from users */
    const char *rank; /* who gets what is not for somebody by name, "all" or an idset */
    char *listener_text;
    struct idset *listeners; /* the same; NULL: all. Others read nothing */
    struct instream *streams;
    bool terminal; /* users' input goes to that of task 0, see pty.c */
    bool blocked;
    void (*on_room)(void *arg);
    void *arg;
};

static int read_listeners(struct input *in, flux_error_t *error)
{
    json_t *o = shell_info_option(&in->shell->info, "input.stdin.ranks");
    const json_int_t n = json_integer_value(o);
    const char *text = json_string_value(o);

    in->rank = "all";
    if (!o || (text && strcmp(text, "all") == 0))
        return 0;
    if (text)
        in->listeners = idset_decode(text);
    else if (json_is_integer(o) && n >= 0 && n < in->shell->info.ntasks &&
             (in->listeners = idset_create(0, IDSET_FLAG_AUTOGROW)))
        (void)idset_set(in->listeners, (unsigned int)n);
    if (!in->listeners || idset_count(in->listeners) == 0 ||
        idset_last(in->listeners) >= (unsigned int)in->shell->info.ntasks)
        return errorx_fail(error, EINVAL,
                           "-o input.stdin.ranks: must be ranks of tasks such as 0 or 0-3, or all");
    in->rank = in->listener_text = idset_encode(in->listeners, IDSET_FLAG_RANGE);
    return in->rank ? 0 : errorx_fail(error, ENOMEM, "out of memory");
}

static int on_shell_init(struct shell *shell, flux_error_t *error)
{
    struct input *in = shell->input = calloc(1, sizeof(*in));
    const char *type = shell_info_option_string(&shell->info, "input.stdin.type");
    const size_t n = (size_t)shell->info.nlocal;

    if (!in || !(in->streams = calloc(n > 0 ? n : 1, sizeof(*in->streams))))
        return errorx_fail(error, ENOMEM, "out of memory");
    in->shell = shell;
    in->terminal = pty_wanted(shell);
    for (size_t i = 0; i < n; i++)
        in->streams[i] = (struct instream){ .in = in, .fd = -EBADF };
    if (!type || strcmp(type, "service") == 0)
        return read_listeners(in, error);
    if (strcmp(type, "file") != 0)
        return errorx_fail(error, EINVAL, "-o input.stdin.type=%s: must be service or file", type);
    in->path = shell_info_option_string(&shell->info, "input.stdin.path");
    return in->path
               ? 0
               : errorx_fail(error, EINVAL, "-o input.stdin.type=file: needs input.stdin.path");
}

static void close_stream(struct instream *s)
{
    flux_watcher_destroy(s->w);
    s->w = NULL;
    closep(&s->fd);
    s->fd = -EBADF;
    free(s->data);
    s->data = NULL;
    s->size = s->capacity = 0;
}

bool input_has_room(const struct input *in)
{
    if (!in->shell->started || !peers_have_room(in->shell))
        return false;
    for (int i = 0; i < in->shell->info.nlocal; i++)
        if (in->streams[i].size >= INPUT_MAX)
            return false;
    return true;
}

void input_check_room(struct input *in)
{
    if (!in || !in->blocked || !input_has_room(in))
        return;
    in->blocked = false;
    if (in->on_room)
        in->on_room(in->arg);
    else
        peers_resume(in->shell);
}

static void flush(struct instream *s)
{
    size_t done = 0;

    while (s->fd >= 0 && done < s->size) {
        const ssize_t n = write(s->fd, s->data + done, s->size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            close_stream(s); /* the task closed its end */
            return;
        }
        if (n < 0)
            break;
        done += (size_t)n;
    }
    if (s->fd < 0)
        return;
    if (done > 0)
        memmove(s->data, s->data + done, s->size - done);
    s->size -= done;
    if (s->size > 0)
        flux_watcher_start(s->w);
    else
        flux_watcher_stop(s->w);
    if (s->size == 0 && s->eof)
        close_stream(s);
}

static void on_writable(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct instream *s = arg;
    struct input *in = s->in;

    flush(s);
    input_check_room(in);
}

static void write_header(struct logs *logs)
{
    (void)logs_event(logs, LOGS_INPUT, "header", "{s:i s:{s:s} s:{s:i} s:{}}", "version", 1,
                     "encoding", "stdin", "UTF-8", "count", "stdin", 1, "options");
}

/* One redirect event for all tasks, or one each if each has its own file. */
static void record_redirect(struct input *in, const struct task *task, const char *path)
{
    struct logs *logs = in->shell->logs;
    const bool leader = peers_is_leader(in->shell), first = logs_is_empty(logs, LOGS_INPUT);
    char rank[12] = "all";

    if (template_is_per_task(in->path))
        (void)snprintf(rank, sizeof(rank), "%d", task->rank);
    else if (!first || !leader)
        return;
    if (first && leader)
        write_header(logs);
    (void)logs_event(logs, LOGS_INPUT, "redirect", "{s:s s:s s:s}", "stream", "stdin", "rank", rank,
                     "path", path);
}

static int open_file(struct input *in, struct task *task, flux_error_t *error)
{
    CLEANUP(freep) char *path = task_file_name(task, in->path);

    if (!path)
        return errorx_fail(error, errno, "the name of the input file is too long");
    task->fds[0] = open(path, O_RDONLY | O_CLOEXEC);
    if (task->fds[0] < 0)
        return errorx_fail(error, errno, "cannot open the input file %s: %s", path,
                           strerror(errno));
    record_redirect(in, task, path);
    return 0;
}

static int on_task_init(struct task *task, flux_error_t *error)
{
    struct input *in = task->shell->input;
    struct instream *s = &in->streams[task->index];
    int fds[2];

    if (in->terminal)
        return 0; /* the others read /dev/null */
    if (in->path)
        return open_file(in, task, error);
    if (in->listeners && !idset_test(in->listeners, (unsigned int)task->rank))
        return 0; /* reads /dev/null */
    if (pipe2(fds, O_CLOEXEC) < 0)
        return errorx_fail(error, errno, "cannot make a pipe: %s", strerror(errno));
    task->fds[0] = fds[0];
    s->fd = fds[1];
    (void)fcntl(s->fd, F_SETFL, O_NONBLOCK);
    s->w = flux_fd_watcher_create(task->shell->reactor, s->fd, FLUX_POLLOUT, on_writable, s);
    return s->w ? 0 : errorx_fail(error, errno, "out of memory");
}

static void on_task_exit(struct task *task)
{
    struct input *in = task->shell->input;

    close_stream(&in->streams[task->index]);
    input_check_room(in);
}

static int store(struct instream *s, const struct iodata *io)
{
    if (s->fd < 0 || s->eof)
        return 0;
    if (s->capacity - s->size < io->size) {
        char *grown = realloc(s->data, s->size + io->size);

        if (!grown)
            return -ENOMEM;
        s->data = grown;
        s->capacity = s->size + io->size;
    }
    if (io->size > 0)
        memcpy(s->data + s->size, io->data, io->size);
    s->size += io->size;
    s->eof = io->eof;
    flush(s);
    return 0;
}

static void record(struct input *in, const struct iodata *io)
{
    struct logs *logs = in->shell->logs;
    CLEANUP(json_decrefp)
    json_t *o = iodata_encode("stdin", io->rank, io->data, io->size, io->eof);

    if (logs_is_empty(logs, LOGS_INPUT))
        write_header(logs);
    if (o)
        (void)logs_event_json(logs, LOGS_INPUT, "data", o);
}

/* The tasks that input is for. *ret NULL: all. 0 or -EINVAL. */
static int read_ranks(const struct iodata *io, struct idset **ret)
{
    *ret = NULL;
    if (strcmp(io->stream, "stdin") != 0)
        return -EINVAL;
    if (io->rank[0] && strcmp(io->rank, "all") != 0 && !(*ret = idset_decode(io->rank)))
        return -EINVAL;
    return 0;
}

static int store_all(struct input *in, const struct iodata *io, const struct idset *ranks)
{
    int rc = 0;

    for (int i = 0; i < in->shell->info.nlocal && rc == 0; i++)
        if (!ranks || idset_test(ranks, (unsigned int)in->shell->tasks[i].rank))
            rc = store(&in->streams[i], io);
    return rc;
}

int input_write(struct input *in, struct iodata *io)
{
    struct idset *ranks;
    int rc;

    if (!io->rank[0] || strcmp(io->rank, "all") == 0)
        io->rank = in->rank;
    if (in->path || in->shell->finishing)
        return -EPIPE;
    if ((rc = read_ranks(io, &ranks)) < 0)
        return rc;
    if (!input_has_room(in)) {
        in->blocked = true;
        rc = -EAGAIN;
    }
    if (rc == 0)
        rc = store_all(in, io, ranks);
    if (rc == 0)
        rc = peers_send_input(in->shell, io, ranks);
    if (rc == 0)
        record(in, io);
    idset_destroy(ranks);
    return rc;
}

int input_deliver(struct input *in, const struct iodata *io)
{
    struct idset *ranks;
    int rc = in->path ? -EPIPE : read_ranks(io, &ranks);

    if (rc < 0)
        return rc;
    rc = store_all(in, io, ranks);
    in->blocked = !input_has_room(in);
    idset_destroy(ranks);
    return rc;
}

int input_record_text(struct input *in, const char *text)
{
    struct logs *logs = in->shell->logs;

    if (logs_is_empty(logs, LOGS_INPUT))
        write_header(logs);
    return logs_append(logs, LOGS_INPUT, text, strlen(text));
}

void input_set_on_room(struct input *in, void (*on_room)(void *arg), void *arg)
{
    in->on_room = on_room;
    in->arg = arg;
}

static void on_shell_exit(struct shell *shell)
{
    struct input *in = shell->input;

    if (!in)
        return;
    for (int i = 0; in->streams && i < shell->info.nlocal; i++)
        close_stream(&in->streams[i]);
    idset_destroy(in->listeners);
    free(in->listener_text);
    free(in->streams);
    free(in);
    shell->input = NULL;
}

const struct shell_plugin plugin_input = {
    .name = "input",
    .options = "input.stdin.path input.stdin.ranks input.stdin.type",
    .shell_init = on_shell_init,
    .task_init = on_task_init,
    .task_exit = on_task_exit,
    .shell_exit = on_shell_exit,
};
