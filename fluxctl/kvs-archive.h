/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Archives of a key-value store: what dump writes and restore reads.
 *
 * A POSIX.1 (pax) tar archive. Each value is a file, each link a symbolic link (NAMESPACE::KEY if
 * it has a namespace), each empty directory a directory; the path is the key with "/" for ".".
 * Extended attributes, which tar(1) ignores: user.flux.digest of each entry (entry_digest_begin()),
 * user.flux.count of the last: how many there are, user.flux.key where a name has a "/". */
#ifndef FLUXCTL_KVS_ARCHIVE_H
#define FLUXCTL_KVS_ARCHIVE_H

#include <archive.h>
#include <archive_entry.h>
#include <stdbool.h>

#include "base/cleanup.h"
#include "base/digest.h"

#define ARCHIVE_XATTR_DIGEST "user.flux.digest"
#define ARCHIVE_XATTR_COUNT  "user.flux.count"
#define ARCHIVE_XATTR_KEY    "user.flux.key"

#define ARCHIVE_PIECE_SIZE   (1u << 20) /* bytes: of a file, held in memory at a time */

#define ARCHIVE_FUNCTIONS(X)                   \
    X(archive_entry_clear)                     \
    X(archive_entry_filetype)                  \
    X(archive_entry_free)                      \
    X(archive_entry_new)                       \
    X(archive_entry_pathname)                  \
    X(archive_entry_pathname_utf8)             \
    X(archive_entry_set_filetype)              \
    X(archive_entry_set_gid)                   \
    X(archive_entry_set_mtime)                 \
    X(archive_entry_set_pathname)              \
    X(archive_entry_set_perm)                  \
    X(archive_entry_set_size)                  \
    X(archive_entry_set_symlink)               \
    X(archive_entry_set_uid)                   \
    X(archive_entry_size)                      \
    X(archive_entry_symlink)                   \
    X(archive_entry_symlink_utf8)              \
    X(archive_entry_xattr_add_entry)           \
    X(archive_entry_xattr_next)                \
    X(archive_entry_xattr_reset)               \
    X(archive_errno)                           \
    X(archive_error_string)                    \
    X(archive_read_data)                       \
    X(archive_read_free)                       \
    X(archive_read_new)                        \
    X(archive_read_next_header)                \
    X(archive_read_open_fd)                    \
    X(archive_read_support_filter_all)         \
    X(archive_read_support_format_tar)         \
    X(archive_write_add_filter_by_name)        \
    X(archive_write_close)                     \
    X(archive_write_data)                      \
    X(archive_write_free)                      \
    X(archive_write_header)                    \
    X(archive_write_new)                       \
    X(archive_write_open)                      \
    X(archive_write_set_bytes_in_last_block)   \
    X(archive_write_set_format_pax_restricted) \
    X(archive_write_set_options)

/* libarchive, each function under its name without "archive_": loaded when it is asked for, because
 * it brings ten libraries and fluxctl is started thousands of times for each dump. */
struct archive_library {
#define ARCHIVE_MEMBER(name) __typeof__(name) *name;
    ARCHIVE_FUNCTIONS(ARCHIVE_MEMBER)
#undef ARCHIVE_MEMBER
};

/* NULL: has complained. */
const struct archive_library *archive_library(void);

/* The digest of an entry: its type ('f', 'l', 'd'), its key with the NUL, then the bytes of the
 * file or the target. The caller adds those. */
void entry_digest_begin(struct digest_stream *ds, char type, const char *key);
void entry_digest_end(struct digest_stream *ds, char ret_ref[BLOBREF_STRING_SIZE]);

#endif
