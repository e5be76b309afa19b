/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What submit and bulksubmit share: sending many jobs and waiting for them. */
#ifndef FLUXCTL_SUBMISSION_H
#define FLUXCTL_SUBMISSION_H

#include <stdbool.h>
#include <stddef.h>

#include "job-request.h"

/* The options that both have besides JOB_OPTIONS. */
#define MANY_OPTIONS                                                                            \
    { 0, "cc", "IDSET", "A job for each id; {cc} stands for it, FLUX_JOB_CC is set" },          \
        { 0, "bcc", "IDSET", "Same, FLUX_JOB_CC is not set" },                                  \
        { 0, "log", "FILE", "Print ids, output and errors to a file; {cc} stands for the id" }, \
        { 0, "log-stderr", "FILE", "Print errors to a file" },                                  \
        { 0, "wait", NULL, "Wait until all jobs have ended; exit 1 if one failed" },            \
        { 0, "watch", NULL, "Show the output of all jobs; implies --wait" },                    \
        { 0, "progress", "always", "Show a progress line if stderr is a terminal, or always",   \
          OPTION_OPTIONAL_ARG },                                                                \
        { 0, "jps", NULL, "With --progress, show jobs per second" },                            \
    {                                                                                           \
        0, "quiet", NULL, "Do not print job ids"                                                \
    }

struct job_plan {
    struct job_request req;
    char *log, *log_stderr; /* NULL: the terminal */
};

/* Build the job that c and cc stand for; see job_request_init(). 0, or -1 after complaining. */
int job_plan_init(struct job_plan *p, const struct cmdline *c, const char *cc, bool set_cc);
void job_plan_deinit(struct job_plan *p);

struct job_source {
    size_t total; /* at most so many jobs */
    /* 1 and the next job; 0: there is none; -1 after complaining. */
    int (*next)(void *arg, struct job_plan *ret);
    void *arg;
};

/* Submit them all as the options of c say. Returns the exit status. */
int submission_run(const struct cmdline *c, const struct job_source *source);

#endif
