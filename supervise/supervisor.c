/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Wires units, daemons, notifications, children and the initial program.
 *
 *   BOOT: wanted daemons start; all ready -> PROGRAM; one failed -> STOP
 *   PROGRAM: until the initial program ends, or where there is none until a wanted daemon has
 *     ended for good; if that happens to one with a program, the program gets SIGHUP
 *   LEAVE: the router shuts the instance down; it has gone, or cannot -> STOP
 *   STOP: daemons get SIGTERM, then SIGKILL; all gone -> STRAYS
 *   STRAYS: processes that daemons and the program left behind get SIGTERM, then SIGKILL; the end
 *
 * SIGTERM and SIGHUP are passed to the program, which may take its time, but not for ever. SIGINT
 * and SIGQUIT come from the terminal to the program as well, and are its business. In a job of an
 * enclosing instance without a terminal the program leads a process group, and gets these and the
 * signals of the user from here. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/errorx.h"
#include "service/log.h"
#include "supervise/announce.h"
#include "supervise/brokerargs.h"
#include "supervise/control.h"
#include "supervise/daemon.h"
#include "supervise/launcher.h"
#include "supervise/leave.h"
#include "supervise/rundir.h"
#include "supervise/rundirsweep.h"
#include "supervise/sockets.h"
#include "supervise/strays.h"
#include "supervise/supervisor.h"
#include "supervise/wrap.h"

#define PROGRAM_GRACE_SEC 10.
#define PROGRAM_GRACE_JOB 3. /* the enclosing instance kills its job after 5 */
#define LEAVE_LIMIT_JOB   4. /* and the instance, to be shut down */
#define ASK_MAX           2  /* routers that are asked to shut the instance down */
#define STOP_LIMIT_USEC   10000000
#define STRAY_TERM_SEC    0.5
#define STRAY_KILL_SEC    2.

enum phase { PHASE_BOOT, PHASE_PROGRAM, PHASE_LEAVE, PHASE_STOP, PHASE_STRAYS, PHASE_STRAYS_KILL };

struct supervisor {
    const struct supervisor_options *opts;
    enum phase phase;
    char *rundir;
    bool made_rundir;
    int held; /* while the run-time directory is a temporary one of ours */
    bool follower;
    char *statedir; /* NULL: nothing is kept */
    char *logdir;
    char *notify_path;
    char **daemon_env;
    char **program_env;
    struct units *units;
    flux_reactor_t *r;
    flux_watcher_t *children;
    flux_watcher_t *signals[2], *passed[5];
    flux_watcher_t *timer, *limit;
    struct notify_socket *notify;
    struct control *control;
    struct announce *announce;
    struct leave *leave;
    int asked; /* routers, one after the other */
    struct unit_paths paths;
    struct daemon_common common;
    size_t ndaemons;
    struct daemon **daemons;
    char **argv; /* of the program; NULL: none */
    pid_t program;
    bool own_group; /* of the program */
    int status;
    bool done; /* the loop has nothing to do any more; it may not even run yet */
    flux_error_t *error;
};

static void arm(struct supervisor *s, double seconds)
{
    flux_reactor_now_update(s->r);
    flux_timer_watcher_reset(s->timer, seconds, 0.);
    flux_watcher_start(s->timer);
}

static bool in_job(void)
{
    return getenv("FLUX_ENCLOSING_ID") != NULL;
}

/* How long the program has to end when it was told to. */
static double program_grace(void)
{
    return in_job() ? PROGRAM_GRACE_JOB : PROGRAM_GRACE_SEC;
}

/* --- stopping --- */

static bool daemons_left(const struct supervisor *s)
{
    for (size_t i = 0; i < s->ndaemons; i++) {
        if (daemon_pid(s->daemons[i]) > 0)
            return true;
    }
    return false;
}

