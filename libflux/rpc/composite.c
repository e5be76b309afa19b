/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Composite futures: wait for all of a set of children, or for any of them. The composite owns its
 * children and makes them run where it runs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "rpc/future_impl.h"

struct child {
    UT_hash_handle hh;
    flux_future_t *f;
    struct future_listener listener;
    struct composite *parent;
    bool ready; /* counted in nready */
    char name[];
};

struct composite {
    flux_future_t *f;
    bool any;
    struct child *children; /* in the order in which they were pushed */
    struct child *iterator;
    unsigned int nready;
};

static bool is_done(struct composite *c)
{
    struct child *child, *tmp;

    if (c->any)
        return c->nready > 0;
    if (!c->children || c->nready < HASH_COUNT(c->children))
        return false;
    /* A child may have been reset since it was counted. */
    c->nready = 0;
    HASH_ITER (hh, c->children, child, tmp) {
        child->ready = flux_future_is_ready(child->f);
        c->nready += child->ready;
    }
    return c->nready == HASH_COUNT(c->children);
}

static void check_done(struct composite *c)
{
    if (!flux_future_is_ready(c->f) && is_done(c))
        flux_future_fulfill(c->f, NULL, NULL);
}

static void on_child(flux_future_t *f, void *arg)
{
    struct child *child = arg;

    if (!child->ready) {
        child->ready = true;
        child->parent->nready++;
    }
    check_done(child->parent);
}

static void composite_start(flux_future_t *f)
{
    struct composite *c = f->self;
    struct child *child, *tmp;

    HASH_ITER (hh, c->children, child, tmp)
        future_join(child->f, f);
    check_done(c);
}

static void composite_resume(flux_future_t *f)
{
    struct composite *c = f->self;
    struct child *child, *tmp;

    HASH_ITER (hh, c->children, child, tmp)
        future_resume(child->f);
}

static void composite_destroy(flux_future_t *f)
{
    struct composite *c = f->self;
    struct child *child, *tmp;

    HASH_ITER (hh, c->children, child, tmp) {
        HASH_DEL(c->children, child);
        future_unlisten(child->f, &child->listener);
        flux_future_destroy(child->f);
        free(child);
    }
    free(c);
}

static const struct future_class composite_class = {
    .start = composite_start,
    .resume = composite_resume,
    .destroy = composite_destroy,
};

static flux_future_t *composite_create(bool any)
{
    struct composite *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->any = any;
    c->f = future_create(&composite_class, c);
    if (!c->f) {
        free(c);
        return NULL;
    }
    return c->f;
}

flux_future_t *flux_future_wait_all_create(void)
{
    return composite_create(false);
}

flux_future_t *flux_future_wait_any_create(void)
{
    return composite_create(true);
}

static struct composite *composite_of(const flux_future_t *f)
{
    if (f && f->class == &composite_class)
        return f->self;
    errno = EINVAL;
    return NULL;
}

int flux_future_push(flux_future_t *cf, const char *name, flux_future_t *f)
{
    struct composite *c = composite_of(cf);
    struct child *child;

    if (!c || !name || !f || f == cf) {
        errno = EINVAL;
        return -1;
    }
    HASH_FIND_STR(c->children, name, child);
    if (child) {
        errno = EEXIST;
        return -1;
    }
    child = calloc(1, sizeof(*child) + strlen(name) + 1);
    if (!child)
        return -1;
    memcpy(child->name, name, strlen(name));
    HASH_ADD_STR(c->children, name, child);
    if (!child->hh.tbl) {
        free(child);
        errno = ENOMEM;
        return -1;
    }
    child->f = f;
    child->parent = c;
    child->listener.fn = on_child;
    child->listener.arg = child;
    future_listen(f, &child->listener);
    if (!cf->h)
        cf->h = f->h;
    if (!cf->r)
        cf->r = f->r;
    future_join(f, cf);
    if (flux_future_is_ready(f) && !child->ready) {
        child->ready = true;
        c->nready++;
    }
    if (cf->started_now || cf->started_then)
        check_done(c);
    return 0;
}

const char *flux_future_first_child(flux_future_t *cf)
{
    struct composite *c = composite_of(cf);

    if (!c)
        return NULL;
    c->iterator = c->children;
    return c->iterator ? c->iterator->name : NULL;
}

const char *flux_future_next_child(flux_future_t *cf)
{
    struct composite *c = composite_of(cf);

    if (!c)
        return NULL;
    if (c->iterator)
        c->iterator = c->iterator->hh.next;
    return c->iterator ? c->iterator->name : NULL;
}

flux_future_t *flux_future_get_child(flux_future_t *cf, const char *name)
{
    struct composite *c = composite_of(cf);
    struct child *child = NULL;

    if (!c || !name) {
        errno = EINVAL;
        return NULL;
    }
    HASH_FIND_STR(c->children, name, child);
    if (!child)
        errno = ENOENT;
    return child ? child->f : NULL;
}
