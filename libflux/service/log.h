/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Logging of daemons: journald with fields, or JSON lines in $FLUX_LOG_DIR/SERVICE.log (embedded
 * mode; there those up to $FLUX_LOG_STDERR_LEVEL or $FLUX_LOG_CRITICAL_LEVEL are shown on standard
 * error as well, and those up to $FLUX_LOG_COPY_LEVEL added to the file $FLUX_LOG_COPY). Fields on
 * every record: FLUX_INSTANCE FLUX_RANK FLUX_SERVICE; MESSAGE_ID for conditions an administrator
 * must act on (units/flux.catalog explains them). Never blocks for long, never fails. */
#ifndef SERVICE_LOG_H
#define SERVICE_LOG_H

#include <stdint.h>
#include <syslog.h>

/* Called by service_new(); tools that are no services call it themselves. Strings are copied. */
void log_open(const char *instance, const char *service);
void log_set_rank(uint32_t rank);
void log_set_level(int level); /* records above it are dropped; default LOG_INFO, $FLUX_LOG_LEVEL */

int log_copy_status(void); /* 0, or why $FLUX_LOG_COPY cannot be opened */

void log_msg(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_debug(...)   log_msg(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)    log_msg(LOG_INFO, __VA_ARGS__)
#define log_notice(...)  log_msg(LOG_NOTICE, __VA_ARGS__)
#define log_warning(...) log_msg(LOG_WARNING, __VA_ARGS__)
#define log_err(...)     log_msg(LOG_ERR, __VA_ARGS__)

/* A record with more fields: NULL-terminated list of "FIELD=value" strings (FLUX_JOBID=...,
 * FLUX_USERID=..., FLUX_EVENT=..., MESSAGE_ID=...). */
void log_fields(int level, const char *const fields[], const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* At most one record per interval and key: "if (log_ratelimit(&state, 5)) log_warning(...)". */
struct log_ratelimit {
    uint64_t last_usec;
    uint64_t dropped;
};
int log_ratelimit(struct log_ratelimit *rl, double interval);
/* The same with a burst: the first of each interval are logged. suffix: "" or, once after some were
 * left out, how many: to be put behind the text. */
struct log_burst {
    uint64_t since_usec;
    unsigned int logged;
    uint64_t left_out;
    char suffix[64];
};
int log_burst(struct log_burst *b, unsigned int burst, double interval);

/* Of clients that were dropped: how many in how many seconds. */
#define LOG_DROPS         20
#define LOG_DROPS_SECONDS 10

/* MESSAGE_IDs; the catalog has a text for each. */
#define LOG_ID_BAD_PEER \
    "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7e91" /* a client broke the protocol and was dropped */
#define LOG_ID_ROUTER_LOST  "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7e92"
#define LOG_ID_SERVICE_LOST "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7e93"
#define LOG_ID_SLOW_CLIENT  "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7e94"
#define LOG_ID_CORRUPT_BLOB "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7e95"
#define LOG_ID_STORE_FAILED "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7e96"
#define LOG_ID_JOB_FAILED   "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7e97"
#define LOG_ID_CONFIG_BAD   "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7e98"
#define LOG_ID_SAFE_MODE    "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7ea1"
#define LOG_ID_NODE_LOST    "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7e99"
#define LOG_ID_NODE_REFUSED "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7e9a"
#define LOG_ID_JOURNAL_CUT  "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7ea3"
#define LOG_ID_STORE_UNUSED "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7ea4"
#define LOG_ID_NODE_LACKS   "7c1f0c6e5d2a4d0e8a0f6a1b3c5d7ea0"

#endif