/* Go on with stopping when nothing is left to wait for. */
static void advance(struct supervisor *s)
{
    if (s->phase == PHASE_STOP && s->program == 0 && !daemons_left(s)) {
        s->phase = PHASE_STRAYS;
        strays_signal(SIGTERM);
        strays_signal(SIGCONT);
        arm(s, STRAY_TERM_SEC);
    }
    if (s->phase == PHASE_STRAYS_KILL)
        strays_signal(SIGKILL);
    if (s->phase >= PHASE_STRAYS && !strays_exist()) {
        s->done = true;
        flux_reactor_stop(s->r);
    }
}

static void stop(struct supervisor *s)
{
    if (s->phase >= PHASE_STOP)
        return;
    s->phase = PHASE_STOP;
    flux_watcher_stop(s->timer);
    flux_watcher_stop(s->limit);
    for (size_t i = 0; i < s->ndaemons; i++)
        daemon_stop(s->daemons[i], STOP_LIMIT_USEC);
    advance(s);
}

static bool is_module(const struct daemon *d)
{
    return strchr(daemon_unit(d)->name, '@') != NULL;
}

static struct daemon *find_router(const struct supervisor *s)
{
    for (size_t i = 0; i < s->ndaemons; i++)
        if (daemon_unit(s->daemons[i])->wanted && !is_module(s->daemons[i]))
            return s->daemons[i];
    return NULL;
}

static void on_refused(void *arg)
{
    stop(arg);
}

static void ask_router(struct supervisor *s)
{
    s->leave = leave_free(s->leave);
    if (s->asked++ == ASK_MAX || leave_begin(s->r, s->rundir, on_refused, s, &s->leave) < 0)
        stop(s);
}

/* The program has ended: the instance ends in good order. A router that was killed is waited for,
 * since other nodes hear from it alone that the end has come. */
static void leave(struct supervisor *s)
{
    struct daemon *router = find_router(s);

    if (s->phase >= PHASE_LEAVE)
        return;
    s->phase = PHASE_LEAVE;
    flux_watcher_stop(s->timer);
    if (!router || daemon_is_final(router) || daemon_state(router) == DAEMON_IDLE)
        stop(s);
    else if (daemon_state(router) == DAEMON_RUNNING)
        ask_router(s);
}

static void on_timer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct supervisor *s = arg;

    switch (s->phase) {
    case PHASE_PROGRAM: /* it was asked to end */
        if (s->program > 0)
            (void)kill(s->program, SIGKILL);
        break;
    case PHASE_STRAYS:
        s->phase = PHASE_STRAYS_KILL;
        arm(s, STRAY_KILL_SEC);
        advance(s);
        break;
    case PHASE_STRAYS_KILL:
        log_warning("processes are left that cannot be killed");
        flux_reactor_stop(s->r);
        break;
    default:
        break;
    }
}

static void on_limit(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    stop(arg);
}

/* All nodes of an instance that is a job are told to end at the same time: those without the
 * program wait until it was shut down. */
static bool job_ends(struct supervisor *s)
{
    if (!in_job() || s->phase < PHASE_PROGRAM)
        return false;
    if (!flux_watcher_is_active(s->limit))
        flux_watcher_start(s->limit);
    return s->phase == PHASE_PROGRAM || s->phase == PHASE_LEAVE;
}

static void on_signal(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct supervisor *s = arg;
    int sig = flux_signal_watcher_get_signum(w);
    const bool wait = job_ends(s);

    if (s->program > 0) {
        (void)kill(s->program, sig);
        arm(s, program_grace());
        return;
    }
    if (s->argv && s->phase < PHASE_LEAVE) /* else it ends as it was told */
        s->status = 128 + sig;
    if (!wait)
        stop(s);
}

/* Of no meaning to us, once there is a program. Like a terminal we interrupt all of its group; the
 * user's signals are for the program, which knows what its children are to hear. */
static void on_passed(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct supervisor *s = arg;
    const int sig = flux_signal_watcher_get_signum(w);

    if (s->program > 0 && s->own_group)
        (void)kill(sig == SIGINT || sig == SIGQUIT ? -s->program : s->program, sig);
    else if (s->phase == PHASE_BOOT && s->argv && (sig == SIGINT || sig == SIGQUIT))
        on_signal(r, w, revents, arg);
}

