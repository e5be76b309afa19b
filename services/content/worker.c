/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Two threads, so that a commit waits for its own write and for nothing else.
 *
 * One appends changes to the journal. Each round takes all there are as one group (group commit
 * without a timer: whatever arrived while the disk was busy forms the next group).
 *
 * The other one keeps the store. Each round takes reads first, then a slice of the oldest chore,
 * then, when no change came for a while or several files of the journal wait, a step of moving the
 * journal into the store. What it does there may take as long as SQLite takes for its log. While
 * changes come, a slice is one small piece, with a pause after it: the scheduler leaves a thread
 * that has work on its processor for milliseconds, however low its priority, and who waits for
 * that processor may be part of somebody's commit. When the journal has grown too long, there are
 * no pauses, and each group of changes waits as long as moving it would take.
 *
 * Shared between the threads, under the mutex: the queues, finished, stats, stop, failed, fold_*,
 * appended. The journal has locks of its own. Signals stay with the loop: the threads block them
 * all.
 *
 * Invariant: a read submitted after a change was acknowledged sees the change.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include "base/errorx.h"
#include "content/keeper.h"
#include "content/pace.h"
#include "content/worker.h"

TAILQ_HEAD(work_list, work);

struct thread {
    pthread_t id;
    bool started;
    pthread_cond_t wakeup;
};

struct worker {
    struct keeper keeper; /* the store's thread's */
    struct journal *journal;
    bool direct; /* changes are made where they are submitted */
    int event_fd;
    size_t pending; /* the loop's, as the next */
    size_t pending_changes;
    pthread_mutex_t mutex;
    struct thread appending, keeping;
    struct work_list reads;
    struct work_list changes;
    struct work_list chores;
    struct work_list finished;
    struct worker_stats stats;
    uint64_t queued, appended; /* changes that went through the queue */
    uint64_t seen;             /* changes of the journal, and when there was one the last time */
    int64_t seen_nsec;
    bool pauses; /* between chores: changes come, and there is room for them */
    bool stop;
    bool failed;
    bool fold_wanted; /* a group waits for a step */
    uint64_t folds;   /* steps */
    struct pace pace;
    int64_t fold_again_nsec; /* not before: the last one failed */
    int64_t chores_ahead;    /* how much longer chores took than steps, in nsec */
    pthread_cond_t folded;
    flux_error_t fold_error;
};

#define MSEC 1000000ll /* in nanoseconds */

