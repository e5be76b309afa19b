/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Telling job-ingest whether it may accept jobs, then answering the administrator. If job-ingest
 * cannot be reached it does not matter: what it reads when it starts is durable already. */
#include <errno.h>
#include <string.h>

#include "service/log.h"
#include "daemon.h"

static void on_told(flux_future_t *f, void *arg)
{
    struct request *req = flux_future_aux_get(f, "request");

    if (flux_future_get(f, NULL) < 0 && errno != ENOSYS && errno != ECONNRESET)
        log_err("cannot tell job-ingest: %s", flux_future_error_string(f));
    if (req)
        (void)request_respond(req, "{}");
    flux_future_destroy(f);
}

static void drop(void *req)
{
    (void)request_unref(req);
}

void ingest_announce(void *arg, struct request *req, const char *json)
{
    struct daemon *d = arg;
    flux_future_t *f = flux_rpc(d->h, "job-ingest.admission", json, FLUX_NODEID_ANY, 0);

    if (!f || (req && flux_future_aux_set(f, "request", request_ref(req), drop) < 0) ||
        flux_future_then(f, -1., on_told, d) < 0) {
        log_err("cannot tell job-ingest: %s", strerror(errno));
        flux_future_destroy(f);
        if (req)
            (void)request_fail(req, EIO, "the setting is stored, but job-ingest was not told");
    }
}
