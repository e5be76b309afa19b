/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* RFC 42: exec, write, kill, wait, list. For the instance owner only, as himself. A streaming exec
 * ends with its client (SIGKILL to the process group; what it left in other groups is not waited
 * for); one without streaming runs on in the
 * background, with its output dropped. Not offered: auxiliary channels, message channels, attach,
 * signed requests; asking for channels is refused. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/iodata.h"
#include "manager.h"
#include "service/log.h"

#define WINDOW_MAX (1 << 30)

/* A subprocess and who hears of it. */
struct rexec {
    struct request *req; /* the exec, while its client is there */
    struct request *waiter;
    char rank[12];
    int flags;
    bool limited;      /* in its output that the client has not taken */
    json_int_t window; /* bytes that may be sent then; at 0 or below nothing is read */
    bool waitable;
    bool exited;
    int status;
};

static struct rexec *rexec_free(struct rexec *x)
{
    if (x) {
        if (x->req)
            request_on_gone(x->req, NULL, NULL);
        if (x->waiter)
            request_on_gone(x->waiter, NULL, NULL);
        request_unref(x->waiter);
        request_unref(x->req);
        free(x);
    }
    return NULL;
}
DEFINE_CLEANUP(struct rexec *, rexec_free)

static void forget(struct subprocess *sp)
{
    rexec_free(subprocess_arg(sp));
    subprocess_free(sp);
}

static void on_output(struct subprocess *sp, const char *stream, const void *data, size_t size,
                      bool eof)
{
    struct rexec *x = subprocess_arg(sp);
    const int wanted = strcmp(stream, "stdout") == 0 ? SUBPROCESS_STDOUT : SUBPROCESS_STDERR;
    json_t *io;

    if (!x->req || !(x->flags & wanted))
        return;
    io = iodata_encode(stream, x->rank, data, size, eof);
    (void)request_respond_pack(x->req, "{s:s s:i s:o}", "type", "output", "pid",
                               (int)subprocess_pid(sp), "io", io);
    if (!x->limited || size == 0)
        return;
    x->window -= (json_int_t)size + IODATA_COST;
    if (x->window <= 0)
        subprocess_hold_output(sp, true);
}

static void on_credit(struct subprocess *sp, size_t bytes)
{
    struct rexec *x = subprocess_arg(sp);

    if (x->req && (x->flags & SUBPROCESS_WRITE_CREDIT))
        (void)request_respond_pack(x->req, "{s:s s:{s:I}}", "type", "add-credit", "channels",
                                   "stdin", (json_int_t)bytes);
}

static void answer_waiter(struct rexec *x)
{
    request_on_gone(x->waiter, NULL, NULL);
    (void)request_respond_pack(x->waiter, "{s:i}", "status", x->status);
    x->waiter = request_unref(x->waiter);
    x->waitable = false;
}

static void on_exited(struct subprocess *sp, int status)
{
    struct rexec *x = subprocess_arg(sp);

    x->exited = true;
    x->status = status;
    if (x->req)
        (void)request_respond_pack(x->req, "{s:s s:i}", "type", "finished", "status", status);
    if (x->waiter)
        answer_waiter(x);
}

static void on_complete(struct subprocess *sp)
{
    struct rexec *x = subprocess_arg(sp);

    if (x->req) {
        request_on_gone(x->req, NULL, NULL);
        (void)request_end(x->req);
        x->req = request_unref(x->req);
    }
    if (!x->waitable)
        forget(sp);
}

static const struct subprocess_ops ops = {
    .on_output = on_output,
    .on_credit = on_credit,
    .on_exited = on_exited,
    .on_complete = on_complete,
};

static void on_client_gone(struct request *req, void *arg)
{
    struct subprocess *sp = arg;
    struct rexec *x = subprocess_arg(sp);

    x->req = request_unref(x->req);
    x->waitable = false;
    (void)subprocess_kill(sp, SIGKILL);
    subprocess_close_output(sp);
}

/* The daemon ends, and its processes with it: their clients lose us. */
void rexec_end(struct manager *m)
{
    struct subprocess *sp, *next;

    for (sp = m->procs ? subprocesses_first(m->procs) : NULL; sp; sp = next) {
        next = subprocesses_next(sp);
        (void)subprocess_kill(sp, SIGKILL);
        forget(sp);
    }
}

/* --- the command object */

static void strings_free(char ***list)
{
    for (char **s = *list; s && *s; s++)
        free(*s);
    free(*list);
}

static char **read_argv(const json_t *cmdline)
{
    const size_t n = json_array_size(cmdline);
    CLEANUP(strings_free) char **argv = n > 0 ? calloc(n + 1, sizeof(*argv)) : NULL;

    for (size_t i = 0; i < n && argv; i++) {
        const char *s = json_string_value(json_array_get(cmdline, i));

        if (!s || !(argv[i] = strdup(s)))
            return NULL;
    }
    return TAKE(argv);
}

