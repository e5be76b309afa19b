/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* How records of the log are printed. */
#ifndef FLUXCTL_LOG_PRINT_H
#define FLUXCTL_LOG_PRINT_H

#include <stdbool.h>

#include "log-record.h"

enum log_format {
    LOG_FORMAT_TEXT,  /* 2026-11-21T01:20:27.123456Z [HOST] kvs.info[0]: message */
    LOG_FORMAT_HUMAN, /* [Nov21 01:20] ..., [  +0.001234] ...: local time, then differences */
    LOG_FORMAT_JSON,  /* a line as in the log files */
};

struct log_printer {
    enum log_format format;
    bool colors;        /* of LOG_FORMAT_HUMAN and LOG_FORMAT_TEXT */
    uint64_t last_usec; /* time of the record printed last; 0: none */
};

void log_print(struct log_printer *p, const struct log_record *r, FILE *f);

#endif
