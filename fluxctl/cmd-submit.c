/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl submit: enqueue a job, or a copy for each id of --cc, and print the ids. */
#include "client.h"
#include "copies.h"
#include "families.h"
#include "submission.h"

struct source {
    const struct cmdline *c;
    struct copies copies;
};

static int next_copy(void *arg, struct job_plan *ret)
{
    struct source *s = arg;
    const char *cc;

    if (!copies_next(&s->copies, &cc))
        return 0;
    return job_plan_init(ret, s->c, cc ? cc : "", s->copies.set_cc) < 0 ? -1 : 1;
}

static int print_jobspecs(struct source *s)
{
    struct job_plan plan;
    int rc;

    while ((rc = next_copy(s, &plan)) > 0) {
        puts(plan.req.jobspec);
        job_plan_deinit(&plan);
    }
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_submit(const struct cmdline *c)
{
    struct source s = { .c = c };
    struct job_source source = { .next = next_copy, .arg = &s };
    int status;

    if (copies_init(&s.copies, c) < 0)
        return EXIT_FAILURE;
    source.total = copies_count(&s.copies);
    status = cmdline_has(c, "dry-run") ? print_jobspecs(&s) : submission_run(c, &source);
    copies_deinit(&s.copies);
    return status;
}

static const struct option submit_options[] = { JOB_OPTIONS, MANY_OPTIONS, { 0 } };

const struct command cmd_submit[] = {
    { .name = "submit",
      .args = "COMMAND [ARGS...]",
      .summary = "Enqueue a job, or many, and print the ids",
      .options = submit_options,
      .min_args = 1,
      .max_args = -1,
      .flags = COMMAND_STOP_AT_ARGUMENT,
      .run = run_submit },
    { .name = "mini submit",
      .args = "COMMAND [ARGS...]",
      .summary = "Same as submit",
      .options = submit_options,
      .min_args = 1,
      .max_args = -1,
      .flags = COMMAND_STOP_AT_ARGUMENT | COMMAND_HIDDEN,
      .run = run_submit },
    { 0 },
};
