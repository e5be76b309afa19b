/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Signals to a command that is attached to a job.
 *
 * Ctrl-C (SIGINT): the job's tasks get SIGINT; a second one within INTERRUPT_SECONDS cancels the
 * job. A job that does not run yet is left alone the first time. If the command owns the job,
 * SIGTERM and SIGHUP cancel it, and so does SIGPIPE: nobody reads our output any more; else they
 * end the command, and the job goes on. After a cancellation the command goes on until the job has
 * ended; then a further Ctrl-C or SIGTERM ends the command.
 *
 * What comes while the job is being submitted counts when it has been; a second signal ends the
 * command at once, which then does not know whether there is a job. */
#ifndef FLUXCTL_INTERRUPT_H
#define FLUXCTL_INTERRUPT_H

#include <stdbool.h>
#include <flux/core.h>

#define INTERRUPT_SECONDS 2.0

struct interrupt;
struct job_request;

struct interrupt *interrupt_new(flux_t *h, flux_jobid_t id, bool owns);
/* Submit the job of the command, and be ready for signals from before that on; the caller has the
 * interrupt. NULL: complained. */
struct interrupt *interrupt_submit(flux_t *h, const struct job_request *req, flux_jobid_t *ret_id);
struct interrupt *interrupt_free(struct interrupt *in);
void interrupt_set_running(struct interrupt *in); /* NULL is fine */

#endif
