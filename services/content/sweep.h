/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Removing blobs that nobody needs any more: begin, mark what is needed, remove the rest in steps,
 * give the room back in steps.
 * Used by the thread that the store belongs to. What is marked is in memory only: a process that
 * ends has given its sweep up, and nothing is lost by that.
 *
 * Never removed: what came into the store after the beginning, what was marked, what was stored
 * again after the beginning. Errors: as store.h; -ESTALE: that sweep is not under way. */
#ifndef CONTENT_SWEEP_H
#define CONTENT_SWEEP_H

#include "content/journal.h"

struct sweep;

struct sweep_step {
    uint64_t looked;         /* blobs */
    uint64_t removed, bytes; /* of them, and what they held */
    uint64_t pages;          /* of the file that were tried to give back, */
    uint64_t returned;       /* and bytes that were */
    bool done;               /* there is nothing left to do: the sweep has ended */
    bool named;              /* nothing was done: see sweep_take_name() */
};

struct sweep_marked {
    uint64_t unknown;           /* of those: neither in the store nor in the journal */
    uint8_t first[DIGEST_SIZE]; /* one of them */
};

/* Watches st from now on: sweep_free() comes before store_close(). j: lent, asked for marks only.
 */
int sweep_new(struct store *st, struct journal *j, struct sweep **ret);
struct sweep *sweep_free(struct sweep *sw);
DEFINE_CLEANUP(struct sweep *, sweep_free)

/* Gives up one that is under way. Blobs that came by themselves (change.h) stay for so many seconds
 * after that, marked or not. */
int sweep_begin(struct sweep *sw, int64_t loose_seconds, uint64_t *ret_generation);
int sweep_end(struct sweep *sw, uint64_t generation);
/* Marks one blob, and counts it in *marked if there is none. */
int sweep_mark(struct sweep *sw, uint64_t generation, const uint8_t digest[DIGEST_SIZE],
               struct sweep_marked *marked);
/* A checkpoint refers to it since the beginning. What it leads to is not known here: the next step
 * does nothing but say so, and whoever marks marks all of that before the step after it. */
void sweep_name(struct sweep *sw, const uint8_t digest[DIGEST_SIZE]);
/* One that was named; false: no more. */
bool sweep_take_name(struct sweep *sw, uint8_t ret[DIGEST_SIZE]);
#define SWEEP_NAMES_MAX  1024 /* with more the sweep is given up */
#define SWEEP_STEP_BYTES (1u << 20)
/* Looks at no more than so many blobs, or removes SWEEP_STEP_BYTES and a blob, in one transaction
 * that does not wait for the disk: that a blob is gone need not survive a power cut. After the last
 * blob the room is given back, so many pages of the file at most. Adds to *step. */
int sweep_step(struct sweep *sw, uint64_t generation, uint32_t limit, struct sweep_step *step);

#endif
