/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Shells that are forked from one which is loaded (shell/forkserver.h) instead of executed: 0.4 ms
 * less CPU time each. The server runs only while shells are wanted in quick succession; it is ours,
 * and whatever happens to it, the shells that it owes are executed in its place. */
#ifndef EXEC_FORKS_H
#define EXEC_FORKS_H

#include "launch.h"

struct forks;

struct forks_ops {
    /* Start `shell` as a server, socket as descriptor FORKSERVER_FD, which stays the caller's.
     * 0 or -errno. */
    int (*serve)(const char *shell, int socket, pid_t *ret_pid, void *arg);
    /* pid > 0: the shell, a child of ours. 0: start the shell yourself. */
    void (*on_forked)(struct launch *p, const char *shell, pid_t pid);
};

struct forks_config {
    flux_reactor_t *reactor;
    const struct forks_ops *ops;
    void *arg;
    double timeout; /* seconds; longer without an answer, and the server is taken to hang */
    double idle;    /* seconds without a request after which it is ended */
};

int forks_new(const struct forks_config *config, struct forks **ret);
struct forks *forks_free(struct forks *fs); /* of what is asked for nothing more is heard */

/* Ask for the shell of a job. True: on_forked will be called, not from in here; *ret stands for the
 * request until then. False: start it yourself. */
bool forks_ask(struct forks *fs, const char *shell, flux_jobid_t id, struct launch *p, void **ret);
/* The launch is freed: a shell that comes nevertheless is killed. */
void forks_forget(struct forks *fs, void *call);

uint64_t forks_count(const struct forks *fs); /* shells forked so far */
pid_t forks_pid(const struct forks *fs);      /* the server; 0: none */

#endif
