/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What this node knows of a shell it started: one small file RUNDIR/jobs/ID. It is written before
 * the shell can learn what its job is, and removed when the job's data is archived, so a flux-exec
 * that comes back finds every shell that may have run user code, and starts none twice.
 *
 *     flux-exec 1 STATE PID STARTTIME USERID BOOTID
 *
 * STATE is one letter: s (started; has not been told its job, so no user code ran) or i (informed).
 * STARTTIME is field 22 of /proc/PID/stat; with the boot id it makes the pid unambiguous. */
#ifndef EXEC_RECORD_H
#define EXEC_RECORD_H

#include <stdbool.h>
#include <sys/types.h>
#include <flux/types.h>

#define RECORD_BOOTID_SIZE 37

struct record {
    bool informed;
    pid_t pid;
    uint64_t starttime;
    uint32_t userid;
    char boot_id[RECORD_BOOTID_SIZE];
};

/* Length of the line, or -EOVERFLOW. */
int record_format(const struct record *r, char *buf, size_t size);
int record_parse(const char *text, size_t len, struct record *ret); /* 0 or -EPROTO */

/* dirfd: the directory RUNDIR/jobs. 0 or -errno; write refuses to replace (-EEXIST). */
int record_write(int dirfd, flux_jobid_t id, const struct record *r);
int record_read(int dirfd, flux_jobid_t id, struct record *ret);
int record_set_informed(int dirfd, flux_jobid_t id);
int record_remove(int dirfd, flux_jobid_t id); /* the file may be kept for another record */
void record_drop_free(int dirfd);              /* remove files that are kept */
/* Call cb for each record, also one that cannot be read. 0 or -errno. */
int record_each(int dirfd, void (*cb)(flux_jobid_t id, void *arg), void *arg);

#endif
