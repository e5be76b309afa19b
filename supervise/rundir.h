/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The run-time directory of an embedded instance. */
#ifndef SUPERVISE_RUNDIR_H
#define SUPERVISE_RUNDIR_H

#include <flux/types.h>

/* path NULL: a new private one below $TMPDIR or /tmp; old ones there that nobody has any more are
 * removed (rundirsweep.h; the caller holds the new one). An existing directory must be ours and
 * closed to others. *ret_made says whether it is ours to remove. 0 or -errno with a sentence. */
int rundir_make(const char *path, char **ret_path, bool *ret_made, flux_error_t *error);
int rundir_sub(const char *rundir, const char *name, char **ret_path, flux_error_t *error);
void rundir_remove(const char *path);

#endif