static int64_t now_nsec(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void finish(struct worker *wk, struct work_list *list)
{
    if (!TAILQ_EMPTY(list)) {
        TAILQ_CONCAT(&wk->finished, list, link);
        (void)eventfd_write(wk->event_fd, 1);
    }
}

/* --- the thread that appends */

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

/* With the mutex, which is left meanwhile, as the next two. */
static void wait_for_step(struct worker *wk)
{
    uint64_t folds = wk->folds;

    wk->fold_wanted = true;
    (void)pthread_cond_signal(&wk->keeping.wakeup);
    while (wk->folds == folds && !wk->stop && !wk->failed)
        (void)pthread_cond_wait(&wk->folded, &wk->mutex);
}

static void wait_until(struct worker *wk, int64_t nsec)
{
    const struct timespec until = { nsec / 1000000000, nsec % 1000000000 };

    while (!wk->stop && !wk->failed &&
           pthread_cond_timedwait(&wk->folded, &wk->mutex, &until) != ETIMEDOUT)
        ;
}

/* The journal is too long. */
static void wait_for_room(struct worker *wk, uint32_t files)
{
    int64_t begin = now_nsec();
    uint64_t blobs = 0;
    const struct work *w;
    int64_t wait;

    TAILQ_FOREACH (w, &wk->changes, link)
        blobs += change_nblobs(&w->change);
    if ((wait = pace_wait_nsec(&wk->pace, files, blobs)) < 0)
        wait_for_step(wk);
    else
        wait_until(wk, begin + wait);
    wk->stats.waits++;
    wk->stats.wait_usec += (uint64_t)(now_nsec() - begin) / 1000;
}

static bool flush_waits(const struct worker *wk)
{
    const struct work *w = TAILQ_FIRST(&wk->chores);

    return w && w->type == WORK_FLUSH;
}

/* With the mutex, which is left meanwhile. */
static void append_round(struct worker *wk)
{
    struct work_list changes = TAILQ_HEAD_INITIALIZER(changes);
    bool was_in_use = journal_in_use(wk->journal);
    uint32_t files = journal_behind(wk->journal);
    const struct work *w;
    bool ok;

    if (files > 0)
        wait_for_room(wk, files);
    TAILQ_CONCAT(&changes, &wk->changes, link);
    (void)pthread_mutex_unlock(&wk->mutex);
    ok = run_changes(wk, &changes);
    (void)pthread_mutex_lock(&wk->mutex);
    TAILQ_FOREACH (w, &changes, link)
        wk->appended++;
    wk->failed |= !ok;
    finish(wk, &changes);
    if (!was_in_use || !journal_in_use(wk->journal) || flush_waits(wk))
        (void)pthread_cond_signal(&wk->keeping.wakeup);
}

static void *append_main(void *arg)
{
    struct worker *wk = arg;

    (void)pthread_mutex_lock(&wk->mutex);
    for (;;) {
        if (!TAILQ_EMPTY(&wk->changes))
            append_round(wk);
        else if (wk->stop)
            break;
        else
            (void)pthread_cond_wait(&wk->appending.wakeup, &wk->mutex);
    }
    (void)pthread_mutex_unlock(&wk->mutex);
    return NULL;
}

/* --- the thread that keeps the store: all with the mutex, which is left while they work */

static void run_reads(struct worker *wk)
{
    struct work_list reads = TAILQ_HEAD_INITIALIZER(reads);
    struct work *w;

    TAILQ_CONCAT(&reads, &wk->reads, link);
    (void)pthread_mutex_unlock(&wk->mutex);
    TAILQ_FOREACH (w, &reads, link)
        keeper_read(&wk->keeper, w);
    (void)pthread_mutex_lock(&wk->mutex);
    finish(wk, &reads);
}

#define AHEAD_MAX (5 * MSEC)

static void count_turn(struct worker *wk, int64_t nsec)
{
    wk->chores_ahead += nsec;
    if (wk->chores_ahead > AHEAD_MAX)
        wk->chores_ahead = AHEAD_MAX;
    else if (wk->chores_ahead < -AHEAD_MAX)
        wk->chores_ahead = -AHEAD_MAX;
}

/* A step. */
static void run_fold(struct worker *wk)
{
    uint64_t folded = journal_stats(wk->journal).folded;
    int64_t begin = now_nsec();
    int64_t took;
    int rc;

    (void)pthread_mutex_unlock(&wk->mutex);
    rc = journal_fold(wk->journal, wk->keeper.store);
    (void)pthread_mutex_lock(&wk->mutex);
    took = now_nsec() - begin;
    count_turn(wk, -took);
    pace_note(&wk->pace, journal_stats(wk->journal).folded - folded, took);
    wk->fold_again_nsec = rc < 0 ? now_nsec() + WORKER_IDLE_MSEC * MSEC : 0;
    if (rc < 0) {
        errorx_set(&wk->fold_error, "%s", store_strerror(wk->keeper.store));
        wk->failed |= rc == -EIO;
        (void)eventfd_write(wk->event_fd, 1);
    }
    wk->folds++;
    wk->fold_wanted = false;
    (void)pthread_cond_broadcast(&wk->folded);
}

#define SLICE_NSEC MSEC
#define PAUSE_NSEC 50000

/* The oldest one, if it can go on: what is to be moved must be in the journal first. */
static struct work *next_chore(struct worker *wk)
{
    struct work *w = TAILQ_FIRST(&wk->chores);

    if (!w || wk->stop || wk->failed || (w->type == WORK_FLUSH && w->flush_after > wk->appended))
        return NULL;
    return w;
}

/* A slice. */
static void run_chore(struct worker *wk, struct work *w)
{
    int64_t begin = now_nsec();
    bool pauses = wk->pauses;
    int64_t end;
    int rc;

    (void)pthread_mutex_unlock(&wk->mutex);
    do
        rc = keeper_chore(&wk->keeper, w, pauses);
    while ((end = now_nsec()) < begin + SLICE_NSEC && rc > 0 && !pauses);
    w->busy_nsec += end - begin;
    if (rc < 0) {
        w->err = rc;
        errorx_set(&w->error, "%s",
                   rc == -EBUSY    ? "a backup is under way"
                   : rc == -ESTALE ? strerror(-rc)
                                   : store_strerror(wk->keeper.store));
    }
    (void)pthread_mutex_lock(&wk->mutex);
    count_turn(wk, end - begin);
    wk->failed |= rc == -EIO;
    if (rc <= 0) {
        TAILQ_REMOVE(&wk->chores, w, link);
        TAILQ_INSERT_TAIL(&wk->finished, w, link);
        (void)eventfd_write(wk->event_fd, 1);
    }
}

/* Moving costs as much as storing did: it waits for a quiet moment, but not for long. It has half
 * of the time while there are chores. */
static bool fold_now(struct worker *wk, int64_t now)
{
    return !wk->failed && !wk->stop && (wk->chores_ahead >= 0 || !next_chore(wk)) &&
           now >= wk->fold_again_nsec && journal_foldable(wk->journal) &&
           (journal_urgent(wk->journal) || now - wk->seen_nsec >= WORKER_QUIET_MSEC * MSEC);
}

static void sleep_until(struct worker *wk, int64_t nsec)
{
    const struct timespec until = { nsec / 1000000000, nsec % 1000000000 };

    (void)pthread_cond_timedwait(&wk->keeping.wakeup, &wk->mutex, &until);
}

/* Until there is something to do. */
static void keeper_sleep(struct worker *wk, int64_t now)
{
    int64_t quiet = wk->seen_nsec + WORKER_QUIET_MSEC * MSEC;
    int64_t idle = wk->seen_nsec + WORKER_IDLE_MSEC * MSEC;

    if (wk->failed)
        (void)pthread_cond_wait(&wk->keeping.wakeup, &wk->mutex);
    else if (journal_foldable(wk->journal))
        sleep_until(wk, wk->fold_again_nsec > now ? wk->fold_again_nsec : quiet);
    else if (!journal_in_use(wk->journal))
        (void)pthread_cond_wait(&wk->keeping.wakeup, &wk->mutex);
    else if (now < idle)
        sleep_until(wk, idle);
    else {
        /* Not with the mutex: it waits for who appends. */
        (void)pthread_mutex_unlock(&wk->mutex);
        journal_rotate(wk->journal);
        (void)pthread_mutex_lock(&wk->mutex);
    }
}

static void look_for_changes(struct worker *wk, int64_t now)
{
    uint64_t changes = journal_stats(wk->journal).changes;

    if (changes != wk->seen)
        wk->seen_nsec = now;
    wk->seen = changes;
    wk->pauses = now - wk->seen_nsec < WORKER_QUIET_MSEC * MSEC && !journal_behind(wk->journal);
}

/* Who reads does not wait for it. */
static void make_pause(struct worker *wk)
{
    if (!wk->pauses || !TAILQ_EMPTY(&wk->reads) || wk->fold_wanted || wk->stop)
        return;
    wk->stats.pauses++;
    sleep_until(wk, now_nsec() + PAUSE_NSEC);
}

static void *keep_main(void *arg)
{
    struct worker *wk = arg;

    (void)pthread_mutex_lock(&wk->mutex);
    for (;;) {
        int64_t now = now_nsec();
        bool busy = !TAILQ_EMPTY(&wk->reads);
        struct work *chore;

        look_for_changes(wk, now);
        if (busy)
            run_reads(wk);
        if ((chore = next_chore(wk))) {
            run_chore(wk, chore);
            make_pause(wk);
            busy = true;
        }
        if (wk->fold_wanted || fold_now(wk, now)) {
            run_fold(wk);
            busy = true;
        }
        if (busy)
            continue;
        if (wk->stop)
            break;
        keeper_sleep(wk, now);
    }
    (void)pthread_mutex_unlock(&wk->mutex);
    return NULL;
}

/* --- threads */

static void init_condition(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(cond, &attr);
    (void)pthread_condattr_destroy(&attr);
}

static int thread_start(struct worker *wk, struct thread *t, void *(*run)(void *arg))
{
    sigset_t all, old;
    int rc;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&t->id, NULL, run, wk);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    t->started = rc == 0;
    return -rc;
}

