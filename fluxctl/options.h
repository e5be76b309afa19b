/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Commands and their options, declared once: parsing, --help and shell completion all follow the
 * table of the command. */
#ifndef FLUXCTL_OPTIONS_H
#define FLUXCTL_OPTIONS_H

#include <stdio.h>

#include <flux/types.h>

enum option_flags {
    OPTION_OPTIONAL_ARG = 1, /* --name or --name=ARG; the letter takes none */
    OPTION_HIDDEN = 2,
};

struct option {
    char letter;      /* 0: none */
    const char *name; /* NULL: none */
    const char *arg;  /* what --help calls the argument; NULL: the option takes none */
    const char *help; /* one line */
    int flags;
};

enum command_flags {
    COMMAND_STOP_AT_ARGUMENT = 1, /* what follows the first argument is not ours: run CMD -x */
    COMMAND_HIDDEN = 2,
    COMMAND_TEXT = 4, /* all words go into messages: they have to be UTF-8 */
};

struct cmdline;

struct command {
    const char *name;             /* words: "kvs eventlog get" */
    const char *args;             /* for the usage line: "KEY..." */
    const char *summary;          /* one line, no full stop */
    const struct option *options; /* ends with {0}; NULL: none */
    int min_args, max_args;       /* max_args -1: any number */
    int flags;
    int (*run)(const struct cmdline *c); /* returns the exit status */
};

struct option_value {
    const struct option *option;
    const char *arg; /* NULL: none given */
};

/* A command line, split. Strings are lent by argv. */
struct cmdline {
    const struct command *command;
    struct option_value *values; /* in the order given */
    size_t nvalues;
    int argc;
    char **argv; /* arguments that are not options; argv[argc] is NULL */
    bool help;   /* --help was given; nothing else was checked */
};

/* Split the words after the command's name. 0 or -EINVAL with a sentence, -ENOMEM. */
int cmdline_parse(const struct command *command, int argc, char **argv, struct cmdline *ret,
                  flux_error_t *error);
void cmdline_deinit(struct cmdline *c);

/* Options by long name, or by letter ("c") where there is no long name. */
int cmdline_count(const struct cmdline *c, const char *name);
bool cmdline_has(const struct cmdline *c, const char *name);
/* The argument given last, else fallback. */
const char *cmdline_string(const struct cmdline *c, const char *name, const char *fallback);
/* The arguments from number `first` on as one text, with single spaces between; malloc'd. NULL:
 * there are none. */
char *cmdline_join(const struct cmdline *c, int first);
/* Is this value that of the option `name`? For walking c->values. */
bool option_is(const struct option_value *v, const char *name);

void command_print_help(const struct command *command, FILE *f);

/* Print, one a line, the options of the command that begin with `word`. */
void command_complete(const struct command *command, const char *word, FILE *f);

#endif
