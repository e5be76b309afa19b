/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One daemon.
 *
 *            connection, wanted                READY=1
 *     IDLE ---------------------> STARTING ------------------> RUNNING
 *      ^  ^                         |   | timeout                |  | watchdog
 *      |  |  exit, no restart       |   +------> STOPPING <------+  | stop
 *      |  +-------------------------+               |               |
 *      |                            | exit          | exit          | exit
 *      |  final stop                v               v               |
 *      +------------------------ WAITING <--------------------------+
 *                                   | RestartSec=
 *                                   +-----> STARTING
 *
 * One timer serves all states: the limit of starting, the watchdog, the limit of stopping, the
 * delay before the next start. A daemon that dies again and again before it is ready waits longer
 * each time. Descriptors in its store survive its death, but not its being idle; who ends well and
 * leaves some is started again at once, unless Restart=no. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/monotime.h"
#include "service/log.h"
#include "supervise/daemon.h"
#include "supervise/fdstore.h"
#include "supervise/sockets.h"

#define STATUS_SIZE     256
#define MISCONFIGURED   "Waits for a better configuration" /* service_misconfigured() */
#define BACKOFF_DOUBLES 7

struct listening {
    int fd;
    char *name;
    flux_watcher_t *watcher;
};

struct daemon {
    const struct daemon_common *common;
    const struct service_unit *unit;
    enum daemon_state state;
    pid_t pid;
    flux_watcher_t *timer;
    size_t nsockets;
    struct listening *sockets;
    struct fdstore store;
    uint64_t watchdog_usec;
    uint64_t last_sign_usec;
    uint64_t until_usec;   /* the end of the limit of starting; UINT64_MAX: none */
    unsigned int failures; /* in a row, before it was ready */
    bool was_ready;
    bool final; /* do not start again */
    char status[STATUS_SIZE];
    char told[STATUS_SIZE]; /* of it, to the user */
};

static const char *const state_names[] = { "idle", "starting", "running", "stopping", "waiting" };

static void arm(struct daemon *d, uint64_t usec)
{
    flux_timer_watcher_reset(d->timer, usec / 1e6, 0.);
    if (usec != UINT64_MAX) {
        flux_reactor_now_update(d->common->r);
        flux_watcher_start(d->timer);
    }
}

/* The limit of starting. */
static void set_limit(struct daemon *d, uint64_t usec)
{
    const uint64_t now_usec = monotime_usec();

    d->until_usec = usec < UINT64_MAX - now_usec ? now_usec + usec : UINT64_MAX;
    arm(d, usec);
}

/* EXTEND_TIMEOUT_USEC=: never makes it shorter. */
static void extend_limit(struct daemon *d, uint64_t usec)
{
    const uint64_t now_usec = monotime_usec();

    if (d->until_usec != UINT64_MAX && usec > d->until_usec - now_usec && now_usec < d->until_usec)
        set_limit(d, usec);
}

static void disarm(struct daemon *d)
{
    flux_watcher_stop(d->timer);
}

static void set_state(struct daemon *d, enum daemon_state state)
{
    log_debug("%s: %s -> %s", d->unit->name, state_names[d->state], state_names[state]);
    d->state = state;
}

static void signal_process(struct daemon *d, int sig)
{
    if (d->pid > 0)
        (void)kill(d->pid, sig);
}

static void watch_sockets(struct daemon *d, bool on)
{
    for (size_t i = 0; i < d->nsockets; i++) {
        if (!d->sockets[i].watcher)
            continue;
        if (on)
            flux_watcher_start(d->sockets[i].watcher);
        else
            flux_watcher_stop(d->sockets[i].watcher);
    }
}

static void become_idle(struct daemon *d)
{
    disarm(d);
    set_state(d, DAEMON_IDLE);
    fdstore_deinit(&d->store); /* as systemd does: who waits on a stored connection must learn */
    if (!d->final)
        watch_sockets(d, true);
    d->common->cb(d, DAEMON_EVENT_GONE, d->common->arg);
}

