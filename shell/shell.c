/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The life of a shell: ask what to run, start it, collect it, write down what happened, exit with
 * the highest exit code. For a job that is over at once this is one request, one message that
 * registers the service, and one commit with everything in it.
 *
 * The connection is reopened when the router is restarted; tasks do not notice. Only when it stays
 * away for longer than the library tries (30 s), or when the supervisor of the instance dies, does
 * the shell end its tasks. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "base/errorx.h"
#include "base/number.h"
#include "input.h"
#include "option.h"
#include "peers.h"
#include "plugins.h"
#include "shell.h"
#include "signals.h"

#define INFO_RETRY 0.2 /* seconds between questions while flux-exec is being restarted */

static void ask_info(struct shell *shell);

static void leave(struct shell *shell)
{
    shell->over = true;
    flux_reactor_stop(shell->reactor);
}

void shell_log(struct shell *shell, int level, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (shell->logs && shell->output)
        (void)logs_event(shell->logs, LOGS_OUTPUT, "log", "{s:i s:s s:i}", "level", level,
                         "message", text, "rank", shell->info.shell_rank);
    else
        (void)fprintf(stderr, "flux-shell: %" PRIu64 ": %s\n", shell->id, text);
}

void shell_verbose(struct shell *shell, int verbose, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    if (shell->verbose < verbose)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    shell_log(shell, verbose > 1 ? LOG_DEBUG : LOG_INFO, "%s", text);
}

static void on_written(void *arg)
{
    leave(arg);
}

/* The instance is gone: nobody wants to know any more. What the tasks left behind ends with them.
 */
static void abandon(struct shell *shell, const char *why)
{
    if (shell->abandoned)
        return;
    (void)fprintf(stderr, "flux-shell: %" PRIu64 ": %s, ending the job\n", shell->id, why);
    shell->abandoned = true;
    if (shell->exit_code == 0)
        shell->exit_code = 1;
    flux_watcher_stop(shell->supervisor);
    tasks_signal(shell, SIGKILL);
    shell_check_finished(shell);
}

/* Tasks are gone: write the last events and go when they are kept. */
static void finish(struct shell *shell)
{
    shell->finishing = true;
    plugins_shell_finish(shell);
    shell_verbose(shell, 1, "all tasks have ended, exit code %d", shell->exit_code);
    (void)logs_event(shell->logs, LOGS_EXEC, "shell.exit", "{s:i}", "status", shell->exit_code);
    logs_finish(shell->logs, on_written, shell);
    plugins_shell_leave(shell);
}

void shell_check_finished(struct shell *shell)
{
    if (shell->abandoned) {
        if (shell->nrunning == 0 && tasks_kill_orphans())
            leave(shell);
        return;
    }
    if (!shell->started || shell->finishing || shell->nrunning > 0 || !tasks_kill_orphans())
        return;
    if (shell->told_to_end)
        peers_hurry(shell);
    if (peers_settled(shell))
        finish(shell);
}

void shell_fatal(struct shell *shell, int exit_code, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    shell_log(shell, LOG_ERR, "%s", text);
    if (exit_code > shell->exit_code)
        shell->exit_code = exit_code;
    tasks_signal(shell, SIGKILL);
    if (!shell->logs) {
        leave(shell);
        return;
    }
    shell_raise(shell, text);
}

static void on_room(void *arg)
{
    struct shell *shell = arg;

    output_resume(shell->output);
    peers_resume(shell);
}

/* The job's namespace is gone or not ours: the job is over for everyone but us. */
static void on_dead(void *arg, const char *why)
{
    struct shell *shell = arg;

    (void)fprintf(stderr, "flux-shell: %" PRIu64 ": cannot write the job's logs: %s\n", shell->id,
                  why);
    tasks_signal(shell, SIGKILL);
    if (shell->exit_code == 0)
        shell->exit_code = 1;
}

static void enter_cwd(struct shell *shell)
{
    const char *cwd = shell->info.jobspec.cwd;

    if (!cwd || chdir(cwd) == 0)
        return;
    shell_log(shell, LOG_WARNING, "cannot enter %s: %s; running in /tmp", cwd, strerror(errno));
    if (chdir("/tmp") < 0)
        (void)chdir("/");
}

static void announce_init(struct shell *shell)
{
    char service[48];

    (void)snprintf(service, sizeof(service), "%u-shell-%" PRIu64, shell->info.userid, shell->id);
    (void)logs_event(shell->logs, LOGS_EXEC, "shell.init", "{s:s s:i s:i}", "service", service,
                     "leader-rank", (int)rset_nth(shell->info.rset, 0)->rank, "size",
                     shell->info.nshells);
}