/* --- starting --- */

static void run_program(struct supervisor *s)
{
    int rc;

    s->phase = PHASE_PROGRAM;
    if (launcher_is_follower(s->rundir))
        s->argv = NULL; /* the program runs on the first node */
    if (!s->argv)
        return; /* until the router ends */
    rc = announce_begin(s->r, s->rundir, &s->announce);
    if (rc < 0)
        log_warning("the enclosing instance cannot be told where this one is: %s", strerror(-rc));
    s->own_group = getenv("FLUX_ENCLOSING_ID") && !isatty(STDIN_FILENO);
    rc = spawn_program(s->argv, s->program_env, s->own_group);
    if (rc < 0) {
        s->status = EXIT_FAILURE;
        errorx_set(s->error, "cannot start %s: %s", s->argv[0], strerror(-rc));
        stop(s);
        return;
    }
    s->program = rc;
}

static bool all_wanted_ready(const struct supervisor *s)
{
    for (size_t i = 0; i < s->ndaemons; i++) {
        if (daemon_unit(s->daemons[i])->wanted && daemon_state(s->daemons[i]) != DAEMON_RUNNING)
            return false;
    }
    return true;
}

/* Whoever asked for it is told how it went. */
static void on_module(struct supervisor *s, struct daemon *d, enum daemon_event event)
{
    const char *name = daemon_unit(d)->name;
    const char *why = daemon_status(d);

    if (event == DAEMON_EVENT_READY) {
        control_started(s->control, name, NULL);
        return;
    }
    control_started(s->control, name, why[0] ? why : "it ended before it was ready");
    if (event == DAEMON_EVENT_GONE)
        control_stopped(s->control, name);
}

/* The router has shut the instance down. */
static void on_instance_end(struct supervisor *s, const struct daemon *d)
{
    if (s->phase == PHASE_LEAVE || (s->phase == PHASE_PROGRAM && s->program == 0)) {
        stop(s);
    } else if (s->phase == PHASE_PROGRAM && daemon_is_final(d)) {
        (void)kill(s->program, SIGHUP);
        arm(s, PROGRAM_GRACE_SEC);
    }
}

/* While leaving: it was asked nothing yet. */
static void on_new_router(struct supervisor *s, enum daemon_event event)
{
    if (event == DAEMON_EVENT_READY)
        ask_router(s);
    else
        stop(s);
}

static void on_daemon(struct daemon *d, enum daemon_event event, void *arg)
{
    struct supervisor *s = arg;

    if (is_module(d))
        on_module(s, d, event);

    if (s->phase == PHASE_BOOT && daemon_unit(d)->wanted) {
        if (event == DAEMON_EVENT_READY && all_wanted_ready(s))
            run_program(s);
        if (event == DAEMON_EVENT_FAILED) {
            s->status = EXIT_FAILURE;
            errorx_set(s->error, "%s did not start", daemon_unit(d)->name);
            stop(s);
        }
    } else if (event == DAEMON_EVENT_GONE) {
        if (daemon_unit(d)->wanted && !is_module(d))
            on_instance_end(s, d);
        advance(s);
    } else if (s->phase == PHASE_LEAVE && d == find_router(s)) {
        on_new_router(s, event);
    }
}

static struct daemon *find_by_name(const struct supervisor *s, const char *name)
{
    for (size_t i = 0; i < s->ndaemons; i++) {
        if (strcmp(daemon_unit(s->daemons[i])->name, name) == 0)
            return s->daemons[i];
    }
    return NULL;
}

/* Forget modules that have ended for good. Not from within what is called by a daemon. */
static void sweep(struct supervisor *s)
{
    size_t k = 0;

    for (size_t i = 0; i < s->ndaemons; i++) {
        struct daemon *d = s->daemons[i];
        struct service_unit *unit = (struct service_unit *)daemon_unit(d);

        if (is_module(d) && daemon_state(d) == DAEMON_IDLE) {
            (void)daemon_free(d);
            TAILQ_REMOVE(&s->units->services, unit, entry);
            (void)service_unit_free(unit);
        } else {
            s->daemons[k++] = d;
        }
    }
    s->ndaemons = k;
}

