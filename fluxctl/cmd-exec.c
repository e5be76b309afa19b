/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl exec: run a command on nodes of the instance (RFC 42), for administrators and tests.
 * Exits with the largest exit status, 128 + signal counted in; 68 if a rank does not exist, 126 and
 * 127 as a shell does.
 *
 * Of all ranks no more than WINDOW are being started at a time; all run at once. A signal goes to
 * those that run, and ranks whose turn has not come by then are left out.
 *
 * Standard input goes to all processes, no faster than the slowest takes it: each has credit, in
 * bytes (RFC 42), and nothing is read while one has none.
 *
 * They wait, too, while their output is not printed (output-window.h). */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/iodata.h"
#include "base/jsonx.h"
#include "base/monotime.h"
#include "client.h"
#include "env-rules.h"
#include "families.h"
#include "linelabel.h"
#include "output-window.h"
#include "ranks.h"

#define WANT_STDOUT           1
#define WANT_STDERR           2
#define WANT_CREDIT           8
#define CHUNK                 16384
#define WINDOW                64      /* start requests in flight */
#define HASTE_USEC            1000000 /* between two SIGINTs that mean "at once" */

#define STATUS_NOT_EXECUTABLE 126 /* as shells say it */
#define STATUS_NOT_FOUND      127

struct exec;

struct process {
    struct exec *x;
    uint32_t rank;
    int pid; /* 0: not started */
    bool answered, ended;
    size_t credit; /* bytes of input it takes */
    struct output_window window;
    struct linelabel out, err;
    flux_future_t *f;
};

struct exec {
    flux_t *h;
    flux_reactor_t *reactor;
    const struct cmdline *c;
    json_t *cmd;
    struct hostlist *hosts; /* NULL: not asked for yet */
    struct process *processes;
    size_t count, asked, answered, running; /* running: or their turn is yet to come */
    flux_watcher_t *input;                  /* NULL: none, or it has ended */
    uint64_t interrupted_usec;              /* the last SIGINT; 0: none */
    bool failed;                            /* what they print cannot be printed */
    int signum;                             /* the last that came; 0: none */
    int status;
};

static void start_more(struct exec *x);

static void raise_status(struct exec *x, int status)
{
    if (status > x->status)
        x->status = status;
}

/* --- standard input --- */

static void send_input(struct process *p, const char *data, size_t size, bool eof)
{
    CLEANUP(json_decrefp) json_t *io = iodata_encode("stdin", "0", data, size, eof);

    flux_future_destroy(flux_rpc_pack(p->x->h, "rexec.write", p->rank, FLUX_RPC_NORESPONSE,
                                      "{s:I s:O}", "matchtag",
                                      (json_int_t)flux_rpc_get_matchtag(p->f), "io", io));
}

/* What every process that runs can take; 0 while one has not started. */
static size_t least_credit(const struct exec *x)
{
    size_t least = x->running > 0 ? CHUNK : 0;

    for (size_t i = 0; i < x->count; i++) {
        const struct process *p = &x->processes[i];

        if (!p->ended && p->credit < least)
            least = p->credit;
    }
    return least;
}

static void pump_input(struct exec *x)
{
    if (!x->input)
        return;
    if (least_credit(x) > 0)
        flux_watcher_start(x->input);
    else
        flux_watcher_stop(x->input);
}

static void end_input(struct exec *x)
{
    flux_watcher_destroy(x->input);
    x->input = NULL;
}

static void on_readable(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct exec *x = arg;
    char buf[CHUNK];
    ssize_t n = read(STDIN_FILENO, buf, least_credit(x));

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    for (size_t i = 0; i < x->count; i++) {
        struct process *p = &x->processes[i];

        if (p->ended)
            continue;
        send_input(p, buf, n > 0 ? (size_t)n : 0, n <= 0);
        p->credit -= n > 0 ? (size_t)n : 0;
    }
    if (n <= 0)
        end_input(x);
    else
        pump_input(x);
}

static void on_credit(struct process *p, const json_t *channels)
{
    json_int_t n = json_integer_value(json_object_get(channels, "stdin"));

    if (n > 0)
        p->credit += (size_t)n;
    pump_input(p->x);
}

