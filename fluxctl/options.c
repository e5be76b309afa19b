/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Splitting a command line by the option table of its command. The rules are those of getopt_long:
 * letters may be bundled (-vv), arguments follow with or without a space or after '=', long names
 * may be shortened while they stay unambiguous, "--" ends the options. Refuses unknown and
 * ambiguous options, missing and surplus arguments. */
#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/errorx.h"
#include "base/iodata.h"

#define HELP_COLUMN 30

static const struct option help_option = { 'h', "help", NULL, "Show this help" };

struct parser {
    struct cmdline *c;
    char **argv;
    int argc;
    int next; /* index of the next word */
    flux_error_t *error;
};

static bool takes_argument(const struct option *o)
{
    return o->arg && !(o->flags & OPTION_OPTIONAL_ARG);
}

static bool is_end(const struct option *o)
{
    return !o->letter && !o->name;
}

static void record(struct parser *p, const struct option *o, const char *arg)
{
    if (o == &help_option)
        p->c->help = true;
    else
        p->c->values[p->c->nvalues++] = (struct option_value){ .option = o, .arg = arg };
}

/* The option that `name` stands for. Several that begin with it: only an exact match counts. */
static int find_long(struct parser *p, const char *name, size_t len, const struct option **ret)
{
    const struct option *found = NULL;
    int matches = 0;

    if (strncmp("help", name, len) == 0 && len > 0) {
        found = &help_option;
        matches = 1;
    }
    for (const struct option *o = p->c->command->options; o && !is_end(o); o++) {
        if (!o->name || strncmp(o->name, name, len) != 0)
            continue;
        if (strlen(o->name) == len) {
            *ret = o;
            return 0;
        }
        found = o;
        matches++;
    }
    if (matches == 0)
        return errorx_fail(p->error, EINVAL, "unknown option --%.*s", (int)len, name);
    if (matches > 1)
        return errorx_fail(p->error, EINVAL, "option --%.*s is ambiguous", (int)len, name);
    *ret = found;
    return 0;
}

static int parse_long(struct parser *p, const char *word)
{
    size_t len = strcspn(word, "=");
    const char *arg = word[len] ? word + len + 1 : NULL;
    const struct option *o = NULL;
    int rc;

    if ((rc = find_long(p, word, len, &o)) < 0)
        return rc;
    if (arg && !o->arg)
        return errorx_fail(p->error, EINVAL, "option --%s takes no argument", o->name);
    if (!arg && takes_argument(o)) {
        if (p->next >= p->argc)
            return errorx_fail(p->error, EINVAL, "option --%s needs an argument: %s", o->name,
                               o->arg);
        arg = p->argv[p->next++];
    }
    record(p, o, arg);
    return 0;
}

static const struct option *find_letter(const struct command *command, char letter)
{
    for (const struct option *o = command->options; o && !is_end(o); o++) {
        if (o->letter == letter)
            return o;
    }
    return letter == 'h' ? &help_option : NULL;
}

/* The letters after one '-'. */
static int parse_letters(struct parser *p, const char *word)
{
    while (*word) {
        const struct option *o = find_letter(p->c->command, *word);
        const char *arg = NULL;

        if (!o)
            return errorx_fail(p->error, EINVAL, "unknown option -%c", *word);
        word++;
        if (takes_argument(o)) {
            if (*word)
                arg = word + (*word == '=');
            else if (p->next < p->argc)
                arg = p->argv[p->next++];
            else
                return errorx_fail(p->error, EINVAL, "option -%c needs an argument: %s", o->letter,
                                   o->arg);
            word = "";
        }
        record(p, o, arg);
    }
    return 0;
}

static void take_rest(struct parser *p)
{
    while (p->next < p->argc)
        p->c->argv[p->c->argc++] = p->argv[p->next++];
}

static int parse_words(struct parser *p)
{
    int rc = 0;

    while (rc == 0 && p->next < p->argc) {
        char *word = p->argv[p->next++];

        if (strcmp(word, "--") == 0) {
            take_rest(p);
        } else if (strncmp(word, "--", 2) == 0) {
            rc = parse_long(p, word + 2);
        } else if (word[0] == '-' && word[1]) {
            rc = parse_letters(p, word + 1);
        } else {
            p->c->argv[p->c->argc++] = word;
            if (p->c->command->flags & COMMAND_STOP_AT_ARGUMENT)
                take_rest(p);
        }
    }
    return rc;
}

static int check_text(struct parser *p)
{
    bool partial;

    for (int i = 0; i < p->argc; i++) {
        const size_t size = strlen(p->argv[i]);

        if (iodata_text_length(p->argv[i], size, &partial) != size)
            return errorx_fail(p->error, EINVAL, "'%.80s' is not valid UTF-8", p->argv[i]);
    }
    return 0;
}

