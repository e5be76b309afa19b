/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* On each node a process reads that node's log, where it lies: `dmesg --node-records`, started like
 * those of `flux exec` (RFC 42). It prints a record a line, as JSON, and a line {} when it has
 * printed all there are. Until the last node has got so far everything is kept, then it is sorted;
 * the command that runs there limits how much that is (--tail). What comes later is held for
 * HOLD_SECONDS, so that records of several nodes are in order although they do not come in order.
 *
 * A node that is lost while it is followed is tried again until it is back, and goes on with what
 * came after its last record. */
#include "log-nodes.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/iodata.h"
#include "base/jsonx.h"
#include "client.h"
#include "env-rules.h"
#include "output-window.h"

#define WANT_STDOUT   1
#define WANT_STDERR   2
#define WINDOW        64        /* start requests in flight */
#define LINE_MAX_     (1 << 20) /* bytes of a record */
#define ERRORS_MAX    4096
#define HOLD_SECONDS  0.1
#define RETRY_SECONDS 0.5

struct log_node {
    struct log_nodes *all;
    uint32_t rank;
    const char *host;
    flux_future_t *f;
    struct output_window window;
    int pid;            /* 0: not started */
    char *line;         /* that is not complete */
    char *errors;       /* what it wrote to stderr */
    bool answered;      /* was started, or could not be */
    bool has_told_all;  /* that there was */
    bool may_be_silent; /* it follows: nothing is due any more */
    bool lost;          /* while it was followed */
    bool asked;         /* and then asked again */
    uint64_t last_usec; /* of its last record */
    bool ended;
};

struct log_nodes {
    const struct log_nodes_query *q;
    flux_reactor_t *reactor;
    json_t *command;
    struct log_node *nodes;
    size_t count, asked, answered, telling, running;
    struct log_record *records;
    size_t nrecords, allocated;
    flux_watcher_t *hold, *retry;
    log_record_f cb;
    void *arg;
    int status;
};

static void start_more(struct log_nodes *ln);

/* --- records */

static int by_time(const void *a, const void *b)
{
    const struct log_record *x = a, *y = b;

    return x->usec < y->usec ? -1 : x->usec > y->usec;
}

static void deliver_all(struct log_nodes *ln)
{
    if (ln->nrecords > 0)
        qsort(ln->records, ln->nrecords, sizeof(*ln->records), by_time);
    for (size_t i = 0; i < ln->nrecords; i++) {
        ln->cb(&ln->records[i], ln->arg);
        log_record_deinit(&ln->records[i]);
    }
    ln->nrecords = 0;
}

static void on_hold(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    deliver_all(arg);
}

static void told_all(struct log_node *n)
{
    if (n->has_told_all)
        return;
    n->has_told_all = true;
    if (--n->all->telling == 0) {
        deliver_all(n->all);
        n->all->cb(NULL, n->all->arg);
    }
}

static int keep(struct log_nodes *ln, const struct log_record *r)
{
    if (ln->nrecords == ln->allocated) {
        const size_t more = ln->allocated ? 2 * ln->allocated : 1024;
        struct log_record *records = reallocarray(ln->records, more, sizeof(*records));

        if (!records)
            return -ENOMEM;
        ln->records = records;
        ln->allocated = more;
    }
    ln->records[ln->nrecords++] = *r;
    return 0;
}

static void handle_line(struct log_node *n, const char *line, size_t len)
{
    struct log_nodes *ln = n->all;
    struct log_record r;

    if (len == 2 && memcmp(line, "{}", 2) == 0) {
        told_all(n);
        n->may_be_silent = n->all->q->follow;
        return;
    }
    if (log_record_parse(&r, line, len) < 0)
        return;
    (void)snprintf(r.host, sizeof(r.host), "%s", n->host);
    if (r.usec > n->last_usec)
        n->last_usec = r.usec;
    if (keep(ln, &r) < 0) {
        log_record_deinit(&r);
        ln->status = complain("out of memory: records are missing");
    } else if (ln->telling == 0 && !flux_watcher_is_active(ln->hold)) {
        flux_timer_watcher_reset(ln->hold, HOLD_SECONDS, 0.);
        flux_watcher_start(ln->hold);
    }
}

/* 0, or -1: it is no log that comes. */
static int handle_output(struct log_node *n, const char *data, size_t size)
{
    const size_t had = n->line ? strlen(n->line) : 0;
    char *text = realloc(TAKE(n->line), had + size + 1);
    char *line = text, *end;

    if (!text)
        return -1;
    memcpy(text + had, data, size);
    text[had + size] = '\0';
    for (; (end = strchr(line, '\n')); line = end + 1)
        handle_line(n, line, (size_t)(end - line));
    n->line = line[0] ? strdup(line) : NULL;
    free(text);
    return n->line && strlen(n->line) > LINE_MAX_ ? -1 : 0;
}

