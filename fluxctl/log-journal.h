/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The log of an instance that systemd runs: the journal. libsystemd is loaded when it is needed. */
#ifndef FLUXCTL_LOG_JOURNAL_H
#define FLUXCTL_LOG_JOURNAL_H

#include "log-files.h"

/* Records of this boot with FLUX_INSTANCE=instance that processes of the user `owner` (decimal) or
 * of root have written; follow as in log_files_read(). 0 or -errno; -ENOSYS: no libsystemd. */
int log_journal_read(const char *instance, const char *owner, int follow, log_record_f cb,
                     void *arg);

#endif
