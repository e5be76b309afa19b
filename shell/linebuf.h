/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What a task wrote, cut into pieces that may be passed on: whole lines, or whatever is there but
 * never half a character. */
#ifndef SHELL_LINEBUF_H
#define SHELL_LINEBUF_H

#include <stdbool.h>
#include <stddef.h>

#define LINEBUF_MAX (64 * 1024) /* a longer line is passed on in pieces */

struct linebuf {
    bool by_line;
    char *data;
    size_t size, capacity;
};

void linebuf_init(struct linebuf *lb, bool by_line);
void linebuf_deinit(struct linebuf *lb);
/* Room for at least LINEBUF_MAX bytes behind the data; NULL ENOMEM. */
char *linebuf_reserve(struct linebuf *lb);
void linebuf_added(struct linebuf *lb, size_t size);
/* How many bytes at the start make a piece; 0: wait for more. */
size_t linebuf_piece(const struct linebuf *lb, bool eof);
void linebuf_consume(struct linebuf *lb, size_t size);

#endif
