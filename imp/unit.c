/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The calls to PID 1, over its private socket (root only; no message bus needed), else the system
 * bus. Every wait has a limit. What a unit looks like is fixed here; from the request come the
 * job's number, the user (checked) and the instance's URI (checked). */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include "config.h"
#include "imp/exit-codes.h"
#include "unit.h"

#define PRIVATE_ADDRESS "unix:path=/run/systemd/private"
#define DESTINATION     "org.freedesktop.systemd1"
#define MANAGER_PATH    "/org/freedesktop/systemd1"
#define MANAGER_IF      "org.freedesktop.systemd1.Manager"
#define SLICE           "flux-jobs.slice"
#define SHELL           FLUX_LIBEXECDIR "/flux-shell"
#define JOB_PATH        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define TASKS_MAX       UINT64_C(32768)
#define STOP_USEC       (20 * UINT64_C(1000000)) /* of a job, when the node is shut down */
#define WAIT_USEC       (20 * UINT64_C(1000000))

static int fail(struct unit_error *error, int rc, const char *what, const char *why)
{
    (void)snprintf(error->text, sizeof(error->text), "%s: %s", what, why ? why : strerror(-rc));
    return rc < 0 ? rc : -EIO;
}

static int fail_bus(struct unit_error *error, int rc, const char *what, const sd_bus_error *e)
{
    return fail(error, rc, what, sd_bus_error_is_set(e) ? e->message : NULL);
}

static void unit_name(uint64_t jobid, char buf[48])
{
    (void)snprintf(buf, 48, "flux-job-%" PRIu64 ".service", jobid);
}

static int open_private(sd_bus **ret)
{
    sd_bus *bus = NULL;
    int rc = sd_bus_new(&bus);

    if (rc >= 0)
        rc = sd_bus_set_address(bus, PRIVATE_ADDRESS);
    if (rc >= 0)
        rc = sd_bus_start(bus);
    if (rc < 0)
        sd_bus_unref(bus);
    else
        *ret = bus;
    return rc;
}

static int open_bus(sd_bus **ret, struct unit_error *error)
{
    int rc = open_private(ret);

    if (rc < 0)
        rc = sd_bus_open_system(ret);
    if (rc < 0)
        return fail(error, rc, "cannot reach the service manager", NULL);
    (void)sd_bus_set_method_call_timeout(*ret, WAIT_USEC);
    return 0;
}

/* --- start */

struct wait_for_job {
    char path[128]; /* of the systemd job; "" until known */
    bool done;
    char result[32];
    /* Signals may come before the reply that names the job: remember the last few. */
    struct {
        char path[128], result[32];
    } early[8];
    unsigned int nearly;
};

static int on_job_removed(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    struct wait_for_job *w = arg;
    const char *path, *unit, *result;
    uint32_t id;

    if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0)
        return 0;
    if (!w->path[0]) {
        const unsigned int i = w->nearly++ % 8;

        (void)snprintf(w->early[i].path, sizeof(w->early[i].path), "%s", path);
        (void)snprintf(w->early[i].result, sizeof(w->early[i].result), "%s", result);
    } else if (strcmp(path, w->path) == 0) {
        w->done = true;
        (void)snprintf(w->result, sizeof(w->result), "%s", result);
    }
    return 0;
}

static void look_back(struct wait_for_job *w)
{
    for (unsigned int i = 0; i < 8 && !w->done; i++)
        if (strcmp(w->early[i].path, w->path) == 0) {
            w->done = true;
            (void)snprintf(w->result, sizeof(w->result), "%s", w->early[i].result);
        }
}

