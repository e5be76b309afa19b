/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A row is sound if its bytes have its digest and the index leads to it. */
#include <errno.h>
#include <string.h>
#include "content/inspect.h"

static void note_damaged(struct inspect_found *found, const uint8_t *digest)
{
    if (found->damaged < INSPECT_DAMAGED_MAX)
        memcpy(found->digests[found->damaged], digest, DIGEST_SIZE);
    found->damaged++;
}

static int remove_row(struct store *st, uint64_t row, struct inspect_found *found)
{
    int rc = store_begin_lazily(st);

    if (rc < 0)
        return rc;
    if ((rc = store_remove_row(st, row)) < 0 || (rc = store_commit(st)) < 0) {
        store_rollback(st);
        /* What cannot even be removed stays; salvage makes a new file. */
        found->broken |= rc == -EBADMSG;
        return rc == -EBADMSG ? 0 : rc;
    }
    found->removed++;
    return 0;
}

static int inspect_row(struct store *st, bool remove, struct inspect_pos *pos,
                       struct inspect_found *found)
{
    struct store_row row;
    uint64_t number = 0;
    int rc = store_next_row(st, pos->row, &row);

    if (rc == -ENOENT || rc == -EBADMSG) {
        found->broken |= rc == -EBADMSG;
        pos->in_journal = true;
        return 1;
    }
    if (rc < 0)
        return rc;
    pos->row = row.number;
    found->looked++;
    found->bytes += row.size;
    rc = store_check_row(st, &row);
    if (rc == 0)
        rc = store_find_row(st, row.digest, &number);
    if (rc == 0 && number == row.number)
        return 1;
    if (rc < 0 && rc != -EBADMSG && rc != -ENOENT)
        return rc;
    note_damaged(found, row.digest);
    rc = remove ? remove_row(st, row.number, found) : 0;
    return rc < 0 ? rc : 1;
}

static int inspect_entry(struct journal *j, struct inspect_pos *pos, struct inspect_found *found)
{
    uint8_t digest[DIGEST_SIZE];
    uint64_t size = 0;
    int rc = journal_check_next(j, &pos->journal, digest, &size);

    if (rc == -ENOENT)
        return 0;
    if (rc < 0 && rc != -EBADMSG)
        return rc;
    found->looked++;
    found->bytes += size;
    if (rc == -EBADMSG)
        note_damaged(found, digest);
    return 1;
}

int inspect_step(struct store *st, struct journal *j, bool remove, struct inspect_pos *pos,
                 struct inspect_found *found)
{
    return pos->in_journal ? inspect_entry(j, pos, found) : inspect_row(st, remove, pos, found);
}
