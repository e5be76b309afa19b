/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Logging through the instance: see flux_log(3). Entries end in the journal of the node. */
#ifndef FLUX_LOG_H
#define FLUX_LOG_H

#include <flux/handle.h>
#include <syslog.h>

#ifdef __cplusplus
extern "C" {
#endif

/* h NULL: to stderr. Never blocks, never fails the caller for long; -1 with errno if not sent. */
int flux_vlog(flux_t *h, int level, const char *fmt, va_list ap);
int flux_log(flux_t *h, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void flux_log_error(flux_t *h, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void flux_log_set_appname(flux_t *h, const char *s);
void flux_log_set_procid(flux_t *h, const char *s);

#ifdef __cplusplus
}
#endif

#endif
