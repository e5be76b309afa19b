/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Who launched us as one of several nodes of an instance: a Flux job, a step of Slurm's srun, or
 * another launcher that offers PMI. What it told us is for the first router alone. */
#ifndef SUPERVISE_LAUNCHER_H
#define SUPERVISE_LAUNCHER_H

#include <stdbool.h>

/* Move its variables from the environment to *env (strv), and close its descriptor to all but who
 * names it there (spawn.h). An instance that is started inside of this one is on its own then. */
int launcher_take(char ***env);

/* Is the launcher known to give us another rank than 0? A launcher whose PMI is a library has not
 * said it yet. To be called before launcher_take(). */
bool launcher_says_follower(void);

/* The same, for certain, once the router is ready: it writes it down. */
bool launcher_is_follower(const char *rundir);

#endif
