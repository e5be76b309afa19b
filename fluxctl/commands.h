/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The command table. Each cmd-*.c declares the commands of one family in an array that ends with
 * {0}; commands.c lists the arrays. */
#ifndef FLUXCTL_COMMANDS_H
#define FLUXCTL_COMMANDS_H

#include "options.h"

/* The command named by the first words of argv; *ret_words says by how many. NULL: none. */
const struct command *command_find(int argc, char **argv, int *ret_words);

void commands_print_help(FILE *f);

/* The commands whose names begin with these words, for `fluxctl kvs --help`. */
void commands_print_group(int words, char **argv, FILE *f);

/* How many of the words begin the name of a command, hidden ones too. */
int commands_depth(int argc, char **argv);

/* The word that was probably meant by the last of the first `words` words of argv. NULL: none is
 * near. Static. */
const char *command_suggest(int words, char **argv);

/* Completion of the last of the words after "fluxctl". */
void commands_complete(int argc, char **argv, FILE *f);

#endif
