/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Records of the log, from JSON lines or from the journal. */
#ifndef FLUXCTL_LOG_RECORD_H
#define FLUXCTL_LOG_RECORD_H

#include <stdint.h>
#include <stdio.h>
#include <stddef.h>

struct log_record {
    uint64_t usec; /* since 1970 */
    int level;
    char rank[12];
    char host[65]; /* "": not to be shown */
    char service[64];
    char *message; /* owned */
};

/* One line of a log file. 0 or -EPROTO. */
int log_record_parse(struct log_record *r, const char *line, size_t len);
/* "flux-kvs" is the service kvs; others are as they are. */
void log_record_name_service(struct log_record *r, const char *identifier);
void log_record_deinit(struct log_record *r);

const char *log_level_name(int level);
int log_level_parse(const char *name); /* -1: unknown */

#endif
