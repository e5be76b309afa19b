/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl bulksubmit: a job for each combination of inputs. The command and the arguments of all
 * options are templates; each combination makes a command line of its own, which then goes the way
 * of submit. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "bulk-input.h"
#include "bulk-template.h"
#include "client.h"
#include "copies.h"
#include "families.h"
#include "submission.h"

struct bulk {
    const struct cmdline *c;
    struct bulk_inputs inputs;
    struct bulk_define *defines;
    size_t ndefines;
    size_t *order; /* of the combinations */
    size_t next;
    int nwords;          /* of the command */
    struct cmdline line; /* for the current combination; line.values NULL: none */
    struct copies copies;
};

static void line_deinit(struct cmdline *line)
{
    for (size_t i = 0; i < line->nvalues; i++)
        free((char *)line->values[i].arg);
    for (int i = 0; i < line->argc; i++)
        free(line->argv[i]);
    free(line->values);
    free(line->argv);
    *line = (struct cmdline){ 0 };
}

/* Arguments that are not templates. */
static bool is_literal(const struct option_value *v)
{
    return !v->arg || option_is(v, "define") || option_is(v, "sep");
}

static int fill_line(struct bulk *b, const struct bulk_context *ctx, struct cmdline *line,
                     flux_error_t *error)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < b->c->nvalues; i++) {
        const struct option_value *v = &b->c->values[i];
        char *arg = NULL;

        if (!is_literal(v))
            rc = bulk_substitute(v->arg, ctx, &arg, error);
        else if (v->arg && !(arg = strdup(v->arg)))
            rc = -ENOMEM;
        if (rc == 0)
            line->values[line->nvalues++] = (struct option_value){ v->option, arg };
    }
    for (int i = 0; rc == 0 && i < b->nwords; i++) {
        if ((rc = bulk_substitute(b->c->argv[i], ctx, &line->argv[i], error)) == 0)
            line->argc++;
    }
    if (rc == 0 && b->nwords == 0) { /* the inputs are the commands */
        rc = bulk_substitute("{}", ctx, &line->argv[0], error);
        line->argc = rc == 0;
    }
    return rc;
}

/* The command line of combination number i. 0, or -1 after complaining. */
static int make_line(struct bulk *b, size_t i, struct cmdline *ret)
{
    CLEANUP(freep) const char **words = calloc(b->inputs.nlists, sizeof(*words));
    struct bulk_context ctx = {
        .nwords = b->inputs.nlists, .seq = i, .defines = b->defines, .ndefines = b->ndefines
    };
    flux_error_t error = { "out of memory" };
    struct cmdline line = { .command = b->c->command };

    line.values = calloc(b->c->nvalues + 1, sizeof(*line.values));
    line.argv = calloc((size_t)b->nwords + 2, sizeof(*line.argv));
    if (words && line.values && line.argv) {
        bulk_inputs_get(&b->inputs, i, words);
        ctx.words = words;
        if (fill_line(b, &ctx, &line, &error) == 0) {
            *ret = line;
            return 0;
        }
    }
    complain("%s", error.text);
    line_deinit(&line);
    return -1;
}

/* On to the next job. 1, with *ret_cc "" if there is no --cc; 0: no more; -1: complained. */
static int advance(struct bulk *b, const char **ret_cc)
{
    for (;;) {
        if (b->line.values && copies_next(&b->copies, ret_cc)) {
            if (!*ret_cc)
                *ret_cc = "";
            return 1;
        }
        if (b->line.values) {
            copies_deinit(&b->copies);
            line_deinit(&b->line);
        }
        if (b->next == b->inputs.count)
            return 0;
        if (make_line(b, b->order[b->next++], &b->line) < 0)
            return -1;
        if (copies_init(&b->copies, &b->line) < 0) {
            line_deinit(&b->line);
            return -1;
        }
    }
}

/* --- dry run --- */

static void print_options(const struct cmdline *line, const char *cc, FILE *f)
{
    static const char *const ours[] = {
        "define", "sep",   "shuffle",  "dry-run", "cc",    "bcc",
        "wait",   "watch", "progress", "jps",     "quiet", "verbose"
    };

    for (size_t i = 0; i < line->nvalues; i++) {
        const struct option_value *v = &line->values[i];
        CLEANUP(freep) char *arg = v->arg ? cc_substitute(v->arg, cc) : NULL;
        bool skip = false;

        for (size_t k = 0; k < ARRAY_SIZE(ours); k++)
            skip |= option_is(v, ours[k]);
        if (skip)
            continue;
        if (v->option->letter)
            fprintf(f, " -%c%s", v->option->letter, arg ? arg : "");
        else
            fprintf(f, " --%s%s%s", v->option->name, arg ? "=" : "", arg ? arg : "");
    }
}

