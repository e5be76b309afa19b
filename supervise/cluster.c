/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The parent of N flux-supervise processes, and their PMI server. A node is this program again with
 * a run-time directory below ours, PMI_FD, and either the initial program (rank 0) or --no-program.
 *
 *   RUN: until rank 0's node has ended, or any has failed (unless told that rank 0's alone counts);
 *     the others leave before rank 0 does, so after one that ended well it has exit_timeout
 *   END: the others get SIGTERM; after exit_timeout SIGKILL; all gone -> done
 *
 * Nodes die with us: each asks the kernel for that. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <flux/reactor.h>

#include "base/errorx.h"
#include "pmi/server.h"
#include "supervise/cluster.h"
#include "supervise/rundir.h"
#include "supervise/rundirsweep.h"

#define PMI_FD_MIN 10 /* in a node's process; it passes it on */
#define LINE_SIZE  (PMI_LINE_MAX)

struct local_node {
    struct cluster *cluster;
    uint32_t rank;
    pid_t pid;
    int fd; /* our end of its PMI connection */
    flux_watcher_t *watcher;
    bool waits; /* it has begun with PMI, and not finished */
    size_t used;
    char line[LINE_SIZE];
};

struct cluster {
    const struct supervisor_options *node;
    const struct cluster_options *opts;
    char *rundir;
    bool made_rundir;
    int held; /* as in supervisor.c */
    flux_reactor_t *r;
    flux_watcher_t *children, *timer, *signals[3];
    struct pmi_server *pmi;
    struct local_node *nodes;
    uint32_t left;
    bool ending;
    int status;
};

/* --- PMI */

