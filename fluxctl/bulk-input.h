/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The input lists of bulksubmit: "::: words", ":::: files", linked with a "+", or standard input;
 * and their combinations. */
#ifndef FLUXCTL_BULK_INPUT_H
#define FLUXCTL_BULK_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <flux/types.h>

struct bulk_list {
    char **words;
    size_t count;
    bool linked; /* goes in step with the list before it */
};

struct bulk_inputs {
    struct bulk_list *lists;
    size_t nlists;
    size_t count; /* of combinations */
};

/* Parse the words of a command line from the first delimiter on (none: standard input). sep: the
 * text between the words of a file, NULL for newlines, "none" for whitespace. 0 or -errno with a
 * sentence. */
int bulk_inputs_init(struct bulk_inputs *b, char **argv, const char *sep, flux_error_t *error);
void bulk_inputs_deinit(struct bulk_inputs *b);

/* How many words come before the first delimiter. */
int bulk_command_length(char **argv);

/* Combination number i: one word of each list; the last list varies fastest. */
void bulk_inputs_get(const struct bulk_inputs *b, size_t i, const char **ret_words);

#endif