static void become_waiting(struct daemon *d)
{
    unsigned int doubles = d->failures < BACKOFF_DOUBLES ? d->failures : BACKOFF_DOUBLES;

    set_state(d, DAEMON_WAITING);
    arm(d, d->unit->restart_usec << doubles);
}

static void become_ready(struct daemon *d)
{
    d->failures = 0;
    d->was_ready = true;
    set_state(d, DAEMON_RUNNING);
    d->last_sign_usec = monotime_usec();
    if (d->watchdog_usec > 0)
        arm(d, d->watchdog_usec);
    else
        disarm(d);
    d->common->cb(d, DAEMON_EVENT_READY, d->common->arg);
}

/* It did not start in time or shows no sign of life. */
static void abort_process(struct daemon *d, const char *why)
{
    log_err("%s (pid %d) %s: killing it", d->unit->name, (int)d->pid, why);
    set_state(d, DAEMON_STOPPING);
    signal_process(d, SIGABRT);
    arm(d, d->unit->abort_usec);
}

/* --- starting --- */

static void names_append(char **names, const char *name)
{
    size_t n = strlen(*names);

    sprintf(*names + n, "%s%s", n > 0 ? ":" : "", name);
}

/* Sockets, then stored descriptors, with their names joined by colons. */
static int collect_fds(const struct daemon *d, int **ret_fds, char **ret_names, size_t *ret_n)
{
    size_t n = d->nsockets + d->store.count;
    CLEANUP(freep) int *fds = calloc(n + 1, sizeof(*fds));
    CLEANUP(freep) char *names = NULL;
    size_t size = 1, k = 0;

    for (size_t i = 0; i < d->nsockets; i++)
        size += strlen(d->sockets[i].name) + 1;
    for (size_t i = 0; i < d->store.count; i++)
        size += strlen(d->store.fds[i].name) + 1;
    names = calloc(1, size);
    if (!fds || !names)
        return -ENOMEM;
    for (size_t i = 0; i < d->nsockets; i++) {
        fds[k++] = d->sockets[i].fd;
        names_append(&names, d->sockets[i].name);
    }
    for (size_t i = 0; i < d->store.count; i++) {
        fds[k++] = d->store.fds[i].fd;
        names_append(&names, d->store.fds[i].name);
    }
    *ret_fds = TAKE(fds);
    *ret_names = TAKE(names);
    *ret_n = n;
    return 0;
}

static int spawn(struct daemon *d)
{
    CLEANUP(freep) int *fds = NULL;
    CLEANUP(freep) char *names = NULL;
    struct spawn_request req = { .argv = d->unit->argv,
                                 .environment = d->unit->environment,
                                 .watchdog_usec = d->unit->watchdog_usec };
    int rc;

    fdstore_drop_dead(&d->store);
    rc = collect_fds(d, &fds, &names, &req.nfds);
    if (rc < 0)
        return rc;
    req.fds = fds;
    req.fdnames = names;
    return spawn_daemon(&d->common->spawn, &req);
}

static void on_failure(struct daemon *d)
{
    if (!d->was_ready) {
        d->failures++;
        d->common->cb(d, DAEMON_EVENT_FAILED, d->common->arg);
    }
}

void daemon_start(struct daemon *d)
{
    int rc;

    if (d->final || (d->state != DAEMON_IDLE && d->state != DAEMON_WAITING))
        return;
    watch_sockets(d, false);
    d->was_ready = false;
    d->watchdog_usec = d->unit->watchdog_usec;
    d->status[0] = '\0';
    rc = spawn(d);
    if (rc < 0) {
        log_err("cannot start %s (%s): %s", d->unit->name, d->unit->argv[0], strerror(-rc));
        on_failure(d);
        if (!d->final)
            become_waiting(d);
        return;
    }
    d->pid = rc;
    set_state(d, DAEMON_STARTING);
    if (d->unit->notify)
        set_limit(d, d->unit->start_usec);
    else
        become_ready(d);
}

static void on_connection(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct daemon *d = arg;

    log_debug("%s: a client connects", d->unit->name);
    daemon_start(d);
}

/* --- stopping --- */

