/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The bytes of a journal file: a head with a key, then records, each a head and the payload of a
 * content.commit. Numbers are the host's: the file never leaves it.
 *
 * A record is whole or not there: its check covers its head, the payload before the blobs and the
 * digests of the blobs. It is made with the key of the file, so that bytes of a blob which look
 * like a record are none: where one begins may have to be searched for. */
#ifndef CONTENT_RECORD_H
#define CONTENT_RECORD_H

#include "content/change.h"

#define RECORD_CHECK   16
#define FILE_KEY       16
#define FILE_MAGIC     0x32666a66u /* fjf2 */
#define RECORD_MAGIC_1 0x31726a66u /* fjr1: of files of former builds, which have no head */

struct file_head {
    uint32_t magic;
    uint32_t unused;
    uint8_t keys[2][FILE_KEY]; /* the same twice */
};

struct record_head {
    uint32_t magic;  /* of this file */
    uint32_t prefix; /* bytes of payload before the blobs */
    uint64_t size;   /* of payload */
    uint32_t seq;
    uint32_t synced; /* records of the file that were on the disk before this one was written */
    uint8_t check[RECORD_CHECK];
};

struct segment_entry {
    uint8_t digest[DIGEST_SIZE];
    uint64_t offset;
    int64_t loose; /* as of a change */
    uint32_t size;
};

/* What is to be written, or was read. */
struct record {
    struct record_head head;
    const void *prefix;
    const char *data;
    struct segment_entry *entries; /* offsets count from the beginning of data; malloc'd */
    size_t count;
    struct change change; /* of one that was read; lends from its payload and header */
    json_t *header;
};

/* Good enough to make records with: its magic is nothing that files are full of. */
bool record_key_valid(const uint8_t key[FILE_KEY]);
/* NULL: a file of a former build. */
uint32_t record_magic(const uint8_t *key);
/* The head says how large it is and that fits into so many bytes. */
bool record_fits(const struct record_head *head, uint32_t magic, uint64_t room);

/* Fills in what goes before ch's blobs (prefix), the digests and the check. */
int record_encode(struct record *r, const uint8_t *key, enum digest_algorithm hash,
                  const struct change *ch, const void *prefix);
/* r->head was read, and head.size bytes of payload: fills in the rest. -EBADMSG: it is not whole.
 */
int record_decode(struct record *r, const uint8_t *key, enum digest_algorithm hash,
                  const void *payload);
void record_deinit(struct record *r);

#endif
