/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Starting processes: a daemon with the environment that systemd.exec(5) and sd_listen_fds(3)
 * describe, or the initial program. */
#ifndef SUPERVISE_SPAWN_H
#define SUPERVISE_SPAWN_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <sys/types.h>

/* What all daemons of this run have in common. */
struct spawn_common {
    const char *exec_path; /* colon list searched for the basename of ExecStart first; or NULL */
    const char *notify_path;
    char **environment; /* NAME=value set for each */
};

struct spawn_request {
    char *const *argv;
    char *const *environment; /* of the unit; NULL-terminated or NULL */
    const int *fds;           /* become 3, 4, ... */
    const char *fdnames;      /* "a:b:c" */
    size_t nfds;
    uint64_t watchdog_usec;
};

/* The process id or -errno; -ENOENT and the like for a program that is not there. */
pid_t spawn_daemon(const struct spawn_common *common, const struct spawn_request *req);
/* The program to execute for an ExecStart path: its basename in exec_path (may be NULL), or path.
 * malloc'd. */
char *spawn_resolve(const char *exec_path, const char *path);
/* own_group: it leads a process group. */
pid_t spawn_program(char *const *argv, char *const *environment, bool own_group);

#endif