static struct daemon *find_by_pid(const struct supervisor *s, pid_t pid)
{
    for (size_t i = 0; i < s->ndaemons; i++) {
        if (daemon_pid(s->daemons[i]) == pid)
            return s->daemons[i];
    }
    for (size_t i = 0; s->opts->wrap && i < s->ndaemons; i++) {
        const pid_t wrapper = daemon_pid(s->daemons[i]);

        if (wrapper > 0 && wrap_is_below(pid, wrapper))
            return s->daemons[i];
    }
    return NULL;
}

static void on_notify(pid_t pid, const struct notification *n, void *arg)
{
    struct daemon *d = pid > 0 ? find_by_pid(arg, pid) : NULL;

    if (d)
        daemon_on_notify(d, n);
}

static void drain(void *arg)
{
    struct supervisor *s = arg;

    notify_socket_drain(s->notify);
}

static void on_program_exit(struct supervisor *s, int status)
{
    s->program = 0;
    s->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    leave(s);
    advance(s);
}

static void on_child(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct supervisor *s = arg;
    pid_t pid = flux_child_watcher_get_rpid(w);
    int status = flux_child_watcher_get_rstatus(w);
    struct daemon *d = find_by_pid(s, pid);

    drain(s); /* what it said before it died counts */
    if (d)
        daemon_on_exit(d, status);
    else if (pid == s->program)
        on_program_exit(s, status);
    sweep(s);
    advance(s);
}

/* --- modules --- */

static int add_module(struct supervisor *s, const char *name, struct daemon **ret,
                      flux_error_t *error)
{
    struct daemon **bigger = realloc(s->daemons, (s->ndaemons + 1) * sizeof(*bigger));
    struct service_unit *unit;
    int rc;

    if (!bigger)
        return errorx_fail(error, ENOMEM, "out of memory");
    s->daemons = bigger;
    if ((rc = units_instantiate(s->opts->units, name, &s->paths, &unit, error)) < 0)
        return rc;
    TAILQ_INSERT_TAIL(&s->units->services, unit, entry);
    if ((rc = daemon_new(&s->common, unit, ret)) < 0) {
        TAILQ_REMOVE(&s->units->services, unit, entry);
        (void)service_unit_free(unit);
        return errorx_fail(error, -rc, "%s: %s", name, strerror(-rc));
    }
    s->daemons[s->ndaemons++] = *ret;
    return 0;
}

static int start_module(const char *name, void *arg, flux_error_t *error)
{
    struct supervisor *s = arg;
    struct daemon *d;
    int rc;

    sweep(s);
    if (s->phase >= PHASE_STOP)
        return errorx_fail(error, ESHUTDOWN, "the instance is ending");
    if (find_by_name(s, name))
        return errorx_fail(error, EEXIST, "%s runs already", name);
    if ((rc = add_module(s, name, &d, error)) < 0)
        return rc;
    daemon_start(d);
    if (daemon_state(d) != DAEMON_STARTING)
        return errorx_fail(error, EIO, "%s cannot be executed", daemon_unit(d)->argv[0]);
    return 0;
}

static int stop_module(const char *name, void *arg, flux_error_t *error)
{
    struct supervisor *s = arg;
    struct daemon *d;
    int rc;

    sweep(s);
    d = find_by_name(s, name);
    if (!d || !is_module(d))
        return errorx_fail(error, ENOENT, "%s is not loaded", name);
    daemon_stop(d, STOP_LIMIT_USEC);
    rc = daemon_state(d) == DAEMON_IDLE;
    sweep(s);
    return rc;
}

