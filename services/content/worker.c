/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One thread, one queue for reads and one for changes. Each round takes what there is: reads first,
 * then all changes in one transaction (group commit without a timer: whatever arrived while the
 * disk was busy forms the next group).
 *
 * Shared between the threads, under the mutex: the two queues, finished, stats, stop, failed.
 * Signals stay with the loop: the thread blocks them all.
 *
 * Invariant: a read submitted after a change was acknowledged sees the change.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include "base/errorx.h"
#include "content/worker.h"

TAILQ_HEAD(work_list, work);

struct worker {
    struct store *store; /* the thread's */
    enum digest_algorithm hash;
    int event_fd;
    size_t pending; /* the loop's */
    bool started;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wakeup;
    struct work_list reads;
    struct work_list changes;
    struct work_list finished;
    struct worker_stats stats;
    bool stop;
    bool failed;
};

static void run_read(struct worker *wk, struct work *w)
{
    switch (w->type) {
    case WORK_LOAD:
        w->err = store_load(wk->store, w->digest, &w->data, &w->size);
        break;
    case WORK_ROOTS:
        w->err = store_roots(wk->store, &w->json);
        break;
    case WORK_CHECKPOINT_GET:
        w->err = store_get_checkpoint(wk->store, w->key, &w->value);
        break;
    default:
        w->err = -EINVAL;
    }
    if (w->err < 0 && w->err != -ENOENT)
        errorx_set(&w->error, "%s", store_strerror(wk->store));
}

/* Returns the number of changes applied. */
static size_t run_changes(struct worker *wk, struct work_list *list, bool *ret_failed)
{
    struct change_list changes = TAILQ_HEAD_INITIALIZER(changes);
    struct work *w;
    size_t n = 0;

    TAILQ_FOREACH (w, list, link) {
        if (w->type != WORK_CHANGE)
            continue;
        TAILQ_INSERT_TAIL(&changes, &w->change, link);
        n++;
    }
    *ret_failed = batch_apply(wk->store, wk->hash, &changes) < 0;
    TAILQ_FOREACH (w, list, link) {
        w->err = w->type == WORK_CHANGE ? w->change.err : *ret_failed ? -EIO : 0;
        if (w->err < 0)
            errorx_set(&w->error, "%s", store_strerror(wk->store));
    }
    return n;
}

static void worker_round(struct worker *wk)
{
    struct work_list reads = TAILQ_HEAD_INITIALIZER(reads);
    struct work_list changes = TAILQ_HEAD_INITIALIZER(changes);
    bool failed = false;
    struct work *w;
    size_t n = 0;

    TAILQ_CONCAT(&reads, &wk->reads, link);
    TAILQ_CONCAT(&changes, &wk->changes, link);
    (void)pthread_mutex_unlock(&wk->mutex);
    TAILQ_FOREACH (w, &reads, link)
        run_read(wk, w);
    if (!TAILQ_EMPTY(&reads)) { /* do not let readers wait for the fsync */
        (void)pthread_mutex_lock(&wk->mutex);
        TAILQ_CONCAT(&wk->finished, &reads, link);
        (void)pthread_mutex_unlock(&wk->mutex);
        (void)eventfd_write(wk->event_fd, 1);
    }
    if (!TAILQ_EMPTY(&changes))
        n = run_changes(wk, &changes, &failed);
    (void)pthread_mutex_lock(&wk->mutex);
    if (n > 0) {
        wk->stats.transactions++;
        wk->stats.changes += n;
        if (n > wk->stats.largest_batch)
            wk->stats.largest_batch = n;
    }
    if (!TAILQ_EMPTY(&changes)) {
        TAILQ_CONCAT(&wk->finished, &changes, link);
        (void)eventfd_write(wk->event_fd, 1);
    }
    wk->failed |= failed;
}

static void *worker_main(void *arg)
{
    struct worker *wk = arg;

    (void)pthread_mutex_lock(&wk->mutex);
    for (;;) {
        if (!TAILQ_EMPTY(&wk->reads) || !TAILQ_EMPTY(&wk->changes))
            worker_round(wk);
        else if (wk->stop)
            break;
        else
            (void)pthread_cond_wait(&wk->wakeup, &wk->mutex);
    }
    (void)pthread_mutex_unlock(&wk->mutex);
    return NULL;
}

