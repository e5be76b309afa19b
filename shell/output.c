/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What tasks write: into the output eventlog (RFC 24), or into files.
 *
 *     output.{stdout,stderr}.type         kvs (default), file
 *     output.{stdout,stderr}.path         file name, with {{tags}}
 *     output.{stdout,stderr}.label        true: "RANK: " before each line (files)
 *     output.{stdout,stderr}.buffer.type  line (default for stdout), none (default for stderr)
 *     output.mode                         truncate (default), append
 *     output.limit                        bytes of each stream that the eventlog takes, the rest
 *                                         is dropped with a warning (default 1G; 10M for a guest)
 *     output.batch-timeout                how long output waits for more (default 30 ms)
 *
 * stderr follows stdout's type and path unless it has its own. stdout is passed on by whole lines,
 * stderr as it comes. Memory is bounded: when the eventlog has a megabyte waiting, pipes are left
 * unread until it was written, and the tasks feel it as a full pipe. Shells that are not the leader
 * send him what goes to the eventlog or to a file of the whole job, and write files of their own
 * node and tasks themselves. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/errorx.h"
#include "base/iodata.h"
#include "linebuf.h"
#include "option.h"
#include "output.h"
#include "peers.h"
#include "plugins.h"
#include "template.h"

#define LIMIT_DEFAULT 1000000000
#define LIMIT_GUEST   10000000
#define BATCH_MAX     3600.

enum { STDOUT, STDERR, NSTREAMS };

static const char *const stream_names[NSTREAMS] = { "stdout", "stderr" };

struct stream {
    struct output *o;
    struct task *task;
    int which;
    int fd;
    flux_watcher_t *w;
    struct linebuf lb;
    struct outfile *file; /* NULL: the eventlog */
    bool at_line_start;   /* for labels */
    bool relayed;         /* to the leader's file */
    bool failed;          /* writing to the file failed, and was said */
};

struct output_option {
    bool by_line;
    bool label;
    const char *path; /* NULL: eventlog */
};

struct output {
    struct shell *shell;
    struct output_option option[NSTREAMS];
    bool append;
    uint64_t limit;             /* of what the eventlog takes of each stream of this shell */
    uint64_t written[NSTREAMS]; /* to it */
    struct outfiles *files;
    struct outfile *shared[NSTREAMS]; /* at the leader, for tasks of other nodes */
    bool shared_failed[NSTREAMS];
    struct stream *streams; /* NSTREAMS for each task */
};

static const char *string_option(const struct shell *shell, int which, const char *name)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "output.%s.%s", stream_names[which], name);
    return shell_info_option_string(&shell->info, path);
}

static int label_option(const struct shell *shell, int which, bool *ret, flux_error_t *error)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "output.%s.label", stream_names[which]);
    return option_flag(&shell->info, path, ret, error);
}

static int read_options(struct output *o, int which, flux_error_t *error)
{
    const char *type = string_option(o->shell, which, "type");
    const char *path = string_option(o->shell, which, "path");
    const char *buffer = string_option(o->shell, which, "buffer.type");
    struct output_option *opt = &o->option[which];

    if (buffer && strcmp(buffer, "none") != 0 && strcmp(buffer, "line") != 0)
        return errorx_fail(error, EINVAL, "-o output.%s.buffer.type=%s: must be line or none",
                           stream_names[which], buffer);
    opt->by_line = buffer ? strcmp(buffer, "none") != 0 : which == STDOUT;
    if (label_option(o->shell, which, &opt->label, error) < 0)
        return -EINVAL;
    if (!type && which == STDERR) {
        opt->path = path ? path : o->option[STDOUT].path;
        opt->label = opt->label || (!path && o->option[STDOUT].label);
        return 0;
    }
    if (!type || strcmp(type, "kvs") == 0)
        return 0;
    if (strcmp(type, "file") != 0)
        return errorx_fail(error, EINVAL, "-o output.%s.type=%s: must be kvs or file",
                           stream_names[which], type);
    if (!path)
        return errorx_fail(error, EINVAL, "-o output.%s.type=file: needs output.%s.path",
                           stream_names[which], stream_names[which]);
    opt->path = path;
    return 0;
}