void daemon_stop(struct daemon *d, uint64_t limit_usec)
{
    d->final = true;
    watch_sockets(d, false);
    if (d->state == DAEMON_WAITING) {
        become_idle(d);
    } else if (d->state == DAEMON_STARTING || d->state == DAEMON_RUNNING) {
        set_state(d, DAEMON_STOPPING);
        signal_process(d, d->unit->kill_signal);
        arm(d, d->unit->stop_usec < limit_usec ? d->unit->stop_usec : limit_usec);
    }
}

/* --- what happens to it --- */

static void on_watchdog(struct daemon *d)
{
    uint64_t silent;

    d->common->drain(d->common->arg); /* we may have been stopped ourselves */
    silent = monotime_usec() - d->last_sign_usec;
    if (d->state != DAEMON_RUNNING || d->watchdog_usec == 0)
        return;
    if (silent < d->watchdog_usec)
        arm(d, d->watchdog_usec - silent);
    else
        abort_process(d, "gave no sign of life for its WatchdogSec=");
}

static void on_timer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct daemon *d = arg;

    switch (d->state) {
    case DAEMON_STARTING:
        abort_process(d, "was not ready within TimeoutStartSec=");
        break;
    case DAEMON_RUNNING:
        on_watchdog(d);
        break;
    case DAEMON_STOPPING:
        signal_process(d, SIGKILL);
        break;
    case DAEMON_WAITING:
        daemon_start(d);
        break;
    case DAEMON_IDLE:
        break;
    }
}

static void take_fds(struct daemon *d, const struct notification *n)
{
    for (size_t i = 0; i < n->nfds; i++) {
        int rc = fdstore_add(&d->store, TAKE_FD(n->fds[i]), n->fdname ? n->fdname : "stored",
                             !n->fdpoll_off);

        if (rc < 0)
            log_warning("%s: a descriptor could not be stored: %s", d->unit->name, strerror(-rc));
    }
}

/* Who waits for a daemon that waits for a better configuration would not know why. */
static void tell_misconfigured(struct daemon *d)
{
    if (strncmp(d->status, MISCONFIGURED, strlen(MISCONFIGURED)) != 0 ||
        strcmp(d->status, d->told) == 0)
        return;
    (void)snprintf(d->told, sizeof(d->told), "%s", d->status);
    (void)fprintf(stderr, "flux-supervise: %s: %s\n", d->unit->name, d->status);
}

void daemon_on_notify(struct daemon *d, const struct notification *n)
{
    if (n->fdstore)
        take_fds(d, n);
    if (n->fdstore_remove && n->fdname)
        fdstore_remove(&d->store, n->fdname);
    if (n->status) {
        (void)snprintf(d->status, sizeof(d->status), "%s", n->status);
        log_debug("%s: %s", d->unit->name, d->status);
        tell_misconfigured(d);
    }
    if (n->watchdog_usec > 0)
        d->watchdog_usec = n->watchdog_usec;
    if (n->watchdog || n->watchdog_usec > 0)
        d->last_sign_usec = monotime_usec();
    if (n->extend_usec > 0 && d->state == DAEMON_STARTING)
        extend_limit(d, n->extend_usec);
    if (n->ready && d->state == DAEMON_STARTING)
        become_ready(d);
    if (d->state != DAEMON_RUNNING)
        return;
    if (n->watchdog_trigger)
        abort_process(d, "asked for its watchdog");
    else if (n->watchdog_usec > 0)
        arm(d, d->watchdog_usec);
}

static bool is_clean(int status)
{
    if (WIFEXITED(status))
        return WEXITSTATUS(status) == 0;
    return WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGINT ||
           WTERMSIG(status) == SIGHUP || WTERMSIG(status) == SIGPIPE;
}

/* It said that it is not to be started again. */
static bool is_final(const struct daemon *d, int status)
{
    return WIFEXITED(status) &&
           (d->unit->final_statuses[WEXITSTATUS(status) / 64] >> (WEXITSTATUS(status) % 64) & 1);
}

