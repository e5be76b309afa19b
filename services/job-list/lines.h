/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Cuts a growing text, which may be told from its beginning again, into whole lines. */
#ifndef JOB_LIST_LINES_H
#define JOB_LIST_LINES_H

#include <stddef.h>

struct lines {
    char *partial; /* of the last line, without its newline yet */
    size_t partial_size;
    size_t seen; /* bytes of the text so far */
    size_t skip; /* bytes of what comes next that were seen before */
};

void lines_deinit(struct lines *l);
/* What is added next begins at the first byte of the text again. */
void lines_rewind(struct lines *l);
/* Bytes of the lines that were told, and in another process: they were told already. */
size_t lines_told(const struct lines *l);
void lines_skip(struct lines *l, size_t told);
/* Calls fn for each line that data completes, newline cut off, NUL-terminated. Stops when fn
 * returns other than 0 and returns that. -ENOMEM. */
int lines_add(struct lines *l, const char *data, size_t size,
              int (*fn)(const char *line, size_t len, void *arg), void *arg);

#endif
