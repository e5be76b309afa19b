/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* --log and --log-stderr: where the output of submit about a job goes. */
#ifndef FLUXCTL_JOBLOG_H
#define FLUXCTL_JOBLOG_H

#include <stdbool.h>
#include <stdio.h>

struct joblog;

/* The file of this name: created or emptied when it is first asked for, appended to afterwards.
 * Open as long as somebody holds it. NULL with errno. */
struct joblog *joblog_get(const char *path);
FILE *joblog_file(struct joblog *l);
void joblog_put(struct joblog *l); /* NULL is fine */
/* False: some of them could not be written, which has been said. */
bool joblog_free_all(void);

#endif