static void announce_start(struct shell *shell)
{
    CLEANUP(json_decrefp) json_t *map = taskmap_encode(shell->info.taskmap);

    (void)logs_event(shell->logs, LOGS_EXEC, "shell.start", "{s:{s:i s:O}}", "taskmap", "version",
                     1, "map", map);
}

static void say_start(struct shell *shell)
{
    CLEANUP(freep)
    char *ids = shell->verbose > 0 ? idset_encode(shell->info.tasks, IDSET_FLAG_RANGE) : NULL;

    shell_verbose(shell, 1, "starting tasks %s of %d on %s", ids ? ids : "", shell->info.ntasks,
                  shell->info.here->hostname);
}

static int prepare(struct shell *shell, flux_error_t *error)
{
    const struct logs_events events = { .on_room = on_room, .on_dead = on_dead, .arg = shell };
    const char *head = shell->info.log_head;
    int rc =
        tasks_create(shell, error); /* first: whatever fails, there are those that never began */

    if (rc < 0)
        return rc;
    if (peers_is_leader(shell))
        rc = logs_new(shell->h, shell->info.kvs_namespace, &events, &shell->logs);
    if (rc == 0 && (rc = peers_new(shell, error)) < 0)
        return rc;
    if (rc == 0 && head)
        rc = logs_append(shell->logs, LOGS_EXEC, head, strlen(head));
    if (rc == 0)
        rc = env_init(&shell->env, shell->info.jobspec.environment);
    if (rc < 0)
        return errorx_fail(error, -rc, "out of memory");
    rc = option_int(&shell->info, "verbose", 0, INT32_MAX, &shell->verbose, error);
    if (rc < 0)
        return rc;
    if ((rc = plugins_shell_init(shell, error)) < 0)
        return rc;
    enter_cwd(shell);
    return 0;
}

static void run_tasks(struct shell *shell)
{
    if (peers_is_leader(shell))
        announce_init(shell);
    say_start(shell);
    tasks_start(shell);
    plugins_shell_start(shell);
    shell->started = true;
    peers_barrier(shell, BARRIER_START, NULL);
    input_check_room(shell->input);
}

void shell_barrier_done(struct shell *shell, enum barrier which, int rc, json_t *object)
{
    if (which == BARRIER_START) {
        announce_start(shell);
    } else if (which == BARRIER_PMI) {
        pmi_barrier_done(shell->pmi, rc, object);
    } else if (shell->waiting) {
        shell->waiting = false;
        run_tasks(shell);
        if (!shell->over)
            shell_check_finished(shell);
    }
}

/* There will be no tasks. */
static void give_up(struct shell *shell)
{
    shell->waiting = false;
    shell->started = true;
    if (!shell->over)
        shell_check_finished(shell);
}

void shell_signalled(struct shell *shell, int signum)
{
    shell->told_to_end = shell->told_to_end || signum == SIGTERM || signum == SIGINT ||
                         signum == SIGHUP || signum == SIGQUIT;
    if (shell->started) {
        tasks_signal(shell, signum);
        if (shell->nrunning == 0)
            shell_check_finished(shell);
    } else if (shell->waiting && shell->told_to_end) {
        shell_note_exit_code(shell, 128 + signum);
        give_up(shell);
    }
}

void shell_leader_lost(struct shell *shell, const char *why)
{
    char text[256];

    (void)snprintf(text, sizeof(text), "the leader of the job's shells is lost (%s)", why);
    abandon(shell, text);
}

static void start(struct shell *shell)
{
    flux_error_t error = { .text = "" };
    const int pending = signals_pending(shell->signals);

    if (prepare(shell, &error) < 0) {
        shell_fatal(shell, 1, "%s", error.text);
        give_up(shell);
    } else if (pending) {
        shell->exit_code = 128 + pending; /* told to end before it began */
        give_up(shell);
    } else {
        shell->waiting = true;
        peers_barrier(shell, BARRIER_INIT, NULL);
    }
}