static int module_status(const char *name, void *arg, flux_error_t *error)
{
    const struct daemon *d = find_by_name(arg, name);

    if (!d || !is_module(d) || daemon_state(d) == DAEMON_IDLE)
        return errorx_fail(error, ENOENT, "%s is not loaded", name);
    return 1;
}

/* --- building --- */

static int set_string(char **ret, const char *fmt, const char *a, const char *b)
{
    if (asprintf(ret, fmt, a, b) < 0) {
        *ret = NULL;
        return -ENOMEM;
    }
    return 0;
}

static int put_env(char ***env, const char *name, const char *value)
{
    char *s;
    int rc = set_string(&s, "%s=%s", name, value);

    return rc < 0 ? rc : strv_take(env, s);
}

static int make_dirs(struct supervisor *s, flux_error_t *error)
{
    const struct supervisor_options *o = s->opts;
    int rc = rundir_make(o->rundir, &s->rundir, &s->made_rundir, error);

    if (rc == 0 && !o->rundir)
        (void)rundir_hold(s->rundir, &s->held); /* else nobody removes it when we are killed */
    if (rc < 0 || (rc = rundir_sub(s->rundir, "log", &s->logdir, error)) < 0)
        return rc;
    if (!o->statedir)
        return 0;
    if ((rc = make_parents(o->statedir, 0700)) < 0 ||
        (mkdir(o->statedir, 0700) < 0 && errno != EEXIST))
        return errorx_fail(error, rc < 0 ? -rc : errno, "state directory %s: %s", o->statedir,
                           strerror(rc < 0 ? -rc : errno));
    s->statedir = realpath(o->statedir, NULL);
    return s->statedir
               ? 0
               : errorx_fail(error, errno, "state directory %s: %s", o->statedir, strerror(errno));
}

/* What the router is told about the log at the start is for all daemons. */
static int put_log_env(struct supervisor *s)
{
    static const struct {
        const char *attr, *variable;
    } levels[] = { { "log-level", "FLUX_LOG_LEVEL" },
                   { "log-stderr-level", "FLUX_LOG_STDERR_LEVEL" },
                   { "log-critical-level", "FLUX_LOG_CRITICAL_LEVEL" },
                   { "log-forward-level", "FLUX_LOG_COPY_LEVEL" } };
    const char *copy = brokerargs_attr(s->opts->broker_args, "log-filename");
    CLEANUP(freep) char *here = NULL;
    CLEANUP(freep) char *path = NULL;
    int rc = put_env(&s->daemon_env, "FLUX_LOG_DIR", s->logdir);

    for (size_t i = 0; i < ARRAY_SIZE(levels) && rc == 0; i++) {
        const char *value = brokerargs_attr(s->opts->broker_args, levels[i].attr);

        if (value)
            rc = put_env(&s->daemon_env, levels[i].variable, value);
    }
    if (rc < 0 || !copy)
        return rc;
    if (*copy == '/')
        return put_env(&s->daemon_env, "FLUX_LOG_COPY", copy);
    if (!(here = getcwd(NULL, 0)))
        return -errno;
    rc = set_string(&path, "%s/%s", here, copy);
    return rc < 0 ? rc : put_env(&s->daemon_env, "FLUX_LOG_COPY", path);
}

static int make_environments(struct supervisor *s)
{
    const char *confdir = s->opts->confdir ? s->opts->confdir : getenv("FLUX_CONF_DIR");
    char *uri;
    int rc;

    /* Neither the system instance's configuration nor its way to start jobs. */
    if (!confdir)
        confdir = "";
    if ((rc = put_env(&s->daemon_env, "FLUX_RUNDIR", s->rundir)) < 0 ||
        (s->statedir && (rc = put_env(&s->daemon_env, "STATE_DIRECTORY", s->statedir)) < 0) ||
        (rc = put_log_env(s)) < 0 || (rc = put_env(&s->daemon_env, "FLUX_CONF_DIR", confdir)) < 0 ||
        (rc = put_env(&s->daemon_env, "FLUX_EXEC_LAUNCH", "spawn")) < 0 ||
        (s->statedir && (rc = put_env(&s->daemon_env, "FLUX_STATEDIR", s->statedir)) < 0) ||
        (rc = set_string(&uri, "FLUX_URI=local://%s/%s", s->rundir, "local")) < 0 ||
        (rc = strv_take(&s->program_env, uri)) < 0)
        return rc;
    return set_string(&s->notify_path, "%s/%s", s->rundir, "notify");
}

