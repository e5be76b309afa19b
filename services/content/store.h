/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The blob file: SQLite, one connection, used by one thread at a time. Everything here may wait for
 * the disk. Errors: negative errno; -ENOSPC disk full, -EIO the disk is bad, -EBADMSG the file is,
 * -EBUSY another process has the file. */
#ifndef CONTENT_STORE_H
#define CONTENT_STORE_H

#include <jansson.h>
#include <flux/types.h>
#include "base/cleanup.h"
#include "base/digest.h"

enum store_sync {
    STORE_SYNC_OFF,    /* survives the end of the process */
    STORE_SYNC_NORMAL, /* as OFF; a power cut loses the newest commits, never consistency */
    STORE_SYNC_FULL    /* survives a power cut */
};
int store_sync_parse(const char *name, enum store_sync *ret); /* 0 or -EINVAL */
const char *store_sync_name(enum store_sync sync);

struct store_params {
    const char *path;
    enum store_sync sync;
    enum digest_algorithm hash;
    int max_pages; /* quota for tests; 0: none */
    bool fixed;    /* a new file is like those of former builds: it never becomes smaller */
};

struct store;

int store_open(const struct store_params *params, struct store **ret, flux_error_t *error);
struct store *store_close(struct store *st);
DEFINE_CLEANUP(struct store *, store_close)

/* A transaction: begin, any of put_blob, set_root, set_checkpoint, then commit or rollback. After a
 * failure of any of them the caller must roll back. A failed commit has kept nothing that it may
 * acknowledge; after -EIO the state of the file is unknown and the process must start anew. */
int store_begin(struct store *st);
/* One that does not wait for the disk: a power cut may undo it, as a whole. */
int store_begin_lazily(struct store *st);
int store_put_blob(struct store *st, const uint8_t digest[DIGEST_SIZE], const void *data,
                   size_t size);
int store_set_root(struct store *st, const char *ns, const char *root); /* NULL: delete */
int store_set_checkpoint(struct store *st, const char *key, const char *value);
/* The newest file of the journal that is in the store. */
int store_set_folded(struct store *st, uint64_t number);
int store_commit(struct store *st);
void store_rollback(struct store *st);

/* After a commit: makes it as durable as it will be, and independent of SQLite's log. */
int store_settle(struct store *st);
int store_get_folded(struct store *st, uint64_t *ret_number); /* 0: none */

/* Re-hashes what it read: -EBADMSG if the bytes are not those that were stored, -ENOENT if there is
 * no such blob. *ret_data is malloc'd. */
int store_load(struct store *st, const uint8_t digest[DIGEST_SIZE], void **ret_data,
               size_t *ret_size);
/* An array of {"ns":NAME,"root":OBJECT}. -EBADMSG: a root is no JSON. */
int store_roots(struct store *st, json_t **ret);
int store_checkpoints(struct store *st, json_t **ret); /* an object: key -> text */
int store_get_checkpoint(struct store *st, const char *key, char **ret_value);

/* Rows of blobs have numbers that grow: a new blob gets a higher one than all that are there. */
struct store_row {
    uint64_t number;
    uint8_t digest[DIGEST_SIZE];
    uint64_t size;
};
int store_last_row(struct store *st, uint64_t *ret_number); /* 0: none */
int store_find_row(struct store *st, const uint8_t digest[DIGEST_SIZE], uint64_t *ret_number);
int store_next_row(struct store *st, uint64_t after, struct store_row *ret); /* -ENOENT: no more */
/* Are its bytes those of its digest? -EBADMSG: no. */
int store_check_row(struct store *st, const struct store_row *row);
int store_remove_row(struct store *st, uint64_t number); /* in a transaction */

struct store_space {
    uint64_t bytes;      /* of the file */
    uint64_t free_bytes; /* of them, room that is used again */
    bool shrinks;        /* false: a file of a former build, which keeps its size */
};
int store_space(struct store *st, struct store_space *ret);
/* Gives up to so many pages of free room back, in a transaction of its own that does not wait for
 * the disk, and adds to *bytes. Some room stays, to be used again. 1: there may be more to give
 * back; 0: no; the file is smaller after store_settle(). */
int store_trim(struct store *st, uint32_t pages, uint64_t *bytes);

/* When a blob came that nobody refers to yet: in seconds. */
int store_set_loose(struct store *st, const uint8_t digest[DIGEST_SIZE], int64_t seconds);
int store_get_loose(struct store *st, uint64_t number, int64_t *ret_seconds); /* -ENOENT: not so */
int store_forget_loose(struct store *st, uint64_t number);                    /* in a transaction */
enum digest_algorithm store_hash(const struct store *st);

/* From now on called for each store_put_blob() of a blob that is there already; NULL: no more. */
void store_on_repeat(struct store *st, void (*cb)(uint64_t number, void *arg), void *arg);

/* Text for the last failure. */
const char *store_strerror(struct store *st);

#endif
