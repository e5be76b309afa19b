/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Chained futures: flux_future_and_then(3).
 *
 * The next future owns the previous one from the moment the chain is made: destroying the last of a
 * chain destroys it all. Destroying a previous one (usual in its callback) only says that it is not
 * needed any more. What the callback continues with belongs to the next future too. */
#include <errno.h>
#include <stdlib.h>

#include "rpc/future_impl.h"

struct chain {
    flux_future_t *prev; /* NULL when done with */
    flux_future_t *next; /* owns this */
    flux_future_t *cont; /* what next was continued with, or NULL */
    struct future_listener prev_listener, cont_listener;
    struct soon soon;
    flux_continuation_f and_cb, or_cb;
    void *and_arg, *or_arg;
    bool delivered; /* this result of prev was handled */
    bool continued; /* by the callback that runs */
};

/* Call back from whichever reactor drives the next future at the moment; if none does, wait for
 * chain_start() or chain_resume(). */
static void schedule(struct chain *c)
{
    flux_future_t *next = c->next;

    if (c->delivered || !c->prev || !flux_future_is_ready(c->prev))
        return;
    if (next->starting == CONTEXT_NONE && !future_now_running(next) && !next->started_then)
        return;
    if (soon_schedule(&c->soon, future_handle(next), future_reactor(next)) == -ENOMEM)
        flux_future_fatal_error(next, ENOMEM, NULL);
}

static void on_prev(flux_future_t *f, void *arg)
{
    struct chain *c = arg;

    c->delivered = false;
    schedule(c);
}

static void on_cont(flux_future_t *f, void *arg)
{
    struct chain *c = arg;

    (void)future_fulfill_from(c->next, f);
}

static void drop_prev(struct chain *c)
{
    flux_future_t *prev = c->prev;

    if (!prev)
        return;
    c->prev = NULL;
    soon_cancel(&c->soon);
    future_unlisten(prev, &c->prev_listener);
    prev->chain = NULL;
    if (prev->user_refs > 0)
        flux_future_destroy(prev); /* nobody did, and it is ours */
    future_unref(prev);
}

static void drop_cont(struct chain *c)
{
    flux_future_t *cont = c->cont;

    if (!cont)
        return;
    c->cont = NULL;
    future_unlisten(cont, &c->cont_listener);
    flux_future_destroy(cont);
}

static void on_soon(void *arg)
{
    struct chain *c = arg;
    flux_future_t *prev = c->prev;
    flux_future_t *next = c->next;
    bool failed = flux_future_has_error(prev);
    flux_continuation_f cb = failed ? c->or_cb : c->and_cb;

    if (c->delivered || !flux_future_is_ready(prev))
        return;
    (void)future_ref(next); /* owns the chain */
    (void)future_ref(prev);
    c->delivered = true;
    c->continued = false;
    if (cb)
        cb(prev, failed ? c->or_arg : c->and_arg);
    /* The callback may have destroyed next: then only our reference is left. */
    if (!c->continued && flux_future_is_ready(prev))
        (void)future_fulfill_from(next, prev);
    future_unref(prev);
    if (c->prev && c->prev->user_refs == 0)
        drop_prev(c);
    future_unref(next);
}

static void chain_start(flux_future_t *f)
{
    struct chain *c = f->self;

    if (c->prev)
        future_join(c->prev, f);
    if (c->cont)
        future_join(c->cont, f);
    schedule(c);
}

static void chain_resume(flux_future_t *f)
{
    struct chain *c = f->self;

    if (c->prev)
        future_resume(c->prev);
    if (c->cont)
        future_resume(c->cont);
    schedule(c);
}

/* To go on with a chain means to go on with what fulfilled it. */
static void chain_reset(flux_future_t *f)
{
    struct chain *c = f->self;

    if (c->cont && f->with == c->cont)
        flux_future_reset(c->cont);
    else if (c->prev && f->with == c->prev)
        flux_future_reset(c->prev);
}

static void chain_destroy(flux_future_t *f)
{
    struct chain *c = f->self;

    drop_cont(c);
    drop_prev(c);
    soon_deinit(&c->soon);
    free(c);
}

static const struct future_class chain_class = {
    .start = chain_start,
    .resume = chain_resume,
    .reset = chain_reset,
    .destroy = chain_destroy,
};

static struct chain *chain_create(flux_future_t *prev)
{
    struct chain *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->next = future_create(&chain_class, c);
    if (!c->next) {
        free(c);
        return NULL;
    }
    c->next->h = prev->h;
    c->next->r = prev->r;
    c->soon.cb = on_soon;
    c->soon.arg = c;
    c->prev_listener = (struct future_listener){ .fn = on_prev, .arg = c };
    c->cont_listener = (struct future_listener){ .fn = on_cont, .arg = c };
    c->prev = future_ref(prev);
    prev->chain = c;
    future_listen(prev, &c->prev_listener);
    return c;
}

static struct chain *chain_of(flux_future_t *prev, flux_continuation_f cb)
{
    if (!prev || !cb) {
        errno = EINVAL;
        return NULL;
    }
    return prev->chain ? prev->chain : chain_create(prev);
}

flux_future_t *flux_future_and_then(flux_future_t *f, flux_continuation_f cb, void *arg)
{
    struct chain *c = chain_of(f, cb);

    if (!c)
        return NULL;
    c->and_cb = cb;
    c->and_arg = arg;
    return c->next;
}

flux_future_t *flux_future_or_then(flux_future_t *f, flux_continuation_f cb, void *arg)
{
    struct chain *c = chain_of(f, cb);

    if (!c)
        return NULL;
    c->or_cb = cb;
    c->or_arg = arg;
    return c->next;
}

static struct chain *find_chain(flux_future_t *prev)
{
    if (prev && prev->chain)
        return prev->chain;
    errno = EINVAL;
    return NULL;
}

int flux_future_continue(flux_future_t *prev, flux_future_t *f)
{
    struct chain *c = find_chain(prev);

    if (!c || f == prev || (f && f == c->next)) {
        errno = EINVAL;
        return -1;
    }
    c->continued = true;
    if (!f)
        return 0;
    drop_cont(c);
    c->cont = f;
    future_listen(f, &c->cont_listener);
    if (flux_future_is_ready(f))
        on_cont(f, c);
    else
        future_join(f, c->next);
    return 0;
}

void flux_future_continue_error(flux_future_t *prev, int errnum, const char *errstr)
{
    struct chain *c = find_chain(prev);

    if (!c)
        return;
    c->continued = true;
    flux_future_fulfill_error(c->next, errnum, errstr);
}

int flux_future_fulfill_next(flux_future_t *f, void *result, flux_free_f free_fn)
{
    struct chain *c = find_chain(f);

    if (!c)
        return -1;
    c->continued = true;
    flux_future_fulfill(c->next, result, free_fn);
    return 0;
}
