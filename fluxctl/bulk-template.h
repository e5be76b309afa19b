/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Replacing {}, {0}, {.%}, {1./}, {seq}, {.NAME}... in a word of bulksubmit. */
#ifndef FLUXCTL_BULK_TEMPLATE_H
#define FLUXCTL_BULK_TEMPLATE_H

#include <stddef.h>
#include <flux/types.h>

struct bulk_define {
    const char *name; /* not terminated: name_len */
    size_t name_len;
    const char *code;
};

struct bulk_context {
    const char *const *words; /* one of each list */
    size_t nwords;
    size_t seq; /* from 0 */
    const struct bulk_define *defines;
    size_t ndefines;
};

/* {cc} and doubled braces ({{id}} of --output) stay as they are. *ret is malloc'd. 0 or -errno with
 * a sentence that names what stood in the braces. */
int bulk_substitute(const char *s, const struct bulk_context *ctx, char **ret, flux_error_t *error);

#endif