static void thread_stop(struct worker *wk, struct thread *t)
{
    if (!t->started)
        return;
    (void)pthread_mutex_lock(&wk->mutex);
    wk->stop = true;
    (void)pthread_cond_signal(&t->wakeup);
    (void)pthread_cond_broadcast(&wk->folded);
    (void)pthread_mutex_unlock(&wk->mutex);
    (void)pthread_join(t->id, NULL);
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
    wk->keeper.store = st;
    wk->keeper.journal = wk->journal = j;
    wk->direct = sync == STORE_SYNC_OFF;
    wk->seen_nsec = now_nsec();
    TAILQ_INIT(&wk->reads);
    TAILQ_INIT(&wk->changes);
    TAILQ_INIT(&wk->chores);
    TAILQ_INIT(&wk->finished);
    (void)pthread_mutex_init(&wk->mutex, NULL);
    init_condition(&wk->appending.wakeup);
    init_condition(&wk->keeping.wakeup);
    init_condition(&wk->folded);
    wk->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wk->event_fd < 0)
        return -errno;
    if ((rc = sweep_new(st, j, &wk->keeper.sweep)) < 0 ||
        (rc = thread_start(wk, &wk->keeping, keep_main)) < 0 ||
        (rc = thread_start(wk, &wk->appending, append_main)) < 0)
        return rc;
    *ret = TAKE(wk);
    return 0;
}