/* "flux-bulksubmit: submit -n2 hostname" */
static void print_line(const struct cmdline *line, const char *cc, FILE *f)
{
    fprintf(f, "flux-%.*s: submit", (int)strcspn(line->command->name, " "), line->command->name);
    print_options(line, cc, f);
    for (int i = 0; i < line->argc; i++) {
        CLEANUP(freep) char *word = cc_substitute(line->argv[i], cc);

        fprintf(f, " %s", word ? word : "");
    }
    fputc('\n', f);
}

static int dry_run(struct bulk *b)
{
    const char *cc;
    int rc;

    while ((rc = advance(b, &cc)) > 0)
        print_line(&b->line, cc, stdout);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* --- submission --- */

static int next_job(void *arg, struct job_plan *ret)
{
    struct bulk *b = arg;
    const char *cc;
    int rc = advance(b, &cc);

    if (rc <= 0)
        return rc;
    if (cmdline_has(b->c, "verbose"))
        print_line(&b->line, cc, stderr);
    return job_plan_init(ret, &b->line, cc, b->copies.set_cc) < 0 ? -1 : 1;
}

/* How many jobs there will be; everything is checked on the way. -1 after complaining. */
static int count_jobs(struct bulk *b, size_t *ret)
{
    for (size_t i = 0; i < b->inputs.count; i++) {
        struct cmdline line;
        struct copies copies;

        if (make_line(b, i, &line) < 0)
            return -1;
        if (copies_init(&copies, &line) < 0) {
            line_deinit(&line);
            return -1;
        }
        *ret += copies_count(&copies);
        copies_deinit(&copies);
        line_deinit(&line);
    }
    return 0;
}

static int submit_all(struct bulk *b)
{
    struct job_source source = { .next = next_job, .arg = b };

    if (count_jobs(b, &source.total) < 0)
        return EXIT_FAILURE;
    return submission_run(b->c, &source);
}

static int parse_defines(struct bulk *b)
{
    b->defines = calloc(b->c->nvalues + 1, sizeof(*b->defines));
    for (size_t i = 0; b->defines && i < b->c->nvalues; i++) {
        const struct option_value *v = &b->c->values[i];
        const char *equals;

        if (!option_is(v, "define"))
            continue;
        if (!(equals = strchr(v->arg, '=')) || equals == v->arg) {
            complain("--define: '%s' is not of the form NAME=CODE", v->arg);
            return -1;
        }
        b->defines[b->ndefines++] = (struct bulk_define){ .name = v->arg,
                                                          .name_len = (size_t)(equals - v->arg),
                                                          .code = equals + 1 };
    }
    return b->defines ? 0 : -1;
}

static int make_order(struct bulk *b)
{
    size_t n = b->inputs.count;

    if (!(b->order = calloc(n + 1, sizeof(*b->order))))
        return complain("out of memory");
    for (size_t i = 0; i < n; i++)
        b->order[i] = i;
    for (size_t i = n; cmdline_has(b->c, "shuffle") && i > 1; i--) {
        size_t r, t = b->order[i - 1];

        if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
            return complain("no random numbers: %s", strerror(errno));
        b->order[i - 1] = b->order[r % i];
        b->order[r % i] = t;
    }
    return EXIT_SUCCESS;
}

static int run_bulksubmit(const struct cmdline *c)
{
    struct bulk b = { .c = c, .nwords = bulk_command_length(c->argv) };
    flux_error_t error = { "out of memory" };
    int status = EXIT_FAILURE;

    if (bulk_inputs_init(&b.inputs, c->argv, cmdline_string(c, "sep", NULL), &error) < 0)
        return complain("%s", error.text);
    if (parse_defines(&b) == 0 && make_order(&b) == EXIT_SUCCESS)
        status = cmdline_has(c, "dry-run") ? dry_run(&b) : submit_all(&b);
    copies_deinit(&b.copies);
    if (b.line.values)
        line_deinit(&b.line);
    free(b.order);
    free(b.defines);
    bulk_inputs_deinit(&b.inputs);
    return status;
}

static const struct option bulksubmit_options[] = {
    JOB_OPTIONS,
    MANY_OPTIONS,
    { 0, "define", "NAME=CODE", "Let {.NAME} stand for an expression over the input x" },
    { 0, "shuffle", NULL, "Submit in random order" },
    { 0, "sep", "TEXT", "Separator of words in files (default: newline; none: whitespace)" },
    { 0 },
};

const struct command cmd_bulksubmit[] = {
    { .name = "bulksubmit",
      .args = "[COMMAND [ARGS...]] [::: INPUTS...] [:::: FILES...]",
      .summary = "Enqueue a job for each of many inputs",
      .options = bulksubmit_options,
      .max_args = -1,
      .flags = COMMAND_STOP_AT_ARGUMENT,
      .run = run_bulksubmit },
    { .name = "mini bulksubmit",
      .args = "[COMMAND [ARGS...]] [::: INPUTS...] [:::: FILES...]",
      .summary = "Same as bulksubmit",
      .options = bulksubmit_options,
      .max_args = -1,
      .flags = COMMAND_STOP_AT_ARGUMENT | COMMAND_HIDDEN,
      .run = run_bulksubmit },
    { 0 },
};
