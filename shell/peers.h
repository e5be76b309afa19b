/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the shells of a job tell each other. In a job of one node none of this exists. */
#ifndef SHELL_PEERS_H
#define SHELL_PEERS_H

#include "base/iodata.h"
#include "shell.h"

/* Points that all shells reach before any goes on (start: the leader alone is told). */
enum barrier {
    BARRIER_INIT,  /* ready to start tasks */
    BARRIER_START, /* tasks run */
    BARRIER_PMI, /* all tasks of the job are in a PMI barrier; shells without tasks take no part */
    BARRIER_COUNT,
};

/* To be called before anything that tells. 0 or -errno with a sentence. */
int peers_new(struct shell *shell, flux_error_t *error);
struct peers *peers_free(struct peers *peers);
bool peers_is_leader(const struct shell *shell);

/* This shell has reached it; object: of strings, lent, merged with those of all others; may be
 * NULL. shell_barrier_done() follows, at once if there are no others. */
void peers_barrier(struct shell *shell, enum barrier which, json_t *object);

/* From a shell that is not the leader. */
void peers_tell_write(struct shell *shell, int which, const char *data, size_t size);
void peers_tell_exit(const struct task *task);
bool peers_tell_raise(struct shell *shell, const char *note); /* false: raise it yourself */

/* From the leader. */
bool peers_have_room(const struct shell *shell);
int peers_send_input(struct shell *shell, const struct iodata *io, const struct idset *ranks);
void peers_signal(struct shell *shell, int signum);
void peers_resume(struct shell *shell); /* the logs, or the tasks' input, have room again */

/* The tasks here are gone and all is told: true if those of all shells are, so that this one may
 * finish; else shell_check_finished() is called when it changed. */
bool peers_settled(struct shell *shell);
void peers_hurry(struct shell *shell);

/* --- what they call */
void shell_barrier_done(struct shell *shell, enum barrier which, int rc, json_t *object);
void shell_leader_lost(struct shell *shell, const char *why);
void shell_note_exit_code(struct shell *shell, int exit_code);
struct task_exit {
    int rank, index, pid, wait_status;
};
void shell_task_exited(struct shell *shell, const struct task_exit *x); /* at the leader */
void pmi_barrier_done(struct pmi *pmi, int rc, json_t *keys);

#endif
