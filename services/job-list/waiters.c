/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A list in order of arrival, which is the order of their deadlines, and one timer for the first.
 * The list is searched by key and by user: it is short, WAITING_MAX at most. */
#include "base/list.h"
#include "base/monotime.h"
#include "job-list/waiters.h"
#include "service/waiting.h"

struct waiter {
    struct request *req;
    uint64_t key;
    uint64_t deadline_usec;
    TAILQ_ENTRY(waiter) entry;
};

struct waiters {
    double seconds;
    waiters_answer_f fn;
    void *arg;
    TAILQ_HEAD(, waiter) list;
    size_t count;
    flux_watcher_t *timer;
};

static void answer(struct waiters *ws, struct waiter *w, bool final)
{
    struct request *req = w->req;
    int rc;

    TAILQ_REMOVE(&ws->list, w, entry);
    ws->count--;
    free(w);
    rc = request_gone(req) ? 0 : ws->fn(req, final, ws->arg);
    if (rc < 0)
        (void)request_fail(req, -rc, NULL);
    request_unref(req);
}

static void set_timer(struct waiters *ws)
{
    const struct waiter *first = TAILQ_FIRST(&ws->list);
    uint64_t now = monotime_usec();
    double delay;

    flux_watcher_stop(ws->timer);
    if (!first)
        return;
    delay = first->deadline_usec > now ? (double)(first->deadline_usec - now) / 1e6 : 0.;
    flux_timer_watcher_reset(ws->timer, delay, 0.);
    flux_watcher_start(ws->timer);
}

static void on_timer(flux_reactor_t *r, flux_watcher_t *timer, int revents, void *arg)
{
    struct waiters *ws = arg;
    uint64_t now = monotime_usec();
    struct waiter *w;

    while ((w = TAILQ_FIRST(&ws->list)) && w->deadline_usec <= now)
        answer(ws, w, true);
    set_timer(ws);
}

int waiters_new(flux_reactor_t *r, double seconds, waiters_answer_f fn, void *arg,
                struct waiters **ret)
{
    CLEANUP(waiters_freep) struct waiters *ws = calloc(1, sizeof(*ws));

    if (!ws)
        return -ENOMEM;
    TAILQ_INIT(&ws->list);
    ws->seconds = seconds;
    ws->fn = fn;
    ws->arg = arg;
    ws->timer = flux_timer_watcher_create(r, 0., 0., on_timer, ws);
    if (!ws->timer)
        return -ENOMEM;
    *ret = TAKE(ws);
    return 0;
}

struct waiters *waiters_free(struct waiters *ws)
{
    struct waiter *w;

    if (!ws)
        return NULL;
    while ((w = TAILQ_FIRST(&ws->list))) {
        TAILQ_REMOVE(&ws->list, w, entry);
        request_unref(w->req);
        free(w);
    }
    flux_watcher_destroy(ws->timer);
    free(ws);
    return NULL;
}

static bool is_full(const struct waiters *ws, const struct request *req)
{
    size_t nguests = 0, nown = 0;
    const struct waiter *w;

    TAILQ_FOREACH (w, &ws->list, entry) {
        nguests += !request_is_owner(w->req);
        nown += request_userid(w->req) == request_userid(req);
    }
    return !waiting_has_place(req, ws->count, nguests, nown);
}

int waiters_add(struct waiters *ws, struct request *req, uint64_t key)
{
    struct waiter *w;

    if (is_full(ws, req))
        return -EAGAIN;
    w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->req = request_ref(req);
    w->key = key;
    w->deadline_usec = monotime_usec() + (uint64_t)(ws->seconds * 1e6);
    TAILQ_INSERT_TAIL(&ws->list, w, entry);
    if (ws->count++ == 0)
        set_timer(ws);
    return 0;
}

void waiters_wake(struct waiters *ws, uint64_t key)
{
    struct waiter *w, *tmp;

    TAILQ_FOREACH_SAFE (w, &ws->list, entry, tmp)
        if (w->key == key)
            answer(ws, w, true);
}

/* Keys are in order of arrival; who waits again is at the end. */
void waiters_wake_before(struct waiters *ws, uint64_t key)
{
    struct waiter *w;

    while ((w = TAILQ_FIRST(&ws->list)) && w->key < key)
        answer(ws, w, false);
}

void waiters_wake_all(struct waiters *ws)
{
    size_t n = ws->count;

    while (n-- > 0)
        answer(ws, TAILQ_FIRST(&ws->list), false);
}

size_t waiters_count(const struct waiters *ws)
{
    return ws->count;
}