static int worker_start(struct worker *wk)
{
    sigset_t all, old;
    int rc;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&wk->thread, NULL, worker_main, wk);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    wk->started = rc == 0;
    return -rc;
}

int worker_new(struct store *st, enum digest_algorithm hash, struct worker **ret)
{
    CLEANUP(worker_freep) struct worker *wk = calloc(1, sizeof(*wk));
    int rc;

    if (!wk) {
        store_close(st);
        return -ENOMEM;
    }
    wk->store = st;
    wk->hash = hash;
    TAILQ_INIT(&wk->reads);
    TAILQ_INIT(&wk->changes);
    TAILQ_INIT(&wk->finished);
    (void)pthread_mutex_init(&wk->mutex, NULL);
    (void)pthread_cond_init(&wk->wakeup, NULL);
    wk->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wk->event_fd < 0)
        return -errno;
    if ((rc = worker_start(wk)) < 0)
        return rc;
    *ret = TAKE(wk);
    return 0;
}

struct worker *worker_free(struct worker *wk)
{
    if (!wk)
        return NULL;
    if (wk->started) {
        (void)pthread_mutex_lock(&wk->mutex);
        wk->stop = true;
        (void)pthread_cond_signal(&wk->wakeup);
        (void)pthread_mutex_unlock(&wk->mutex);
        (void)pthread_join(wk->thread, NULL);
    }
    closep(&wk->event_fd);
    (void)pthread_cond_destroy(&wk->wakeup);
    (void)pthread_mutex_destroy(&wk->mutex);
    store_close(wk->store);
    free(wk);
    return NULL;
}

int worker_submit(struct worker *wk, struct work *w)
{
    bool change = w->type == WORK_CHANGE || w->type == WORK_SYNC;
    int rc = 0;

    (void)pthread_mutex_lock(&wk->mutex);
    if (change && wk->stats.queued_bytes > 0 &&
        wk->stats.queued_bytes + w->change.data_size > WORKER_QUEUE_BYTES_MAX) {
        rc = -EAGAIN;
    } else {
        if (change)
            TAILQ_INSERT_TAIL(&wk->changes, w, link);
        else
            TAILQ_INSERT_TAIL(&wk->reads, w, link);
        wk->stats.loads += w->type == WORK_LOAD;
        wk->stats.queued_bytes += w->change.data_size;
        (void)pthread_cond_signal(&wk->wakeup);
        wk->pending++;
    }
    (void)pthread_mutex_unlock(&wk->mutex);
    return rc;
}

int worker_fd(const struct worker *wk)
{
    return wk->event_fd;
}

int worker_dispatch(struct worker *wk)
{
    struct work_list finished = TAILQ_HEAD_INITIALIZER(finished);
    eventfd_t ignored;
    bool failed;
    struct work *w;

    (void)eventfd_read(wk->event_fd, &ignored);
    (void)pthread_mutex_lock(&wk->mutex);
    TAILQ_CONCAT(&finished, &wk->finished, link);
    TAILQ_FOREACH (w, &finished, link)
        wk->stats.queued_bytes -= w->change.data_size;
    failed = wk->failed;
    (void)pthread_mutex_unlock(&wk->mutex);
    while ((w = TAILQ_FIRST(&finished))) {
        TAILQ_REMOVE(&finished, w, link);
        wk->pending--;
        w->done(w, w->arg);
    }
    return failed ? -EIO : 0;
}

size_t worker_pending(const struct worker *wk)
{
    return wk->pending;
}

struct worker_stats worker_stats(struct worker *wk)
{
    struct worker_stats stats;

    (void)pthread_mutex_lock(&wk->mutex);
    stats = wk->stats;
    (void)pthread_mutex_unlock(&wk->mutex);
    return stats;
}

void worker_stats_clear(struct worker *wk)
{
    (void)pthread_mutex_lock(&wk->mutex);
    wk->stats = (struct worker_stats){ .queued_bytes = wk->stats.queued_bytes };
    (void)pthread_mutex_unlock(&wk->mutex);
}
