/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Shells as transient units of the user's own service manager, over its private socket (a bus need
 * not run). They are PREFIX-ID.service in PREFIXs.slice; PREFIX is $FLUX_EXEC_UNITS, so that
 * instances of the same user do not take each other's jobs for their own; default flux-job.
 * The unit belongs to the manager: flux-exec may go away, the cgroup ends with the shell, and
 * asking for the same unit twice is refused by the manager, which is how a lost answer is found
 * out.
 *
 * Steps: StartTransientUnit -> its job is removed with "done" (Type=exec: execve succeeded) ->
 * MainPID
 * -> record and pidfd, as with every back end. All calls are asynchronous. */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-bus.h>

#include "base/errorx.h"
#include "base/list.h"
#include "imp/exit-codes.h"
#include "launch_impl.h"
#include "service/log.h"

#define DESTINATION  "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER_IF   "org.freedesktop.systemd1.Manager"
#define SERVICE_IF   "org.freedesktop.systemd1.Service"
#define PREFIX       "flux-job"
#define UNIT_SUFFIX  ".service"
#define STOP_USEC    10000000ull /* at the end of the instance, before SIGKILL */

/* A start under way. Outlives its launch if that is freed first. */
struct unit_start {
    TAILQ_ENTRY(unit_start) link;
    struct unit_bus *b;
    struct launch *p; /* NULL: nobody wants to know any more */
    flux_jobid_t id;
    char *job; /* object path of the systemd job, while it runs */
};

struct unit_bus {
    struct launcher *l;
    char *prefix;
    sd_bus *bus;
    flux_watcher_t *fd, *timer;
    TAILQ_HEAD(, unit_start) starts;
};

void unit_name(const char *prefix, flux_jobid_t id, char buf[UNIT_NAME_SIZE])
{
    (void)snprintf(buf, UNIT_NAME_SIZE, "%s-%" PRIu64 UNIT_SUFFIX, prefix, id);
}

flux_jobid_t unit_name_parse(const char *prefix, const char *name)
{
    const size_t len = strlen(name), begin = strlen(prefix), suffix = strlen(UNIT_SUFFIX);
    const char *number = name + begin + 1;
    char *end;
    flux_jobid_t id;

    if (len <= begin + 1 + suffix || len >= UNIT_NAME_SIZE || strncmp(name, prefix, begin) != 0 ||
        name[begin] != '-' || strcmp(name + len - suffix, UNIT_SUFFIX) != 0 || number[0] < '1' ||
        number[0] > '9')
        return 0;
    errno = 0;
    id = strtoull(number, &end, 10);
    return errno == 0 && end == name + len - suffix ? id : 0;
}

/* --- the bus in our loop */

static void bus_rearm(struct unit_bus *b)
{
    uint64_t until, now;
    struct timespec ts;
    const int events = sd_bus_get_events(b->bus);

    if (events >= 0)
        flux_fd_watcher_set_events(b->fd, (events & POLLIN ? FLUX_POLLIN : 0) |
                                              (events & POLLOUT ? FLUX_POLLOUT : 0));
    flux_watcher_stop(b->timer);
    if (sd_bus_get_timeout(b->bus, &until) < 0 || until == UINT64_MAX)
        return;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    now = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
    flux_timer_watcher_reset(b->timer, until > now ? (double)(until - now) * 1e-6 : 0., 0.);
    flux_watcher_start(b->timer);
}

static void bus_process(struct unit_bus *b)
{
    int rc;

    for (int i = 0; i < 64; i++) {
        rc = sd_bus_process(b->bus, NULL);
        if (rc <= 0)
            break;
    }
    if (rc < 0) {
        log_err("the bus of the user's service manager is lost: %s", strerror(-rc));
        flux_watcher_stop(b->fd);
        flux_watcher_stop(b->timer);
        return;
    }
    bus_rearm(b);
}

static void on_bus(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    bus_process(arg);
}

/* --- a start */

static struct unit_start *unit_start_free(struct unit_start *s)
{
    if (s) {
        if (s->p)
            s->p->data = NULL;
        TAILQ_REMOVE(&s->b->starts, s, link);
        free(s->job);
        free(s);
    }
    return NULL;
}

