/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Running a daemon under another program, a debugger say. */
#ifndef SUPERVISE_WRAP_H
#define SUPERVISE_WRAP_H

#include "supervise/unit.h"

/* The command of u becomes words (the first one is looked for in $PATH) and what it was. Such a
 * daemon has all the time of the world to start, and no watchdog. 0 or -errno with a sentence. */
int wrap_unit(struct service_unit *u, char *const *words, const char *exec_path,
              flux_error_t *error);
/* Is pid a descendant of ancestor, some steps down? */
bool wrap_is_below(pid_t pid, pid_t ancestor);

#endif
