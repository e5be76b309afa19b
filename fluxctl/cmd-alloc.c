/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl alloc: an instance of its own on resources of this one, and a shell or command in it. */
#include <errno.h>
#include <string.h>

#include "client.h"
#include "families.h"
#include "follow.h"
#include "interrupt.h"
#include "job-uri.h"
#include "nested.h"

static int build(const struct cmdline *c, struct job_request *req)
{
    struct nested n;
    int rc = 0;

    if (nested_init(&n, c) < 0)
        return -1;
    n.terminal = isatty(STDIN_FILENO) && !cmdline_has(c, "input") && !cmdline_has(c, "output") &&
                 !cmdline_has(c, "bg");
    n.name = c->argc > 0 ? basename(c->argv[0]) : "flux";
    for (int i = 0; rc == 0 && i < c->argc; i++)
        rc = nested_add_word(&n, c->argv[i]);
    if (rc == 0 && c->argc == 0 && cmdline_has(c, "bg"))
        rc = nested_add_word(&n, "sleep") < 0 ? -1 : nested_add_word(&n, "infinity");
    if (rc == 0)
        rc = nested_request(&n, req);
    nested_deinit(&n);
    return rc;
}

/* --bg: the instance is there and nothing runs in it. */
static int wait_for_it(flux_t *h, flux_jobid_t id)
{
    CLEANUP(freep) char *uri = job_uri_find(h, id, true);

    if (!uri)
        return EXIT_FAILURE;
    puts(jobid_text(id));
    return EXIT_SUCCESS;
}

static int run_job(const struct cmdline *c, const struct job_request *req)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    struct interrupt *in;
    flux_jobid_t id;

    if (!h || !(in = interrupt_submit(h, req, &id)))
        return EXIT_FAILURE;
    if (cmdline_has(c, "bg")) {
        interrupt_free(in);
        return wait_for_it(h, id);
    }
    if (cmdline_has(c, "verbose"))
        fprintf(stderr, "jobid: %s\n", jobid_text(id));
    return follow_job(h, id,
                      (struct follow_options){ .input = !cmdline_has(c, "input"),
                                               .ranks = "0",
                                               .owner = in,
                                               .verbose = cmdline_count(c, "verbose") });
}

static int run_alloc(const struct cmdline *c)
{
    struct job_request req;
    int status = EXIT_SUCCESS;

    if (build(c, &req) < 0)
        return EXIT_FAILURE;
    if (cmdline_has(c, "dry-run"))
        puts(req.jobspec);
    else
        status = run_job(c, &req);
    job_request_deinit(&req);
    return status;
}

static const struct option alloc_options[] = {
    NESTED_OPTIONS,
    { 0, "bg", NULL, "Do not attach; print the id when the instance is there" },
    { 0 },
};

const struct command cmd_alloc[] = {
    { .name = "alloc",
      .args = "[COMMAND [ARGS...]]",
      .summary = "Run a command, or your shell, in an instance of its own",
      .options = alloc_options,
      .max_args = -1,
      .flags = COMMAND_STOP_AT_ARGUMENT,
      .run = run_alloc },
    { .name = "mini alloc",
      .args = "[COMMAND [ARGS...]]",
      .summary = "Same as alloc",
      .options = alloc_options,
      .max_args = -1,
      .flags = COMMAND_STOP_AT_ARGUMENT | COMMAND_HIDDEN,
      .run = run_alloc },
    { 0 },
};
