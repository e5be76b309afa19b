/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The job shell: one per job and node, runs as the job's user. Concerns are plugins (plugins.h):
 * each file sees the shell and its tasks at fixed points and keeps its own state. */
#ifndef SHELL_SHELL_H
#define SHELL_SHELL_H

#include <flux/core.h>
#include "env.h"
#include "info.h"
#include "logs.h"

struct shell;
struct output;
struct input;
struct pty;

enum task_state { TASK_INIT, TASK_RUNNING, TASK_EXITED };

struct task {
    struct shell *shell;
    int rank;  /* in the job */
    int index; /* in this shell */
    enum task_state state;
    struct env env;
    pid_t pid;
    int wait_status; /* when exited */
    const char *tty; /* path of its terminal, lent; NULL: none */
    int pmi_fd;      /* of the task; -EBADF: none. Closed after the start */
    int fds[3]; /* what becomes stdin, stdout, stderr; -EBADF: /dev/null. Closed after the start */
};

struct shell {
    flux_t *h;
    flux_reactor_t *reactor;
    flux_jobid_t id;
    flux_future_t *f_info;
    flux_watcher_t *retry; /* of shell-info */
    struct shell_info info;
    struct logs *logs;
    struct env env; /* of all tasks */
    struct task *tasks;
    int nrunning;
    int nexited;  /* tasks of the job, at the leader */
    bool waiting; /* for the other shells, to start */
    bool started;
    bool told_to_end;
    int exit_code; /* the highest so far */
    bool first_failure_logged;
    bool finishing;
    bool over;                  /* leave the loop with exit_code */
    bool abandoned;             /* the instance is gone: leave when the tasks are */
    flux_watcher_t *supervisor; /* NULL: systemd is, and ends our unit */
    struct signals *signals;
    struct output *output;
    struct input *input;
    struct pty *pty; /* of task 0, if it is here and wants one */
    struct shell_service *service;
    struct exits *exits;
    struct warning *warning;
    struct launch *launch;
    struct raise *raise;
    struct pmi *pmi;
    struct peers *peers; /* NULL: we are the only shell */
    int verbose;         /* 0 to 2 */
    char *tmpdir;
};

/* --- shell.c */
int shell_new(flux_jobid_t id, struct shell **ret, flux_error_t *error);
struct shell *shell_free(struct shell *shell);
DEFINE_CLEANUP(struct shell *, shell_free)
int shell_run(struct shell *shell);             /* the exit code */
void shell_check_finished(struct shell *shell); /* after a task ended */
/* A signal for the tasks, or for us if there are none yet. */
void shell_signalled(struct shell *shell, int signum);
/* Nothing more can come of this job: a sentence for the user, kill what runs, exit. */
void shell_fatal(struct shell *shell, int exit_code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A line for the user in the job's output (RFC 24 log event); to stderr before there is one. */
void shell_log(struct shell *shell, int level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same if the job's verbosity is at least `verbose` (1: each step, 2: each task). */
void shell_verbose(struct shell *shell, int verbose, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* --- raise.c */
void shell_raise(struct shell *shell, const char *note); /* severity 0; once */
struct raise *raise_free(struct raise *r);

/* --- pty.c */
bool pty_wanted(const struct shell *shell);

/* --- output.c */
void output_resume(struct output *o);
void output_pause(struct output *o);

/* --- tasks.c */
int tasks_create(struct shell *shell, flux_error_t *error);
void tasks_start(struct shell *shell);
void tasks_reap(struct shell *shell); /* after SIGCHLD */
void tasks_signal(struct shell *shell, int signum);
/* Kill what tasks left behind. true: there is nothing left. */
bool tasks_kill_orphans(void);
/* A file name with its tags replaced, all but those of tasks in the second case. malloc'd; NULL
 * with errno. */
char *task_file_name(const struct task *task, const char *text);
char *shell_file_name(const struct shell *shell, const char *text);
int exit_code_of(int wait_status);

#endif
