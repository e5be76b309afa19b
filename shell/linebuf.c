/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Cutting output. Invariant: less than LINEBUF_MAX bytes stay after all pieces are consumed. */
#include <stdlib.h>
#include <string.h>

#include "base/iodata.h"
#include "linebuf.h"

void linebuf_init(struct linebuf *lb, bool by_line)
{
    *lb = (struct linebuf){ .by_line = by_line };
}

void linebuf_deinit(struct linebuf *lb)
{
    free(lb->data);
    *lb = (struct linebuf){ .by_line = lb->by_line };
}

char *linebuf_reserve(struct linebuf *lb)
{
    if (lb->capacity - lb->size < LINEBUF_MAX) {
        char *grown = realloc(lb->data, lb->size + LINEBUF_MAX);

        if (!grown)
            return NULL;
        lb->data = grown;
        lb->capacity = lb->size + LINEBUF_MAX;
    }
    return lb->data + lb->size;
}

void linebuf_added(struct linebuf *lb, size_t size)
{
    lb->size += size;
}

/* Leave the beginning of a character behind if the rest of it may still come. */
static size_t whole_characters(const char *data, size_t size)
{
    const size_t tail = size < 3 ? size : 3;

    for (size_t back = 1; back <= tail; back++) {
        bool partial;

        if (((unsigned char)data[size - back] & 0xc0) == 0x80)
            continue; /* within a character: look further back */
        (void)iodata_text_length(data + size - back, back, &partial);
        return partial ? size - back : size;
    }
    return size;
}

size_t linebuf_piece(const struct linebuf *lb, bool eof)
{
    const size_t size = lb->size < LINEBUF_MAX ? lb->size : LINEBUF_MAX;
    const char *newline;
    size_t whole;

    if (size == 0)
        return 0;
    newline = lb->by_line ? memrchr(lb->data, '\n', size) : NULL;
    if (newline)
        return (size_t)(newline - lb->data) + 1;
    if (eof && size == lb->size)
        return size;
    if (lb->by_line && size < LINEBUF_MAX)
        return 0;
    whole = whole_characters(lb->data, size);
    return whole > 0 || size < LINEBUF_MAX ? whole : size;
}

void linebuf_consume(struct linebuf *lb, size_t size)
{
    memmove(lb->data, lb->data + size, lb->size - size);
    lb->size -= size;
}
