/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The methods job-manager.queue-* and job-manager.quiesce. */
#include <errno.h>

#include "daemon.h"

static int finish(struct request *req, int rc, const flux_error_t *error)
{
    return rc < 0 && error->text[0] ? request_explain(req, -rc, "%s", error->text) : rc;
}

int rpc_queue_enable(struct request *req, void *arg)
{
    struct daemon *d = arg;
    flux_error_t error = { .text = "" };
    const char *reason = "";
    int enable;

    if (request_unpack(req, "{s:b s?s}", "enable", &enable, "reason", &reason) < 0)
        return -EPROTO;
    return finish(req, control_enable(&d->m, enable, reason, req, &error), &error);
}

int rpc_queue_start(struct request *req, void *arg)
{
    struct daemon *d = arg;
    flux_error_t error = { .text = "" };
    const char *reason = "";
    int start;

    if (request_unpack(req, "{s:b s?s}", "start", &start, "reason", &reason) < 0)
        return -EPROTO;
    return finish(req, control_start(&d->m, start, reason, req, &error), &error);
}

int rpc_queue_status(struct request *req, void *arg)
{
    CLEANUP(json_decrefp) json_t *o = control_status(&((struct daemon *)arg)->m);

    return o ? request_respond_json(req, o) : -ENOMEM;
}

static void on_gone(struct request *req, void *arg)
{
    struct daemon *d = arg;

    control_gone(&d->m, req);
}

static int wait_for_queue(struct request *req, struct daemon *d, bool drain)
{
    flux_error_t error = { .text = "" };
    int rc = control_wait(&d->m, drain, req, &error);

    if (rc == 0)
        request_on_gone(req, on_gone, d);
    return finish(req, rc, &error);
}

int rpc_queue_drain(struct request *req, void *arg)
{
    return wait_for_queue(req, arg, true);
}

int rpc_queue_idle(struct request *req, void *arg)
{
    return wait_for_queue(req, arg, false);
}

/* It is the router that asks: it may be gone because the instance is, which the loss of our own
 * connection to it will tell in a moment. */
#define QUIESCE_GONE_SECONDS 0.5

static void on_quiesce_end(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct daemon *d = arg;

    quiesce_end(&d->m);
}

static void on_quiesce_gone(struct request *req, void *arg)
{
    struct daemon *d = arg;

    flux_watcher_destroy(d->quiesce_end);
    d->quiesce_end = flux_timer_watcher_create(service_reactor(d->svc), QUIESCE_GONE_SECONDS, 0.,
                                               on_quiesce_end, d);
    if (d->quiesce_end)
        flux_watcher_start(d->quiesce_end);
    else
        quiesce_end(&d->m);
}

int rpc_quiesce(struct request *req, void *arg)
{
    struct daemon *d = arg;
    int rc;

    if (d->quiesce_end) { /* the one before has gone */
        flux_watcher_destroy(d->quiesce_end);
        d->quiesce_end = NULL;
        quiesce_end(&d->m);
    }
    rc = quiesce_begin(&d->m, req);
    if (rc == -EBUSY)
        return request_explain(req, EBUSY, "the instance is being shut down already");
    if (rc == 0)
        request_on_gone(req, on_quiesce_gone, d);
    return rc;
}