static int load_units(struct supervisor *s, flux_error_t *error)
{
    struct service_unit *broker;
    int rc;

    s->paths = (struct unit_paths){ .rundir = s->rundir,
                                    .statedir = s->statedir ? s->statedir : s->rundir,
                                    .logdir = s->logdir,
                                    .confdir = s->opts->confdir };
    rc = units_load(s->opts->units, &s->paths, &s->units, error);
    if (rc < 0)
        return rc;
    broker = units_find_service(s->units, "flux-broker");
    if (broker && (rc = launcher_take(&broker->environment)) < 0)
        return rc;
    for (size_t i = 0; broker && s->opts->broker_args && s->opts->broker_args[i]; i++) {
        if ((rc = strv_append(&broker->argv, s->opts->broker_args[i])) < 0)
            return rc;
    }
    return broker && s->opts->wrap ? wrap_unit(broker, s->opts->wrap, s->opts->exec_path, error)
                                   : 0;
}

static int make_control(struct supervisor *s)
{
    static const struct control_ops ops = { .start = start_module,
                                            .stop = stop_module,
                                            .status = module_status };
    CLEANUP(freep) char *path = NULL;
    int rc = set_string(&path, "%s/%s", s->rundir, "control");

    return rc < 0 ? rc : control_new(s->r, path, &ops, s, &s->control);
}

