/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Invariant: seen is the place in the text of the byte that comes next once skip is 0; partial are
 * the bytes before it back to the last newline. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "job-list/lines.h"

void lines_deinit(struct lines *l)
{
    free(l->partial);
    *l = (struct lines){ 0 };
}

void lines_rewind(struct lines *l)
{
    l->skip = l->seen;
}

size_t lines_told(const struct lines *l)
{
    return l->seen - l->partial_size;
}

void lines_skip(struct lines *l, size_t told)
{
    l->seen = l->skip = told;
}

static int keep(struct lines *l, const char *data, size_t size)
{
    char *p;

    if (size == 0)
        return 0;
    p = realloc(l->partial, l->partial_size + size);
    if (!p)
        return -ENOMEM;
    memcpy(p + l->partial_size, data, size);
    l->partial = p;
    l->partial_size += size;
    return 0;
}

/* The line ends with data[0..size). */
static int complete(struct lines *l, const char *data, size_t size,
                    int (*fn)(const char *line, size_t len, void *arg), void *arg)
{
    size_t len = l->partial_size + size;
    CLEANUP(freep) char *line = malloc(len + 1);

    if (!line)
        return -ENOMEM;
    if (l->partial_size > 0)
        memcpy(line, l->partial, l->partial_size);
    if (size > 0)
        memcpy(line + l->partial_size, data, size);
    line[len] = '\0';
    free(l->partial);
    l->partial = NULL;
    l->partial_size = 0;
    return fn(line, len, arg);
}

int lines_add(struct lines *l, const char *data, size_t size,
              int (*fn)(const char *line, size_t len, void *arg), void *arg)
{
    size_t skip = size < l->skip ? size : l->skip;
    const char *newline;
    int rc;

    l->skip -= skip;
    data += skip;
    size -= skip;
    while ((newline = size > 0 ? memchr(data, '\n', size) : NULL)) {
        size_t len = (size_t)(newline - data);

        l->seen += len + 1;
        rc = complete(l, data, len, fn, arg);
        if (rc != 0)
            return rc;
        data += len + 1;
        size -= len + 1;
    }
    l->seen += size;
    return keep(l, data, size);
}
