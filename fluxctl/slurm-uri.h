/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Instances that srun has started: "slurm:JOB" or "slurm:JOB.STEP", of Slurm's numbers. */
#ifndef FLUXCTL_SLURM_URI_H
#define FLUXCTL_SLURM_URI_H

#include <stdbool.h>

bool slurm_target(const char *target);
/* ssh://HOST/PATH of the instance, found on this host or, by srun, on the first of the job;
 * malloc'd. NULL: has complained. */
char *slurm_uri_find(const char *target);
/* Is it on another host than this? Then "fluxctl WORDS..." is run there by srun in place of this
 * process. Returns EXIT_FAILURE if that fails (has complained), and EXIT_SUCCESS if it is here. */
int slurm_go_there(const char *target, char *const *words);

#endif