static void write_header(struct output *o)
{
    const int n = o->shell->info.ntasks;

    (void)logs_event(o->shell->logs, LOGS_OUTPUT, "header",
                     "{s:i s:{s:s s:s} s:{s:i s:i} s:{s:i s:b}}", "version", 1, "encoding",
                     "stdout", "UTF-8", "stderr", "UTF-8", "count", "stdout", n, "stderr", n,
                     "options", "leader-rank", (int)o->shell->info.broker_rank, "pty",
                     o->shell->pty != NULL);
}

/* The instance belongs to somebody else if its directory does. */
static bool is_guest(void)
{
    const char *uri = getenv("FLUX_URI");
    struct stat st;

    return uri && strncmp(uri, "local://", 8) == 0 && stat(uri + 8, &st) == 0 &&
           st.st_uid != geteuid();
}

static int read_bounds(struct output *o, flux_error_t *error)
{
    const struct shell_info *info = &o->shell->info;
    const char *mode = shell_info_option_string(info, "output.mode");
    double batch = -1;
    int rc;

    if (mode && strcmp(mode, "append") != 0 && strcmp(mode, "truncate") != 0)
        return errorx_fail(error, EINVAL, "-o output.mode=%s: must be truncate or append", mode);
    o->append = mode && strcmp(mode, "append") == 0;
    o->limit = is_guest() ? LIMIT_GUEST : LIMIT_DEFAULT;
    rc = option_size(info, "output.limit", LIMIT_DEFAULT, &o->limit, error);
    if (rc >= 0)
        rc = option_duration(info, "output.batch-timeout", false, &batch, error);
    if (rc > 0)
        logs_set_delay(o->shell->logs, batch < BATCH_MAX ? batch : BATCH_MAX);
    return rc < 0 ? rc : 0;
}

