/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Reading a store as it was at one moment, while it goes on. Used by the thread that the store
 * belongs to. No sweep may begin meanwhile: it would remove what only that moment needs. So a
 * backup that nobody reads any more ends by itself. */
#ifndef CONTENT_BACKUP_H
#define CONTENT_BACKUP_H

#include "content/journal.h"

#define BACKUP_LEASE_SECONDS 60
#define BACKUP_READ_BYTES    (1u << 20)

struct backup {
    uint64_t id;
    uint64_t limit;          /* the last row of it */
    uint64_t journal_number; /* the last file of the journal of it; 0: not begun */
    int64_t until_nsec;
};

bool backup_active(const struct backup *b);
/* Moves some of the journal into the store. 1: call again; 0: *ret_names is
 * {"id","rows","roots":[...],"checkpoints":{...}}, new. names holds it in between. */
int backup_begin(struct backup *b, struct store *st, struct journal *j, json_t **names);
/* What is behind row, as a payload of content.commit, whose header tells also "next" (a row, or
 * null at the end) and "damaged" (blobs that were left out). malloc'd. -ESTALE. */
int backup_read(struct backup *b, struct store *st, uint64_t id, uint64_t row, void **ret_data,
                size_t *ret_size);

#endif
