/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Standard I/O in JSON: the context of an RFC 24 data event, which is also the RFC 42 I/O object:
 * {"stream":S, "rank":IDSET, "data":TEXT, "encoding":"base64", "eof":true}. Data is text when it is
 * valid UTF-8 without NUL, base64 otherwise; the encoding key is left out for text. */
#ifndef BASE_IODATA_H
#define BASE_IODATA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Where the output that may be under way is limited in bytes, each message counts for so many more.
 */
#define IODATA_COST 512

/* How many bytes at the start of data are whole UTF-8 characters without NUL. *ret_partial: the
 * rest is the beginning of a character that more data may complete (at most three bytes). */
size_t iodata_text_length(const void *data, size_t size, bool *ret_partial);

/* size 0: no data key. NULL ENOMEM. */
json_t *iodata_encode(const char *stream, const char *rank, const void *data, size_t size,
                      bool eof);

struct iodata {
    const char *stream; /* lent by the object */
    const char *rank;   /* lent; "all" or an idset; "" if there was none */
    char *data;         /* malloc'd, with a NUL behind it; NULL if size is 0 */
    size_t size;
    bool eof;
};

/* 0, -EPROTO (shape, encoding), -ENOMEM. */
int iodata_decode(const json_t *o, struct iodata *ret);
void iodata_deinit(struct iodata *io);

#endif
