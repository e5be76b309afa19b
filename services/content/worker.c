/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One thread, one queue for reads, one for changes and one for chores. Each round takes what there
 * is: reads first, then all changes as one group (group commit without a timer: whatever arrived
 * while the disk was busy forms the next group), then a slice of the oldest chore. With none of
 * them, it moves a step of the journal into the store.
 *
 * Shared between the threads, under the mutex: the queues, finished, stats, stop, failed,
 * fold_error. The journal has a lock of its own.
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
    struct journal *journal;
    struct sweep *sweep; /* the thread's, as the next */
    struct backup backup;
    bool direct; /* changes are made where they are submitted */
    int event_fd;
    size_t pending; /* the loop's, as the next */
    size_t pending_chores;
    bool started;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wakeup;
    struct work_list reads;
    struct work_list changes;
    struct work_list chores;
    struct work_list finished;
    struct worker_stats stats;
    uint64_t seen; /* the thread's: changes when it last went to sleep */
    bool stop;
    bool failed;
    bool fold_failed;
    flux_error_t fold_error;
};

static void run_read(struct worker *wk, struct work *w)
{
    switch (w->type) {
    case WORK_LOAD:
        w->err = journal_load(wk->journal, w->digest, &w->data, &w->size);
        if (w->err == -ENOENT)
            w->err = store_load(wk->store, w->digest, &w->data, &w->size);
        break;
    case WORK_ROOTS:
        w->err = store_roots(wk->store, &w->json);
        if (w->err == 0)
            w->err = journal_overlay_roots(wk->journal, w->json);
        break;
    case WORK_CHECKPOINT_GET:
        w->err = journal_get_checkpoint(wk->journal, w->key, &w->value);
        if (w->err == -ENOENT)
            w->err = store_get_checkpoint(wk->store, w->key, &w->value);
        break;
    default:
        w->err = -EINVAL;
    }
    if (w->err < 0 && w->err != -ENOENT)
        errorx_set(&w->error, "%s", store_strerror(wk->store));
}

static void describe_failure(struct work *w)
{
    if (w->err == -EIO)
        errorx_set(&w->error, "the disk failed");
    else
        errorx_set(&w->error, "%s", strerror(-w->err));
}

/* False: the state of the file is unknown. */
static bool run_changes(struct worker *wk, struct work_list *list)
{
    struct change_list changes = TAILQ_HEAD_INITIALIZER(changes);
    struct work *w;
    bool ok;

    TAILQ_FOREACH (w, list, link) {
        if (w->type == WORK_CHANGE)
            TAILQ_INSERT_TAIL(&changes, &w->change, link);
    }
    ok = journal_append(wk->journal, &changes) == 0;
    TAILQ_FOREACH (w, list, link) {
        w->err = w->type == WORK_CHANGE ? w->change.err : ok ? 0 : -EIO;
        if (w->err < 0)
            describe_failure(w);
    }
    return ok;
}

/* A step, without the mutex. */
static void run_fold(struct worker *wk)
{
    int rc = journal_fold(wk->journal, wk->store);

    (void)pthread_mutex_lock(&wk->mutex);
    wk->fold_failed = rc < 0;
    if (rc < 0) {
        errorx_set(&wk->fold_error, "%s", store_strerror(wk->store));
        wk->failed |= rc == -EIO;
        (void)eventfd_write(wk->event_fd, 1);
    }
    (void)pthread_mutex_unlock(&wk->mutex);
}

static void finish(struct worker *wk, struct work_list *list)
{
    if (!TAILQ_EMPTY(list)) {
        TAILQ_CONCAT(&wk->finished, list, link);
        (void)eventfd_write(wk->event_fd, 1);
    }
}

static void worker_round(struct worker *wk)
{
    struct work_list reads = TAILQ_HEAD_INITIALIZER(reads);
    struct work_list changes = TAILQ_HEAD_INITIALIZER(changes);
    bool ok = true;
    struct work *w;

    TAILQ_CONCAT(&reads, &wk->reads, link);
    TAILQ_CONCAT(&changes, &wk->changes, link);
    (void)pthread_mutex_unlock(&wk->mutex);
    TAILQ_FOREACH (w, &reads, link)
        run_read(wk, w);
    (void)pthread_mutex_lock(&wk->mutex);
    finish(wk, &reads); /* do not let readers wait for the fsync */
    if (TAILQ_EMPTY(&changes))
        return;
    (void)pthread_mutex_unlock(&wk->mutex);
    if (journal_behind(wk->journal))
        run_fold(wk);
    ok = run_changes(wk, &changes);
    (void)pthread_mutex_lock(&wk->mutex);
    wk->failed |= !ok;
    finish(wk, &changes);
}

/* --- chores */

#define SLICE_NSEC  1000000
#define SLICE_MARKS 64 /* between two looks at the clock */
#define SLICE_ROWS  32

