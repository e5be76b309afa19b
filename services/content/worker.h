/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The threads that wait for the disk, so that the loop never does. Work goes in by worker_submit(),
 * comes back through worker_fd() and worker_dispatch(). One appends changes to the journal. The
 * store belongs to the other, which reads, and moves the journal into it when there is nothing else
 * to do. Chores are for whoever has time: they never hold reads up for longer than a slice, and
 * changes not at all.
 *
 * A change that is not synced to the disk is a write to the page cache, a few microseconds; handing
 * it to a thread and back costs several times that. With STORE_SYNC_OFF it is made where it is
 * submitted. */
#ifndef CONTENT_WORKER_H
#define CONTENT_WORKER_H

#include "content/backup.h"
#include "content/inspect.h"
#include "content/sweep.h"

enum work_type {
    WORK_LOAD,           /* digest -> data, size */
    WORK_CHANGE,         /* change */
    WORK_ROOTS,          /* -> json */
    WORK_CHECKPOINT_GET, /* key -> value */
    WORK_INFO,           /* -> space */
    WORK_SWEEP_NAME,     /* change.checkpoint_value: blobs it refers to are named (sweep.h) */
    WORK_SYNC,           /* done after every change submitted earlier */
    /* Chores: done in slices of a millisecond or so, shorter ones with pauses while changes come,
     * one between two groups of reads. */
    WORK_FLUSH,        /* done when what is stored now is in the store, not in the journal */
    WORK_CHECK,        /* check */
    WORK_BACKUP_BEGIN, /* -> json */
    WORK_BACKUP_READ,  /* backup_id, backup_row -> data, size */
    WORK_SWEEP_BEGIN,  /* loose_seconds -> generation, json: what checkpoints refer to */
    WORK_SWEEP_MARK,   /* generation, digests -> marked */
    WORK_SWEEP_STEP,   /* generation, limit -> step, json: what was named, or NULL */
    WORK_SWEEP_END
};
#define WORK_CHORES WORK_FLUSH

struct sweep_work {
    int64_t loose_seconds;
    uint64_t generation;
    const uint8_t *digests;
    size_t ndigests;
    uint64_t limit;
    size_t pos; /* of digests, done */
    struct sweep_marked marked;
    struct sweep_step step;
};

struct check_work {
    uint64_t limit; /* blobs */
    bool remove;
    bool done; /* that was all there is */
    struct inspect_pos pos;
    struct inspect_found *found; /* lent by whoever made the work */
};

struct work {
    TAILQ_ENTRY(work) link;
    enum work_type type;
    /* In the loop's thread, once. The work may be freed in it. */
    void (*done)(struct work *w, void *arg);
    void *arg;
    int err; /* 0 or -errno */
    struct change change;
    struct sweep_work sweep;
    struct check_work check;
    struct store_space space;
    int64_t busy_nsec; /* that a chore took, without what it waited for others */
    uint64_t backup_id, backup_row;
    uint64_t flush_after;  /* so many changes have to be in the journal, */
    uint64_t flush_number; /* up to this file of it it is to be moved */
    uint8_t digest[DIGEST_SIZE];
    const char *key;
    void *data; /* malloc'd results: whoever made the work frees them */
    size_t size;
    char *value;
    json_t *json;
    flux_error_t error; /* text, when err is set */
};

struct worker;

struct worker_stats {
    uint64_t loads;
    size_t queued_bytes;
    uint64_t waits; /* groups of changes that waited because the journal was too long, */
    uint64_t wait_usec;
    uint64_t pauses; /* that chores made for changes */
};

#define WORKER_QUIET_MSEC 200  /* without a change, until whole files of the journal are moved */
#define WORKER_IDLE_MSEC  5000 /* and until the last one is */

/* Consumes st and j, even if it fails. */
int worker_new(struct store *st, struct journal *j, enum store_sync sync, struct worker **ret);
/* Waits for what was submitted (without calling done), closes the store. */
struct worker *worker_free(struct worker *wk);
DEFINE_CLEANUP(struct worker *, worker_free)

#define WORKER_QUEUE_BYTES_MAX (256u << 20)
enum worker_submitted {
    WORKER_QUEUED, /* done will be called */
    WORKER_DONE    /* w->err says how; done is not called */
};
/* An outcome, or -EAGAIN: more than WORKER_QUEUE_BYTES_MAX wait already. */
int worker_submit(struct worker *wk, struct work *w);
int worker_fd(const struct worker *wk); /* readable when work is done */
/* Calls done for all finished work. 0, or -EIO: the file is in an unknown state, exit. */
int worker_dispatch(struct worker *wk);
size_t worker_pending(const struct worker *wk); /* submitted and not yet dispatched */
struct worker_stats worker_stats(struct worker *wk);
struct journal *worker_journal(struct worker *wk); /* lent */
/* Why the journal could not be moved the last time, once; false: nothing new. It goes on trying. */
bool worker_fold_failed(struct worker *wk, flux_error_t *ret);
void worker_stats_clear(struct worker *wk); /* count anew; what is queued stays counted */

#endif
