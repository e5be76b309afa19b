/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A client of the instance for one request. How long it takes is the router's business: each state
 * of a shutdown has a limit. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <flux/core.h>

#include "base/cleanup.h"
#include "supervise/leave.h"

#define TOPIC "state-machine.shutdown"

struct leave {
    flux_t *h;
    flux_future_t *f;
    void (*refused)(void *arg);
    void *arg;
};

static flux_t *open_router(const char *rundir)
{
    char uri[128];

    if (snprintf(uri, sizeof(uri), "local://%s/local", rundir) >= (int)sizeof(uri)) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    return flux_open(uri, 0);
}

static void on_answer(flux_future_t *f, void *arg)
{
    struct leave *l = arg;

    if (flux_rpc_get(f, NULL) < 0)
        l->refused(l->arg);
}

/* That is what was asked for; the supervisor sees the router's process end. */
static int on_lost(flux_t *h, void *arg)
{
    return 0;
}

int leave_begin(flux_reactor_t *r, const char *rundir, void (*refused)(void *arg), void *arg,
                struct leave **ret)
{
    struct leave *l = calloc(1, sizeof(*l));

    if (!l)
        return -ENOMEM;
    l->refused = refused;
    l->arg = arg;
    l->h = open_router(rundir);
    if (l->h)
        flux_comms_error_set(l->h, on_lost, l);
    if (!l->h || flux_set_reactor(l->h, r) < 0 ||
        !(l->f = flux_rpc(l->h, TOPIC, NULL, FLUX_NODEID_ANY, 0)) ||
        flux_future_then(l->f, -1., on_answer, l) < 0) {
        const int rc = -errno;

        (void)leave_free(l);
        return rc;
    }
    *ret = l;
    return 0;
}

struct leave *leave_free(struct leave *l)
{
    if (l) {
        flux_future_destroy(l->f);
        flux_close(l->h);
        free(l);
    }
    return NULL;
}

void leave_wait(const char *rundir)
{
    flux_t *h = open_router(rundir);
    flux_future_t *f = h ? flux_rpc(h, TOPIC, NULL, FLUX_NODEID_ANY, FLUX_RPC_STREAMING) : NULL;

    while (f && flux_rpc_get(f, NULL) == 0)
        flux_future_reset(f);
    flux_future_destroy(f);
    flux_close(h);
}