static void end_process(struct process *p)
{
    linelabel_end(&p->out, p->rank, stdout);
    linelabel_end(&p->err, p->rank, stderr);
    (void)fflush(stdout);
    p->ended = true;
    if (--p->x->running == 0)
        flux_reactor_stop(p->x->reactor);
    else
        pump_input(p->x);
}

/* Nobody can have what they print: what runs is killed with its stream. */
static void give_up(struct exec *x)
{
    if (x->failed)
        return;
    x->failed = true;
    raise_status(x, output_check());
    flux_reactor_stop(x->reactor);
}

static void on_output(struct process *p, const json_t *o)
{
    struct iodata io;
    bool is_err;
    FILE *f;

    if (iodata_decode(o, &io) < 0)
        return;
    is_err = strcmp(io.stream, "stderr") == 0;
    f = is_err ? stderr : stdout;
    if (cmdline_has(p->x->c, "label-io"))
        linelabel_print(is_err ? &p->err : &p->out, p->rank, f, io.data, io.size);
    else if (io.size > 0)
        fwrite(io.data, 1, io.size, f);
    if (f == stdout && (ferror(f) || fflush(f) != 0))
        give_up(p->x);
    else if (io.size > 0)
        output_window_take(&p->window, p->f, p->rank, io.size);
    iodata_deinit(&io);
}

static void send_signal(const struct process *p, int signum)
{
    flux_future_destroy(flux_rpc_pack(p->x->h, "rexec.kill", p->rank, FLUX_RPC_NORESPONSE,
                                      "{s:i s:i}", "pid", p->pid, "signum", signum));
}

/* It was started, or could not be: the turn of another one. */
static void on_answered(struct process *p)
{
    if (p->answered)
        return;
    p->answered = true;
    p->x->answered++;
    start_more(p->x);
}

static void on_started(struct process *p, int pid)
{
    p->pid = pid;
    if (p->x->signum) /* it came while the start was under way */
        send_signal(p, p->x->signum);
    if (cmdline_has(p->x->c, "noinput"))
        send_input(p, NULL, 0, true);
    on_answered(p);
}

static int status_of_error(int errnum)
{
    switch (errnum) {
    case EHOSTUNREACH:
        return EX_NOHOST;
    case ENOENT:
        return STATUS_NOT_FOUND;
    case EACCES:
    case ENOEXEC:
        return STATUS_NOT_EXECUTABLE;
    default:
        return EXIT_FAILURE;
    }
}

static const char *host_of(struct exec *x, uint32_t rank)
{
    const char *host;

    if (!x->hosts)
        x->hosts = ranks_hosts(x->h);
    host = x->hosts ? hostlist_nth(x->hosts, (int)rank) : NULL;
    return host ? host : "?";
}

static void on_error(struct process *p, int errnum)
{
    const char *what = p->x->c->argv[0], *host = host_of(p->x, p->rank);

    raise_status(p->x, status_of_error(errnum));
    if (errnum == ECONNRESET && p->pid)
        complain(
            "rank %u (%s): '%s' (process %d) was ended: flux-exec(8) of that node was restarted",
            p->rank, host, what, p->pid);
    else if (errnum == ECONNRESET)
        complain("rank %u (%s): '%s' was not run: flux-exec(8) of that node was being restarted, "
                 "try again",
                 p->rank, host, what);
    else if (p->pid)
        complain_future(p->f, "rank %u (%s): lost '%s' (process %d)", p->rank, host, what, p->pid);
    else
        complain_future(p->f, "rank %u (%s): cannot run '%s'", p->rank, host, what);
}

static void on_finished(struct process *p, int status)
{
    int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);

    raise_status(p->x, code);
    if (WIFSIGNALED(status))
        complain("rank %u: %s", p->rank, strsignal(WTERMSIG(status)));
    else if (code && cmdline_has(p->x->c, "verbose"))
        complain("rank %u: exit status %d", p->rank, code);
}

