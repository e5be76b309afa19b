/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-content as a tool, on files that no daemon uses: --check PATH, --repair PATH,
 * --write FILE HASH. */
#ifndef CONTENT_OFFLINE_H
#define CONTENT_OFFLINE_H

#include <stdbool.h>

/* Is this a command line for it? */
bool offline_wanted(int argc, char **argv);
/* The exit status. Prints a JSON object, or a sentence on standard error. */
int offline_run(int argc, char **argv);

#endif
