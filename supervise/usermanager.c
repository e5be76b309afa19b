/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Asks the user's service manager to load, start and stop units. Signals reach a private connection
 * without subscription; the end of a job is the signal JobRemoved. */
#include <errno.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "base/errorx.h"
#include "base/monotime.h"
#include "supervise/usermanager.h"

#define DESTINATION  "org.freedesktop.systemd1"
#define OBJECT       "/org/freedesktop/systemd1"
#define INTERFACE    "org.freedesktop.systemd1.Manager"
#define TIMEOUT_USEC 60000000

struct usermanager {
    sd_bus *bus;
    char *job;       /* object path of the job waited for */
    char result[64]; /* "" while it runs */
};

static void sd_bus_errorp(sd_bus_error *e)
{
    sd_bus_error_free(e);
}

static int private_path(char **ret)
{
    const char *dir = getenv("XDG_RUNTIME_DIR");

    if (!dir || dir[0] != '/')
        return -ENOENT;
    if (asprintf(ret, "%s/systemd/private", dir) < 0) {
        *ret = NULL;
        return -ENOMEM;
    }
    return 0;
}

static int on_job_removed(sd_bus_message *m, void *arg, sd_bus_error *error)
{
    struct usermanager *um = arg;
    const char *path, *unit, *result;
    uint32_t id;

    if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0)
        return 0;
    if (um->job && strcmp(path, um->job) == 0)
        (void)snprintf(um->result, sizeof(um->result), "%s", result);
    return 0;
}

static int connect_bus(struct usermanager *m)
{
    CLEANUP(freep) char *path = NULL;
    CLEANUP(freep) char *address = NULL;
    int rc = private_path(&path);

    if (rc < 0)
        return rc;
    if (asprintf(&address, "unix:path=%s", path) < 0) {
        address = NULL;
        return -ENOMEM;
    }
    if ((rc = sd_bus_new(&m->bus)) < 0 || (rc = sd_bus_set_address(m->bus, address)) < 0 ||
        (rc = sd_bus_start(m->bus)) < 0 ||
        (rc = sd_bus_add_match(m->bus, NULL,
                               "type='signal',interface='" INTERFACE "',member='JobRemoved'",
                               on_job_removed, m)) < 0)
        return rc;
    return 0;
}

int usermanager_open(struct usermanager **ret, flux_error_t *error)
{
    CLEANUP(usermanager_closep) struct usermanager *m = calloc(1, sizeof(*m));
    int rc = m ? connect_bus(m) : -ENOMEM;

    if (rc < 0)
        return errorx_fail(error, -rc, "cannot reach your systemd: %s", strerror(-rc));
    *ret = TAKE(m);
    return 0;
}

struct usermanager *usermanager_close(struct usermanager *m)
{
    if (m) {
        sd_bus_flush_close_unref(m->bus);
        free(m->job);
        free(m);
    }
    return NULL;
}

int usermanager_reload(struct usermanager *m, flux_error_t *error)
{
    CLEANUP(sd_bus_errorp) sd_bus_error e = SD_BUS_ERROR_NULL;
    int rc = sd_bus_call_method(m->bus, DESTINATION, OBJECT, INTERFACE, "Reload", &e, NULL, "");

    if (rc < 0)
        return errorx_fail(error, -rc, "your systemd cannot reload its units: %s",
                           e.message ? e.message : strerror(-rc));
    return 0;
}

static int wait_for_job(struct usermanager *m)
{
    uint64_t end = monotime_usec() + TIMEOUT_USEC;

    while (!m->result[0]) {
        int rc = sd_bus_process(m->bus, NULL);

        if (rc < 0)
            return rc;
        if (rc > 0)
            continue;
        if (monotime_usec() >= end)
            return -ETIMEDOUT;
        rc = sd_bus_wait(m->bus, end - monotime_usec());
        if (rc < 0 && rc != -EINTR)
            return rc;
    }
    return 0;
}

/* Call StartUnit or StopUnit and wait for its job. */
static int run_job(struct usermanager *m, const char *method, const char *unit, flux_error_t *error)
{
    CLEANUP(sd_bus_errorp) sd_bus_error e = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    const char *path;
    int rc = sd_bus_call_method(m->bus, DESTINATION, OBJECT, INTERFACE, method, &e, &reply, "ss",
                                unit, "replace");

    if (rc < 0)
        return errorx_fail(error, -rc, "%s %s: %s", method, unit,
                           e.message ? e.message : strerror(-rc));
    rc = sd_bus_message_read(reply, "o", &path);
    free(m->job);
    m->job = rc < 0 ? NULL : strdup(path);
    m->result[0] = '\0';
    sd_bus_message_unref(reply);
    if (!m->job)
        return errorx_fail(error, ENOMEM, "%s %s: bad answer", method, unit);
    rc = wait_for_job(m);
    if (rc < 0)
        return errorx_fail(error, -rc, "%s %s: %s", method, unit, strerror(-rc));
    if (strcmp(m->result, "done") != 0)
        return errorx_fail(error, EIO, "%s %s: %s", method, unit, m->result);
    return 0;
}

int usermanager_start(struct usermanager *m, const char *unit, flux_error_t *error)
{
    return run_job(m, "StartUnit", unit, error);
}

int usermanager_stop(struct usermanager *m, const char *unit, flux_error_t *error)
{
    return run_job(m, "StopUnit", unit, error);
}

void usermanager_kill(struct usermanager *m, const char *unit, int sig)
{
    (void)sd_bus_call_method(m->bus, DESTINATION, OBJECT, INTERFACE, "KillUnit", NULL, NULL, "ssi",
                             unit, "all", sig);
}

void usermanager_reset_failed(struct usermanager *m, const char *unit)
{
    (void)sd_bus_call_method(m->bus, DESTINATION, OBJECT, INTERFACE, "ResetFailedUnit", NULL, NULL,
                             "s", unit);
}