static void on_response(flux_future_t *f, void *arg)
{
    struct process *p = arg;
    CLEANUP(json_decrefp) json_t *o = NULL;
    const char *s, *type;

    if (flux_rpc_get(f, &s) < 0) {
        if (errno != ENODATA)
            on_error(p, errno);
        on_answered(p);
        end_process(p);
        return;
    }
    o = s ? jsonx_decode_object(s, strlen(s), NULL) : NULL;
    type = json_string_value(json_object_get(o, "type"));
    if (type && strcmp(type, "started") == 0) {
        on_started(p, (int)json_integer_value(json_object_get(o, "pid")));
    } else if (type && strcmp(type, "output") == 0) {
        on_output(p, json_object_get(o, "io"));
    } else if (type && strcmp(type, "add-credit") == 0) {
        on_credit(p, json_object_get(o, "channels"));
    } else if (type && strcmp(type, "finished") == 0) {
        on_finished(p, (int)json_integer_value(json_object_get(o, "status")));
    }
    flux_future_reset(f);
}

static json_t *build_command(const struct cmdline *c)
{
    const char *dir = cmdline_string(c, "dir", NULL);
    CLEANUP(freep) char *cwd = dir ? strdup(dir) : getcwd(NULL, 0);
    json_t *cmdline = json_array();

    for (int i = 0; i < c->argc; i++)
        (void)json_array_append_new(cmdline, json_string(c->argv[i]));
    return json_pack("{s:s s:o s:o s:{} s:[]}", "cwd", cwd ? cwd : "/", "cmdline", cmdline, "env",
                     env_create(), "opts", "channels");
}

static void ask(struct process *p)
{
    struct exec *x = p->x;

    p->f = flux_rpc_pack(x->h, "rexec.exec", p->rank, FLUX_RPC_STREAMING, "{s:O s:i s:I}", "cmd",
                         x->cmd, "flags", WANT_STDOUT | WANT_STDERR | WANT_CREDIT, "window",
                         (json_int_t)p->window.size);
    if (p->f && flux_future_then(p->f, -1., on_response, p) == 0)
        return;
    raise_status(x, EXIT_FAILURE);
    complain_future(p->f, "rank %u", p->rank);
    p->answered = true;
    x->answered++;
    end_process(p);
}

static void start_more(struct exec *x)
{
    while (!x->signum && x->asked < x->count && x->asked - x->answered < WINDOW)
        ask(&x->processes[x->asked++]);
}

static int start(struct exec *x, const struct idset *ranks)
{
    x->cmd = build_command(x->c);
    if (!x->cmd || !(x->processes = calloc(idset_count(ranks), sizeof(*x->processes))))
        return complain("the command or the environment is not valid UTF-8");
    for (unsigned int rank = idset_first(ranks); rank != IDSET_INVALID_ID;
         rank = idset_next(ranks, rank))
        x->processes[x->count++] = (struct process){ .x = x, .rank = rank };
    x->running = x->count;
    for (size_t i = 0; i < x->count; i++)
        output_window_init(&x->processes[i].window, x->count);
    start_more(x);
    return EXIT_SUCCESS;
}

static void signal_all(struct exec *x, int signum)
{
    for (size_t i = 0; i < x->asked; i++)
        if (x->processes[i].pid && !x->processes[i].ended)
            send_signal(&x->processes[i], signum);
}

/* Those whose turn has not come are not run any more. */
static void leave_out_the_rest(struct exec *x, int signum)
{
    const size_t left = x->count - x->asked;

    if (left == 0)
        return;
    complain("not started on %zu rank%s", left, plural(left));
    raise_status(x, 128 + signum);
    x->count = x->asked;
    x->running -= left;
    if (x->running == 0)
        flux_reactor_stop(x->reactor);
}

static void on_signal(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct exec *x = arg;
    const int signum = flux_signal_watcher_get_signum(w);
    const uint64_t now_usec = monotime_usec();

    if (signum == SIGINT && x->interrupted_usec > 0 &&
        now_usec - x->interrupted_usec < HASTE_USEC) {
        raise_status(x, 128 + signum);
        flux_reactor_stop(r); /* what runs is killed with its stream */
        return;
    }
    if (signum == SIGINT)
        x->interrupted_usec = now_usec;
    x->signum = signum;
    signal_all(x, signum);
    leave_out_the_rest(x, signum);
}

