/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Output formats in the manner of Python's str.format(): text with {field!conversion:spec} in it.
 * The subset of flux-jobs(1): fill, alignment, sign, 0, width, precision, the types s d x f e g,
 * the conversions D d F H, and h at the end of a spec for "-" instead of nothing. */
#ifndef FLUXCTL_FORMAT_H
#define FLUXCTL_FORMAT_H

#include <stdio.h>
#include <flux/types.h>

enum value_type { VALUE_ABSENT, VALUE_TEXT, VALUE_INTEGER, VALUE_REAL };

struct value {
    enum value_type type;
    const char *text; /* lent by whoever fills it, until the next value is asked for */
    int64_t integer;
    double real;
};

struct format;

/* 0, or -EINVAL with a sentence that names the place. */
int format_parse(const char *s, struct format **ret, flux_error_t *error);
struct format *format_free(struct format *f);

size_t format_nfields(const struct format *f);
const char *format_field(const struct format *f, size_t i);

struct format_source {
    struct value (*get)(const char *field, void *arg);
    const char *(*heading)(const char *field); /* NULL: no such field */
    void *arg;
};

/* One line, without its newline. */
void format_print(const struct format *f, const struct format_source *source, FILE *file);
/* Likewise, with it. */
void format_print_heading(const struct format *f, const struct format_source *source, FILE *file);

/* Seconds as flux jobs shows them: "0.123s", "1.5m"; "0s" below a millisecond. */
void format_duration(char *buf, size_t size, double seconds);

#endif