static void start_failed(struct unit_start *s, int errnum, const char *why)
{
    struct launch *p = s->p;
    char name[UNIT_NAME_SIZE];

    unit_name(s->b->prefix, s->id, name);
    unit_start_free(s);
    if (p)
        launch_failed(p, errnum, "cannot start the unit %s: %s", name, why);
}

static int on_main_pid(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    struct unit_start *s = arg;
    struct launch *p = s->p;
    uint32_t pid = 0;

    if (sd_bus_message_is_method_error(m, NULL)) {
        pid = 0; /* the unit is gone: it was quick */
    } else if (sd_bus_message_enter_container(m, 'v', "u") < 0 ||
               sd_bus_message_read(m, "u", &pid) < 0) {
        start_failed(s, EPROTO, "its MainPID cannot be read");
        return 0;
    }
    unit_start_free(s);
    if (p)
        launch_got_pid(p, (pid_t)pid, false);
    return 0;
}

static void ask_main_pid(struct unit_start *s)
{
    CLEANUP(freep) char *path = NULL;
    char name[UNIT_NAME_SIZE];
    int rc;

    unit_name(s->b->prefix, s->id, name);
    rc = sd_bus_path_encode("/org/freedesktop/systemd1/unit", name, &path);
    if (rc >= 0)
        rc = sd_bus_call_method_async(s->b->bus, NULL, DESTINATION, path,
                                      "org.freedesktop.DBus.Properties", "Get", on_main_pid, s,
                                      "ss", SERVICE_IF, "MainPID");
    if (rc < 0)
        start_failed(s, -rc, strerror(-rc));
}

static int on_job_removed(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    struct unit_bus *b = arg;
    const char *path, *unit, *result;
    struct unit_start *s;
    uint32_t id;

    if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0)
        return 0;
    TAILQ_FOREACH (s, &b->starts, link) {
        if (!s->job || strcmp(s->job, path) != 0)
            continue;
        free(s->job);
        s->job = NULL;
        if (strcmp(result, "done") == 0)
            ask_main_pid(s);
        else if (strcmp(result, "canceled") == 0)
            start_failed(s, ESHUTDOWN, "the user's service manager is being shut down");
        else
            start_failed(s, EINVAL, "systemctl --user status says why");
        break;
    }
    return 0;
}

static int on_start_reply(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    struct unit_start *s = arg;
    const char *path;

    if (sd_bus_message_is_method_error(m, DESTINATION ".UnitExists")) {
        ask_main_pid(s); /* started before, by a flux-exec that did not live to note it */
    } else if (sd_bus_message_is_method_error(m, DESTINATION ".TransactionIsDestructive") ||
               sd_bus_message_is_method_error(m, DESTINATION ".ShuttingDown")) {
        start_failed(s, ESHUTDOWN, "the user's service manager is being shut down");
    } else if (sd_bus_message_is_method_error(m, NULL)) {
        start_failed(s, sd_bus_message_get_errno(m), sd_bus_message_get_error(m)->message);
    } else if (sd_bus_message_read(m, "o", &path) < 0 || !(s->job = strdup(path))) {
        start_failed(s, EPROTO, "the service manager gave no job");
    }
    return 0;
}

static int append_properties(sd_bus_message *m, const struct launch *p, const char *shell)
{
    CLEANUP(freep) char *uri = NULL;
    CLEANUP(freep) char *env_id = NULL;
    CLEANUP(freep) char *slice = NULL;
    const struct unit_bus *b = p->l->data;
    char id[24];
    int rc;

    (void)snprintf(id, sizeof(id), "%" PRIu64, p->id);
    if (asprintf(&uri, "FLUX_URI=%s", p->l->uri) < 0 ||
        asprintf(&env_id, "FLUX_JOB_ID=%s", id) < 0 || asprintf(&slice, "%ss.slice", b->prefix) < 0)
        return -ENOMEM;
    rc = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)", "Description", "s", "Flux job shell",
                               "Type", "s", "exec", "Slice", "s", slice, "TimeoutStopUSec", "t",
                               (uint64_t)STOP_USEC, "KillMode", "s", "control-group", "CollectMode",
                               "s", "inactive-or-failed");
    if (rc >= 0)
        rc = sd_bus_message_append(m, "(sv)", "Environment", "as", 2, uri, env_id);
    /* What the manager says about the unit only counts if something is wrong, what the shell says
     * always: the rest is in the eventlog of the job. */
    if (rc >= 0)
        rc = sd_bus_message_append(m, "(sv)(sv)", "LogLevelMax", "i", LOG_NOTICE, "SyslogLevel",
                                   "i", LOG_NOTICE);
    if (rc >= 0)
        rc = unit_append_exit_codes(m);
    if (rc >= 0)
        rc = sd_bus_message_append(m, "(sv)", "ExecStart", "a(sasb)", 1, shell, 2, "flux-shell", id,
                                   0);
    return rc;
}