/* Of this node's router, not of the one that was asked. */
static int set_uri(json_t *env, const char *rundir)
{
    CLEANUP(freep) char *uri = NULL;

    if (asprintf(&uri, "local://%s/local", rundir) < 0) {
        uri = NULL;
        return -ENOMEM;
    }
    if (!json_object_get(env, "FLUX_URI"))
        return 0;
    return json_object_set_new(env, "FLUX_URI", json_string(uri)) < 0 ? -ENOMEM : 0;
}

static char **read_env(json_t *env)
{
    CLEANUP(strings_free)
    char **envp = calloc(json_object_size(env) + 1, sizeof(*envp));
    const char *name;
    json_t *value;
    size_t i = 0;

    json_object_foreach (env, name, value) {
        if (!envp || !json_is_string(value) || !name[0] || strchr(name, '=') ||
            asprintf(&envp[i], "%s=%s", name, json_string_value(value)) < 0)
            return NULL;
        i++;
    }
    return TAKE(envp);
}

static int start(struct manager *m, struct request *req, struct rexec *x, struct subprocess **ret)
{
    CLEANUP(strings_free) char **argv = NULL;
    CLEANUP(strings_free) char **envp = NULL;
    struct subprocess_command cmd = { .background = !request_is_streaming(req) };
    json_t *cmdline, *env, *opts = NULL, *channels = NULL;
    int rc;

    if (request_unpack(req, "{s:{s:o s:o s?s s?o s?o s?s}}", "cmd", "cmdline", &cmdline, "env",
                       &env, "cwd", &cmd.cwd, "opts", &opts, "channels", &channels, "label",
                       &cmd.label) < 0)
        return request_explain(req, EPROTO, "rexec.exec: cmd needs cmdline and env");
    if (json_array_size(channels) > 0)
        return request_explain(req, ENOTSUP, "rexec.exec: auxiliary channels are not offered here");
    if (cmd.label && !cmd.label[0])
        return request_explain(req, EINVAL, "rexec.exec: the label is empty");
    argv = read_argv(cmdline);
    if (!argv)
        return request_explain(req, EPROTO,
                               "rexec.exec: cmd.cmdline must be an array of one or more strings");
    rc = set_uri(env, service_rundir(m->svc));
    if (rc < 0)
        return rc;
    envp = read_env(env);
    if (!envp)
        return request_explain(req, EPROTO, "rexec.exec: cmd.env must be an object of strings");
    cmd.argv = argv;
    cmd.envp = envp;
    rc = subprocess_new(m->procs, &cmd, &ops, x, ret);
    if (rc == -EEXIST)
        return request_explain(req, EEXIST, "there is a process with the label %s already",
                               cmd.label);
    if (rc == -EAGAIN)
        return request_explain(req, EAGAIN, "no more processes can be started now");
    if (rc < 0 && cmd.cwd && access(cmd.cwd, X_OK) < 0)
        return request_explain(req, errno, "cannot enter the directory %s: %s", cmd.cwd,
                               strerror(errno));
    return rc < 0 ? request_explain(req, -rc, "%s: %s", argv[0], strerror(-rc)) : 0;
}

int rpc_rexec_exec(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(rexec_freep) struct rexec *x = calloc(1, sizeof(*x));
    struct subprocess *sp;
    int rc;

    if (!x)
        return -ENOMEM;
    if (request_unpack(req, "{s:i s?I}", "flags", &x->flags, "window", &x->window) < 0)
        return -EPROTO;
    if (x->window < 0 || x->window > WINDOW_MAX)
        return request_explain(req, EINVAL, "rexec.exec: window is not between 0 and %d",
                               WINDOW_MAX);
    x->limited = x->window > 0;
    if ((x->flags & SUBPROCESS_WRITE_CREDIT) && !request_is_streaming(req))
        return request_explain(req, EINVAL, "rexec.exec: write credit needs a streaming request");
    x->waitable = x->flags & SUBPROCESS_WAITABLE;
    (void)snprintf(x->rank, sizeof(x->rank), "%u", service_rank(m->svc));
    rc = start(m, req, x, &sp);
    if (rc < 0)
        return rc;
    (void)request_respond_pack(req, "{s:s s:i}", "type", "started", "pid", (int)subprocess_pid(sp));
    if (request_is_streaming(req)) {
        x->req = request_ref(req);
        request_on_gone(req, on_client_gone, sp);
    }
    (void)TAKE(x); /* the subprocess has it */
    on_credit(sp, SUBPROCESS_STDIN_MAX);
    return 0;
}

/* --- the rest: requests that name a process */

static struct subprocess *find(struct manager *m, int pid, const char *label)
{
    for (struct subprocess *sp = subprocesses_first(m->procs); sp; sp = subprocesses_next(sp)) {
        const char *own = subprocess_label(sp);

        if (label ? own && strcmp(own, label) == 0 : subprocess_pid(sp) == pid)
            return sp;
    }
    return NULL;
}