static int send_line(uint32_t rank, const char *line, void *arg)
{
    struct cluster *cl = arg;

    if (cl->opts->trace)
        fprintf(stderr, "flux-supervise: pmi: %u < %s", rank, line);
    return send(cl->nodes[rank].fd, line, strlen(line), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void end(struct cluster *cl);

static void on_abort(uint32_t rank, int exit_code, void *arg)
{
    struct cluster *cl = arg;

    fprintf(stderr, "flux-supervise: rank %u has aborted the start\n", rank);
    cl->status = exit_code > 0 && exit_code < 256 ? exit_code : EXIT_FAILURE;
    end(cl);
}

static void close_pmi(struct local_node *n)
{
    flux_watcher_destroy(n->watcher);
    n->watcher = NULL;
    if (n->fd >= 0)
        (void)close(n->fd);
    n->fd = -EBADF;
}

/* false: the connection is to be closed. */
static bool handle_lines(struct local_node *n)
{
    flux_error_t error = { "" };
    char *lf;

    while ((lf = memchr(n->line, '\n', n->used))) {
        const size_t size = (size_t)(lf - n->line) + 1;

        *lf = '\0';
        if (n->cluster->opts->trace)
            fprintf(stderr, "flux-supervise: pmi: %u > %s\n", n->rank, n->line);
        n->waits = strncmp(n->line, "cmd=finalize", 12) != 0;
        if (pmi_server_request(n->cluster->pmi, n->rank, n->line, &error) < 0) {
            fprintf(stderr, "flux-supervise: rank %u: %s\n", n->rank, error.text);
            return false;
        }
        n->used -= size;
        memmove(n->line, lf + 1, n->used);
    }
    return n->used < sizeof(n->line);
}

static void on_pmi(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct local_node *n = arg;
    const ssize_t size = recv(n->fd, n->line + n->used, sizeof(n->line) - n->used, MSG_DONTWAIT);

    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size > 0)
        n->used += (size_t)size;
    if (size <= 0 || !handle_lines(n))
        close_pmi(n);
}

/* --- nodes */

static int node_arguments(const struct cluster *cl, uint32_t rank, char ***ret)
{
    const struct supervisor_options *o = cl->node;
    char *text = NULL;
    int rc = strv_append(ret, "flux-supervise");

    if (rc == 0 && asprintf(&text, "--units=%s", o->units) > 0)
        rc = strv_take(ret, text);
    if (rc == 0 && asprintf(&text, "--rundir=%s/%u", cl->rundir, rank) > 0)
        rc = strv_take(ret, text);
    if (rc == 0 && o->statedir && asprintf(&text, "--statedir=%s/%u", o->statedir, rank) > 0)
        rc = strv_take(ret, text);
    if (rc == 0 && o->confdir && asprintf(&text, "--config-path=%s", o->confdir) > 0)
        rc = strv_take(ret, text);
    if (rc == 0 && o->exec_path && asprintf(&text, "--exec-path=%s", o->exec_path) > 0)
        rc = strv_take(ret, text);
    for (size_t i = 0; rc == 0 && o->broker_args && o->broker_args[i]; i++)
        if (asprintf(&text, "--broker-arg=%s", o->broker_args[i]) > 0)
            rc = strv_take(ret, text);
    for (size_t i = 0; rc == 0 && o->wrap && o->wrap[i]; i++)
        if (asprintf(&text, "--wrap=%s", o->wrap[i]) > 0)
            rc = strv_take(ret, text);
    if (rc == 0)
        rc = strv_append(ret, rank == 0 ? "--" : "--no-program");
    for (size_t i = 0; rc == 0 && rank == 0 && o->argv[i]; i++)
        rc = strv_append(ret, o->argv[i]);
    return rc;
}

static int set_number(const char *name, uint32_t value)
{
    char buf[16];

    (void)snprintf(buf, sizeof(buf), "%u", value);
    return setenv(name, buf, 1);
}

__attribute__((noreturn)) static void run_node(const struct cluster *cl, uint32_t rank, int pmi_fd,
                                               pid_t parent)
{
    const int fd = fcntl(pmi_fd, F_DUPFD, PMI_FD_MIN);
    CLEANUP(strv_freep) char **argv = NULL;
    sigset_t none;

    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(EXIT_FAILURE);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (node_arguments(cl, rank, &argv) < 0 || fd < 0 || set_number("PMI_FD", (uint32_t)fd) < 0 ||
        set_number("PMI_RANK", rank) < 0 || set_number("PMI_SIZE", cl->opts->size) < 0 ||
        set_number("FLUX_TEST_NODE", rank) < 0 ||
        (cl->opts->hosts && setenv("FLUX_FAKE_HOSTNAME", cl->opts->hosts[rank], 1) < 0))
        _exit(EXIT_FAILURE);
    (void)execv("/proc/self/exe", argv);
    fprintf(stderr, "flux-supervise: cannot execute itself: %s\n", strerror(errno));
    _exit(EXIT_FAILURE);
}

static int start_node(struct cluster *cl, uint32_t rank)
{
    struct local_node *n = &cl->nodes[rank];
    const pid_t parent = getpid();
    CLEANUP(closep) int theirs = -EBADF;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    n->fd = fds[0];
    theirs = fds[1];
    n->watcher = flux_fd_watcher_create(cl->r, n->fd, FLUX_POLLIN, on_pmi, n);
    if (!n->watcher)
        return -ENOMEM;
    flux_watcher_start(n->watcher);
    n->pid = fork();
    if (n->pid == 0)
        run_node(cl, rank, theirs, parent);
    if (n->pid < 0)
        return -errno;
    cl->left++;
    return 0;
}

static void signal_all(const struct cluster *cl, int sig)
{
    for (uint32_t r = 0; cl->nodes && r < cl->opts->size; r++)
        if (cl->nodes[r].pid > 0)
            (void)kill(cl->nodes[r].pid, sig);
}

static void arm(struct cluster *cl)
{
    flux_reactor_now_update(cl->r);
    flux_timer_watcher_reset(cl->timer, cl->opts->exit_timeout, 0.);
    flux_watcher_start(cl->timer);
}

static void end(struct cluster *cl)
{
    if (cl->ending)
        return;
    cl->ending = true;
    signal_all(cl, SIGTERM);
    arm(cl);
}

static void on_timer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct cluster *cl = arg;

    if (!cl->ending) {
        fprintf(stderr, "flux-supervise: a node ended %g s ago, so the others are told to end\n",
                cl->opts->exit_timeout);
        end(cl);
        return;
    }
    fprintf(stderr, "flux-supervise: %u nodes did not end in %g s and are killed\n", cl->left,
            cl->opts->exit_timeout);
    signal_all(cl, SIGKILL);
}

static void on_child(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct cluster *cl = arg;
    const pid_t pid = flux_child_watcher_get_rpid(w);
    const int ws = flux_child_watcher_get_rstatus(w);
    const int status = WIFEXITED(ws) ? WEXITSTATUS(ws) : 128 + WTERMSIG(ws);

    for (uint32_t rank = 0; rank < cl->opts->size; rank++) {
        struct local_node *n = &cl->nodes[rank];

        if (n->pid != pid)
            continue;
        n->pid = 0;
        close_pmi(n);
        cl->left--;
        if (cl->opts->exit_leader ? rank == 0 : status > cl->status)
            cl->status = status;
        if (rank != 0 && status != 0 && !cl->ending)
            fprintf(stderr, "flux-supervise: node %u ended with status %d\n", rank, status);
        if (n->waits && !cl->ending && cl->status == 0)
            cl->status = status != 0 ? status : EXIT_FAILURE; /* the others would wait for it */
        if (rank == 0 || n->waits || (status != 0 && !cl->opts->exit_leader))
            end(cl);
        else if (!cl->opts->exit_leader && !cl->ending && !flux_watcher_is_active(cl->timer))
            arm(cl);
    }
    if (cl->left == 0)
        flux_reactor_stop(r);
}