static int send_start(struct unit_start *s, const char *shell)
{
    CLEANUP(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    char name[UNIT_NAME_SIZE];
    int rc;

    unit_name(s->b->prefix, s->id, name);
    rc = sd_bus_message_new_method_call(s->b->bus, &m, DESTINATION, MANAGER_PATH, MANAGER_IF,
                                        "StartTransientUnit");
    if (rc >= 0)
        rc = sd_bus_message_append(m, "ss", name, "fail");
    if (rc >= 0)
        rc = sd_bus_message_open_container(m, 'a', "(sv)");
    if (rc >= 0)
        rc = append_properties(m, s->p, shell);
    if (rc >= 0)
        rc = sd_bus_message_close_container(m);
    if (rc >= 0)
        rc = sd_bus_message_append(m, "a(sa(sv))", 0);
    if (rc >= 0)
        rc = sd_bus_call_async(s->b->bus, NULL, m, on_start_reply, s, 0);
    return rc;
}

static void unit_start_launch(struct launch *p, const struct launch_request *req)
{
    struct unit_bus *b = p->l->data;
    struct unit_start *s;
    int rc;

    if (req->userid != geteuid()) {
        launch_failed(p, EPERM,
                      "user %u may not run jobs here: this instance runs jobs of its "
                      "owner only",
                      req->userid);
        return;
    }
    s = calloc(1, sizeof(*s));
    if (!s) {
        launch_failed(p, ENOMEM, "out of memory");
        return;
    }
    s->b = b;
    s->p = p;
    s->id = p->id;
    TAILQ_INSERT_TAIL(&b->starts, s, link);
    p->data = s;
    rc = send_start(s, req->shell);
    if (rc < 0)
        start_failed(s, -rc, strerror(-rc));
    bus_rearm(b);
}

static void unit_forget(struct launch *p)
{
    struct unit_start *s = p->data;

    s->p = NULL;
}

static int kill_unit(struct launcher *l, flux_jobid_t id, const char *whom, int signum)
{
    struct unit_bus *b = l->data;
    char name[UNIT_NAME_SIZE];
    int rc;

    unit_name(b->prefix, id, name);
    rc = sd_bus_call_method_async(b->bus, NULL, DESTINATION, MANAGER_PATH, MANAGER_IF, "KillUnit",
                                  NULL, NULL, "ssi", name, whom, signum);
    bus_rearm(b);
    return rc < 0 ? rc : 0;
}

static int unit_signal(struct launch *p, int signum)
{
    const bool all = signum == SIGKILL || signum == SIGSTOP || signum == SIGCONT;

    return kill_unit(p->l, p->id, all ? "all" : "main", signum);
}

static int unit_purge(struct launcher *l, flux_jobid_t id)
{
    return kill_unit(l, id, "all", SIGKILL);
}

/* --- listing */

struct unit_list {
    const struct unit_bus *b;
    launcher_list_f cb;
    void *arg;
};

/* By its active state. Such a unit may be kept for a while, with nothing in it. */
static bool is_dead(const char *state)
{
    return strcmp(state, "inactive") == 0 || strcmp(state, "failed") == 0;
}

static int on_list(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    struct unit_list *list = arg;
    const char *s[8], *unit;
    uint32_t job;

    if (!sd_bus_message_is_method_error(m, NULL) &&
        sd_bus_message_enter_container(m, 'a', "(ssssssouso)") >= 0) {
        while (sd_bus_message_read(m, "(ssssssouso)", &unit, &s[0], &s[1], &s[2], &s[3], &s[4],
                                   &s[5], &job, &s[6], &s[7]) > 0)
            if (unit_name_parse(list->b->prefix, unit) && (job || !is_dead(s[2])))
                list->cb(unit_name_parse(list->b->prefix, unit), list->arg);
    }
    list->cb(0, list->arg);
    free(list);
    return 0;
}

static int unit_list(struct launcher *l, launcher_list_f cb, void *arg)
{
    struct unit_bus *b = l->data;
    CLEANUP(freep) char *pattern = NULL;
    struct unit_list *list;
    int rc;

    if (asprintf(&pattern, "%s-*" UNIT_SUFFIX, b->prefix) < 0) {
        pattern = NULL;
        return -ENOMEM;
    }
    list = calloc(1, sizeof(*list));
    if (!list)
        return -ENOMEM;
    list->b = b;
    list->cb = cb;
    list->arg = arg;
    rc = sd_bus_call_method_async(b->bus, NULL, DESTINATION, MANAGER_PATH, MANAGER_IF,
                                  "ListUnitsByPatterns", on_list, list, "asas", 0, 1, pattern);
    if (rc < 0)
        free(list);
    bus_rearm(b);
    return rc < 0 ? rc : 0;
}

/* --- life */

static void unit_deinit(struct launcher *l)
{
    struct unit_bus *b = l->data;

    if (!b)
        return;
    while (!TAILQ_EMPTY(&b->starts))
        unit_start_free(TAILQ_FIRST(&b->starts));
    flux_watcher_destroy(b->timer);
    flux_watcher_destroy(b->fd);
    sd_bus_flush_close_unref(b->bus);
    free(b->prefix);
    free(b);
    l->data = NULL;
}

/* Everybody who connects there gets all signals, and they name no sender. */
static int open_private(sd_bus **ret)
{
    const char *dir = getenv("XDG_RUNTIME_DIR");
    CLEANUP(sd_bus_unrefp) sd_bus *bus = NULL;
    CLEANUP(freep) char *address = NULL;
    int rc;

    if (!dir || asprintf(&address, "unix:path=%s/systemd/private", dir) < 0) {
        address = NULL;
        return dir ? -ENOMEM : -ENOENT;
    }
    if ((rc = sd_bus_new(&bus)) < 0 || (rc = sd_bus_set_address(bus, address)) < 0 ||
        (rc = sd_bus_start(bus)) < 0)
        return rc;
    *ret = TAKE(bus);
    return 0;
}

static int unit_init(struct launcher *l, flux_error_t *error)
{
    struct unit_bus *b = calloc(1, sizeof(*b));
    const char *prefix = getenv("FLUX_EXEC_UNITS");
    int rc;

    if (!b)
        return -ENOMEM;
    TAILQ_INIT(&b->starts);
    b->l = l;
    l->data = b;
    b->prefix = strdup(prefix && *prefix && strlen(prefix) <= UNIT_PREFIX_MAX ? prefix : PREFIX);
    rc = b->prefix ? open_private(&b->bus) : -ENOMEM;
    if (rc >= 0)
        rc = sd_bus_match_signal_async(b->bus, NULL, NULL, MANAGER_PATH, MANAGER_IF, "JobRemoved",
                                       on_job_removed, NULL, b);
    if (rc >= 0)
        rc = sd_bus_call_method_async(b->bus, NULL, DESTINATION, MANAGER_PATH, MANAGER_IF,
                                      "Subscribe", NULL, NULL, "");
    if (rc >= 0) {
        b->fd = flux_fd_watcher_create(l->reactor, sd_bus_get_fd(b->bus), FLUX_POLLIN, on_bus, b);
        b->timer = flux_timer_watcher_create(l->reactor, 0., 0., on_bus, b);
        rc = b->fd && b->timer ? 0 : -ENOMEM;
    }
    if (rc < 0) {
        unit_deinit(l);
        return errorx_fail(error, -rc, "the user's service manager cannot be reached: %s",
                           strerror(-rc));
    }
    flux_watcher_start(b->fd);
    bus_process(b);
    return 0;
}

const struct launch_backend launch_user_unit = {
    .name = "user-unit",
    .init = unit_init,
    .deinit = unit_deinit,
    .start = unit_start_launch,
    .signal = unit_signal,
    .list = unit_list,
    .purge = unit_purge,
    .forget = unit_forget,
};
