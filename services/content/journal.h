/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What was stored lately: files that are only appended to, each moved into the store in steps, the
 * oldest first, and deleted then. May be used from two threads; but one at a time appends, and one
 * at a time folds.
 *
 * Errors: as store.h. */
#ifndef CONTENT_JOURNAL_H
#define CONTENT_JOURNAL_H

#include "content/segment.h"
#include "content/store.h"

#define JOURNAL_SEGMENT_BLOBS 65536
#define JOURNAL_SEGMENT_BYTES (64u << 20)
#define JOURNAL_SEGMENTS_MAX  4 /* with more, appending slows down to what is folded (pace.h) */
#define JOURNAL_SEGMENTS_SOON 2 /* with more, folding does not wait for a quiet moment */
/* A step: some milliseconds, in which reads wait. They go through a file in the order of the index
 * of the store, so smaller ones hardly cost more. */
#define JOURNAL_FOLD_BLOBS 256
#define JOURNAL_FOLD_BYTES (1u << 20)

struct journal_params {
    const char *path; /* of the store; the files are PATH-journal.N */
    enum store_sync sync;
    enum digest_algorithm hash;
    const struct segment_io *io; /* NULL: the real one */
    uint32_t segment_blobs;      /* 0: JOURNAL_SEGMENT_BLOBS */
};

struct journal_stats {
    uint64_t changes, transactions, largest_batch;
    uint64_t blobs, bytes; /* appended by this process */
    uint64_t folded;       /* blobs */
    uint32_t segments;     /* files there are, */
    uint64_t file_bytes;   /* and their size */
};

struct journal;

/* Reads what a former process left. *ret_scan: what of it was lost. */
int journal_open(const struct journal_params *params, struct store *st,
                 struct segment_scan *ret_scan, struct journal **ret, flux_error_t *error);
struct journal *journal_close(struct journal *j);
DEFINE_CLEANUP(struct journal *, journal_close)

/* Appends all changes, syncs once if the store is to be synced, and sets err in each. One that
 * fails for want of space does not take others with it. Returns 0, or -EIO when the state of the
 * file is unknown: nothing may be acknowledged, start anew. */
int journal_append(struct journal *j, struct change_list *changes);

/* As store_load(); -ENOENT: not here, ask the store. */
int journal_load(struct journal *j, const uint8_t digest[DIGEST_SIZE], void **ret_data,
                 size_t *ret_size);
bool journal_has(struct journal *j, const uint8_t digest[DIGEST_SIZE]);
/* A walk through all that is in the journal; zero: at its beginning. */
struct journal_pos {
    uint64_t number;
    uint32_t entry;
};
/* The next blob, read and hashed: 0, -EBADMSG if it is damaged, -ENOENT if there are no more. */
int journal_check_next(struct journal *j, struct journal_pos *pos, uint8_t digest[DIGEST_SIZE],
                       uint64_t *ret_size);
/* Brings the roots of the store up to date. */
int journal_overlay_roots(struct journal *j, json_t *roots);
int journal_overlay_checkpoints(struct journal *j, json_t *checkpoints);
int journal_get_checkpoint(struct journal *j, const char *key, char **ret_value); /* -ENOENT */

/* Moves a bounded number of blobs of the oldest file that is not appended to any more. Only when
 * all of it is in the store, as durably as it was here, is the file deleted. On failure (as
 * store_commit()) nothing is lost. */
int journal_fold(struct journal *j, struct store *st);
bool journal_foldable(struct journal *j); /* there is something that journal_fold() would do */
bool journal_in_use(struct journal *j);   /* there is a file that is appended to */
bool journal_urgent(struct journal *j);   /* more than JOURNAL_SEGMENTS_SOON are there */
/* How many more than JOURNAL_SEGMENTS_MAX are there. */
uint32_t journal_behind(struct journal *j);
void journal_rotate(struct journal *j); /* makes what is there foldable */
/* The number of the newest file there is, or was. */
uint64_t journal_newest(struct journal *j);
/* The number of the oldest file there is; UINT64_MAX: none. */
uint64_t journal_oldest(struct journal *j);
struct journal_stats journal_stats(struct journal *j);

#endif
