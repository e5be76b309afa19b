/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-exec: services rexec (every rank) and job-exec (the leader). */
#ifndef EXEC_MANAGER_H
#define EXEC_MANAGER_H

#include "hello.h"
#include "job.h"
#include "leftovers.h"
#include "service/service.h"
#include "subprocess.h"

struct manager {
    struct service *svc;
    bool leader;
    uint64_t begun_usec;
    struct exec_config config;
    struct cputopo *topo; /* NULL: unknown, tasks are not bound */
    struct launcher *launcher;
    struct commitq *commits;
    struct answers *answers;
    struct alarms *alarms;
    struct jobs jobs;
    struct hello *hello;
    int proc_records; /* leftovers.h */
    struct subprocesses *procs;
};

int manager_new(struct service *svc, struct manager **ret);
struct manager *manager_free(struct manager *m);
DEFINE_CLEANUP(struct manager *, manager_free)

int manager_on_config(const json_t *config, void *arg, flux_error_t *error);
void manager_on_stats(json_t *stats, void *arg);

/* Request handlers; arg is the manager. */
int rpc_start(struct request *req, void *arg);
int rpc_forget(struct request *req, void *arg);
int rpc_job_kill(struct request *req, void *arg);
int rpc_job_cancel(struct request *req, void *arg);
int rpc_part_start(struct request *req, void *arg);
int rpc_part_kill(struct request *req, void *arg);
int rpc_part_forget(struct request *req, void *arg);
int rpc_part_over(struct request *req, void *arg);
int rpc_shell_info(struct request *req, void *arg);
void rexec_end(struct manager *m); /* before the processes are freed */
int rpc_rexec_exec(struct request *req, void *arg);
int rpc_rexec_write(struct request *req, void *arg);
int rpc_rexec_read(struct request *req, void *arg);
int rpc_rexec_kill(struct request *req, void *arg);
int rpc_rexec_wait(struct request *req, void *arg);
int rpc_rexec_list(struct request *req, void *arg);

#endif
