/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What `run` and `submit` make of their options: a jobspec, an urgency and flags. */
#ifndef FLUXCTL_JOB_REQUEST_H
#define FLUXCTL_JOB_REQUEST_H

#include <jansson.h>

#include "options.h"

/* The options that both commands have. */
#define JOB_OPTIONS                                                                  \
    { 'n', "ntasks", "N", "Number of tasks (default: 1, or one per node)" },         \
        { 'N', "nodes", "N", "Number of nodes; tasks are spread evenly over them" }, \
        { 'c', "cores-per-task", "N", "Cores for each task (default 1)" },           \
        { 'g', "gpus-per-task", "N", "GPUs for each task (default none)" },          \
        { 'x', "exclusive", NULL, "Whole nodes (with --nodes)" }, JOB_COMMON_OPTIONS

/* Those that batch and alloc have as well. */
#define JOB_COMMON_OPTIONS                                                                        \
    { 't', "time-limit", "FSD", "Time limit: 30s, 1.5m, 2h (default: that of the instance)" },    \
        { 'q', "queue", "NAME", "Queue to submit to" },                                           \
        { 0, "job-name", "NAME", "Name of the job (default: that of the command)" },              \
        { 0, "urgency", "N", "0 to 31, hold, default (16) or expedite" },                         \
        { 0, "dependency", "URI", "Wait for SCHEME:VALUE, e.g. afterok:JOBID; repeatable" },      \
        { 0, "begin-time", "DATETIME", "Not before: +FSD, 2026-01-31 8am, tomorrow, ..." },       \
        { 0, "env", "RULE", "Change the environment: VAR=VAL, -PATTERN, PATTERN, ^FILE" },        \
        { 0, "env-remove", "PATTERN", "Remove variables" },                                       \
        { 0, "env-file", "FILE", "Read rules from a file" },                                      \
        { 0, "cwd", "DIR", "Working directory of the tasks (default: this one)" },                \
        { 0, "input", "FILE|RANKS", "File for the tasks' standard input, or who reads ours" },    \
        { 0, "output", "TEMPLATE", "File for standard output; {{id}} is the job id" },            \
        { 0, "error", "TEMPLATE", "File for standard error" },                                    \
        { 'l', "label-io", NULL, "Begin lines of output with the rank of the task" },             \
        { 'u', "unbuffered", NULL, "Pass output on at once, not line by line" },                  \
        { 0, "signal", "SIG@TIME", "Signal (default USR1) so long (60s) before the time limit" }, \
        { 'o', "setopt", "KEY[=VAL]", "Set an option of the job shell" },                         \
        { 'S', "setattr", "KEY=VAL", "Set an attribute of the jobspec; ^KEY=FILE reads JSON" },   \
        { 0, "flags", "LIST", "Comma-separated: debug, waitable, novalidate" },                   \
        { 0, "debug", NULL, "Same as --flags=debug" },                                            \
        { 0, "dry-run", NULL, "Print the jobspec and do not submit it" },                         \
    {                                                                                             \
        'v', "verbose", NULL, "Say the job id; -vv job events too, -vvv execution events too"     \
    }

struct job_request {
    char *jobspec; /* JSON text */
    int urgency;
    int flags;
};

/* Where a job is not simply the command of the command line, and sized in slots. */
struct job_variant {
    int argc; /* the command, lent */
    char **argv;
    /* Before the options of the command line: 0, or -1 after complaining. */
    int (*edit)(json_t *jobspec, void *arg);
    void *arg;
};

/* --input=VALUE names tasks, not a file. */
bool job_input_is_ranks(const char *s);

/* cc: what {cc} stands for in options and command, and with `set_cc` the value of FLUX_JOB_CC; NULL
 * leaves {cc} alone. 0, or -1 after complaining. */
int job_request_init(struct job_request *req, const struct cmdline *c, const char *cc, bool set_cc);
/* The same for a variant, without {cc}. */
int job_request_init_variant(struct job_request *req, const struct cmdline *c,
                             const struct job_variant *v);
void job_request_deinit(struct job_request *req);

/* s with every {cc} replaced; malloc'd. */
char *cc_substitute(const char *s, const char *cc);

#endif