static struct subprocess *find_by_exec(struct manager *m, const struct request *req,
                                       uint32_t matchtag)
{
    for (struct subprocess *sp = subprocesses_first(m->procs); sp; sp = subprocesses_next(sp)) {
        const struct rexec *x = subprocess_arg(sp);
        uint32_t tag;

        if (x->req && flux_msg_get_matchtag(request_msg(x->req), &tag) == 0 && tag == matchtag &&
            request_same_client(x->req, req))
            return sp;
    }
    return NULL;
}

int rpc_rexec_write(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct subprocess *sp;
    struct iodata io;
    json_int_t matchtag;
    json_t *o;
    int rc;

    if (request_unpack(req, "{s:I s:o}", "matchtag", &matchtag, "io", &o) < 0)
        return -EPROTO;
    sp = find_by_exec(m, req, (uint32_t)matchtag);
    if (!sp)
        return 0;
    rc = iodata_decode(o, &io);
    if (rc < 0)
        return rc;
    rc = strcmp(io.stream, "stdin") == 0 ? subprocess_write(sp, io.data, io.size, io.eof) : 0;
    iodata_deinit(&io);
    if (rc < 0) {
        struct rexec *x = subprocess_arg(sp);

        request_on_gone(x->req, NULL, NULL);
        (void)request_fail(x->req, EOVERFLOW,
                           "more than %d bytes of input wait for the process: follow the credits",
                           SUBPROCESS_STDIN_MAX);
        on_client_gone(x->req, sp);
    }
    return 0;
}

/* The client has taken so much of the output: go on. */
int rpc_rexec_read(struct request *req, void *arg)
{
    struct subprocess *sp;
    json_int_t matchtag, bytes;
    struct rexec *x;

    if (request_unpack(req, "{s:I s:I}", "matchtag", &matchtag, "bytes", &bytes) < 0)
        return -EPROTO;
    sp = find_by_exec(arg, req, (uint32_t)matchtag);
    x = sp ? subprocess_arg(sp) : NULL;
    if (!x || !x->limited || bytes <= 0 || bytes > WINDOW_MAX)
        return 0;
    x->window = x->window + bytes < WINDOW_MAX ? x->window + bytes : WINDOW_MAX;
    if (x->window > 0)
        subprocess_hold_output(sp, false);
    return 0;
}

int rpc_rexec_kill(struct request *req, void *arg)
{
    struct manager *m = arg;
    const char *label = NULL;
    struct subprocess *sp;
    int pid, signum, rc;

    if (request_unpack(req, "{s:i s:i s?s}", "pid", &pid, "signum", &signum, "label", &label) < 0)
        return -EPROTO;
    sp = find(m, pid, label);
    if (!sp)
        return request_explain(req, ENOENT, "no such process was started here");
    rc = subprocess_kill(sp, signum);
    if (rc < 0)
        return request_explain(req, -rc, "signal %d to process %d: %s", signum,
                               (int)subprocess_pid(sp), strerror(-rc));
    return request_respond(req, NULL);
}

/* Another may wait. */
static void on_waiter_gone(struct request *req, void *arg)
{
    struct rexec *x = arg;

    x->waiter = request_unref(x->waiter);
}

int rpc_rexec_wait(struct request *req, void *arg)
{
    struct manager *m = arg;
    const char *label = NULL;
    struct subprocess *sp;
    struct rexec *x;
    int pid;

    if (request_unpack(req, "{s:i s?s}", "pid", &pid, "label", &label) < 0)
        return -EPROTO;
    sp = find(m, pid, label);
    x = sp ? subprocess_arg(sp) : NULL;
    if (!x || !x->waitable)
        return request_explain(req, x ? EINVAL : ENOENT, "no such process can be waited for");
    if (x->waiter)
        return request_explain(req, EBUSY, "somebody waits for it already");
    x->waiter = request_ref(req);
    request_on_gone(req, on_waiter_gone, x);
    if (x->exited) {
        answer_waiter(x);
        if (!x->req)
            forget(sp);
    }
    return 0;
}

int rpc_rexec_list(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(json_decrefp) json_t *procs = json_array();

    for (struct subprocess *sp = subprocesses_first(m->procs); sp; sp = subprocesses_next(sp)) {
        const struct rexec *x = subprocess_arg(sp);
        const char *label = subprocess_label(sp);

        (void)json_array_append_new(procs,
                                    json_pack("{s:i s:s s:s s:s}", "pid", (int)subprocess_pid(sp),
                                              "cmd", subprocess_name(sp), "label",
                                              label ? label : "", "state", x->exited ? "Z" : "R"));
    }
    return request_respond_pack(req, "{s:i s:O}", "rank", (int)service_rank(m->svc), "procs",
                                procs);
}
