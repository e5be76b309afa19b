/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl batch: enqueue a script that runs in an instance of its own. */
#include <errno.h>
#include <string.h>

#include "client.h"
#include "directives.h"
#include "families.h"
#include "nested.h"

#define OUTPUT_DEFAULT "flux-{{id}}.out"
#define SCRIPT         "script"

struct script {
    char *text;
    size_t size;
    const char *name;
    int nargs; /* of the command line's arguments those from here on are the script's */
};

/* --wrap COMMAND ARGS..., or a script without its first line on standard input. */
static int wrap(const struct cmdline *c, struct script *s)
{
    CLEANUP(freep) char *body = NULL;
    size_t size = 0;

    body = c->argc > 0 ? cmdline_join(c, 0) : read_whole(NULL, &size);
    if (!body || asprintf(&s->text, "#!/bin/sh\n%s\n", body) < 0) {
        s->text = NULL;
        return -1;
    }
    s->size = strlen(s->text);
    s->name = c->argc > 0 ? basename(c->argv[0]) : "batch";
    s->nargs = c->argc;
    return 0;
}

static int read_script(const struct cmdline *c, struct script *s)
{
    const char *path = c->argc > 0 && strcmp(c->argv[0], "-") != 0 ? c->argv[0] : NULL;

    if (cmdline_has(c, "wrap"))
        return wrap(c, s);
    s->text = read_whole(path, &s->size);
    if (!s->text)
        return -1;
    s->name = path ? basename(path) : "batch";
    s->nargs = c->argc > 0 ? 1 : 0;
    if (strncmp(s->text, "#!", 2) == 0)
        return 0;
    complain("%s does not begin with #! and the name of an interpreter; for a plain command there "
             "is --wrap",
             path ? path : "the script");
    return -1;
}

/* --- options in the script */

/* The options of the script, then those of the command line, which win. values is malloc'd. */
static int join_options(const struct cmdline *c, const struct cmdline *inner, struct cmdline *ret)
{
    *ret = *c;
    ret->nvalues = inner->nvalues + c->nvalues;
    ret->values = calloc(ret->nvalues + 1, sizeof(*ret->values));
    if (!ret->values) {
        complain("out of memory");
        return -1;
    }
    for (size_t i = 0; i < ret->nvalues; i++)
        ret->values[i] = i < inner->nvalues ? inner->values[i] : c->values[i - inner->nvalues];
    return 0;
}

static int parse_directives(const struct cmdline *c, const struct script *s, char ***ret_words,
                            struct cmdline *ret)
{
    struct command options = *c->command; /* no arguments: the script is not in itself */
    flux_error_t error = { "out of memory" };
    size_t n;

    options.min_args = options.max_args = 0;
    if (directives_parse(s->text, s->size, ret_words, &n, &error) < 0 ||
        cmdline_parse(&options, (int)n, *ret_words, ret, &error) < 0) {
        complain("%s: %s", s->name, error.text);
        return -1;
    }
    return 0;
}

/* --- the job */

static int build(const struct cmdline *c, const struct script *s, struct job_request *req)
{
    struct nested n;
    int rc;

    if (nested_init(&n, c) < 0)
        return -1;
    n.name = s->name;
    n.output = OUTPUT_DEFAULT;
    rc = nested_add_file(&n, SCRIPT, s->text, s->size, 0700);
    if (rc == 0)
        rc = nested_add_word(&n, "{{tmpdir}}/" SCRIPT);
    for (int i = s->nargs; rc == 0 && i < c->argc; i++)
        rc = nested_add_word(&n, c->argv[i]);
    if (rc == 0)
        rc = nested_request(&n, req);
    nested_deinit(&n);
    return rc;
}

static int submit(const struct cmdline *c, const struct job_request *req)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    flux_jobid_t id;

    if (cmdline_has(c, "dry-run")) {
        puts(req->jobspec);
        return EXIT_SUCCESS;
    }
    if (!(h = client_open()))
        return EXIT_FAILURE;
    f = flux_job_submit(h, req->jobspec, req->urgency, req->flags);
    if (!f || flux_job_submit_get_id(f, &id) < 0)
        return complain_future(f, "cannot submit the job");
    if (!cmdline_has(c, "quiet"))
        puts(jobid_text(id));
    return EXIT_SUCCESS;
}

static int run_joined(const struct cmdline *c, const struct script *s)
{
    struct job_request req;
    int status;

    if (build(c, s, &req) < 0)
        return EXIT_FAILURE;
    status = submit(c, &req);
    job_request_deinit(&req);
    return status;
}

static int run_script(const struct cmdline *c, const struct script *s)
{
    char **words = NULL;
    struct cmdline inner = { .nvalues = 0 }, all;
    int status = EXIT_FAILURE;

    if (parse_directives(c, s, &words, &inner) == 0 && join_options(c, &inner, &all) == 0) {
        status = run_joined(&all, s);
        free(all.values);
    }
    cmdline_deinit(&inner);
    directives_free(words);
    return status;
}

static int run_batch(const struct cmdline *c)
{
    struct script s = { .text = NULL };
    int status = EXIT_FAILURE;

    if (read_script(c, &s) == 0)
        status = run_script(c, &s);
    free(s.text);
    return status;
}

static const struct option batch_options[] = {
    NESTED_OPTIONS,
    { 0, "wrap", NULL, "Make a script of COMMAND, or of standard input" },
    { 0, "quiet", NULL, "Do not print the id" },
    { 0 },
};

const struct command cmd_batch[] = {
    { .name = "batch",
      .args = "[SCRIPT [ARGS...] | --wrap COMMAND [ARGS...]]",
      .summary = "Enqueue a script that runs in an instance of its own",
      .options = batch_options,
      .max_args = -1,
      .flags = COMMAND_STOP_AT_ARGUMENT,
      .run = run_batch },
    { .name = "mini batch",
      .args = "[SCRIPT [ARGS...] | --wrap COMMAND [ARGS...]]",
      .summary = "Same as batch",
      .options = batch_options,
      .max_args = -1,
      .flags = COMMAND_STOP_AT_ARGUMENT | COMMAND_HIDDEN,
      .run = run_batch },
    { 0 },
};