static int make_watchers(struct supervisor *s)
{
    static const int signals[] = { SIGTERM, SIGHUP };
    static const int passed[] = { SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM };
    int rc;

    s->r = flux_reactor_create(FLUX_REACTOR_SIGCHLD);
    if (!s->r)
        return -errno;
    s->children = flux_child_watcher_create(s->r, 0, false, on_child, s);
    s->timer = flux_timer_watcher_create(s->r, 0., 0., on_timer, s);
    s->limit = flux_timer_watcher_create(s->r, LEAVE_LIMIT_JOB, 0., on_limit, s);
    if (!s->children || !s->timer || !s->limit)
        return -errno;
    flux_watcher_start(s->children);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        s->signals[i] = flux_signal_watcher_create(s->r, signals[i], on_signal, s);
        if (!s->signals[i])
            return -errno;
        flux_watcher_start(s->signals[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(passed); i++) {
        s->passed[i] = flux_signal_watcher_create(s->r, passed[i], on_passed, s);
        if (!s->passed[i])
            return -errno;
        flux_watcher_start(s->passed[i]);
    }
    rc = notify_socket_new(s->r, s->notify_path, on_notify, s, &s->notify);
    if (rc == 0)
        rc = make_control(s);
    s->common = (struct daemon_common){ .r = s->r,
                                        .spawn = { .exec_path = s->opts->exec_path,
                                                   .notify_path = s->notify_path,
                                                   .environment = s->daemon_env },
                                        .drain = drain,
                                        .cb = on_daemon,
                                        .arg = s };
    return rc;
}

static bool is_of_leader(const struct supervisor *s, const struct socket_unit *sock)
{
    const size_t len = strlen(s->rundir);

    return sock->listen[0] && strncmp(sock->listen[0], s->rundir, len) == 0 &&
           strncmp(sock->listen[0] + len, "/leader/", 8) == 0;
}

static int make_daemons(struct supervisor *s, flux_error_t *error)
{
    struct service_unit *svc;
    struct socket_unit *sock;
    int rc = 0;

    TAILQ_FOREACH (svc, &s->units->services, entry)
        s->ndaemons++;
    s->daemons = calloc(s->ndaemons, sizeof(*s->daemons));
    if (!s->daemons)
        return -ENOMEM;
    s->ndaemons = 0;
    TAILQ_FOREACH (svc, &s->units->services, entry) {
        rc = daemon_new(&s->common, svc, &s->daemons[s->ndaemons]);
        if (rc < 0)
            return rc;
        s->ndaemons++;
    }
    TAILQ_FOREACH (sock, &s->units->sockets, entry) {
        if (s->follower && is_of_leader(s, sock))
            continue;
        rc = daemon_add_socket(find_by_name(s, sock->service), sock, error);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < s->ndaemons && rc == 0; i++)
        rc = daemon_listen(s->daemons[i]);
    return rc;
}

int supervisor_new(const struct supervisor_options *opts, struct supervisor **ret,
                   flux_error_t *error)
{
    CLEANUP(supervisor_freep) struct supervisor *s = calloc(1, sizeof(*s));
    int rc;

    errorx_set(error, "out of memory");
    if (!s)
        return -ENOMEM;
    s->held = -EBADF;
    s->opts = opts;
    s->argv = opts->argv;
    s->follower = !opts->confdir && launcher_says_follower(); /* nobody looks into leader/ */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return errorx_fail(error, errno, "cannot become subreaper: %s", strerror(errno));
    if ((rc = make_dirs(s, error)) < 0 || (rc = make_environments(s)) < 0)
        return rc;
    if (setenv("FLUX_LOG_DIR", s->logdir, 1) < 0)
        return -ENOMEM;
    log_open(strrchr(s->rundir, '/') + 1, "supervise");
    (void)unsetenv("FLUX_LOG_DIR"); /* the program's own business */
    if ((rc = load_units(s, error)) < 0)
        return rc;
    rc = make_watchers(s);
    if (rc < 0)
        return errorx_fail(error, -rc, "cannot watch children and notifications: %s",
                           strerror(-rc));
    if ((rc = make_daemons(s, error)) < 0)
        return rc;
    *ret = TAKE(s);
    return 0;
}

int supervisor_run(struct supervisor *s, flux_error_t *error)
{
    bool any = false;

    s->error = error;
    errorx_set(error, "%s", "");
    for (size_t i = 0; i < s->ndaemons && s->phase == PHASE_BOOT; i++) {
        if (daemon_unit(s->daemons[i])->wanted) {
            any = true;
            daemon_start(s->daemons[i]);
        }
    }
    if (!any)
        run_program(s);
    if (!s->done && flux_reactor_run(s->r, 0) < 0) {
        errorx_set(error, "the event loop failed: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    return s->status;
}

const char *supervisor_logdir(const struct supervisor *s)
{
    return s->logdir;
}

/* All has ended: a signal that comes now must not cut the rest short, nor change the status. */
static void block_signals(void)
{
    sigset_t all;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, NULL);
}

struct supervisor *supervisor_free(struct supervisor *s)
{
    if (!s)
        return NULL;
    block_signals();
    for (size_t i = 0; i < s->ndaemons; i++)
        (void)daemon_free(s->daemons[i]);
    free(s->daemons);
    (void)announce_free(s->announce);
    (void)leave_free(s->leave);
    (void)control_free(s->control);
    (void)notify_socket_free(s->notify);
    for (size_t i = 0; i < ARRAY_SIZE(s->passed); i++)
        flux_watcher_destroy(s->passed[i]);
    for (size_t i = 0; i < ARRAY_SIZE(s->signals); i++)
        flux_watcher_destroy(s->signals[i]);
    flux_watcher_destroy(s->limit);
    flux_watcher_destroy(s->timer);
    flux_watcher_destroy(s->children);
    flux_reactor_destroy(s->r);
    (void)units_free(s->units);
    (void)strv_free(s->program_env);
    (void)strv_free(s->daemon_env);
    if (s->made_rundir || s->opts->remove_rundir)
        rundir_remove(s->rundir);
    closep(&s->held);
    free(s->notify_path);
    free(s->logdir);
    free(s->statedir);
    free(s->rundir);
    free(s);
    return NULL;
}
