/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Processes as /proc shows them. */
#ifndef EXEC_PROC_H
#define EXEC_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_stat {
    char state; /* R S D Z ... */
    pid_t ppid;
    pid_t session;
    uint64_t starttime; /* clock ticks after boot */
};

int proc_stat_parse(const char *text, size_t len, struct proc_stat *ret); /* 0 or -EPROTO */
int proc_stat_read(pid_t pid, struct proc_stat *ret); /* -ESRCH: no such process */
/* "" if unknown. Valid for the life of the process. */
const char *proc_boot_id(void);

/* How the processes of a job are known: the shell leads their session, is their ancestor (it is a
 * subreaper, so as long as it lives none gets away), and their environment names instance and job,
 * which finds those that left the session after the shell was killed. */
struct proc_job {
    pid_t shell;
    bool shell_known; /* the caller holds it (alive, or a zombie not reaped): its number is its own
                       */
    const char *uri;  /* FLUX_URI; NULL: do not look at environments */
    const char *id;   /* FLUX_JOB_ID */
};

/* Send a signal to all of them; SIGKILL is repeated until a look finds nobody new. Returns how many
 * got it, or -errno. */
int proc_signal_job(const struct proc_job *job, int signum);

/* Is VARIABLE=value in an environment as /proc/PID/environ has it? */
bool proc_environ_has(const char *env, size_t size, const char *name, const char *value);

#endif
