/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Printing the output of a job (RFC 24): its events, in order, to stdout and stderr. */
#ifndef FLUXCTL_OUTPUT_PRINT_H
#define FLUXCTL_OUTPUT_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct output_stream {
    FILE *file;
    bool base64;        /* default encoding, from the header */
    bool line_is_open;  /* the last byte written was not a newline */
    char open_rank[32]; /* whose line it is */
};

struct output_printer {
    bool label;      /* begin lines with "RANK: " */
    char prefix[64]; /* before that */
    struct output_stream out, err;
};

void output_printer_init(struct output_printer *p, bool label, FILE *out, FILE *err);
/* One event of guest.output. Unknown events are ignored; 0 or -EPROTO. */
int output_print(struct output_printer *p, const char *name, const json_t *context);

#endif
