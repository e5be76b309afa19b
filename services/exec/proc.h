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
    pid_t pgrp, session;
    uint64_t starttime; /* clock ticks after boot */
};

int proc_stat_parse(const char *text, size_t len, struct proc_stat *ret); /* 0 or -EPROTO */
int proc_stat_read(pid_t pid, struct proc_stat *ret); /* -ESRCH: no such process */
/* "" if unknown. Valid for the life of the process. */
const char *proc_boot_id(void);

/* A number that a shell and all it ever starts carry with them: the hard limit of RLIMIT_LOCKS,
 * which no Linux since 2.6 looks at, every process inherits, and nobody without privilege can
 * raise. It is made of the shell's pid and start time, so no two shells of a boot share it; later
 * shells get lower numbers, so that an instance within a job can mark its own. */
uint64_t proc_mark(pid_t shell, uint64_t starttime);
int proc_mark_set(pid_t shell, uint64_t mark); /* 0 or -errno: then it goes unmarked */

/* How the processes of a job are known: the shell leads their session, is their ancestor (it is a
 * subreaper, so as long as it lives none gets away), they carry its mark, and their environment
 * names instance and job. The last two find those that left the session after the shell was killed;
 * the mark even those that emptied their environment. */
struct proc_job {
    pid_t shell;
    bool shell_known; /* the caller holds it (alive, or a zombie not reaped): its number is its own
                       */
    const char *uri;  /* FLUX_URI; NULL: do not look at environments */
    const char *id;   /* FLUX_JOB_ID */
    uint64_t mark;    /* 0: unknown */
};

/* Send a signal to all of them; SIGKILL is repeated until a look finds nobody new. Returns how many
 * got it, or -errno. */
int proc_signal_job(const struct proc_job *job, int signum);

/* SIGKILL to the process group whose leader was this process: those that carry its mark, and the
 * leader. Repeated until a look finds none; returns how many were sent, or -errno. */
int proc_kill_group(pid_t leader, uint64_t starttime);

/* Is VARIABLE=value in an environment as /proc/PID/environ has it? */
bool proc_environ_has(const char *env, size_t size, const char *name, const char *value);

#endif
