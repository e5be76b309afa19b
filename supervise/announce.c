/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The memo has the form ssh://HOST/PATH, with which other hosts could reach the socket; who is on
 * this host makes local:// of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <flux/core.h>
#include <jansson.h>

#include "base/cleanup.h"
#include "service/log.h"
#include "supervise/announce.h"

#define TIMEOUT_SECONDS 60.

struct announce {
    flux_t *h;
    flux_future_t *f;
};

static void on_answer(flux_future_t *f, void *arg)
{
    if (flux_rpc_get(f, NULL) < 0)
        log_warning("the enclosing instance does not take the URI of this one: %s",
                    flux_future_error_string(f));
}

static int ask(struct announce *a, flux_reactor_t *r, flux_jobid_t id, const char *uri)
{
    if (flux_set_reactor(a->h, r) < 0)
        return -errno;
    a->f = flux_rpc_pack(a->h, "job-manager.memo", FLUX_NODEID_ANY, 0, "{s:I s:{s:s}}", "id",
                         (json_int_t)id, "memo", "uri", uri);
    return a->f && flux_future_then(a->f, TIMEOUT_SECONDS, on_answer, a) == 0 ? 0 : -errno;
}

int announce_begin(flux_reactor_t *r, const char *rundir, struct announce **ret)
{
    const char *parent = getenv("FLUX_PARENT_URI"), *job = getenv("FLUX_ENCLOSING_ID");
    CLEANUP(freep) char *uri = NULL;
    char host[256] = "";
    struct announce *a;
    flux_jobid_t id;
    int rc;

    *ret = NULL;
    if (!parent || !job || flux_job_id_parse(job, &id) < 0)
        return 0;
    if (gethostname(host, sizeof(host) - 1) < 0 ||
        asprintf(&uri, "ssh://%s%s/local", host, rundir) < 0 || !(a = calloc(1, sizeof(*a))))
        return -ENOMEM;
    a->h = flux_open(parent, 0);
    rc = a->h ? ask(a, r, id, uri) : -errno;
    if (rc < 0)
        a = announce_free(a);
    *ret = a;
    return rc;
}

struct announce *announce_free(struct announce *a)
{
    if (a) {
        flux_future_destroy(a->f);
        flux_close(a->h);
        free(a);
    }
    return NULL;
}
