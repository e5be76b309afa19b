/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Between launch.c and its back ends. */
#ifndef EXEC_LAUNCH_IMPL_H
#define EXEC_LAUNCH_IMPL_H

#include "launch.h"

struct launch_backend {
    const char *name;
    bool marks;                                           /* shells are marked, see proc.h */
    int (*init)(struct launcher *l, flux_error_t *error); /* may be NULL */
    void (*deinit)(struct launcher *l);                   /* may be NULL */
    /* Begin; ends in launch_got_pid() or launch_failed(), now or later. */
    void (*start)(struct launch *p, const struct launch_request *req);
    int (*signal)(struct launch *p, int signum);
    int (*list)(struct launcher *l, launcher_list_f cb, void *arg); /* NULL: go by the records */
    int (*purge)(struct launcher *l, flux_jobid_t id);              /* NULL: by the records */
    void (*forget)(struct launch *p); /* the launch is freed while a start is under way; or NULL */
    const struct forks *(*forks)(const struct launcher *l); /* or NULL: it forks none */
};

extern const struct launch_backend launch_spawn;
extern const struct launch_backend launch_user_unit;
extern const struct launch_backend launch_imp;

struct launcher {
    const struct launch_backend *backend;
    flux_reactor_t *reactor;
    struct launch_events events;
    char *rundir;
    char *uri;
    int records; /* directory */
    void *data;  /* of the back end */
};

struct launch {
    struct launcher *l;
    flux_jobid_t id;
    uint32_t userid;
    void *arg;
    pid_t pid;
    int pidfd;
    bool is_child; /* the exit status can be waited for */
    uint64_t mark; /* proc.h; 0: the back end keeps processes together by other means */
    flux_watcher_t *w;
    void *data; /* of the back end, while it starts */
};

/* pid 0: the shell has ended already. */
void launch_got_pid(struct launch *p, pid_t pid, bool is_child);
void launch_failed(struct launch *p, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A signal to all processes of the job on this node, by /proc. shell_known: proc.h. */
int launch_signal_all(struct launch *p, bool shell_known, int signum);

/* Name of the transient unit of a job, and back (0: not one of ours). */
#define UNIT_PREFIX_MAX 40
#define UNIT_NAME_SIZE  (UNIT_PREFIX_MAX + 32)
void unit_name(const char *prefix, flux_jobid_t id, char buf[UNIT_NAME_SIZE]);
flux_jobid_t unit_name_parse(const char *prefix, const char *name);

#endif
