/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Reactors over libev loops. Only a reactor made with FLUX_REACTOR_SIGCHLD uses libev's default
 * loop, which takes SIGCHLD for itself; there can be one of these at a time (EBUSY). A reactor
 * lives as long as there are watchers for it. LIBEV_FLAGS in the environment is ignored. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "loop/stopping.h"
#include "loop/watcher.h"

static bool default_in_use;

bool reactor_reaps_children(void)
{
    return default_in_use;
}

static int make_loop(flux_reactor_t *r, int flags)
{
    if (!(flags & FLUX_REACTOR_SIGCHLD)) {
        r->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
        return r->loop ? 0 : -ENOMEM;
    }
    if (default_in_use || signal_is_watched(SIGCHLD))
        return -EBUSY;
    r->loop = ev_default_loop(EVFLAG_AUTO | EVFLAG_NOENV);
    if (!r->loop)
        return -ENOMEM;
    r->is_default = default_in_use = true;
    return 0;
}

flux_reactor_t *flux_reactor_create(int flags)
{
    flux_reactor_t *r;
    int rc;

    if (flags & ~FLUX_REACTOR_SIGCHLD) {
        errno = EINVAL;
        return NULL;
    }
    r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->refs = 1;
    rc = make_loop(r, flags);
    if (rc < 0) {
        free(r);
        errno = -rc;
        return NULL;
    }
    return r;
}

void flux_reactor_incref(flux_reactor_t *r)
{
    if (r)
        r->refs++;
}

void flux_reactor_decref(flux_reactor_t *r)
{
    int saved_errno = errno;

    if (!r || --r->refs > 0)
        return;
    ev_loop_destroy(r->loop);
    if (r->is_default)
        default_in_use = false;
    free(r);
    errno = saved_errno;
}

void flux_reactor_destroy(flux_reactor_t *r)
{
    flux_reactor_decref(r);
}

int flux_reactor_run(flux_reactor_t *r, int flags)
{
    int ev_flags = 0;
    int active;

    if (!r || (flags & ~(FLUX_REACTOR_NOWAIT | FLUX_REACTOR_ONCE))) {
        errno = EINVAL;
        return -1;
    }
    if (flags & FLUX_REACTOR_NOWAIT)
        ev_flags |= EVRUN_NOWAIT;
    if (flags & FLUX_REACTOR_ONCE)
        ev_flags |= EVRUN_ONCE;
    r->stop_errnum = 0;
    r->stopping = false;
    flux_reactor_incref(r); /* a callback may drop the last other reference */
    active = ev_run(r->loop, ev_flags);
    if (r->stop_errnum > 0) {
        errno = r->stop_errnum;
        active = -1;
    }
    r->stopping = false;
    flux_reactor_decref(r);
    return active;
}

void flux_reactor_stop(flux_reactor_t *r)
{
    if (!r)
        return;
    r->stopping = true;
    ev_break(r->loop, EVBREAK_ALL);
}

void flux_reactor_stop_error(flux_reactor_t *r)
{
    if (!r)
        return;
    r->stop_errnum = errno > 0 ? errno : EINVAL;
    r->stopping = true;
    ev_break(r->loop, EVBREAK_ALL);
}

bool reactor_is_stopping(const flux_reactor_t *r)
{
    return r->stopping;
}

void flux_reactor_active_incref(flux_reactor_t *r)
{
    if (r)
        ev_ref(r->loop);
}

void flux_reactor_active_decref(flux_reactor_t *r)
{
    if (r)
        ev_unref(r->loop);
}

double flux_reactor_now(flux_reactor_t *r)
{
    if (!r) {
        errno = EINVAL;
        return -1;
    }
    return ev_now(r->loop);
}

void flux_reactor_now_update(flux_reactor_t *r)
{
    if (r)
        ev_now_update(r->loop);
}

double flux_reactor_time(void)
{
    return ev_time();
}
