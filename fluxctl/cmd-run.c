/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl run: submit a job and stay attached to it; exits as the job does. */
#include "client.h"
#include "families.h"
#include "follow.h"
#include "interrupt.h"
#include "job-request.h"

/* Our standard input goes to the tasks, or to some of them. */
static bool input_is_ours(const struct cmdline *c)
{
    const char *s = cmdline_string(c, "input", NULL);

    return !s || job_input_is_ranks(s);
}

static int run_job(const struct cmdline *c, const struct job_request *req)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    int verbose = cmdline_count(c, "verbose");
    struct interrupt *in;
    flux_jobid_t id;

    if (!(h = client_open()) || !(in = interrupt_submit(h, req, &id)))
        return EXIT_FAILURE;
    if (verbose)
        fprintf(stderr, "jobid: %s\n", jobid_text(id));
    return follow_job(h, id,
                      (struct follow_options){ .label = cmdline_has(c, "label-io"),
                                               .input = input_is_ours(c),
                                               .owner = in,
                                               .verbose = verbose });
}

static int run_run(const struct cmdline *c)
{
    struct job_request req;
    int status = EXIT_SUCCESS;

    if (job_request_init(&req, c, NULL, false) < 0)
        return EXIT_FAILURE;
    if (cmdline_has(c, "dry-run"))
        puts(req.jobspec);
    else
        status = run_job(c, &req);
    job_request_deinit(&req);
    return status;
}

static const struct option run_options[] = { JOB_OPTIONS, { 0 } };

const struct command cmd_run[] = {
    { .name = "run",
      .args = "COMMAND [ARGS...]",
      .summary = "Run a parallel job and show its output",
      .options = run_options,
      .min_args = 1,
      .max_args = -1,
      .flags = COMMAND_STOP_AT_ARGUMENT,
      .run = run_run },
    { .name = "mini run",
      .args = "COMMAND [ARGS...]",
      .summary = "Same as run",
      .options = run_options,
      .min_args = 1,
      .max_args = -1,
      .flags = COMMAND_STOP_AT_ARGUMENT | COMMAND_HIDDEN,
      .run = run_run },
    { 0 },
};
