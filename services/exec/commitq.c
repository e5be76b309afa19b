/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Group commit on the client's side: a commit takes what is queued when one of the two places in
 * flight is free, so that a change waits for at most half of another's time. Changes of different
 * jobs may overtake one another; who needs an order waits for done(). A batch that is refused for a
 * reason that may lie in one of its changes is sent again one by one, so that a single bad change
 * fails alone. One that found no space is known not to have happened, and is tried again until
 * there is room. Where the outcome is unknown nobody is told anything but on_unknown, which ends
 * the daemon: the KVS is asked after the restart. */
#include <string.h>

#include "commitq.h"
#include "service/log.h"

#define BATCH_MAX    256
#define FLIGHTS_MAX  2
#define FULL_SECONDS 1. /* between attempts while the disk is full */

TAILQ_HEAD(op_list, commit_op);

/* A commit in flight. */
struct flight {
    struct commitq *q;
    flux_future_t *f; /* NULL: the place is free */
    struct op_list sent;
};

struct commitq {
    flux_t *h;
    flux_watcher_t *flush; /* prepare: started while there is something to send */
    flux_watcher_t *full;  /* timer: active while waiting for space */
    void (*on_unknown)(void *arg, const char *why);
    void *arg;
    struct op_list queued;
    struct flight flights[FLIGHTS_MAX];
    struct log_ratelimit full_limit;
};

static struct flight *free_flight(struct commitq *q)
{
    for (size_t i = 0; i < FLIGHTS_MAX; i++)
        if (!q->flights[i].f)
            return &q->flights[i];
    return NULL;
}

static void wake(struct commitq *q)
{
    if (free_flight(q) && !TAILQ_EMPTY(&q->queued) && !flux_watcher_is_active(q->full))
        flux_watcher_start(q->flush);
}

static struct commit_op *pop(struct op_list *list)
{
    struct commit_op *op = TAILQ_FIRST(list);

    if (op) {
        TAILQ_REMOVE(list, op, link);
        op->state = COMMIT_IDLE;
    }
    return op;
}

static void finish_all(struct flight *fl, int errnum, const char *errstr)
{
    struct op_list list = TAILQ_HEAD_INITIALIZER(list);
    struct commit_op *op;

    TAILQ_CONCAT(&list, &fl->sent, link);
    while ((op = pop(&list))) {
        op->alone = false;
        op->done(op->arg, errnum, errstr);
    }
}

static bool outcome_unknown(int errnum)
{
    return errnum == ECONNRESET || errnum == EIO || errnum == EHOSTUNREACH || errnum == EPIPE ||
           errnum == ETIMEDOUT || errnum == ECANCELED || errnum == ENOSYS || errnum == EAGAIN;
}

/* What was sent goes back to the front of the queue. */
static void send_again(struct flight *fl, bool one_by_one)
{
    struct commit_op *op;

    TAILQ_FOREACH (op, &fl->sent, link) {
        op->alone |= one_by_one;
        op->state = COMMIT_QUEUED;
    }
    TAILQ_CONCAT(&fl->sent, &fl->q->queued, link);
    TAILQ_CONCAT(&fl->q->queued, &fl->sent, link);
}

static void on_full(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    flux_watcher_stop(w);
    wake(arg);
}

static void wait_for_space(struct flight *fl)
{
    struct commitq *q = fl->q;

    if (log_ratelimit(&q->full_limit, 60))
        log_err("no space to write down what became of jobs: they wait in cleanup until there is");
    send_again(fl, false);
    flux_watcher_stop(q->flush);
    flux_timer_watcher_reset(q->full, FULL_SECONDS, 0.);
    flux_watcher_start(q->full);
}

