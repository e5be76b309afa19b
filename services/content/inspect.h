/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Reading all that is stored, and hashing it again: a blob at a time, so that whoever does it may
 * stop in between. Used by the thread that the store belongs to. */
#ifndef CONTENT_INSPECT_H
#define CONTENT_INSPECT_H

#include "content/journal.h"

/* Where to go on; zero: at the beginning. First the rows of the store, then the journal. */
struct inspect_pos {
    bool in_journal;
    uint64_t row; /* the last one looked at */
    struct journal_pos journal;
};

#define INSPECT_DAMAGED_MAX 1000

struct inspect_found {
    uint64_t looked, bytes; /* blobs */
    uint64_t damaged;
    uint64_t removed;
    uint8_t digests[INSPECT_DAMAGED_MAX][DIGEST_SIZE]; /* of damaged ones, the first of them */
    uint64_t damaged_records; /* of the journal: how many blobs they had is not known */
    bool broken;              /* the SQLite file itself: not all rows could be looked at */
};

/* Looks at the next blob. remove: takes damaged ones out of the store, so that they can be stored
 * again. 1: there are more; 0: that was all; or as store.h. */
int inspect_step(struct store *st, struct journal *j, bool remove, struct inspect_pos *pos,
                 struct inspect_found *found);

#endif
