/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The log of an embedded instance: JSON lines in RUNDIR/log/SERVICE.log. */
#ifndef FLUXCTL_LOG_FILES_H
#define FLUXCTL_LOG_FILES_H

#include "log-record.h"

/* r NULL, once: all that there were have been given. */
typedef void (*log_record_f)(const struct log_record *r, void *arg);

/* All records of all files in order of time, then with `follow` those that are added. 0 or -errno;
 * with follow it returns on failure only. */
int log_files_read(const char *dir, int follow, log_record_f cb, void *arg);

#endif
