/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Being attached to a job: its output on ours, our input to its tasks, Ctrl-C to it, until it has
 * ended. Runs in the reactor of the handle. */
#ifndef FLUXCTL_FOLLOW_H
#define FLUXCTL_FOLLOW_H

#include <stdio.h>
#include <flux/core.h>

struct follow;
struct interrupt;

struct follow_options {
    bool label;              /* begin lines of output with the rank */
    bool label_job;          /* and with the job before it */
    bool input;              /* forward standard input */
    bool interrupts;         /* Ctrl-C signals, then cancels, the job */
    struct interrupt *owner; /* the job is this command's, which got this when it submitted it. The
                                follow takes it, unless it cannot be made */
    int verbose;             /* 2: job events, 3: execution events too */
    bool events, exec;       /* the same, each for itself */
    bool quiet;              /* say nothing about exceptions and how it ended */
    const char *ranks;       /* tasks that get the input; NULL: all */
    const char *wait_event;  /* detach at this event of the job; NULL: when it has ended. The follow
                                may not be freed in on_done then. */
    FILE *out, *err;         /* NULL: standard output, standard error */
    /* Once, when the job has ended and its output was printed. status: what to exit with. The
     * follow may be freed in here. */
    void (*on_done)(struct follow *fo, int status, void *arg);
    void *arg;
};

struct follow *follow_new(flux_t *h, flux_jobid_t id, const struct follow_options *options);
struct follow *follow_free(struct follow *fo);

/* Follow one job in the handle's reactor. Returns the exit status. */
int follow_job(flux_t *h, flux_jobid_t id, struct follow_options options);

#endif
