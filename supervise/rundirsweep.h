/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What instances left whose supervisor was killed: temporary run-time directories nobody removes.
 */
#ifndef SUPERVISE_RUNDIRSWEEP_H
#define SUPERVISE_RUNDIRSWEEP_H

/* The process that made the directory is alive as long as it has *ret_fd open. 0 or -errno. */
int rundir_hold(const char *path, int *ret_fd);
/* Removes from tmp those that belong to us, that were held, and in which nothing has happened for
 * three days: until then the logs, and what was stored, can be looked at. Failures are not told. */
void rundir_sweep(const char *tmp);

#endif
