/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Why an instance did not come up: what its daemons logged, before the log is removed. */
#ifndef SUPERVISE_STARTLOG_H
#define SUPERVISE_STARTLOG_H

#include <stdio.h>

/* Warnings and worse of all *.log (JSON lines) in dir, at most a screenful. */
void startlog_print(const char *dir, FILE *out);

#endif
