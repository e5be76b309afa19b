/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Futures: fulfilment, results, continuations. What drives a future while somebody blocks is in
 * wait.c; queues of results are in result.c.
 *
 * Users' continuations are never called from within a fulfilment, only from the reactor; listeners
 * (containers) are called at once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "rpc/future_impl.h"
#include "rpc/handle_impl.h"

static void on_then(void *arg);

flux_future_t *future_create(const struct future_class *cls, void *self)
{
    flux_future_t *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->refcount = 1;
    f->user_refs = 1;
    f->class = cls;
    f->self = self;
    f->then_timeout = -1.;
    f->then_soon.cb = on_then;
    f->then_soon.arg = f;
    STAILQ_INIT(&f->queue);
    SLIST_INIT(&f->listeners);
    return f;
}

flux_future_t *(flux_future_create)(flux_future_init_f cb, void *arg)
{
    flux_future_t *f = future_create(NULL, NULL);

    if (f) {
        f->init = cb;
        f->init_arg = arg;
    }
    return f;
}

/* Futures whose init callback is given the reactor. */
struct reactor_init {
    flux_future_init_reactor_f cb;
    void *arg;
};

static void reactor_init_start(flux_future_t *f)
{
    struct reactor_init *init = f->self;

    if (init->cb)
        init->cb(f, future_reactor(f), init->arg);
}

static void reactor_init_destroy(flux_future_t *f)
{
    free(f->self);
}

static const struct future_class reactor_init_class = {
    .start = reactor_init_start,
    .destroy = reactor_init_destroy,
};

flux_future_t *flux_future_create_with_reactor(flux_future_init_reactor_f cb, void *arg)
{
    struct reactor_init *init = calloc(1, sizeof(*init));
    flux_future_t *f = init ? future_create(&reactor_init_class, init) : NULL;

    if (!f) {
        free(init);
        return NULL;
    }
    init->cb = cb;
    init->arg = arg;
    return f;
}

flux_future_t *future_ref(flux_future_t *f)
{
    f->refcount++;
    return f;
}

void flux_future_incref(flux_future_t *f)
{
    if (f) {
        f->refcount++;
        f->user_refs++;
    }
}

static void future_free(flux_future_t *f)
{
    f->refcount = 1; /* destructors may hold and release the future */
    aux_deinit(&f->aux);
    result_clear(f);
    if (f->class && f->class->destroy)
        f->class->destroy(f);
    flux_watcher_destroy(f->then_timer);
    soon_deinit(&f->then_soon);
    future_unref(f->with);
    future_now_unref(f->now);
    free(f->fatal_errstr);
    free(f);
}

flux_future_t *future_unref(flux_future_t *f)
{
    int saved_errno = errno;

    if (f && --f->refcount == 0)
        future_free(f);
    errno = saved_errno;
    return NULL;
}

void flux_future_decref(flux_future_t *f)
{
    if (f) {
        f->user_refs--;
        future_unref(f);
    }
}

void flux_future_destroy(flux_future_t *f)
{
    flux_future_decref(f);
}

bool flux_future_is_ready(flux_future_t *f)
{
    return f && (f->result || f->fatal);
}

bool flux_future_has_error(flux_future_t *f)
{
    return f && (f->fatal || (f->result && f->result->is_error));
}

const char *flux_future_error_string(flux_future_t *f)
{
    if (!flux_future_has_error(f))
        return NULL;
    if (f->fatal)
        return f->fatal_errstr ? f->fatal_errstr : strerror(f->fatal_errnum);
    return f->result->errstr ? f->result->errstr : strerror(f->result->errnum);
}

int flux_future_get(flux_future_t *f, const void **result)
{
    if (flux_future_wait_for(f, -1.) < 0)
        return -1;
    if (flux_future_has_error(f)) {
        errno = f->fatal ? f->fatal_errnum : f->result->errnum;
        return -1;
    }
    if (result)
        *result = result_value(f->result);
    return 0;
}

void future_listen(flux_future_t *f, struct future_listener *l)
{
    SLIST_INSERT_HEAD(&f->listeners, l, link);
}

void future_unlisten(flux_future_t *f, struct future_listener *l)
{
    SLIST_REMOVE(&f->listeners, l, future_listener, link);
}

static flux_reactor_t *then_reactor(const flux_future_t *f)
{
    return f->r ? f->r : f->h ? flux_get_reactor(f->h) : NULL;
}

/* The future has just become ready. */
static void notify(flux_future_t *f)
{
    struct future_listener *l, *next;

    flux_watcher_stop(f->then_timer);
    if (f->then_cb)
        (void)soon_schedule(&f->then_soon, f->h, then_reactor(f));
    (void)future_ref(f); /* a listener may let go of it */
    for (l = SLIST_FIRST(&f->listeners); l; l = next) {
        next = SLIST_NEXT(l, link);
        l->fn(f, l->arg);
    }
    future_unref(f);
}

static void on_then(void *arg)
{
    flux_future_t *f = arg;

    if (!flux_future_is_ready(f) || !f->then_cb)
        return;
    (void)future_ref(f);
    f->then_cb(f, f->then_arg);
    future_unref(f);
}