static void on_info(flux_future_t *f, void *arg)
{
    struct shell *shell = arg;
    flux_error_t error = { .text = "" };
    const char *text;

    shell->f_info = NULL;
    if (flux_rpc_get(f, &text) < 0) {
        if (errno == ECONNRESET || errno == ENOSYS || errno == EAGAIN) {
            flux_timer_watcher_reset(shell->retry, INFO_RETRY, 0.);
            flux_watcher_start(shell->retry);
        } else {
            shell_fatal(shell, 1, "flux-exec refuses to say what to run: %s",
                        flux_future_error_string(f));
        }
    } else if (shell_info_parse(text ? text : "", &shell->info, &error) < 0) {
        shell_fatal(shell, 1, "%s", error.text);
    } else {
        start(shell);
    }
    flux_future_destroy(f);
}

static void ask_info(struct shell *shell)
{
    shell->f_info = flux_rpc_pack(shell->h, "rexec.shell-info", FLUX_NODEID_ANY, 0, "{s:I s:i}",
                                  "id", (json_int_t)shell->id, "pid", (int)getpid());
    if (!shell->f_info || flux_future_then(shell->f_info, -1., on_info, shell) < 0)
        shell_fatal(shell, 1, "cannot ask flux-exec: %s", strerror(errno));
}

static void on_retry(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    ask_info(arg);
}

static int on_router_lost(flux_t *h, void *arg)
{
    abandon(arg, "the instance is gone");
    return 0;
}

static void on_supervisor_gone(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    abandon(arg, "the supervisor of the instance is gone");
}

/* Without systemd our parent's parent supervises the instance, and we got a pidfd of it. */
static int watch_supervisor(struct shell *shell)
{
    const char *text = getenv("FLUX_SHELL_SUPERVISOR_FD");
    int fd;

    if (!text)
        return 0;
    if (number_parse_int(text, 3, INT32_MAX, &fd) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -EBADF;
    (void)unsetenv("FLUX_SHELL_SUPERVISOR_FD");
    shell->supervisor =
        flux_fd_watcher_create(shell->reactor, fd, FLUX_POLLIN, on_supervisor_gone, shell);
    if (!shell->supervisor)
        return -errno;
    flux_watcher_start(shell->supervisor);
    return 0;
}

int shell_new(flux_jobid_t id, struct shell **ret, flux_error_t *error)
{
    CLEANUP(shell_freep) struct shell *shell = calloc(1, sizeof(*shell));
    int rc;

    if (!shell)
        return errorx_fail(error, ENOMEM, "out of memory");
    shell->id = id;
    shell->reactor = flux_reactor_create(0);
    if (!shell->reactor)
        return errorx_fail(error, errno, "cannot make an event loop: %s", strerror(errno));
    shell->retry = flux_timer_watcher_create(shell->reactor, INFO_RETRY, 0., on_retry, shell);
    rc = shell->retry ? signals_new(shell, &shell->signals) : -ENOMEM;
    if (rc < 0)
        return errorx_fail(error, -rc, "cannot watch signals: %s", strerror(-rc));
    rc = watch_supervisor(shell);
    if (rc < 0)
        return errorx_fail(error, -rc, "cannot watch the supervisor: %s", strerror(-rc));
    shell->h = flux_open_ex(NULL, FLUX_O_RECONNECT, error);
    if (!shell->h)
        return -errno;
    if (flux_set_reactor(shell->h, shell->reactor) < 0)
        return errorx_fail(error, errno, "cannot use the event loop: %s", strerror(errno));
    flux_comms_error_set(shell->h, on_router_lost, shell);
    *ret = TAKE(shell);
    return 0;
}

struct shell *shell_free(struct shell *shell)
{
    if (shell) {
        plugins_shell_exit(shell);
        peers_free(shell->peers);
        raise_free(shell->raise);
        for (int i = 0; shell->tasks && i < shell->info.nlocal; i++)
            env_deinit(&shell->tasks[i].env); /* of one that was not started */
        free(shell->tasks);
        env_deinit(&shell->env);
        logs_free(shell->logs);
        shell_info_deinit(&shell->info);
        flux_future_destroy(shell->f_info);
        flux_close(shell->h);
        signals_free(shell->signals);
        flux_watcher_destroy(shell->supervisor);
        flux_watcher_destroy(shell->retry);
        flux_reactor_destroy(shell->reactor);
        free(shell);
    }
    return NULL;
}

int shell_run(struct shell *shell)
{
    ask_info(shell);
    if (!shell->over && flux_reactor_run(shell->reactor, 0) < 0 && !shell->over) {
        (void)fprintf(stderr, "flux-shell: %" PRIu64 ": %s\n", shell->id, strerror(errno));
        tasks_signal(shell, SIGKILL);
        return 1;
    }
    return shell->exit_code;
}
