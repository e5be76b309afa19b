/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One line of RFC 5424 syslog, as clients send it with log.append. */
#ifndef BROKER_LOGLINE_H
#define BROKER_LOGLINE_H

#include <stddef.h>

struct logline {
    int severity;      /* 0-7 */
    char hostname[64]; /* the rank, in Flux; "" if the line has none ("-") */
    char appname[64];
    char procid[64];
    const char *text; /* lent; not NUL-terminated */
    size_t text_size; /* without trailing newlines and NULs */
};

/* 0 or -EPROTO. */
int logline_parse(const char *line, size_t size, struct logline *ret);

#endif
