/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* shells N ID JOBSPEC FLUX-SHELL: the shells of a job of N nodes, all on this one, and what
 * flux-exec tells them: a job of the id, with the jobspec of the file, on ranks 0 to N-1 with two
 * cores each. Its namespace is there already. The instance must have no rexec of its own.
 *
 * On one router a service name can be had once, so the leader is let to be first. Writes
 * "shell RANK PID" lines, passes SIGTERM on, exits with the highest exit code. */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <flux/core.h>

#define MAX 256

static struct {
    flux_t *h;
    flux_reactor_t *r;
    json_t *jobspec;
    const char *id, *shell;
    int n, nrunning, exit_code;
    pid_t pids[MAX];
    char report[64]; /* a method of the leader */
    flux_watcher_t *timer;
} t;

static void die(const char *what)
{
    fprintf(stderr, "shells: %s: %s\n", what, strerror(errno));
    for (int i = 0; i < MAX; i++)
        if (t.pids[i] > 0)
            (void)kill(t.pids[i], SIGKILL);
    exit(100);
}

static void start(int rank)
{
    sigset_t none;
    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)execl(t.shell, "flux-shell", t.id, (char *)NULL);
        _exit(100);
    }
    t.pids[rank] = pid;
    t.nrunning++;
    printf("shell %d %d\n", rank, (int)pid);
    fflush(stdout);
}

static int rank_of(int pid)
{
    for (int i = 0; i < t.n; i++)
        if (t.pids[i] == pid)
            return i;
    return -1;
}

static void on_info(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    char ranks[32], hosts[32], ns[48];
    json_int_t id;
    int pid;

    if (flux_request_unpack(msg, NULL, "{s:I s:i}", "id", &id, "pid", &pid) < 0 || rank_of(pid) < 0)
        die("shell-info");
    (void)snprintf(ranks, sizeof(ranks), "0-%d", t.n - 1);
    (void)snprintf(hosts, sizeof(hosts), "n[0-%d]", t.n - 1);
    (void)snprintf(ns, sizeof(ns), "job-%s", t.id);
    if (flux_respond_pack(
            h, msg, "{s:I s:I s:i s:s s:O s:{s:i s:{s:[{s:s s:{s:s}}] s:i s:i s:[s]}}}", "id", id,
            "userid", (json_int_t)getuid(), "rank", rank_of(pid), "namespace", ns, "jobspec",
            t.jobspec, "R", "version", 1, "execution", "R_lite", "rank", ranks, "children", "core",
            "0-1", "starttime", 0, "expiration", 0, "nodelist", hosts) < 0)
        die("shell-info");
}

/* The leader is there when it finds fault with a request, not the router. */
static void on_answer(flux_future_t *f, void *arg)
{
    const bool there = flux_rpc_get(f, NULL) < 0 && errno == EPROTO;

    flux_future_destroy(f);
    if (!there) {
        flux_timer_watcher_reset(t.timer, 0.01, 0.);
        flux_watcher_start(t.timer);
        return;
    }
    for (int i = 1; i < t.n; i++)
        start(i);
}

static void on_timer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    flux_future_t *f = flux_rpc(t.h, t.report, "{}", FLUX_NODEID_ANY, 0);

    if (!f || flux_future_then(f, -1., on_answer, NULL) < 0)
        die("rpc");
}

static void on_child(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    int status, code;

    while (waitpid(-1, &status, WNOHANG) > 0) {
        code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        if (code > t.exit_code)
            t.exit_code = code;
        if (--t.nrunning == 0)
            flux_reactor_stop(t.r);
    }
}

static void on_term(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    for (int i = 0; i < t.n; i++)
        if (t.pids[i] > 0)
            (void)kill(t.pids[i], SIGTERM);
}

static void watch_signal(int signum, flux_watcher_f cb)
{
    flux_watcher_t *w = flux_signal_watcher_create(t.r, signum, cb, NULL);

    if (!w)
        die("signal");
    flux_watcher_start(w);
}

static void serve(void)
{
    struct flux_match match = FLUX_MATCH_REQUEST;
    flux_future_t *f = flux_service_register(t.h, "rexec");
    flux_msg_handler_t *mh;

    match.topic_glob = "rexec.shell-info";
    mh = flux_msg_handler_create(t.h, match, on_info, NULL);
    if (!f || flux_rpc_get(f, NULL) < 0 || !mh)
        die("rexec");
    flux_future_destroy(f);
    flux_msg_handler_start(mh);
}

int main(int argc, char **argv)
{
    if (argc < 5 || argc > 6 || (t.n = atoi(argv[1])) < 2 || t.n > MAX ||
        !(t.jobspec = json_load_file(argv[3], 0, NULL))) {
        fprintf(stderr, "Usage: shells N ID JOBSPEC FLUX-SHELL [RANK]\n");
        return 100;
    }
    t.id = argv[2];
    t.shell = argv[4];
    (void)snprintf(t.report, sizeof(t.report), "%u-shell-%s.report", (unsigned)getuid(), t.id);
    t.h = flux_open(NULL, FLUX_O_RECONNECT);
    if (!t.h)
        die("open");
    t.r = flux_get_reactor(t.h);
    t.timer = flux_timer_watcher_create(t.r, 0.01, 0., on_timer, NULL);
    serve();
    watch_signal(SIGCHLD, on_child);
    watch_signal(SIGTERM, on_term);
    start(argc == 6 ? atoi(argv[5]) : 0);
    if (argc == 5)
        flux_watcher_start(t.timer);
    if (flux_reactor_run(t.r, 0) < 0)
        die("loop");
    return t.exit_code;
}
