/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The environment of sub-commands that are programs of their own, and how these are found: flux(1),
 * SUB-COMMAND ENVIRONMENT. */
#ifndef FLUXCTL_ENVIRONMENT_H
#define FLUXCTL_ENVIRONMENT_H

#include <stdio.h>

/* Set the search paths: getenv(NAME_PREPEND), what is installed, getenv(NAME). Idempotent. 0 or
 * -errno. */
int environment_set(void);
/* The variables that environment_set() sets, "NAME=VALUE" lines. */
void environment_print(FILE *f);

/* Run argv[0] as a program: as it is if it holds a slash, else "flux-NAME" of the search path.
 * Returns if there is none (-ENOENT, silently) or if it cannot be run (-errno). With f, the
 * programs that are tried are told there. */
int environment_exec(char **argv, FILE *f);

#endif
