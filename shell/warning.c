/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A signal some time before the time limit, so that tasks can save what they have.
 *
 *     signal                   SIGUSR1, 60 s before
 *     signal=SIG@TIME          either part may be left out
 *     signal.signum=SIG, signal.timeleft=TIME
 *
 * A job that has less time than that from its start gets the signal at once. The limit is
 * wall-clock time, the timer is not: a clock that is set does not send it early. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/errorx.h"
#include "base/fsd.h"
#include "base/monotime.h"
#include "option.h"
#include "plugins.h"

#define TIMELEFT_DEFAULT 60.

struct warning {
    struct shell *shell;
    int signum;
    double timeleft;
    flux_watcher_t *timer;
};

static int parse_text(const char *text, struct warning *wn, flux_error_t *error)
{
    const char *at = strchr(text, '@');
    CLEANUP(freep) char *name = at ? strndup(text, (size_t)(at - text)) : strdup(text);

    if (!name)
        return errorx_fail(error, ENOMEM, "out of memory");
    if ((name[0] && option_parse_signal(name, &wn->signum) < 0) ||
        (at && fsd_parse(at + 1, &wn->timeleft) < 0))
        return errorx_fail(error, EINVAL, "-o signal=%s: must be SIGNAL@TIME, such as USR2@5m",
                           text);
    return 0;
}

static int parse_object(const struct shell_info *info, struct warning *wn, flux_error_t *error)
{
    json_t *signum = shell_info_option(info, "signal.signum");
    int rc = option_duration(info, "signal.timeleft", false, &wn->timeleft, error);

    if (rc < 0)
        return rc;
    if (json_is_string(signum))
        return option_parse_signal(json_string_value(signum), &wn->signum) < 0
                   ? errorx_fail(error, EINVAL, "-o signal.signum=%s: there is no such signal",
                                 json_string_value(signum))
                   : 0;
    rc = option_int(info, "signal.signum", 1, NSIG - 1, &wn->signum, error);
    return rc < 0 ? rc : 0;
}

/* 1: there is one, 0: not asked for. */
static int parse(const struct shell_info *info, struct warning *wn, flux_error_t *error)
{
    json_t *o = shell_info_option(info, "signal");
    bool on = true;
    int rc;

    if (!o)
        return 0;
    if (json_is_string(o))
        rc = parse_text(json_string_value(o), wn, error);
    else if (json_is_object(o))
        rc = parse_object(info, wn, error);
    else
        rc = option_flag(info, "signal", &on, error);
    return rc < 0 ? rc : on;
}

static void on_timer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct warning *wn = arg;
    const double left = rset_expiration(wn->shell->info.rset) - walltime();

    shell_log(wn->shell, LOG_INFO, "the time limit is in %.0f s, sending SIG%s",
              left > 0 ? left : 0, sigabbrev_np(wn->signum) ? sigabbrev_np(wn->signum) : "?");
    tasks_signal(wn->shell, wn->signum);
}

static int on_shell_init(struct shell *shell, flux_error_t *error)
{
    struct warning *wn = shell->warning = calloc(1, sizeof(*wn));
    int rc;

    if (!wn)
        return errorx_fail(error, ENOMEM, "out of memory");
    *wn = (struct warning){ .shell = shell, .signum = SIGUSR1, .timeleft = TIMELEFT_DEFAULT };
    rc = parse(&shell->info, wn, error);
    if (rc == 0) {
        free(wn);
        shell->warning = NULL;
    }
    return rc < 0 ? rc : 0;
}

static void on_shell_start(struct shell *shell)
{
    struct warning *wn = shell->warning;
    const double expiration = rset_expiration(shell->info.rset);
    double after = expiration - walltime();

    if (!wn || expiration <= 0)
        return;
    after -= wn->timeleft;
    wn->timer = flux_timer_watcher_create(shell->reactor, after > 0 ? after : 0, 0., on_timer, wn);
    if (wn->timer)
        flux_watcher_start(wn->timer);
}

static void on_shell_finish(struct shell *shell)
{
    if (shell->warning)
        flux_watcher_stop(shell->warning->timer);
}

static void on_shell_exit(struct shell *shell)
{
    if (shell->warning)
        flux_watcher_destroy(shell->warning->timer);
    free(shell->warning);
    shell->warning = NULL;
}

const struct shell_plugin plugin_warning = {
    .name = "warning",
    .options = "signal signal.signum signal.timeleft",
    .shell_init = on_shell_init,
    .shell_start = on_shell_start,
    .shell_finish = on_shell_finish,
    .shell_exit = on_shell_exit,
};
