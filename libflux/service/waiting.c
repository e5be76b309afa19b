/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* See waiting.h. Invariant: the list holds one reference to each request in it. */
#include "service/waiting.h"

struct waiter {
    struct request *req;
    int (*fn)(struct request *req, void *arg);
    TAILQ_ENTRY(waiter) entry;
};

void waiting_init(struct waiting *w)
{
    TAILQ_INIT(&w->list);
    w->count = 0;
}

static struct request *take_first(struct waiting *w, int (**ret_fn)(struct request *req, void *arg))
{
    struct waiter *first = TAILQ_FIRST(&w->list);
    struct request *req = first->req;

    *ret_fn = first->fn;
    TAILQ_REMOVE(&w->list, first, entry);
    w->count--;
    free(first);
    return req;
}

void waiting_deinit(struct waiting *w)
{
    int (*fn)(struct request * req, void *arg);

    while (w->count > 0)
        request_unref(take_first(w, &fn));
}

bool waiting_has_place(const struct request *req, size_t count, size_t nguests, size_t nown)
{
    return count < WAITING_MAX &&
           (request_is_owner(req) || (nguests < WAITING_GUESTS && nown < WAITING_PER_GUEST));
}

static bool is_full(const struct waiting *w, const struct request *req)
{
    size_t nguests = 0, nown = 0;
    const struct waiter *other;

    TAILQ_FOREACH (other, &w->list, entry) {
        nguests += !request_is_owner(other->req);
        nown += request_userid(other->req) == request_userid(req);
    }
    return !waiting_has_place(req, w->count, nguests, nown);
}

int waiting_add(struct waiting *w, struct request *req, int (*fn)(struct request *req, void *arg),
                const char *full)
{
    struct waiter *new;

    if (is_full(w, req))
        return request_explain(req, EAGAIN, "%s", full);
    new = calloc(1, sizeof(*new));
    if (!new)
        return -ENOMEM;
    new->req = request_ref(req);
    new->fn = fn;
    TAILQ_INSERT_TAIL(&w->list, new, entry);
    w->count++;
    return 0;
}

void waiting_refuse(struct waiting *w, int errnum, const char *why)
{
    int (*fn)(struct request * req, void *arg);

    while (w->count > 0) {
        struct request *req = take_first(w, &fn);

        (void)request_fail(req, errnum, "%s", why);
        request_unref(req);
    }
}

void waiting_serve(struct waiting *w, void *arg)
{
    for (size_t n = w->count; n > 0; n--) {
        int (*fn)(struct request * req, void *arg_);
        struct request *req = take_first(w, &fn);
        const int rc = request_gone(req) ? 0 : fn(req, arg);

        if (rc < 0)
            (void)request_refuse(req, rc);
        request_unref(req);
    }
}
