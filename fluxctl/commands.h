/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The command table. Each cmd-*.c declares the commands of one family in an array that ends with
 * {0}; commands.c lists the arrays. */
#ifndef FLUXCTL_COMMANDS_H
#define FLUXCTL_COMMANDS_H

#include "options.h"

/* The command named by the first words of argv; *ret_words says by how many. NULL: none. */
const struct command *command_find(int argc, char **argv, int *ret_words);

void commands_print_help(FILE *f);

/* The commands whose names begin with the word argv[0], for `fluxctl kvs --help`. False: none. */
bool commands_print_group(char **argv, FILE *f);

/* Completion of the last of the words after "fluxctl". */
void commands_complete(int argc, char **argv, FILE *f);

#endif