struct worker *worker_free(struct worker *wk)
{
    if (!wk)
        return NULL;
    thread_stop(wk, &wk->appending);
    thread_stop(wk, &wk->keeping);
    closep(&wk->event_fd);
    (void)pthread_cond_destroy(&wk->folded);
    (void)pthread_cond_destroy(&wk->keeping.wakeup);
    (void)pthread_cond_destroy(&wk->appending.wakeup);
    (void)pthread_mutex_destroy(&wk->mutex);
    sweep_free(wk->keeper.sweep);
    journal_close(wk->journal);
    store_close(wk->keeper.store);
    free(wk);
    return NULL;
}

/* --- the loop */

static bool is_change(const struct work *w)
{
    return w->type == WORK_CHANGE || w->type == WORK_SYNC;
}

/* True: the change was made here. Not while earlier ones are in the queue: their order is kept. */
static bool submit_direct(struct worker *wk, struct work *w)
{
    struct work_list list = TAILQ_HEAD_INITIALIZER(list);
    bool was_in_use;
    bool ok;

    if (!wk->direct || w->type != WORK_CHANGE || wk->pending_changes > 0 ||
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
        (void)pthread_cond_signal(&wk->keeping.wakeup); /* to fold, now or once we are idle */
        (void)pthread_mutex_unlock(&wk->mutex);
    }
    return true;
}

/* With the mutex. */
static void enqueue(struct worker *wk, struct work *w)
{
    if (is_change(w)) {
        TAILQ_INSERT_TAIL(&wk->changes, w, link);
        wk->queued++;
        wk->pending_changes++;
    } else if (w->type >= WORK_CHORES) {
        TAILQ_INSERT_TAIL(&wk->chores, w, link);
        w->flush_after = wk->queued;
    } else {
        TAILQ_INSERT_TAIL(&wk->reads, w, link);
    }
    wk->stats.loads += w->type == WORK_LOAD;
    wk->stats.queued_bytes += w->change.data_size;
    wk->pending++;
    (void)pthread_cond_signal(is_change(w) ? &wk->appending.wakeup : &wk->keeping.wakeup);
}

int worker_submit(struct worker *wk, struct work *w)
{
    int rc = WORKER_QUEUED;

    if (submit_direct(wk, w))
        return WORKER_DONE;
    (void)pthread_mutex_lock(&wk->mutex);
    if (is_change(w) && wk->stats.queued_bytes > 0 &&
        wk->stats.queued_bytes + w->change.data_size > WORKER_QUEUE_BYTES_MAX)
        rc = -EAGAIN;
    else
        enqueue(wk, w);
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
        wk->pending_changes -= is_change(w);
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
