/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The directory of a job on this node, RUNDIR/jobtmp-SHELLRANK-ID. Its shell makes it and removes
 * it; this is for a shell that did not come to that. */
#ifndef EXEC_TMPDIR_H
#define EXEC_TMPDIR_H

#include <flux/types.h>

/* Whatever there is of that job, as far as it is ours to remove. */
void tmpdir_remove(const char *rundir, flux_jobid_t id);

#endif
