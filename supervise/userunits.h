/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Unit files of a single-user instance for the user's own systemd, made from the same units: what
 * matters of them, without the sandbox, which a user's manager cannot build. Names:
 * flux-NAME-kvs.service for flux-kvs.service, all in flux-NAME.slice under flux-NAME.target. */
#ifndef SUPERVISE_USERUNITS_H
#define SUPERVISE_USERUNITS_H

#include <sys/types.h>

#include "supervise/unit.h"

struct userunits {
    const char *name;      /* of the instance: letters and digits */
    const char *dir;       /* where unit files go */
    const char *exec_path; /* as for flux-supervise; or NULL */
    char **environment;    /* NAME=value for all daemons */
    pid_t pid;             /* who gets SIGHUP when the instance was shut down */
};

/* 0 or -errno with a sentence; what was written before a failure stays (userunits_remove). */
int userunits_write(const struct units *u, const struct userunits *opts, flux_error_t *error);
void userunits_remove(const struct units *u, const struct userunits *opts);
/* "flux-NAME-REST.SUFFIX" for the unit "flux-REST"; malloc'd. */
char *userunits_name(const struct userunits *opts, const char *unit, const char *suffix);
/* A word for ExecStart= or Environment=, quoted so that it means itself; malloc'd. */
char *userunits_quote(const char *word);

#endif
