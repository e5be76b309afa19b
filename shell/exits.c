/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the exit of the first task means for the others.
 *
 *     exit-on-error         the first task to exit did not do so with 0: end the job at once
 *     exit-timeout=TIME     end it when others still run TIME after the first exit (default 30s);
 *                           "none": they may run as long as they like
 *
 *     exit-with-first=TIME  task 0 leads the others: TIME after its exit they get SIGTERM
 *
 * "End" is an exception of severity 0: the job manager then cancels what runs. Jobs of one task,
 * and those whose tasks all end in time, see nothing of it. */
#include <signal.h>

#include "base/errorx.h"
#include "base/fsd.h"
#include "exits.h"
#include "option.h"
#include "peers.h"
#include "plugins.h"

#define EXIT_TIMEOUT_DEFAULT 30.

struct exits {
    struct shell *shell;
    bool on_error;
    double timeout; /* -1: none */
    double grace;   /* exit-with-first; -1: not set */
    bool any;       /* a task has exited */
    int first_rank;
    flux_watcher_t *timer, *term;
};

static void on_timeout(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct exits *x = arg;
    const int n = x->shell->info.ntasks - x->shell->nexited;
    char note[160], time[32];

    if (fsd_format(time, sizeof(time), x->timeout) < 0)
        time[0] = '\0';
    (void)snprintf(note, sizeof(note),
                   "task %d exited %s ago and %d other%s still run%s: exit-timeout", x->first_rank,
                   time, n, n == 1 ? "" : "s", n == 1 ? "s" : "");
    shell_raise(x->shell, note);
}

static int on_shell_init(struct shell *shell, flux_error_t *error)
{
    struct exits *x = shell->exits = calloc(1, sizeof(*x));
    int rc;

    if (!x)
        return errorx_fail(error, ENOMEM, "out of memory");
    x->shell = shell;
    x->timeout = EXIT_TIMEOUT_DEFAULT;
    x->grace = -1;
    rc = option_flag(&shell->info, "exit-on-error", &x->on_error, error);
    if (rc >= 0)
        rc = option_duration(&shell->info, "exit-timeout", true, &x->timeout, error);
    if (rc >= 0)
        rc = option_duration(&shell->info, "exit-with-first", true, &x->grace, error);
    return rc < 0 ? rc : 0;
}

/* The others are told to end, in case they do not know yet. */
static void on_grace_over(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct exits *x = arg;

    tasks_signal(x->shell, SIGTERM);
    peers_signal(x->shell, SIGTERM);
}

static void arm_term(struct exits *x)
{
    x->term = flux_timer_watcher_create(x->shell->reactor, x->grace, 0., on_grace_over, x);
    if (x->term)
        flux_watcher_start(x->term);
}

static void arm(struct exits *x)
{
    x->timer = flux_timer_watcher_create(x->shell->reactor, x->timeout, 0., on_timeout, x);
    if (x->timer)
        flux_watcher_start(x->timer);
}

void exits_note(struct shell *shell, int rank, int exit_code)
{
    struct exits *x = shell->exits;
    char note[128];

    if (x && rank == 0 && x->grace >= 0 && shell->info.ntasks > 1)
        arm_term(x);
    if (!x || x->any)
        return;
    x->any = true;
    x->first_rank = rank;
    if (shell->info.ntasks < 2)
        return;
    if (x->on_error && exit_code != 0) {
        (void)snprintf(note, sizeof(note), "task %d exited with exit code %d: exit-on-error", rank,
                       exit_code);
        shell_raise(shell, note);
    } else if (x->timeout >= 0) {
        arm(x);
    }
}

static void on_shell_finish(struct shell *shell)
{
    if (shell->exits) {
        flux_watcher_stop(shell->exits->timer);
        flux_watcher_stop(shell->exits->term);
    }
}

static void on_shell_exit(struct shell *shell)
{
    if (shell->exits) {
        flux_watcher_destroy(shell->exits->timer);
        flux_watcher_destroy(shell->exits->term);
    }
    free(shell->exits);
    shell->exits = NULL;
}

const struct shell_plugin plugin_exits = {
    .name = "exits",
    .options = "exit-on-error exit-timeout exit-with-first",
    .shell_init = on_shell_init,
    .shell_finish = on_shell_finish,
    .shell_exit = on_shell_exit,
};