/* The program on rank 0 decides what a signal means. */
static void on_signal(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct cluster *cl = arg;

    if (cl->nodes[0].pid > 0)
        (void)kill(cl->nodes[0].pid, flux_signal_watcher_get_signum(w));
}

/* --- */

static int make_watchers(struct cluster *cl)
{
    static const int signals[] = { SIGTERM, SIGHUP };

    cl->r = flux_reactor_create(FLUX_REACTOR_SIGCHLD);
    if (!cl->r)
        return -errno;
    cl->children = flux_child_watcher_create(cl->r, 0, false, on_child, cl);
    cl->timer = flux_timer_watcher_create(cl->r, 0., 0., on_timer, cl);
    if (!cl->children || !cl->timer)
        return -ENOMEM;
    flux_watcher_start(cl->children);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        cl->signals[i] = flux_signal_watcher_create(cl->r, signals[i], on_signal, cl);
        if (!cl->signals[i])
            return -ENOMEM;
        flux_watcher_start(cl->signals[i]);
    }
    return 0;
}

static int make_pmi(struct cluster *cl)
{
    char mapping[48];
    const struct pmi_server_options o = { .size = cl->opts->size,
                                          .kvsname = "flux-test",
                                          .mapping = cl->opts->no_clique ? NULL : mapping,
                                          .ops = { .send = send_line, .abort = on_abort },
                                          .arg = cl };

    (void)snprintf(mapping, sizeof(mapping), "(vector,(0,1,%u))", cl->opts->size);
    return pmi_server_new(&o, &cl->pmi);
}

static int make(struct cluster *cl, flux_error_t *error)
{
    int rc;

    (void)signal(SIGINT, SIG_IGN); /* the terminal tells the program as well */
    (void)signal(SIGQUIT, SIG_IGN);
    errorx_set(error, "out of memory");
    rc = rundir_make(cl->node->rundir, &cl->rundir, &cl->made_rundir, error);
    if (rc < 0)
        return rc;
    if (!cl->node->rundir)
        (void)rundir_hold(cl->rundir, &cl->held);
    cl->nodes = calloc(cl->opts->size, sizeof(*cl->nodes));
    if (!cl->nodes)
        return -ENOMEM;
    for (uint32_t r = 0; r < cl->opts->size; r++)
        cl->nodes[r] = (struct local_node){ .cluster = cl, .rank = r, .fd = -EBADF };
    rc = make_watchers(cl);
    return rc < 0 ? rc : make_pmi(cl);
}

static void cluster_deinit(struct cluster *cl)
{
    for (uint32_t r = 0; cl->nodes && r < cl->opts->size; r++)
        close_pmi(&cl->nodes[r]);
    (void)pmi_server_free(cl->pmi);
    for (size_t i = 0; i < ARRAY_SIZE(cl->signals); i++)
        flux_watcher_destroy(cl->signals[i]);
    flux_watcher_destroy(cl->timer);
    flux_watcher_destroy(cl->children);
    flux_reactor_destroy(cl->r);
    free(cl->nodes);
    if (cl->made_rundir || cl->node->remove_rundir)
        rundir_remove(cl->rundir);
    closep(&cl->held);
    free(cl->rundir);
}

int cluster_run(const struct supervisor_options *node, const struct cluster_options *opts)
{
    CLEANUP(cluster_deinit) struct cluster cl = { .node = node, .opts = opts, .held = -EBADF };
    flux_error_t error = { "" };
    int rc = make(&cl, &error);

    for (uint32_t r = 0; rc == 0 && r < (opts->leader_only ? 1 : opts->size); r++) {
        rc = start_node(&cl, r);
        if (rc < 0)
            errorx_set(&error, "cannot start node %u: %s", r, strerror(-rc));
    }
    if (rc < 0) {
        fprintf(stderr, "flux-supervise: %s\n", error.text);
        cl.status = EXIT_FAILURE;
        if (cl.left > 0)
            end(&cl);
    }
    if (cl.left > 0 && flux_reactor_run(cl.r, 0) < 0)
        return EXIT_FAILURE;
    return cl.status;
}