static void on_commit(flux_future_t *f, void *arg)
{
    struct flight *fl = arg;
    struct commitq *q = fl->q;
    const int rc = flux_future_get(f, NULL);
    const int errnum = rc < 0 ? errno : 0;
    const struct commit_op *first = TAILQ_FIRST(&fl->sent);

    if (errnum && outcome_unknown(errnum))
        q->on_unknown(q->arg, flux_future_error_string(f));
    else if (errnum == ENOSPC)
        wait_for_space(fl);
    else if (errnum && first && TAILQ_NEXT(first, link))
        send_again(fl, true);
    else
        finish_all(fl, errnum, errnum ? flux_future_error_string(f) : NULL);
    fl->f = NULL;
    flux_future_destroy(f);
    wake(q);
}

static int fill(struct flight *fl, flux_kvs_txn_t *txn)
{
    struct commitq *q = fl->q;
    int n = 0;

    while (n < BATCH_MAX) {
        struct commit_op *op = TAILQ_FIRST(&q->queued);
        int rc;

        if (!op || (op->alone && n > 0))
            break;
        rc = op->fill(txn, op->arg);
        if (rc < 0)
            return rc;
        TAILQ_REMOVE(&q->queued, op, link);
        TAILQ_INSERT_TAIL(&fl->sent, op, link);
        op->state = COMMIT_SENT;
        op->flight = fl;
        n++;
        if (op->alone)
            break;
    }
    return n;
}

static void on_flush(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct commitq *q = arg;
    struct flight *fl = free_flight(q);
    flux_kvs_txn_t *txn;
    int rc;

    flux_watcher_stop(w);
    if (!fl || TAILQ_EMPTY(&q->queued))
        return;
    txn = flux_kvs_txn_create();
    rc = txn ? fill(fl, txn) : -ENOMEM;
    if (rc > 0) {
        fl->f = flux_kvs_commit(q->h, KVS_PRIMARY_NAMESPACE, 0, txn);
        if (!fl->f || flux_future_then(fl->f, -1., on_commit, fl) < 0)
            rc = -errno;
    }
    flux_kvs_txn_destroy(txn);
    if (rc < 0) {
        flux_future_destroy(fl->f);
        fl->f = NULL;
        q->on_unknown(q->arg, strerror(-rc));
    }
}

int commitq_new(flux_t *h, flux_reactor_t *r, void (*on_unknown)(void *arg, const char *why),
                void *arg, struct commitq **ret)
{
    CLEANUP(commitq_freep) struct commitq *q = calloc(1, sizeof(*q));

    if (!q)
        return -ENOMEM;
    TAILQ_INIT(&q->queued);
    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        q->flights[i].q = q;
        TAILQ_INIT(&q->flights[i].sent);
    }
    q->h = h;
    q->on_unknown = on_unknown;
    q->arg = arg;
    q->flush = flux_prepare_watcher_create(r, on_flush, q);
    q->full = flux_timer_watcher_create(r, FULL_SECONDS, 0., on_full, q);
    if (!q->flush || !q->full)
        return -errno;
    *ret = TAKE(q);
    return 0;
}

struct commitq *commitq_free(struct commitq *q)
{
    if (q) {
        for (size_t i = 0; i < FLIGHTS_MAX; i++)
            flux_future_destroy(q->flights[i].f);
        flux_watcher_destroy(q->full);
        flux_watcher_destroy(q->flush);
        free(q);
    }
    return NULL;
}

void commitq_push(struct commitq *q, struct commit_op *op)
{
    op->state = COMMIT_QUEUED;
    TAILQ_INSERT_TAIL(&q->queued, op, link);
    wake(q);
}

void commitq_cancel(struct commitq *q, struct commit_op *op)
{
    if (op->state == COMMIT_IDLE)
        return;
    TAILQ_REMOVE(op->state == COMMIT_QUEUED ? &q->queued : &op->flight->sent, op, link);
    op->state = COMMIT_IDLE;
}

bool commitq_idle(const struct commitq *q)
{
    for (size_t i = 0; i < FLIGHTS_MAX; i++)
        if (q->flights[i].f)
            return false;
    return TAILQ_EMPTY(&q->queued);
}