static int64_t now_nsec(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int mark_some(struct worker *wk, struct sweep_work *sw)
{
    for (int i = 0; i < SLICE_MARKS && sw->pos < sw->ndigests; i++, sw->pos++) {
        int rc =
            sweep_mark(wk->sweep, sw->generation, sw->digests + sw->pos * DIGEST_SIZE, &sw->marked);

        if (rc < 0)
            return rc;
    }
    return sw->pos < sw->ndigests;
}

static int remove_some(struct worker *wk, struct sweep_work *sw)
{
    uint64_t left = sw->limit - sw->step.looked;
    int rc = sweep_step(wk->sweep, sw->generation, left < SLICE_ROWS ? (uint32_t)left : SLICE_ROWS,
                        &sw->step);

    return rc < 0 ? rc : !sw->step.done && sw->step.looked < sw->limit;
}

static int check_some(struct worker *wk, struct check_work *c)
{
    int rc = inspect_step(wk->store, wk->journal, c->remove, &c->pos, c->found);

    if (rc == 0)
        c->done = true;
    return rc <= 0 ? rc : c->found->looked < c->limit;
}

static int flush_some(struct worker *wk, struct work *w)
{
    int rc;

    if (w->flush_number == 0) {
        journal_rotate(wk->journal);
        w->flush_number = journal_newest(wk->journal);
    }
    if (journal_oldest(wk->journal) > w->flush_number)
        return 0;
    rc = journal_fold(wk->journal, wk->store);
    return rc < 0 ? rc : journal_oldest(wk->journal) <= w->flush_number;
}

/* 0: done; 1: there is more of it. */
static int chore_step(struct worker *wk, struct work *w)
{
    switch (w->type) {
    case WORK_FLUSH:
        return flush_some(wk, w);
    case WORK_CHECK:
        return check_some(wk, &w->check);
    case WORK_BACKUP_BEGIN:
        return backup_begin(&wk->backup, wk->store, wk->journal, &w->json);
    case WORK_BACKUP_READ:
        return backup_read(&wk->backup, wk->store, w->backup_id, w->backup_row, &w->data, &w->size);
    case WORK_SWEEP_BEGIN:
        if (backup_active(&wk->backup))
            return -EBUSY;
        return sweep_begin(wk->sweep, &w->sweep.generation);
    case WORK_SWEEP_MARK:
        return mark_some(wk, &w->sweep);
    case WORK_SWEEP_STEP:
        return remove_some(wk, &w->sweep);
    case WORK_SWEEP_END:
        return sweep_end(wk->sweep, w->sweep.generation);
    default:
        return -EINVAL;
    }
}

/* A slice of the oldest chore. With the mutex, which is left while it runs. */
static void run_chore(struct worker *wk)
{
    struct work *w = TAILQ_FIRST(&wk->chores);
    int64_t end = now_nsec() + SLICE_NSEC;
    int rc;

    (void)pthread_mutex_unlock(&wk->mutex);
    do
        rc = chore_step(wk, w);
    while (rc > 0 && now_nsec() < end);
    if (rc < 0) {
        w->err = rc;
        errorx_set(&w->error, "%s",
                   rc == -EBUSY    ? "a backup is under way"
                   : rc == -ESTALE ? strerror(-rc)
                                   : store_strerror(wk->store));
    }
    (void)pthread_mutex_lock(&wk->mutex);
    wk->failed |= rc == -EIO;
    if (rc <= 0) {
        TAILQ_REMOVE(&wk->chores, w, link);
        TAILQ_INSERT_TAIL(&wk->finished, w, link);
        (void)eventfd_write(wk->event_fd, 1);
    }
}

/* --- the thread */

/* With the mutex. Moving costs as much as storing did: it waits for a quiet moment, but not for
 * long. */
static bool fold_now(struct worker *wk)
{
    return !wk->failed && !wk->fold_failed && journal_foldable(wk->journal) &&
           (journal_urgent(wk->journal) || journal_stats(wk->journal).changes == wk->seen);
}

static bool sleep_msec(struct worker *wk, long msec)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += msec / 1000;
    until.tv_nsec += msec % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    return pthread_cond_timedwait(&wk->wakeup, &wk->mutex, &until) == ETIMEDOUT;
}

/* With the mutex: sleeps until there is something to do. */
static void worker_sleep(struct worker *wk)
{
    bool foldable = journal_foldable(wk->journal) && !wk->fold_failed && !wk->failed;
    uint64_t changes;

    if (!foldable && !wk->fold_failed && !journal_in_use(wk->journal)) {
        (void)pthread_cond_wait(&wk->wakeup, &wk->mutex);
        return;
    }
    if (!sleep_msec(wk, foldable ? WORKER_QUIET_MSEC : WORKER_IDLE_MSEC))
        return;
    changes = journal_stats(wk->journal).changes;
    if (changes == wk->seen && !foldable && !wk->fold_failed)
        journal_rotate(wk->journal);
    wk->fold_failed = false; /* try again */
    wk->seen = changes;
}