static uint64_t now_usec(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int wait_job(sd_bus *bus, struct wait_for_job *w)
{
    const uint64_t deadline = now_usec() + WAIT_USEC;

    look_back(w);
    while (!w->done) {
        int rc = sd_bus_process(bus, NULL);

        if (rc == 0) {
            const uint64_t now = now_usec();

            if (now >= deadline)
                return -ETIMEDOUT;
            rc = sd_bus_wait(bus, deadline - now);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int append_properties(sd_bus_message *m, const struct imp_request *req)
{
    char id[24], user[16], env_uri[IMP_URI_MAX + 16], env_id[40];
    int rc;

    (void)snprintf(id, sizeof(id), "%" PRIu64, req->jobid);
    (void)snprintf(user, sizeof(user), "%" PRIu32, req->userid);
    (void)snprintf(env_uri, sizeof(env_uri), "FLUX_URI=%s", req->uri);
    (void)snprintf(env_id, sizeof(env_id), "FLUX_JOB_ID=%s", id);
    rc = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)", "Description", "s", "Flux job shell",
                               "Type", "s", "exec", "Slice", "s", SLICE, "User", "s", user,
                               "KillMode", "s", "control-group", "CollectMode", "s",
                               "inactive-or-failed");
    if (rc >= 0)
        rc = sd_bus_message_append(m, "(sv)(sv)", "TasksMax", "t", TASKS_MAX, "Environment", "as",
                                   3, env_uri, env_id, JOB_PATH);
    /* When the node is shut down, in the reverse of this order: first flux-exec, so that it starts
     * no more jobs on what the ended ones free; then the jobs; then the daemons by which their
     * shells write down how they ended. */
    if (rc >= 0)
        rc = sd_bus_message_append(m, "(sv)(sv)(sv)", "Before", "as", 1, "flux-exec.service",
                                   "After", "as", 3, "flux-broker.service", "flux-content.service",
                                   "flux-kvs.service", "TimeoutStopUSec", "t", STOP_USEC);
    /* Starts and ends of units are in the eventlogs of the jobs, and flux-imp notes each launch:
     * what PID 1 says about a unit only counts if something is wrong, what the shell says always.
     */
    if (rc >= 0)
        rc = sd_bus_message_append(m, "(sv)(sv)", "LogLevelMax", "i", LOG_NOTICE, "SyslogLevel",
                                   "i", LOG_NOTICE);
    if (rc >= 0)
        rc = unit_append_exit_codes(m);
    if (rc >= 0)
        rc = sd_bus_message_append(m, "(sv)", "ExecStart", "a(sasb)", 1, SHELL, 2, "flux-shell", id,
                                   0);
    return rc;
}

static int make_start(sd_bus *bus, const struct imp_request *req, const char *name,
                      sd_bus_message **ret)
{
    sd_bus_message *m = NULL;
    int rc = sd_bus_message_new_method_call(bus, &m, DESTINATION, MANAGER_PATH, MANAGER_IF,
                                            "StartTransientUnit");

    if (rc >= 0)
        rc = sd_bus_message_append(m, "ss", name, "fail");
    if (rc >= 0)
        rc = sd_bus_message_open_container(m, 'a', "(sv)");
    if (rc >= 0)
        rc = append_properties(m, req);
    if (rc >= 0)
        rc = sd_bus_message_close_container(m);
    if (rc >= 0)
        rc = sd_bus_message_append(m, "a(sa(sv))", 0);
    if (rc < 0)
        sd_bus_message_unref(m);
    else
        *ret = m;
    return rc;
}

static int main_pid(sd_bus *bus, const char *name, uint32_t *ret)
{
    char *path = NULL;
    int rc = sd_bus_path_encode("/org/freedesktop/systemd1/unit", name, &path);

    *ret = 0;
    if (rc >= 0)
        rc = sd_bus_get_property_trivial(bus, DESTINATION, path, "org.freedesktop.systemd1.Service",
                                         "MainPID", NULL, 'u', ret);
    free(path);
    return rc;
}

static int start(sd_bus *bus, const struct imp_request *req, const char *name,
                 struct unit_error *error)
{
    __attribute__((cleanup(sd_bus_error_free))) sd_bus_error e = SD_BUS_ERROR_NULL;
    __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *m = NULL, *reply = NULL;
    struct wait_for_job w = { .done = false };
    const char *path;
    int rc = sd_bus_match_signal(bus, NULL, NULL, MANAGER_PATH, MANAGER_IF, "JobRemoved",
                                 on_job_removed, &w);

    if (rc >= 0)
        rc = sd_bus_call_method(bus, DESTINATION, MANAGER_PATH, MANAGER_IF, "Subscribe", NULL, NULL,
                                "");
    if (rc >= 0)
        rc = make_start(bus, req, name, &m);
    if (rc < 0)
        return fail(error, rc, name, NULL);
    rc = sd_bus_call(bus, m, WAIT_USEC, &e, &reply);
    if (rc < 0 && sd_bus_error_has_name(&e, DESTINATION ".UnitExists"))
        return 0; /* started before; whoever asked did not live to hear of it */
    if (rc < 0 && (sd_bus_error_has_name(&e, DESTINATION ".TransactionIsDestructive") ||
                   sd_bus_error_has_name(&e, DESTINATION ".ShuttingDown")))
        return -ESHUTDOWN;
    if (rc < 0 && sd_bus_error_has_name(&e, DESTINATION ".NoSuchUnit"))
        return fail(error, rc, name, "systemd could not write this unit; is /run full?");
    if (rc < 0)
        return fail_bus(error, rc, name, &e);
    if ((rc = sd_bus_message_read(reply, "o", &path)) < 0)
        return fail(error, rc, name, NULL);
    (void)snprintf(w.path, sizeof(w.path), "%s", path);
    if ((rc = wait_job(bus, &w)) < 0)
        return fail(error, rc, name, NULL);
    if (strcmp(w.result, "canceled") == 0)
        return -ESHUTDOWN;
    return strcmp(w.result, "done") == 0
               ? 0
               : fail(error, -EIO, name, "the shell could not be executed, the journal says why");
}

int unit_start(const struct imp_request *req, uint32_t *ret_pid, struct unit_error *error)
{
    __attribute__((cleanup(sd_bus_flush_close_unrefp))) sd_bus *bus = NULL;
    char name[48];
    int rc = open_bus(&bus, error);

    if (rc < 0)
        return rc;
    unit_name(req->jobid, name);
    rc = start(bus, req, name, error);
    if (rc < 0)
        return rc;
    (void)main_pid(bus, name, ret_pid); /* a unit that is gone again: it was quick, 0 */
    return 0;
}

int unit_kill(const struct imp_request *req, struct unit_error *error)
{
    __attribute__((cleanup(sd_bus_flush_close_unrefp))) sd_bus *bus = NULL;
    __attribute__((cleanup(sd_bus_error_free))) sd_bus_error e = SD_BUS_ERROR_NULL;
    /* KILL, STOP and CONT cannot be passed on by the shell: they go to all of the unit. */
    const bool all = req->signum == 9 || req->signum == 18 || req->signum == 19;
    char name[48];
    int rc = open_bus(&bus, error);

    if (rc < 0)
        return rc;
    unit_name(req->jobid, name);
    rc = sd_bus_call_method(bus, DESTINATION, MANAGER_PATH, MANAGER_IF, "KillUnit", &e, NULL, "ssi",
                            name, all ? "all" : "main", req->signum);
    return rc < 0 ? fail_bus(error, rc, name, &e) : 0;
}

static int read_list(sd_bus_message *m, FILE *out)
{
    const char *s[8], *unit;
    uint32_t job;
    int rc = sd_bus_message_enter_container(m, 'a', "(ssssssouso)");

    while (rc >= 0 && (rc = sd_bus_message_read(m, "(ssssssouso)", &unit, &s[0], &s[1], &s[2],
                                                &s[3], &s[4], &s[5], &job, &s[6], &s[7])) > 0) {
        uint64_t id;
        int end = 0;

        /* s[2]: the active state. A dead unit may be kept for a while, with nothing in it. */
        if (sscanf(unit, "flux-job-%" SCNu64 ".service%n", &id, &end) == 1 &&
            end == (int)strlen(unit) &&
            (job || (strcmp(s[2], "inactive") != 0 && strcmp(s[2], "failed") != 0)))
            (void)fprintf(out, "jobid=%" PRIu64 "%c", id, 0);
    }
    return rc;
}

int unit_list(char **ret_text, size_t *ret_size, struct unit_error *error)
{
    __attribute__((cleanup(sd_bus_flush_close_unrefp))) sd_bus *bus = NULL;
    __attribute__((cleanup(sd_bus_error_free))) sd_bus_error e = SD_BUS_ERROR_NULL;
    __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
    FILE *out;
    int rc = open_bus(&bus, error);

    if (rc < 0)
        return rc;
    rc = sd_bus_call_method(bus, DESTINATION, MANAGER_PATH, MANAGER_IF, "ListUnitsByPatterns", &e,
                            &reply, "asas", 0, 1, "flux-job-*.service");
    if (rc < 0)
        return fail_bus(error, rc, "cannot list units", &e);
    out = open_memstream(ret_text, ret_size);
    if (!out)
        return fail(error, -ENOMEM, "cannot list units", NULL);
    rc = read_list(reply, out);
    if (fclose(out) != 0 || rc < 0) {
        free(*ret_text);
        return fail(error, rc < 0 ? rc : -ENOMEM, "cannot list units", NULL);
    }
    return 0;
}
