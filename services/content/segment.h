/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One file of the journal: records, each a change as content.commit sends it, one after the other;
 * and in memory what they hold. Knows no threads. */
#ifndef CONTENT_SEGMENT_H
#define CONTENT_SEGMENT_H

#include <sys/uio.h>
#include "content/record.h"

/* So that tests can have a disk that fails. As the calls of the same names; sync_directory: the one
 * of a file. */
struct segment_io {
    ssize_t (*pwritev)(int fd, const struct iovec *iov, int count, off_t offset);
    int (*fdatasync)(int fd);
    int (*unlink)(const char *path);
    int (*sync_directory)(const char *path);
};
extern const struct segment_io segment_io_real;

struct segment {
    TAILQ_ENTRY(segment) link;
    uint64_t number;
    const struct segment_io *io;
    char *path;
    int fd;
    uint8_t key[FILE_KEY];
    bool keyed;                    /* not of a former build */
    uint64_t end;                  /* bytes of whole records */
    uint32_t seq;                  /* records */
    uint32_t synced;               /* of them, on the disk */
    struct segment_entry *entries; /* in the order they came */
    uint32_t count, cap;
    uint32_t *table; /* index + 1 by digest; 0: free */
    uint32_t table_size;
    json_t *roots;       /* namespace -> newest root, or null */
    json_t *checkpoints; /* key -> newest text */
};

/* What a scan of an existing file found. */
struct segment_scan {
    uint64_t dropped; /* bytes at its end that are no whole record */
    size_t damaged;   /* records within that were on the disk once, and were left out */
};

/* A new file. */
int segment_create(const char *path, uint64_t number, const struct segment_io *io,
                   struct segment **ret);
/* An existing one, read and checked to its end. Behind a record that is not whole others count only
 * if one says that it was on the disk: else the disk may have kept the later one only. */
int segment_open(const char *path, uint64_t number, enum digest_algorithm hash,
                 struct segment_scan *ret_scan, struct segment **ret);
struct segment *segment_close(struct segment *s);
DEFINE_CLEANUP(struct segment *, segment_close)

/* Writes a record, and sets ch->digest. On failure nothing of it is there (-ENOSPC, -ENOMEM), or
 * nobody knows (-EIO). */
int segment_append(struct segment *s, enum digest_algorithm hash, struct change *ch);
int segment_sync(struct segment *s);

const struct segment_entry *segment_find(const struct segment *s,
                                         const uint8_t digest[DIGEST_SIZE]);
/* -EIO. */
int segment_read(const struct segment *s, const struct segment_entry *e, void *buf);

#endif