static void handle_errors(struct log_node *n, const char *data, size_t size)
{
    const size_t had = n->errors ? strlen(n->errors) : 0;
    char *text = had + size < ERRORS_MAX ? realloc(n->errors, had + size + 1) : NULL;

    if (!text)
        return;
    memcpy(text + had, data, size);
    text[had + size] = '\0';
    n->errors = text;
}

/* --- processes */

__attribute__((format(printf, 2, 3))) static void fail(struct log_node *n, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    n->all->status = complain("rank %u (%s): %s", n->rank, n->host, text);
}

static void on_answered(struct log_node *n)
{
    if (n->answered)
        return;
    n->answered = true;
    n->all->answered++;
    start_more(n->all);
}

static void end_node(struct log_node *n)
{
    struct log_nodes *ln = n->all;

    if (n->ended)
        return;
    n->ended = true;
    on_answered(n);
    told_all(n);
    if (--ln->running == 0)
        flux_reactor_stop(ln->reactor);
}

static void abandon(struct log_node *n)
{
    if (n->pid)
        flux_future_destroy(flux_rpc_pack(n->all->q->h, "rexec.kill", n->rank, FLUX_RPC_NORESPONSE,
                                          "{s:i s:i}", "pid", n->pid, "signum", SIGKILL));
    end_node(n);
}

static bool is_followed(const struct log_node *n)
{
    return n->has_told_all && n->all->q->follow;
}

static void lose(struct log_node *n, const char *why)
{
    if (!n->lost)
        fail(n, "its log is not followed until it is back: %s", why);
    n->lost = true;
    n->asked = false;
    flux_watcher_start(n->all->retry);
}

static void on_failure(struct log_node *n, int errnum)
{
    if (is_followed(n)) {
        lose(n, future_reason(n->f));
        return;
    }
    if (errnum == ETIMEDOUT)
        fail(n, "no answer within %g s; its log is left out", n->all->q->timeout);
    else
        fail(n, "cannot read its log: %s", future_reason(n->f));
    abandon(n);
}

static void on_end(struct log_node *n)
{
    if (is_followed(n))
        lose(n, "the process that read it has ended");
    else
        end_node(n);
}

static void on_finished(struct log_node *n, int status)
{
    if (status == 0 || is_followed(n))
        return;
    if (n->errors)
        n->errors[strcspn(n->errors, "\n")] = '\0';
    if (n->errors && n->errors[0])
        fail(n, "%s", n->errors);
    else if (WIFSIGNALED(status))
        fail(n, "cannot read its log: %s", strsignal(WTERMSIG(status)));
    else
        fail(n, "cannot read its log: exit status %d", WEXITSTATUS(status));
}

static int on_output(struct log_node *n, const json_t *o)
{
    struct iodata io;
    int rc = 0;

    if (iodata_decode(o, &io) < 0)
        return -1;
    if (io.size > 0 && strcmp(io.stream, "stderr") == 0)
        handle_errors(n, io.data, io.size);
    else if (io.size > 0)
        rc = handle_output(n, io.data, io.size);
    if (io.size > 0 && !n->ended)
        output_window_take(&n->window, n->f, n->rank, io.size);
    iodata_deinit(&io);
    return rc;
}

static int handle(struct log_node *n, const json_t *o)
{
    const char *type = json_string_value(json_object_get(o, "type"));

    if (!type)
        return -1;
    if (strcmp(type, "started") == 0) {
        n->pid = (int)json_integer_value(json_object_get(o, "pid"));
        if (n->lost)
            complain("rank %u (%s): followed again", n->rank, n->host);
        n->lost = false;
        on_answered(n);
    } else if (strcmp(type, "output") == 0) {
        return on_output(n, json_object_get(o, "io"));
    } else if (strcmp(type, "finished") == 0) {
        on_finished(n, (int)json_integer_value(json_object_get(o, "status")));
    }
    return 0;
}

static void on_response(flux_future_t *f, void *arg)
{
    struct log_node *n = arg;
    const bool might_be_silent = n->may_be_silent;
    CLEANUP(json_decrefp) json_t *o = NULL;
    const char *s;

    if (n->ended)
        return;
    if (flux_rpc_get(f, &s) < 0) {
        if (errno == ENODATA)
            on_end(n);
        else
            on_failure(n, errno);
        return;
    }
    o = s ? jsonx_decode_object(s, strlen(s), NULL) : NULL;
    if (handle(n, o) < 0) {
        fail(n, "what it sends is no log");
        abandon(n);
        return;
    }
    flux_future_reset(f);
    if (n->may_be_silent && !might_be_silent)
        (void)flux_future_then(f, -1., on_response, n);
}