static void added(flux_future_t *f, int rc, bool was_ready)
{
    if (rc < 0)
        flux_future_fatal_error(f, -rc, NULL);
    else if (!was_ready)
        notify(f);
}

void flux_future_fulfill(flux_future_t *f, void *result, flux_free_f free_fn)
{
    bool ready = flux_future_is_ready(f);

    if (!f || f->fatal) {
        if (free_fn)
            free_fn(result);
        return;
    }
    added(f, result_add_value(f, result, free_fn), ready);
}

void flux_future_fulfill_error(flux_future_t *f, int errnum, const char *errstr)
{
    bool ready = flux_future_is_ready(f);

    if (f && !f->fatal)
        added(f, result_add_error(f, errnum ? errnum : EINVAL, errstr), ready);
}

void flux_future_fatal_error(flux_future_t *f, int errnum, const char *errstr)
{
    bool ready = flux_future_is_ready(f);

    if (!f || f->fatal)
        return;
    f->fatal = true;
    f->fatal_errnum = errnum ? errnum : EINVAL;
    f->fatal_errstr = errstr ? strdup(errstr) : NULL;
    if (!ready)
        notify(f);
}

int future_fulfill_from(flux_future_t *f, flux_future_t *p)
{
    bool ready = flux_future_is_ready(f);

    if (f->with != p) {
        (void)future_ref(p);
        future_unref(f->with);
        f->with = p;
    }
    if (p->fatal)
        flux_future_fatal_error(f, p->fatal_errnum, p->fatal_errstr);
    else if (!f->fatal)
        added(f, result_add_shared(f, p->result), ready);
    return 0;
}

int flux_future_fulfill_with(flux_future_t *f, flux_future_t *p)
{
    if (!f || !p || f == p)
        errno = EINVAL;
    else if (!flux_future_is_ready(p))
        errno = EAGAIN;
    else if (f->with && f->with != p)
        errno = EEXIST;
    else
        return future_fulfill_from(f, p);
    return -1;
}

static void on_timeout(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    flux_future_fulfill_error(arg, ETIMEDOUT, NULL);
}

static int start_timer(flux_future_t *f)
{
    if (f->then_timeout < 0. || flux_future_is_ready(f))
        return 0;
    if (!f->then_timer) {
        f->then_timer =
            flux_timer_watcher_create(then_reactor(f), f->then_timeout, 0., on_timeout, f);
        if (!f->then_timer)
            return -1;
    }
    flux_timer_watcher_reset(f->then_timer, f->then_timeout, 0.);
    flux_watcher_start(f->then_timer);
    return 0;
}

static void start_then(flux_future_t *f)
{
    if (!f->started_then && !flux_future_is_ready(f))
        future_start(f, CONTEXT_THEN);
}

int flux_future_then(flux_future_t *f, double timeout, flux_continuation_f cb, void *arg)
{
    if (!f || !cb || !then_reactor(f)) {
        errno = EINVAL;
        return -1;
    }
    f->then_cb = cb;
    f->then_arg = arg;
    f->then_timeout = timeout;
    flux_watcher_destroy(f->then_timer);
    f->then_timer = NULL;
    if (start_timer(f) < 0)
        return -1;
    (void)future_ref(f);
    start_then(f);
    if (flux_future_is_ready(f))
        (void)soon_schedule(&f->then_soon, f->h, then_reactor(f));
    future_unref(f);
    return 0;
}

void flux_future_reset(flux_future_t *f)
{
    if (!f)
        return;
    soon_cancel(&f->then_soon);
    result_next(f);
    if (f->class && f->class->reset)
        f->class->reset(f);
    if (flux_future_is_ready(f)) {
        notify(f);
        return;
    }
    if (!f->then_cb)
        return;
    if (start_timer(f) < 0)
        flux_future_fatal_error(f, ENOMEM, NULL);
    start_then(f);
}

void *flux_future_aux_get(flux_future_t *f, const char *name)
{
    void *value;

    if (!f) {
        errno = EINVAL;
        return NULL;
    }
    value = aux_get(&f->aux, name);
    return value || errno != ENOENT || !f->with ? value : flux_future_aux_get(f->with, name);
}

int flux_future_aux_set(flux_future_t *f, const char *name, void *aux, flux_free_f destroy)
{
    if (!f) {
        errno = EINVAL;
        return -1;
    }
    return aux_set(&f->aux, name, aux, destroy);
}

void flux_future_set_reactor(flux_future_t *f, flux_reactor_t *r)
{
    if (f)
        f->r = r;
}

void flux_future_set_flux(flux_future_t *f, flux_t *h)
{
    if (f)
        f->h = h;
}

flux_reactor_t *flux_future_get_reactor(flux_future_t *f)
{
    flux_reactor_t *r = f ? future_reactor(f) : NULL;

    if (!r)
        errno = EINVAL;
    return r;
}

flux_t *flux_future_get_flux(flux_future_t *f)
{
    flux_t *h = f ? future_handle(f) : NULL;

    if (!h)
        errno = EINVAL;
    return h;
}
