/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Processes of rexec that flux-exec, killed, has left behind. Each that is started has a record
 * (record.h, by its pid) in a directory until it is done with; the next flux-exec finds the records
 * and kills what is left of these process groups. */
#ifndef EXEC_LEFTOVERS_H
#define EXEC_LEFTOVERS_H

#include <sys/types.h>

/* Opens the directory, which is made if need be: a descriptor, or -errno. */
int leftovers_open(const char *dir);
/* pid leads a group and is a child that was not reaped. 0 or -errno. */
int leftovers_note(int dirfd, pid_t pid);
void leftovers_forget(int dirfd, pid_t pid);
/* SIGKILL to all that is noted, and forget it. How many signals that took, or -errno. */
int leftovers_end(int dirfd);

#endif