/* The command, which goes on where the one before was lost. */
static json_t *command_of(const struct log_node *n)
{
    json_t *o = json_deep_copy(n->all->command);
    json_t *argv = json_object_get(o, "cmdline");
    char usec[24];

    (void)snprintf(usec, sizeof(usec), "%llu", (unsigned long long)n->last_usec);
    if (n->lost && (json_array_append_new(argv, json_string("--after")) < 0 ||
                    json_array_append_new(argv, json_string(usec)) < 0)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static void ask(struct log_node *n)
{
    struct log_nodes *ln = n->all;
    CLEANUP(json_decrefp) json_t *command = command_of(n);

    n->asked = true;
    n->may_be_silent = false;
    output_window_init(&n->window, ln->count);
    n->f = flux_rpc_pack(ln->q->h, "rexec.exec", n->rank, FLUX_RPC_STREAMING, "{s:O s:i s:I}",
                         "cmd", command, "flags", WANT_STDOUT | WANT_STDERR, "window",
                         (json_int_t)n->window.size);
    if (!n->f || flux_future_then(n->f, ln->q->timeout, on_response, n) < 0)
        on_failure(n, errno);
}

static void on_retry(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct log_nodes *ln = arg;
    bool any = false;

    for (size_t i = 0; i < ln->count; i++) {
        struct log_node *n = &ln->nodes[i];

        any |= n->lost;
        if (!n->lost || n->asked)
            continue;
        flux_future_destroy(TAKE(n->f));
        free(TAKE(n->line));
        n->pid = 0;
        ask(n);
    }
    if (!any)
        flux_watcher_stop(w);
}

static void start_more(struct log_nodes *ln)
{
    while (ln->asked < ln->count && ln->asked - ln->answered < WINDOW)
        ask(&ln->nodes[ln->asked++]);
}

/* --- */

static json_t *build_command(const struct log_nodes_query *q)
{
    char self[PATH_MAX] = "fluxctl";
    const ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    CLEANUP(json_decrefp) json_t *argv = json_array();

    if (len > 0)
        self[len] = '\0';
    if (!argv || json_array_append_new(argv, json_string(self)) < 0 ||
        json_array_extend(argv, q->arguments) < 0)
        return NULL;
    return json_pack("{s:s s:O s:o s:{} s:[]}", "cwd", "/", "cmdline", argv, "env", env_create(),
                     "opts", "channels");
}

static void deinit(struct log_nodes *ln)
{
    for (size_t i = 0; i < ln->count; i++) {
        flux_future_destroy(ln->nodes[i].f);
        free(ln->nodes[i].line);
        free(ln->nodes[i].errors);
    }
    for (size_t i = 0; i < ln->nrecords; i++)
        log_record_deinit(&ln->records[i]);
    free(ln->records);
    free(ln->nodes);
    flux_watcher_destroy(ln->retry);
    flux_watcher_destroy(ln->hold);
    json_decref(ln->command);
}

int log_nodes_read(const struct log_nodes_query *q, log_record_f cb, void *arg)
{
    struct log_nodes ln = { .q = q, .reactor = flux_get_reactor(q->h), .cb = cb, .arg = arg };
    size_t n = 0;

    ln.command = build_command(q);
    ln.nodes = calloc(idset_count(q->ranks), sizeof(*ln.nodes));
    if (ln.nodes)
        ln.count = ln.running = ln.telling = idset_count(q->ranks);
    ln.hold = flux_timer_watcher_create(ln.reactor, HOLD_SECONDS, 0., on_hold, &ln);
    ln.retry = flux_timer_watcher_create(ln.reactor, RETRY_SECONDS, RETRY_SECONDS, on_retry, &ln);
    if (!ln.command || !ln.nodes || !ln.hold || !ln.retry) {
        deinit(&ln);
        return complain("out of memory, or the environment is not valid UTF-8");
    }
    for (unsigned int rank = idset_first(q->ranks); rank != IDSET_INVALID_ID;
         rank = idset_next(q->ranks, rank)) {
        const char *host = hostlist_nth(q->hosts, (int)rank);

        ln.nodes[n++] = (struct log_node){ .all = &ln, .rank = rank, .host = host ? host : "?" };
    }
    start_more(&ln);
    if (ln.running > 0 && flux_reactor_run(ln.reactor, 0) < 0)
        ln.status = complain("lost the connection to the instance: %s", strerror(errno));
    deliver_all(&ln);
    deinit(&ln);
    return ln.status;
}
