/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Output of many in one stream, a line at a time: "3: text". A line that came in pieces is printed
 * when it is whole, or when it has LINELABEL_MAX bytes; the last one of a stream gets the newline
 * that it lacks. */
#ifndef FLUXCTL_LINELABEL_H
#define FLUXCTL_LINELABEL_H

#include <stdint.h>
#include <stdio.h>

#define LINELABEL_MAX 65536

struct linelabel {
    char *data; /* the beginning of a line */
    size_t size;
};

void linelabel_print(struct linelabel *l, uint32_t label, FILE *f, const char *data, size_t size);
void linelabel_end(struct linelabel *l, uint32_t label, FILE *f); /* what is left */
void linelabel_deinit(struct linelabel *l);

#endif
