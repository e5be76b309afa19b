/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The files that a jobspec carries (attributes.system.files, RFC 37). */
#ifndef SHELL_ARCHIVE_H
#define SHELL_ARCHIVE_H

#include <jansson.h>
#include <sys/stat.h>

#include <flux/types.h>

struct archive_entry {
    mode_t mode;  /* with its type: a file, a directory or a symbolic link */
    char *data;   /* of a file or where a link leads to; malloc'd, with a NUL behind it */
    size_t size;  /* of data */
    off_t length; /* of the file; what is beyond data is a hole */
};

/* 0, -EINVAL or -ENOTSUP with a sentence that names the path, -ENOMEM. */
int archive_entry_parse(const char *path, const json_t *o, struct archive_entry *ret,
                        flux_error_t *error);
void archive_entry_deinit(struct archive_entry *e);

/* Makes all that is in `files` below a directory, and nothing outside of it. */
int archive_extract(int dirfd, const json_t *files, flux_error_t *error);

#endif