static void *worker_main(void *arg)
{
    struct worker *wk = arg;

    (void)pthread_mutex_lock(&wk->mutex);
    for (;;) {
        bool busy = !TAILQ_EMPTY(&wk->reads) || !TAILQ_EMPTY(&wk->changes);

        if (busy)
            worker_round(wk);
        if (!TAILQ_EMPTY(&wk->chores) && !wk->stop && !wk->failed) {
            run_chore(wk);
        } else if (busy) {
            continue;
        } else if (wk->stop) {
            break;
        } else if (fold_now(wk)) {
            (void)pthread_mutex_unlock(&wk->mutex);
            run_fold(wk);
            (void)pthread_mutex_lock(&wk->mutex);
        } else {
            worker_sleep(wk);
        }
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

static void init_condition(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(cond, &attr);
    (void)pthread_condattr_destroy(&attr);
}

int worker_new(struct store *st, struct journal *j, enum store_sync sync, struct worker **ret)
{
    CLEANUP(worker_freep) struct worker *wk = calloc(1, sizeof(*wk));
    int rc;

    if (!wk) {
        journal_close(j);
        store_close(st);
        return -ENOMEM;
    }
    wk->event_fd = -EBADF;
    wk->store = st;
    wk->journal = j;
    wk->direct = sync == STORE_SYNC_OFF;
    TAILQ_INIT(&wk->reads);
    TAILQ_INIT(&wk->changes);
    TAILQ_INIT(&wk->chores);
    TAILQ_INIT(&wk->finished);
    (void)pthread_mutex_init(&wk->mutex, NULL);
    init_condition(&wk->wakeup);
    wk->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wk->event_fd < 0)
        return -errno;
    if ((rc = sweep_new(st, j, &wk->sweep)) < 0 || (rc = worker_start(wk)) < 0)
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
    sweep_free(wk->sweep);
    journal_close(wk->journal);
    store_close(wk->store);
    free(wk);
    return NULL;
}

/* True: the change was made here. */
static bool submit_direct(struct worker *wk, struct work *w)
{
    struct work_list list = TAILQ_HEAD_INITIALIZER(list);
    bool was_in_use;
    bool ok;

    if (!wk->direct || w->type != WORK_CHANGE || wk->pending > wk->pending_chores ||
        journal_behind(wk->journal))
        return false;
    was_in_use = journal_in_use(wk->journal);
    TAILQ_INSERT_TAIL(&list, w, link);
    ok = run_changes(wk, &list);
    if (!ok || !was_in_use || !journal_in_use(wk->journal)) {
        (void)pthread_mutex_lock(&wk->mutex);
        wk->failed |= !ok;
        if (!ok)
            (void)eventfd_write(wk->event_fd, 1);
        (void)pthread_cond_signal(&wk->wakeup); /* to fold, now or once we are idle */
        (void)pthread_mutex_unlock(&wk->mutex);
    }
    return true;
}

int worker_submit(struct worker *wk, struct work *w)
{
    bool change = w->type == WORK_CHANGE || w->type == WORK_SYNC;
    int rc = WORKER_QUEUED;

    if (submit_direct(wk, w))
        return WORKER_DONE;
    (void)pthread_mutex_lock(&wk->mutex);
    if (change && wk->stats.queued_bytes > 0 &&
        wk->stats.queued_bytes + w->change.data_size > WORKER_QUEUE_BYTES_MAX) {
        rc = -EAGAIN;
    } else {
        if (change)
            TAILQ_INSERT_TAIL(&wk->changes, w, link);
        else if (w->type >= WORK_CHORES)
            TAILQ_INSERT_TAIL(&wk->chores, w, link);
        else
            TAILQ_INSERT_TAIL(&wk->reads, w, link);
        wk->stats.loads += w->type == WORK_LOAD;
        wk->stats.queued_bytes += w->change.data_size;
        (void)pthread_cond_signal(&wk->wakeup);
        wk->pending++;
        wk->pending_chores += w->type >= WORK_CHORES;
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
        wk->pending_chores -= w->type >= WORK_CHORES;
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

struct journal *worker_journal(struct worker *wk)
{
    return wk->journal;
}

bool worker_fold_failed(struct worker *wk, flux_error_t *ret)
{
    bool failed;

    (void)pthread_mutex_lock(&wk->mutex);
    failed = wk->fold_error.text[0] != '\0';
    *ret = wk->fold_error;
    wk->fold_error.text[0] = '\0';
    (void)pthread_mutex_unlock(&wk->mutex);
    return failed;
}
