/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Signals to a command that is attached to a job.
 *
 * Ctrl-C (SIGINT): the job's tasks get SIGINT; a second one within INTERRUPT_SECONDS cancels the
 * job. A job that does not run yet is left alone the first time. If the command owns the job,
 * SIGTERM and SIGHUP cancel it, and so does SIGPIPE: nobody reads our output any more; else they
 * end the command, and the job goes on. After a cancellation the command goes on until the job has
 * ended; then a further Ctrl-C or SIGTERM ends the command. */
#ifndef FLUXCTL_INTERRUPT_H
#define FLUXCTL_INTERRUPT_H

#include <stdbool.h>
#include <flux/core.h>

#define INTERRUPT_SECONDS 2.0

struct interrupt;

struct interrupt *interrupt_new(flux_t *h, flux_jobid_t id, bool owns);
struct interrupt *interrupt_free(struct interrupt *in);
void interrupt_set_running(struct interrupt *in); /* NULL is fine */

#endif
