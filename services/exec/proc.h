/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Processes as /proc shows them. */
#ifndef EXEC_PROC_H
#define EXEC_PROC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_stat {
    char state; /* R S D Z ... */
    pid_t session;
    uint64_t starttime; /* clock ticks after boot */
};

int proc_stat_parse(const char *text, size_t len, struct proc_stat *ret); /* 0 or -EPROTO */
int proc_stat_read(pid_t pid, struct proc_stat *ret); /* -ESRCH: no such process */
/* "" if unknown. Valid for the life of the process. */
const char *proc_boot_id(void);

/* Send a signal to every process whose session is sid (the shell and what it started, process
 * groups of their own included). Returns how many got it, or -errno. If the leader is gone and its
 * number names another process, that session is over and nothing is sent: pass leader_known when
 * the caller holds the leader (alive, or a zombie it has not reaped). */
int proc_signal_session(pid_t sid, int signum, _Bool leader_known);

#endif