static void log_exit(const struct daemon *d, int status)
{
    const char *fields[] = { "MESSAGE_ID=" LOG_ID_SERVICE_LOST, NULL };
    int level = d->final || is_clean(status) || is_final(d, status) ? LOG_DEBUG : LOG_ERR;

    if (WIFEXITED(status))
        log_fields(level, fields, "%s (pid %d) exited with status %d", d->unit->name, (int)d->pid,
                   WEXITSTATUS(status));
    else
        log_fields(level, fields, "%s (pid %d) was killed by signal %d (%s)", d->unit->name,
                   (int)d->pid, WTERMSIG(status), strsignal(WTERMSIG(status)));
}

void daemon_on_exit(struct daemon *d, int status)
{
    bool killed_by_us = d->state == DAEMON_STOPPING;
    bool clean = is_clean(status) && !killed_by_us;

    log_exit(d, status);
    d->pid = 0;
    disarm(d);
    if (d->state == DAEMON_STARTING || (killed_by_us && !d->final))
        on_failure(d);
    fdstore_drop_dead(&d->store);
    if (is_final(d, status) && !killed_by_us) {
        d->final = true; /* its sockets start nothing any more */
        become_idle(d);
    } else if (!d->final && clean && d->store.count > 0 && d->unit->restart != UNIT_RESTART_NO) {
        set_state(d, DAEMON_WAITING); /* it left something to its successor: no delay */
        daemon_start(d);
    } else if (d->final || d->unit->restart == UNIT_RESTART_NO ||
               (d->unit->restart == UNIT_RESTART_ON_FAILURE && clean))
        become_idle(d);
    else
        become_waiting(d);
}

/* --- life cycle --- */

int daemon_new(const struct daemon_common *common, const struct service_unit *unit,
               struct daemon **ret)
{
    CLEANUP(daemon_freep) struct daemon *d = calloc(1, sizeof(*d));

    if (!d)
        return -ENOMEM;
    d->common = common;
    d->unit = unit;
    d->store.max = unit->fdstore_max;
    d->timer = flux_timer_watcher_create(common->r, 0., 0., on_timer, d);
    if (!d->timer)
        return -errno;
    *ret = TAKE(d);
    return 0;
}

struct daemon *daemon_free(struct daemon *d)
{
    if (!d)
        return NULL;
    signal_process(d, SIGKILL);
    fdstore_deinit(&d->store);
    for (size_t i = 0; i < d->nsockets; i++) {
        flux_watcher_destroy(d->sockets[i].watcher);
        closep(&d->sockets[i].fd);
        free(d->sockets[i].name);
    }
    free(d->sockets);
    flux_watcher_destroy(d->timer);
    free(d);
    return NULL;
}

const struct service_unit *daemon_unit(const struct daemon *d)
{
    return d->unit;
}

enum daemon_state daemon_state(const struct daemon *d)
{
    return d->state;
}

const char *daemon_status(const struct daemon *d)
{
    return d->status;
}

bool daemon_is_final(const struct daemon *d)
{
    return d->final;
}

pid_t daemon_pid(const struct daemon *d)
{
    return d->pid;
}

int daemon_add_socket(struct daemon *d, const struct socket_unit *u, flux_error_t *error)
{
    size_t n = strv_count(u->listen);
    CLEANUP(freep) int *fds = calloc(n, sizeof(*fds));
    struct listening *bigger = realloc(d->sockets, (d->nsockets + n) * sizeof(*bigger));
    int rc;

    if (bigger)
        d->sockets = bigger;
    if (!fds || !bigger)
        return -ENOMEM;
    rc = socket_unit_open(u, fds, error);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        d->sockets[d->nsockets++] = (struct listening){ fds[i], strdup(u->fdname), NULL };
        if (!d->sockets[d->nsockets - 1].name)
            rc = -ENOMEM;
    }
    return rc;
}

int daemon_listen(struct daemon *d)
{
    for (size_t i = 0; i < d->nsockets; i++) {
        struct listening *l = &d->sockets[i];

        l->watcher = flux_fd_watcher_create(d->common->r, l->fd, FLUX_POLLIN, on_connection, d);
        if (!l->watcher)
            return -errno;
    }
    if (d->state == DAEMON_IDLE)
        watch_sockets(d, true);
    return 0;
}
