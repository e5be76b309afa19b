/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The expressions of bulksubmit --define: one line of Python over the input string x, as far as it
 * is numbers, strings and a few functions on them. */
#ifndef FLUXCTL_EXPRESSION_H
#define FLUXCTL_EXPRESSION_H

#include <flux/types.h>

/* Evaluate with x being a string. *ret is malloc'd: the result as Python's str() has it. 0, or
 * -EINVAL, -EDOM, -EOVERFLOW, -ENOMEM with a sentence. */
int expression_eval(const char *code, const char *x, char **ret, flux_error_t *error);

#endif