/* What -x says, taken out. */
static int exclude(const struct cmdline *c, struct idset *ranks)
{
    const char *s = cmdline_string(c, "exclude", NULL);
    struct idset *out = s ? idset_decode(s) : NULL;
    int rc;

    if (!s)
        return EXIT_SUCCESS;
    if (!out)
        return complain("--exclude must be a set of ranks such as 0-3,7, not '%s'", s);
    rc = idset_subtract(ranks, out);
    idset_destroy(out);
    if (rc < 0 || idset_count(ranks) == 0)
        return complain("no rank is left to run on");
    return EXIT_SUCCESS;
}

static int parse_ranks(flux_t *h, const char *s, struct idset **ret)
{
    uint32_t size;

    if (flux_get_size(h, &size) < 0)
        return complain("cannot tell the size of the instance: %s", strerror(errno));
    if (strcmp(s, "all") == 0) {
        *ret = idset_create(size, 0);
        return *ret && idset_range_set(*ret, 0, size - 1) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    if (!(*ret = idset_decode(s)) || idset_count(*ret) == 0)
        return complain("--rank must be a set of ranks such as 0-3,7, or all, not '%s'", s);
    if (idset_last(*ret) >= size) {
        complain("there is no rank %u, the instance has %u node%s", idset_last(*ret), size,
                 plural(size));
        return EX_NOHOST;
    }
    return EXIT_SUCCESS;
}

/* The exit status stands: one more signal does not change it. */
static void block_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

static int run_exec(const struct cmdline *c)
{
    struct exec x = { .c = c };
    struct idset *ranks = NULL;
    flux_watcher_t *sigint = NULL, *sigterm = NULL;
    int status = EXIT_FAILURE;

    if (!(x.h = client_open()))
        return EXIT_FAILURE;
    x.reactor = flux_get_reactor(x.h);
    if ((status = parse_ranks(x.h, cmdline_string(c, "rank", "all"), &ranks)) == EXIT_SUCCESS &&
        (status = exclude(c, ranks)) == EXIT_SUCCESS) {
        /* Before anything is started: what is signaled then has processes to be passed on to. */
        sigint = flux_signal_watcher_create(x.reactor, SIGINT, on_signal, &x);
        sigterm = flux_signal_watcher_create(x.reactor, SIGTERM, on_signal, &x);
        flux_watcher_start(sigint);
        flux_watcher_start(sigterm);
        status = start(&x, ranks);
    }
    if (status == EXIT_SUCCESS) {
        if (!cmdline_has(c, "noinput"))
            x.input = flux_fd_watcher_create(x.reactor, STDIN_FILENO, FLUX_POLLIN, on_readable, &x);
        if (flux_reactor_run(x.reactor, 0) < 0)
            status = complain("lost the connection to the instance: %s", strerror(errno));
        else
            status = x.status;
    }
    block_signals();
    end_input(&x);
    flux_watcher_destroy(sigint);
    flux_watcher_destroy(sigterm);
    for (size_t i = 0; i < x.count; i++) {
        flux_future_destroy(x.processes[i].f);
        linelabel_deinit(&x.processes[i].out);
        linelabel_deinit(&x.processes[i].err);
    }
    json_decref(x.cmd);
    hostlist_destroy(x.hosts);
    free(x.processes);
    idset_destroy(ranks);
    flux_close(x.h);
    return status;
}

static const struct option exec_options[] = {
    { 'r', "rank", "RANKS", "Ranks to run on (default all)" },
    { 'x', "exclude", "RANKS", "Ranks to leave out" },
    { 'l', "label-io", NULL, "Begin lines of output with the rank" },
    { 'n', "noinput", NULL, "Forward no input" },
    { 'd', "dir", "DIR", "Working directory (default: this one)" },
    { 'v', "verbose", NULL, "Say which ranks failed" },
    { 0 },
};

const struct command cmd_exec[] = {
    { "exec", "COMMAND [ARGS...]", "Run a command on nodes, outside of jobs", exec_options, 1, -1,
      COMMAND_STOP_AT_ARGUMENT | COMMAND_TEXT, run_exec },
    { 0 },
};
