/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Options inside a script (RFC 36): lines that begin with "#flux:", or another prefix before it. */
#ifndef FLUXCTL_DIRECTIVES_H
#define FLUXCTL_DIRECTIVES_H

#include <stddef.h>

#include <flux/types.h>

/* The words of all directives of a text, in order: ret_words[*ret_n] is NULL; free each and the
 * array, with directives_free(). 0 (there may be none), -EINVAL with a sentence that names the
 * line, -ENOMEM. */
int directives_parse(const char *text, size_t size, char ***ret_words, size_t *ret_n,
                     flux_error_t *error);
void directives_free(char **words);

#endif
