/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Results of futures: counted, because flux_future_fulfill_with() shares them, and queued, because
 * a future may be fulfilled faster than it is reset. The first one lives in the future itself, so
 * that an RPC costs no allocation for it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/future_impl.h"

static struct result *result_unref(struct result *res)
{
    int saved_errno = errno;

    if (!res || --res->refcount > 0)
        return NULL;
    if (res->free_fn)
        res->free_fn(res->value);
    free(res->errstr);
    if (res->heap)
        free(res);
    else
        *res = (struct result){ 0 };
    errno = saved_errno;
    return NULL;
}

static struct result *result_get(flux_future_t *f)
{
    struct result *res = &f->inline_result;

    if (res->refcount > 0) {
        res = calloc(1, sizeof(*res));
        if (!res)
            return NULL;
        res->heap = true;
    }
    res->refcount = 1;
    return res;
}

static void append(flux_future_t *f, struct result *res)
{
    if (!f->result && STAILQ_EMPTY(&f->queue))
        f->result = res;
    else
        STAILQ_INSERT_TAIL(&f->queue, res, link);
}

int result_add_value(flux_future_t *f, void *value, flux_free_f free_fn)
{
    struct result *res = result_get(f);

    if (!res) {
        if (free_fn)
            free_fn(value);
        return -ENOMEM;
    }
    res->value = value;
    res->free_fn = free_fn;
    append(f, res);
    return 0;
}

int result_add_error(flux_future_t *f, int errnum, const char *errstr)
{
    struct result *res = result_get(f);

    if (!res)
        return -ENOMEM;
    res->is_error = true;
    res->errnum = errnum;
    /* Without memory for the sentence the number still says it. */
    res->errstr = errstr ? strdup(errstr) : NULL;
    append(f, res);
    return 0;
}

static void shared_free(void *arg)
{
    (void)result_unref(arg);
}

static struct result *origin(struct result *res)
{
    while (res->free_fn == shared_free)
        res = res->value;
    return res;
}

const void *result_value(struct result *res)
{
    return origin(res)->value;
}

/* The origin, moved to the heap if it lives in a future: it must be able to outlive that. */
static struct result *shareable(struct result *res)
{
    struct result *o = origin(res);
    struct result *copy;

    if (o->heap)
        return o;
    copy = calloc(1, sizeof(*copy));
    if (!copy)
        return NULL;
    copy->refcount = 1;
    copy->heap = true;
    copy->value = o->value;
    copy->free_fn = o->free_fn;
    o->value = copy;
    o->free_fn = shared_free;
    return copy;
}

int result_add_shared(flux_future_t *f, struct result *res)
{
    struct result *o, *ref;

    if (res->is_error)
        return result_add_error(f, res->errnum, res->errstr);
    o = shareable(res);
    ref = o ? result_get(f) : NULL;
    if (!ref)
        return -ENOMEM;
    o->refcount++;
    ref->value = o;
    ref->free_fn = shared_free;
    append(f, ref);
    return 0;
}

void result_next(flux_future_t *f)
{
    f->result = result_unref(f->result);
    f->result = STAILQ_FIRST(&f->queue);
    if (f->result)
        STAILQ_REMOVE_HEAD(&f->queue, link);
}

void result_clear(flux_future_t *f)
{
    while (f->result || !STAILQ_EMPTY(&f->queue))
        result_next(f);
}
