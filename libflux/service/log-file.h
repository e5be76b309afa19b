/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The log of a daemon as JSON lines, in the shape of journalctl -o json: every field is a string,
 * __REALTIME_TIMESTAMP is microseconds since 1970. One write(2) a record, so that lines of several
 * processes do not mix. At LOG_FILE_MAX bytes the file is renamed to NAME.log.1, replacing the one
 * before. */
#ifndef SERVICE_LOG_FILE_H
#define SERVICE_LOG_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define LOG_FILE_MAX (8u << 20)

struct log_file {
    int fd;
    size_t size_bytes;
    bool cut; /* the last line has no end: the disk was full */
    char path[PATH_MAX];
};

/* Appends to DIR/SERVICE.log, creating both. 0 or -errno. */
int log_file_open(struct log_file *f, const char *dir, const char *service);
void log_file_close(struct log_file *f);
/* fields: "NAME=value"; bytes that are not UTF-8 are written as '?'. */
void log_file_write(struct log_file *f, const char *const fields[], size_t nfields);

#endif