static int on_shell_init(struct shell *shell, flux_error_t *error)
{
    struct output *o = shell->output = calloc(1, sizeof(*o));
    const size_t n = (size_t)shell->info.nlocal * NSTREAMS;
    int rc;

    if (!o)
        return errorx_fail(error, ENOMEM, "out of memory");
    o->shell = shell;
    o->files = outfiles_new();
    o->streams = calloc(n > 0 ? n : 1, sizeof(*o->streams));
    if (!o->files || !o->streams)
        return errorx_fail(error, ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        o->streams[i].fd = -EBADF;
    if (shell->info.shell_rank == 0)
        write_header(o);
    if ((rc = read_bounds(o, error)) < 0 || (rc = read_options(o, STDOUT, error)) < 0)
        return rc;
    return read_options(o, STDERR, error);
}

/* --- passing on */

static void write_failed(struct stream *s, int rc)
{
    if (!s->failed)
        shell_log(s->o->shell, LOG_ERR, "task %d: %s is lost: %s", s->task->rank,
                  stream_names[s->which], strerror(-rc));
    s->failed = true;
}

/* Into the file, or to the shell that has it open. */
static void to_file(struct stream *s, const char *data, size_t size)
{
    CLEANUP(freep) char *text = NULL;
    int rc = 0;

    if (s->o->option[s->which].label) {
        text = outfile_label(data, size, s->task->rank, &s->at_line_start, &size);
        data = text;
    }
    if (!data)
        rc = -ENOMEM;
    else if (s->relayed)
        peers_tell_write(s->o->shell, s->which, data, size);
    else
        rc = outfile_write(s->file, data, size);
    if (rc < 0)
        write_failed(s, rc);
}

/* The file of the whole job that a stream goes to, if there is one. */
static struct outfile *shared_file(struct output *o, int which, flux_error_t *error)
{
    const char *template = o->option[which].path;
    CLEANUP(freep) char *path = NULL;
    bool first;

    if (o->shared[which] || !template || template_is_per_node(template))
        return o->shared[which];
    path = shell_file_name(o->shell, template);
    if (!path)
        errorx_set(error, "the name of the output file is too long");
    else
        (void)outfiles_open(o->files, path, o->append, &o->shared[which], &first, error);
    return o->shared[which];
}

int output_write_stream(struct output *o, const char *stream, const char *data, size_t size)
{
    const int which = strcmp(stream, stream_names[STDERR]) == 0 ? STDERR : STDOUT;
    flux_error_t error = { .text = "there is none" };
    struct outfile *file = o ? shared_file(o, which, &error) : NULL;
    const int rc = file ? outfile_write(file, data, size) : 0;

    if (!o)
        return -EPROTO;
    if (rc < 0)
        errorx_set(&error, "%s", strerror(-rc));
    if ((!file || rc < 0) && !o->shared_failed[which]) {
        o->shared_failed[which] = true;
        shell_log(o->shell, LOG_ERR, "%s of tasks on other nodes is lost: %s", stream_names[which],
                  error.text);
    }
    return 0;
}

/* How much of size the eventlog still takes. The first byte too many is said. */
static size_t within_limit(struct stream *s, size_t size)
{
    struct output *o = s->o;
    uint64_t *written = &o->written[s->which];
    const uint64_t room = o->limit - (*written < o->limit ? *written : o->limit);

    if (size > room && *written <= o->limit)
        shell_log(o->shell, LOG_WARNING,
                  "%s is truncated after %" PRIu64 " bytes, see -o output.limit",
                  stream_names[s->which], o->limit);
    *written += size;
    return size < room ? size : (size_t)room;
}

static void to_eventlog(struct stream *s, const char *data, size_t size, bool eof)
{
    CLEANUP(json_decrefp) json_t *io = NULL;
    char rank[12];

    (void)snprintf(rank, sizeof(rank), "%d", s->task->rank);
    io = iodata_encode(stream_names[s->which], rank, data, size, eof);
    if (!io || logs_event_json(s->o->shell->logs, LOGS_OUTPUT, "data", io) < 0)
        shell_fatal(s->o->shell, 1, "out of memory for output of task %d", s->task->rank);
}

static void pass_on(struct stream *s, bool eof)
{
    size_t size, taken;

    while ((size = linebuf_piece(&s->lb, eof)) > 0) {
        if (s->file || s->relayed)
            to_file(s, s->lb.data, size);
        else if ((taken = within_limit(s, size)) > 0)
            to_eventlog(s, s->lb.data, taken, false);
        linebuf_consume(&s->lb, size);
    }
}

static void close_stream(struct stream *s)
{
    if (s->fd < 0)
        return;
    flux_watcher_destroy(s->w);
    s->w = NULL;
    closep(&s->fd);
    s->fd = -EBADF;
    pass_on(s, true);
    if (!s->file && !s->relayed)
        to_eventlog(s, NULL, 0, true);
    linebuf_deinit(&s->lb);
}

/* 1: there may be more, 0: nothing now, -1: it is over (and closed). */
static int read_once(struct stream *s)
{
    char *room = linebuf_reserve(&s->lb);
    ssize_t n = room ? read(s->fd, room, LINEBUF_MAX) : -1;

    if (room && n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        close_stream(s);
        return -1;
    }
    linebuf_added(&s->lb, (size_t)n);
    pass_on(s, false);
    return 1;
}

void output_pause(struct output *o)
{
    for (int i = 0; o && i < o->shell->info.nlocal * NSTREAMS; i++)
        if (o->streams[i].w && !o->streams[i].file)
            flux_watcher_stop(o->streams[i].w);
}

void output_resume(struct output *o)
{
    for (int i = 0; o && i < o->shell->info.nlocal * NSTREAMS; i++)
        if (o->streams[i].w)
            flux_watcher_start(o->streams[i].w);
}

static void on_readable(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct stream *s = arg;
    struct output *o = s->o;

    (void)read_once(s);
    if (logs_is_full(o->shell->logs))
        output_pause(o);
}

/* --- streams of a task */

static int open_file(struct stream *s, const char *text, flux_error_t *error)
{
    CLEANUP(freep) char *path = task_file_name(s->task, text);
    char rank[12];
    bool first;
    int rc;

    if (!path)
        return errorx_fail(error, errno, "the name of the output file is too long");
    s->relayed = !peers_is_leader(s->o->shell) && !template_is_per_node(text);
    rc = s->relayed ? 0 : outfiles_open(s->o->files, path, s->o->append, &s->file, &first, error);
    if (rc < 0)
        return rc;
    (void)snprintf(rank, sizeof(rank), "%d", s->task->rank);
    (void)logs_event(s->o->shell->logs, LOGS_OUTPUT, "redirect", "{s:s s:s s:s}", "stream",
                     stream_names[s->which], "rank", rank, "path", path);
    return 0;
}

static int open_stream(struct stream *s, flux_error_t *error)
{
    const struct output_option *opt = &s->o->option[s->which];
    int fds[2], rc;

    if (opt->path && (rc = open_file(s, opt->path, error)) < 0)
        return rc;
    linebuf_init(&s->lb, opt->by_line);
    s->at_line_start = true;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return errorx_fail(error, errno, "cannot make a pipe: %s", strerror(errno));
    s->fd = fds[0];
    s->task->fds[s->which + 1] = fds[1];
    (void)fcntl(s->fd, F_SETFL, O_NONBLOCK);
    s->w = flux_fd_watcher_create(s->o->shell->reactor, s->fd, FLUX_POLLIN, on_readable, s);
    return s->w ? 0 : errorx_fail(error, errno, "out of memory");
}

static int on_task_init(struct task *task, flux_error_t *error)
{
    struct output *o = task->shell->output;
    int rc = 0;

    for (int which = 0; which < NSTREAMS && rc == 0; which++) {
        struct stream *s = &o->streams[task->index * NSTREAMS + which];

        s->o = o;
        s->task = task;
        s->which = which;
        s->fd = -EBADF;
        rc = task->tty ? 0 : open_stream(s, error);
    }
    return rc;
}

static void on_task_fork(struct task *task)
{
    struct output *o = task->shell->output;

    for (int which = 0; which < NSTREAMS; which++)
        if (o->streams[task->index * NSTREAMS + which].w)
            flux_watcher_start(o->streams[task->index * NSTREAMS + which].w);
}

/* All tasks, and what they left, are gone: what is in the pipes is all there is. If somebody else
 * still holds one open he is not waited for. */
static void on_shell_finish(struct shell *shell)
{
    struct output *o = shell->output;

    for (int i = 0; o && i < shell->info.nlocal * NSTREAMS; i++) {
        struct stream *s = &o->streams[i];

        while (s->fd >= 0 && read_once(s) > 0)
            ;
        close_stream(s);
    }
}

static void on_shell_exit(struct shell *shell)
{
    struct output *o = shell->output;

    if (!o)
        return;
    for (int i = 0; o->streams && i < shell->info.nlocal * NSTREAMS; i++) {
        flux_watcher_destroy(o->streams[i].w);
        closep(&o->streams[i].fd);
        linebuf_deinit(&o->streams[i].lb);
    }
    free(o->streams);
    outfiles_free(o->files);
    free(o);
    shell->output = NULL;
}

const struct shell_plugin plugin_output = {
    .name = "output",
    .options = "output.batch-timeout output.limit output.mode"
               " output.stdout.buffer.type output.stdout.label output.stdout.path"
               " output.stdout.type output.stderr.buffer.type output.stderr.label"
               " output.stderr.path output.stderr.type",
    .shell_init = on_shell_init,
    .task_init = on_task_init,
    .task_fork = on_task_fork,
    .shell_finish = on_shell_finish,
    .shell_exit = on_shell_exit,
};
