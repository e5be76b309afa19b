/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-exec starts shells with all signals blocked; once the watchers stand they are let in. Those
 * that end a process by default are passed on to the tasks and do not end the shell, which has
 * their output and exit codes to report. SIGCHLD collects tasks. SIGPIPE is ignored. */
#include <errno.h>
#include <signal.h>

#include "signals.h"

static const int forwarded[] = { SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,
                                 SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH };

struct signals {
    struct shell *shell;
    flux_watcher_t *child;
    flux_watcher_t *w[ARRAY_SIZE(forwarded)];
    int pending;
};

static void on_signal(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct signals *s = arg;
    const int signum = flux_signal_watcher_get_signum(w);

    if (!s->shell->started && signum != SIGWINCH)
        s->pending = signum;
    shell_signalled(s->shell, signum);
}

static void on_child(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct signals *s = arg;

    tasks_reap(s->shell);
}

int signals_new(struct shell *shell, struct signals **ret)
{
    struct signals *s = calloc(1, sizeof(*s));
    sigset_t none;
    int rc = s ? 0 : -ENOMEM;

    if (rc < 0)
        return rc;
    s->shell = shell;
    (void)signal(SIGPIPE, SIG_IGN);
    s->child = flux_signal_watcher_create(shell->reactor, SIGCHLD, on_child, s);
    if (!s->child)
        rc = -errno;
    for (size_t i = 0; i < ARRAY_SIZE(forwarded) && rc == 0; i++) {
        s->w[i] = flux_signal_watcher_create(shell->reactor, forwarded[i], on_signal, s);
        if (!s->w[i])
            rc = -errno;
        else
            flux_watcher_start(s->w[i]);
    }
    if (rc < 0) {
        signals_free(s);
        return rc;
    }
    flux_watcher_start(s->child);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    *ret = s;
    return 0;
}

/* Whoever is about to exit with a code is not ended by a signal instead. */
struct signals *signals_free(struct signals *s)
{
    sigset_t all;

    if (s) {
        sigfillset(&all);
        (void)sigprocmask(SIG_BLOCK, &all, NULL);
        for (size_t i = 0; i < ARRAY_SIZE(forwarded); i++)
            flux_watcher_destroy(s->w[i]);
        flux_watcher_destroy(s->child);
        free(s);
    }
    return NULL;
}

int signals_pending(const struct signals *s)
{
    return s->pending;
}
