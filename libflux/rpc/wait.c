/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The contexts that futures run in. Blocking in flux_future_wait_for() means a temporary reactor in
 * which only this future's watchers and handlers live, with a clone of its handle; classes that
 * know better (RPCs) wait without. Also here: how something is called "soon" from a reactor. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/monotime.h"
#include "rpc/future_impl.h"
#include "rpc/handle_impl.h"

bool future_now_running(const flux_future_t *f)
{
    return f->now && f->now->running > 0;
}

static bool in_now(const flux_future_t *f)
{
    return f->starting == CONTEXT_NOW || (f->starting == CONTEXT_NONE && future_now_running(f));
}

flux_reactor_t *future_reactor(const flux_future_t *f)
{
    if (in_now(f))
        return f->now->r;
    return f->r ? f->r : f->h ? flux_get_reactor(f->h) : NULL;
}

flux_t *future_handle(const flux_future_t *f)
{
    return in_now(f) ? f->now->h : f->h;
}

void future_start(flux_future_t *f, enum future_context context)
{
    enum future_context saved = f->starting;

    if (context == CONTEXT_NOW)
        f->started_now = true;
    else
        f->started_then = true;
    f->starting = context;
    if (f->class && f->class->start)
        f->class->start(f);
    else if (f->init)
        f->init(f, f->init_arg);
    f->starting = saved;
}

void future_resume(flux_future_t *f)
{
    if (f->class && f->class->resume)
        f->class->resume(f);
}

static bool joins(const flux_future_t *parent, enum future_context context, bool started)
{
    return parent->starting == context || (parent->starting == CONTEXT_NONE && started);
}

void future_join(flux_future_t *child, flux_future_t *parent)
{
    (void)future_ref(child);
    if (joins(parent, CONTEXT_NOW, parent->started_now) && child->now != parent->now) {
        parent->now->refcount++;
        future_now_unref(child->now);
        child->now = parent->now;
        future_start(child, CONTEXT_NOW);
    }
    if (joins(parent, CONTEXT_THEN, parent->started_then) && !child->started_then) {
        if (parent->r)
            child->r = parent->r;
        if (!child->h)
            child->h = parent->h;
        future_start(child, CONTEXT_THEN);
    }
    future_unref(child);
}

static int now_create(flux_future_t *f)
{
    struct now *now = calloc(1, sizeof(*now));

    if (!now)
        return -ENOMEM;
    now->refcount = 1;
    now->r = flux_reactor_create(0);
    now->h = f->h ? flux_clone(f->h) : NULL;
    if (!now->r || (f->h && (!now->h || flux_set_reactor(now->h, now->r) < 0))) {
        future_now_unref(now);
        return -ENOMEM;
    }
    f->now = now;
    return 0;
}

struct now *future_now_unref(struct now *now)
{
    if (now && --now->refcount == 0) {
        flux_decref(now->h);
        if (now->r)
            flux_reactor_decref(now->r);
        free(now);
    }
    return NULL;
}

static void on_timeout(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    *(bool *)arg = true;
}

DEFINE_CLEANUP(flux_watcher_t *, flux_watcher_destroy)

static int run_now(flux_future_t *f, double timeout)
{
    CLEANUP(flux_watcher_destroyp) flux_watcher_t *timer = NULL;
    bool timed_out = false;

    if (timeout >= 0.) {
        timer = flux_timer_watcher_create(f->now->r, timeout, 0., on_timeout, &timed_out);
        if (!timer)
            return -ENOMEM;
        flux_watcher_start(timer);
    }
    while (!flux_future_is_ready(f)) {
        int n;

        if (timed_out)
            return -ETIMEDOUT;
        n = flux_reactor_run(f->now->r, FLUX_REACTOR_ONCE);
        if (flux_future_is_ready(f))
            break;
        if (n < 0)
            return -errno;
        if (n == 0 && !timed_out)
            return -EDEADLK; /* nothing is left that could fulfill it */
    }
    return 0;
}

static int wait_now(flux_future_t *f, double timeout)
{
    struct now *now;
    int rc = f->now ? 0 : now_create(f);

    if (rc < 0)
        return rc;
    now = f->now;
    now->refcount++;
    now->running++;
    if (f->started_now)
        future_resume(f);
    else
        future_start(f, CONTEXT_NOW);
    rc = run_now(f, timeout);
    now->running--;
    future_now_unref(now);
    return rc;
}

/* Years from now is the same as never, and must not wrap around. */
static uint64_t deadline_after(double timeout)
{
    return timeout >= 0. && timeout < 1e9 ? monotime_usec() + (uint64_t)(timeout * 1e6)
                                          : CONN_FOREVER;
}

static struct conn *conn_of(const flux_future_t *f)
{
    if (f->class && f->class->conn)
        return f->class->conn(f);
    return f->h ? f->h->conn : NULL;
}

int flux_future_wait_for(flux_future_t *f, double timeout)
{
    struct conn *conn, *limiting = NULL;
    int rc;

    if (!f) {
        errno = EINVAL;
        return -1;
    }
    if (flux_future_is_ready(f))
        return 0;
    if (timeout == 0.) {
        errno = ETIMEDOUT;
        return -1;
    }
    (void)future_ref(f);
    conn = conn_of(f);
    if (timeout < 0. && conn && conn->wait_limit > 0.) {
        limiting = conn;
        timeout = limiting->wait_limit;
    }
    if (f->class && f->class->wait)
        rc = f->class->wait(f, deadline_after(timeout));
    else
        rc = wait_now(f, timeout);
    if (rc == -ETIMEDOUT && limiting && limiting->on_stuck)
        limiting->on_stuck(limiting->last_topic, limiting->on_stuck_arg);
    future_unref(f);
    if (rc == 0)
        return 0;
    errno = -rc;
    return -1;
}

/* --- soon */

static void on_deferred(void *arg)
{
    struct soon *s = arg;

    s->cb(s->arg);
}

static void on_timer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    on_deferred(arg);
}

static struct dispatch *dispatcher(flux_t *h, flux_reactor_t *r)
{
    struct dispatch *d = h ? dispatch_find(h->conn, r) : NULL;

    return d || !h || flux_get_reactor(h) != r ? d : dispatch_get(h);
}

int soon_schedule(struct soon *s, flux_t *h, flux_reactor_t *r)
{
    struct dispatch *d = dispatcher(h, r);

    if (s->item.d == d && d)
        return 0;
    soon_cancel(s);
    s->item.cb = on_deferred;
    s->item.arg = s;
    if (d)
        return dispatch_defer(d, &s->item);
    if (!r)
        return -EINVAL;
    s->timer = flux_timer_watcher_create(r, 0., 0., on_timer, s);
    if (!s->timer)
        return -ENOMEM;
    flux_watcher_start(s->timer);
    return 0;
}

void soon_cancel(struct soon *s)
{
    dispatch_cancel(&s->item);
    flux_watcher_destroy(s->timer);
    s->timer = NULL;
}

void soon_deinit(struct soon *s)
{
    soon_cancel(s);
}
