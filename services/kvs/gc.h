/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Collection: finds out which blobs the roots lead to, and has the content store remove the rest,
 * in steps between other work. What each step may cost is bounded. */
#ifndef KVS_GC_H
#define KVS_GC_H

#include "base/list.h"
#include "kvs/kvs.h"

struct txn;
struct digest_list;

enum gc_phase {
    GC_IDLE,
    GC_BEGIN, /* the content store is being told, and a commit under way is waited for */
    GC_MARK,  /* what the roots lead to is marked */
    GC_GRACE, /* who reads an older root has time to come to an end */
    GC_SWEEP  /* what is not marked is removed */
};

struct gc_result {
    int err; /* 0 or -errno; -ESTALE: the content store was restarted, begin anew */
    flux_error_t error;
    uint64_t marked;  /* references */
    uint64_t missing; /* of them, blobs that are not in the store */
    uint64_t looked, removed, bytes;
    uint64_t returned; /* bytes by which the file became smaller */
    double seconds;
};

int gc_new(struct kvs *k, struct gc **ret);
struct gc *gc_free(struct gc *gc);

/* Begins one, of all namespaces. -EALREADY. done: when it is over. */
int gc_start(struct kvs *k, double grace_seconds,
             void (*done)(const struct gc_result *r, void *arg), void *arg);
enum gc_phase gc_phase(const struct kvs *k);
const char *gc_phase_name(enum gc_phase phase);
const struct gc_result *gc_progress(const struct kvs *k); /* of this one, or the last */
/* A step, of at most so many directories. To be called again and again until it is idle. */
void gc_work(struct kvs *k, unsigned int directories);
/* How many blobs a step removes at most, and how long the content store is left alone after each
 * request, in times that it took. */
void gc_set_pace(struct kvs *k, uint32_t rows, unsigned int rest);
#define GC_ROWS 256 /* at first; some milliseconds */
/* Until there is something that gc_work() would do, in usec, as far as it is known; 0: now. */
uint64_t gc_rest_usec(const struct kvs *k);

/* --- those who refer to what no root leads to, or will not soon */

struct gc_guard {
    void (*done)(struct gc_guard *guard); /* set by the user: now ask again */
    /* Private. */
    TAILQ_ENTRY(gc_guard) link;
    bool waiting;  /* in the queue */
    bool asked;    /* what it is about has been added to what is to be marked */
    bool answered; /* the answer is in err */
    int err;
};

/* Sees to it that what a transaction refers to stays. 0: it does. -EAGAIN: done follows, ask again
 * then. -ENOENT: some of it is gone. */
int gc_guard_txn(struct kvs *k, struct gc_guard *guard, const struct txn *t);
void gc_unguard(struct kvs *k, struct gc_guard *guard);

/* A snapshot that somebody reads: it stays while it is held. */
struct gc_hold {
    LIST_ENTRY(gc_hold) link;
    struct gc_guard guard;
    uint8_t root[DIGEST_SIZE];
};
void gc_hold(struct kvs *k, struct gc_hold *hold);      /* root and guard.done are set */
int gc_guard_hold(struct kvs *k, struct gc_hold *hold); /* as gc_guard_txn */
void gc_release(struct kvs *k, struct gc_hold *hold);

/* Answers of the backend. err: 0 or -errno. */
/* refs: what checkpoints refer to, or NULL. */
void gc_began(struct kvs *k, int err, uint64_t generation, const struct digest_list *refs);
void gc_took(struct kvs *k, uint64_t usec); /* before the next two: what the answer cost */
void gc_marked(struct kvs *k, int err, uint64_t unknown);
/* refs: what checkpoints refer to since the beginning; then nothing was removed. */
void gc_stepped(struct kvs *k, int err, const struct gc_result *step,
                const struct digest_list *refs, bool done);

#endif
