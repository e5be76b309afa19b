/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Out of memory, a line is printed in the pieces that it came in. */
#include <stdlib.h>
#include <string.h>

#include "linelabel.h"

static void print(struct linelabel *l, uint32_t label, FILE *f, const char *data, size_t size)
{
    fprintf(f, "%u: ", label);
    fwrite(l->data, 1, l->size, f);
    fwrite(data, 1, size, f);
    fputc('\n', f);
    l->size = 0;
}

static void keep(struct linelabel *l, uint32_t label, FILE *f, const char *data, size_t size)
{
    if (!l->data)
        l->data = malloc(LINELABEL_MAX);
    if (!l->data || size > LINELABEL_MAX - l->size) {
        print(l, label, f, data, size);
        return;
    }
    memcpy(l->data + l->size, data, size);
    l->size += size;
}

void linelabel_print(struct linelabel *l, uint32_t label, FILE *f, const char *data, size_t size)
{
    const char *newline;

    while (size > 0 && (newline = memchr(data, '\n', size))) {
        print(l, label, f, data, (size_t)(newline - data));
        size -= (size_t)(newline + 1 - data);
        data = newline + 1;
    }
    if (size > 0)
        keep(l, label, f, data, size);
}

void linelabel_end(struct linelabel *l, uint32_t label, FILE *f)
{
    if (l->size > 0)
        print(l, label, f, "", 0);
}

void linelabel_deinit(struct linelabel *l)
{
    free(l->data);
    *l = (struct linelabel){ .data = NULL };
}
