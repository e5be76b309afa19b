/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* An embedded instance: all daemons of a directory of units, and the initial program. */
#ifndef SUPERVISE_SUPERVISOR_H
#define SUPERVISE_SUPERVISOR_H

#include "supervise/unit.h"

struct supervisor_options {
    const char *units;     /* directory */
    const char *rundir;    /* NULL: a temporary one */
    const char *statedir;  /* NULL: nothing is kept */
    const char *confdir;   /* NULL: none */
    const char *exec_path; /* NULL: none */
    char **broker_args;    /* appended to flux-broker's command; may be NULL */
    char **wrap;           /* words to put before it; may be NULL */
    bool remove_rundir;    /* at the end, although it was there before */
    char **argv;           /* the initial program; NULL: none, until flux-broker ends by itself */
};

struct supervisor;

int supervisor_new(const struct supervisor_options *opts, struct supervisor **ret,
                   flux_error_t *error);
/* Starts, runs the program, stops. The exit status: the program's, 128+SIGNAL, or 1 when the
 * instance did not come up (with a sentence in error). */
int supervisor_run(struct supervisor *s, flux_error_t *error);
const char *supervisor_logdir(const struct supervisor *s);
struct supervisor *supervisor_free(struct supervisor *s);
DEFINE_CLEANUP(struct supervisor *, supervisor_free)

#endif
