/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Starting shells and watching them end, whatever they are started by. A launch is one shell on
 * this node; it is recorded (record.h) before on_started is called, and dropping a launch never
 * touches the process: flux-exec may go away at any time.
 *
 * Back ends: "spawn" makes the shell a child in a session of its own (embedded instances);
 * "user-unit" asks the user's service manager for a transient unit; "imp" asks flux-imp(8) for one
 * of the system manager. Chosen by $FLUX_EXEC_LAUNCH, default spawn. */
#ifndef EXEC_LAUNCH_H
#define EXEC_LAUNCH_H

#include <flux/core.h>
#include "base/cleanup.h"
#include "record.h"

struct forks;
struct launcher;
struct launch;

struct launch_events {
    /* The shell runs and is recorded. May be called from within launch_start(). */
    void (*on_started)(void *arg);
    /* It could not be started: a sentence. The launch may be freed in here. ESHUTDOWN: not now,
     * because the node is being shut down; that is nothing against the job. */
    void (*on_failed)(void *arg, int errnum, const char *reason);
    /* It ended. status: its wait status, or -1 if nobody could wait for it. May free. */
    void (*on_exited)(void *arg, int status);
};

struct launcher_config {
    flux_reactor_t *reactor;
    const char *rundir;
    const char *backend;         /* NULL: spawn */
    struct launch_events events; /* arg: that of the launch */
};

int launcher_new(const struct launcher_config *config, struct launcher **ret, flux_error_t *error);
struct launcher *launcher_free(struct launcher *l);
DEFINE_CLEANUP(struct launcher *, launcher_free)
const char *launcher_name(const struct launcher *l);
const struct forks *launcher_forks(const struct launcher *l); /* NULL: it forks no shells */
int launcher_records(const struct launcher *l);               /* descriptor of RUNDIR/jobs, lent */

struct launch_request {
    flux_jobid_t id;
    uint32_t userid;
    const char *shell; /* path of flux-shell; lent */
    bool forks;        /* it is flux-shell itself, which can fork others (forks.h) */
};

/* 0: one of on_started, on_failed will be or was called. */
int launch_start(struct launcher *l, const struct launch_request *req, void *arg,
                 struct launch **ret);
/* Watch the shell of a record. -ESRCH: that process is gone. Calls neither on_started nor
 * on_failed. */
int launch_adopt(struct launcher *l, flux_jobid_t id, const struct record *rec, void *arg,
                 struct launch **ret);
struct launch *launch_free(struct launch *p);
DEFINE_CLEANUP(struct launch *, launch_free)

pid_t launch_pid(const struct launch *p); /* 0: not started yet */
/* Signals that a shell can catch go to the shell, which passes them on; KILL, STOP and CONT go to
 * everything the job runs here. 0 or -errno. */
int launch_signal(struct launch *p, int signum);

/* Call cb for each shell of this node, whoever started it, then once with id 0. For finding those
 * that belong to no job. The spawn back end goes by the records. */
typedef void (*launcher_list_f)(flux_jobid_t id, void *arg);
int launcher_list(struct launcher *l, launcher_list_f cb, void *arg);
/* SIGKILL everything of that job, also what a shell that is gone has left behind. */
int launcher_sweep(struct launcher *l, flux_jobid_t id);
/* The same, and drop its record. */
int launcher_purge(struct launcher *l, flux_jobid_t id);

#endif
