/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What to do about a job that is to run, given what the node and the KVS remember of it. */
#ifndef EXEC_ADOPT_H
#define EXEC_ADOPT_H

#include <jansson.h>
#include <stdbool.h>

/* What guest.exec.eventlog says. */
struct exec_log {
    bool exists;
    bool complete;       /* flux-exec closed it: the job's data is archived */
    bool shell_exit;     /* the shell finished */
    int complete_status; /* wait status, of complete */
    int shell_status;    /* exit code, of shell.exit */
};

/* entries: array of RFC 18 events, NULL: there is no log. */
void exec_log_read(const json_t *entries, struct exec_log *ret);

struct adopt_facts {
    bool record;   /* a shell was started, says RUNDIR/jobs/ID */
    bool alive;    /* and that very process runs */
    bool informed; /* and had been told its job, so user code may have run */
    bool started;  /* the job's eventlog has a start event */
    struct exec_log log;
};

enum adopt_outcome {
    ADOPT_LAUNCH,   /* nothing ran yet: start a shell */
    ADOPT_ATTACH,   /* the shell runs: watch it */
    ADOPT_ARCHIVE,  /* the shell ended with *ret_status: archive, then say finish */
    ADOPT_FINISHED, /* archived already with *ret_status: say finish again */
    ADOPT_VANISHED, /* the shell was there and left nothing that says how it ended */
};

enum adopt_outcome adopt_decide(const struct adopt_facts *facts, int *ret_status);

/* The wait status that stands for an exit code (0-255) of a shell nobody could wait for. */
int status_from_exit_code(int code);
/* Words for a wait status: "exit code 3", "signal 9 (Killed)". */
const char *status_describe(int wait_status, char *buf, size_t size);

#define STATUS_VANISHED 9 /* as if killed */

#endif