static int check_arguments(struct parser *p)
{
    const struct command *command = p->c->command;

    if (p->c->help)
        return 0;
    if (p->c->argc < command->min_args)
        return errorx_fail(p->error, EINVAL, "too few arguments, usage: flux %s %s", command->name,
                           command->args ? command->args : "");
    if (command->max_args >= 0 && p->c->argc > command->max_args)
        return errorx_fail(p->error, EINVAL, "unexpected argument '%s'",
                           p->c->argv[command->max_args]);
    return command->flags & COMMAND_TEXT ? check_text(p) : 0;
}

int cmdline_parse(const struct command *command, int argc, char **argv, struct cmdline *ret,
                  flux_error_t *error)
{
    struct cmdline c = { .command = command };
    struct parser p = { .c = &c, .argv = argv, .argc = argc, .error = error };
    size_t letters = 1;
    int rc;

    for (int i = 0; i < argc; i++)
        letters += strlen(argv[i]) + 1; /* a word of n letters holds at most n options */
    c.values = calloc(letters, sizeof(*c.values));
    c.argv = calloc((size_t)argc + 1, sizeof(*c.argv));
    if (!c.values || !c.argv)
        rc = -ENOMEM;
    else if ((rc = parse_words(&p)) == 0)
        rc = check_arguments(&p);
    if (rc < 0) {
        cmdline_deinit(&c);
        return rc;
    }
    *ret = c;
    return 0;
}

void cmdline_deinit(struct cmdline *c)
{
    free(c->values);
    free(c->argv);
    *c = (struct cmdline){ 0 };
}

bool option_is(const struct option_value *v, const char *name)
{
    if (v->option->name)
        return strcmp(v->option->name, name) == 0;
    return name[0] == v->option->letter && !name[1];
}

int cmdline_count(const struct cmdline *c, const char *name)
{
    int n = 0;

    for (size_t i = 0; i < c->nvalues; i++)
        n += option_is(&c->values[i], name);
    return n;
}

bool cmdline_has(const struct cmdline *c, const char *name)
{
    return cmdline_count(c, name) > 0;
}

const char *cmdline_string(const struct cmdline *c, const char *name, const char *fallback)
{
    for (size_t i = c->nvalues; i-- > 0;) {
        if (option_is(&c->values[i], name) && c->values[i].arg)
            return c->values[i].arg;
    }
    return fallback;
}

static void print_option(const struct option *o, FILE *f)
{
    char left[80];
    int n = 0;

    if (o->flags & OPTION_HIDDEN)
        return;
    n += o->letter ? snprintf(left, sizeof(left), "  -%c", o->letter)
                   : snprintf(left, sizeof(left), "    ");
    if (o->name)
        n += snprintf(left + n, sizeof(left) - (size_t)n, "%s--%s", o->letter ? ", " : "  ",
                      o->name);
    if (o->arg && (o->flags & OPTION_OPTIONAL_ARG))
        n += snprintf(left + n, sizeof(left) - (size_t)n, "[=%s]", o->arg);
    else if (o->arg)
        n += snprintf(left + n, sizeof(left) - (size_t)n, "%s%s", o->name ? "=" : " ", o->arg);
    fprintf(f, "%-*s%s%s\n", HELP_COLUMN, left, n >= HELP_COLUMN ? " " : "", o->help);
}

char *cmdline_join(const struct cmdline *c, int first)
{
    char *text = NULL;
    size_t size;
    FILE *f;

    if (first >= c->argc || !(f = open_memstream(&text, &size)))
        return NULL;
    for (int i = first; i < c->argc; i++)
        fprintf(f, "%s%s", i > first ? " " : "", c->argv[i]);
    (void)fclose(f);
    return text;
}

void command_print_help(const struct command *command, FILE *f)
{
    fprintf(f, "Usage: flux %s%s%s%s\n%s.\n\nOptions:\n", command->name,
            command->options ? " [OPTIONS]" : "", command->args ? " " : "",
            command->args ? command->args : "", command->summary);
    for (const struct option *o = command->options; o && !is_end(o); o++)
        print_option(o, f);
    print_option(&help_option, f);
    fprintf(f, "\nSee also: flux help %.*s\n", (int)strcspn(command->name, " "), command->name);
}

static void complete_option(const struct option *o, const char *word, FILE *f)
{
    char text[64];

    if (!o->name || (o->flags & OPTION_HIDDEN))
        return;
    snprintf(text, sizeof(text), "--%s%s", o->name, takes_argument(o) ? "=" : "");
    if (strncmp(text, word, strlen(word)) == 0)
        fprintf(f, "%s\n", text);
}

void command_complete(const struct command *command, const char *word, FILE *f)
{
    if (word[0] != '-')
        return;
    for (const struct option *o = command->options; o && !is_end(o); o++)
        complete_option(o, word, f);
    complete_option(&help_option, word, f);
}
