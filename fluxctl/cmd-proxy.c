/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl proxy: a shell or command in another instance of this host. It speaks to the instance
 * itself; we keep a connection beside it and hang it up when that is lost. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "client.h"
#include "families.h"
#include "job-uri.h"
#include "slurm-uri.h"
#include "supervise/unitfile.h"

struct proxy {
    const struct cmdline *c;
    flux_t *h;
    flux_reactor_t *r;
    flux_watcher_t *child;
    flux_msg_handler_t *listener;
    pid_t pid;
    int status;
};

static void on_child(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct proxy *p = arg;
    const int status = flux_child_watcher_get_rstatus(w);

    p->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    flux_reactor_stop(r);
}

/* The command may be stopped: it is to hear of the end. */
static int on_lost(flux_t *h, void *arg)
{
    struct proxy *p = arg;

    complain("the instance is gone");
    if (!cmdline_has(p->c, "nohup")) {
        (void)kill(p->pid, SIGHUP);
        (void)kill(p->pid, SIGCONT);
    }
    return 0;
}

static void on_event(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
}

static pid_t spawn(char *const *argv, const char *uri)
{
    const pid_t pid = fork();

    if (pid != 0)
        return pid;
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGQUIT, SIG_DFL);
    if (setenv("FLUX_URI", uri, 1) == 0 && unsetenv("FLUX_KVS_NAMESPACE") == 0)
        (void)execvp(argv[0], argv);
    complain("cannot run %s: %s", argv[0], strerror(errno));
    _exit(127);
}

static int run(struct proxy *p, char *const *argv, const char *uri)
{
    (void)signal(SIGINT, SIG_IGN); /* the terminal tells the command as well */
    (void)signal(SIGQUIT, SIG_IGN);
    p->r = flux_reactor_create(FLUX_REACTOR_SIGCHLD);
    if (!p->r || flux_set_reactor(p->h, p->r) < 0)
        return complain("cannot make an event loop: %s", strerror(errno));
    flux_comms_error_set(p->h, on_lost, p);
    p->pid = spawn(argv, uri);
    p->child = p->pid > 0 ? flux_child_watcher_create(p->r, p->pid, false, on_child, p) : NULL;
    if (!p->child)
        return complain("cannot run %s: %s", argv[0], strerror(errno));
    flux_watcher_start(p->child);
    /* The loop hears of the end of a connection that it listens to. */
    p->listener = flux_msg_handler_create(p->h, FLUX_MATCH_EVENT, on_event, p);
    if (!p->listener)
        return complain("out of memory");
    flux_msg_handler_start(p->listener);
    return flux_reactor_run(p->r, 0) < 0 ? complain("%s", strerror(errno)) : p->status;
}

/* An instance of Slurm's on another host: srun runs this command there. */
static int go_there(const struct cmdline *c)
{
    CLEANUP(strv_freep) char **words = NULL;
    int rc = strv_append(&words, "proxy");

    if (rc == 0 && cmdline_has(c, "nohup"))
        rc = strv_append(&words, "--nohup");
    if (rc == 0 && cmdline_has(c, "reconnect"))
        rc = strv_append(&words, "--reconnect");
    if (rc == 0)
        rc = strv_append(&words, "--");
    for (int i = 0; rc == 0 && i < c->argc; i++)
        rc = strv_append(&words, c->argv[i]);
    return rc < 0 ? complain("out of memory") : slurm_go_there(c->argv[0], words);
}

static int run_proxy(const struct cmdline *c)
{
    const char *shell = getenv("SHELL");
    char *interactive[] = { (char *)(shell && *shell ? shell : "/bin/sh"), NULL };
    CLEANUP(freep) char *uri = NULL;
    CLEANUP(freep) char *here = NULL;
    struct proxy p = { .c = c };
    int status;

    if ((slurm_target(c->argv[0]) && go_there(c) != EXIT_SUCCESS) ||
        !(uri = job_uri_parse(c->argv[0], false)) || !(here = uri_from_here(uri)))
        return EXIT_FAILURE;
    if (strncmp(here, "ssh://", 6) == 0)
        return complain("%s is on another host; go there", here);
    p.h = flux_open(here, cmdline_has(c, "reconnect") ? FLUX_O_RECONNECT : 0);
    if (!p.h)
        return complain("cannot open %s: %s", here, strerror(errno));
    status = run(&p, c->argc > 1 ? c->argv + 1 : interactive, here);
    flux_msg_handler_destroy(p.listener);
    flux_watcher_destroy(p.child);
    flux_close(p.h);
    flux_reactor_destroy(p.r);
    return status;
}

static const struct option proxy_options[] = {
    { 'f', "force", NULL, "Take an instance of another version" },
    { 'n', "nohup", NULL, "Do not send SIGHUP to the command when the instance is gone" },
    { 0, "reconnect", NULL, "Wait for the instance to be back" },
    { 0 },
};

const struct command cmd_proxy[] = {
    { .name = "proxy",
      .args = "TARGET [COMMAND [ARGS...]]",
      .summary = "Run a command, or your shell, against another instance",
      .options = proxy_options,
      .min_args = 1,
      .max_args = -1,
      .flags = COMMAND_STOP_AT_ARGUMENT,
      .run = run_proxy },
    { 0 },
};
