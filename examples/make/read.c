/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Words from a stream. */
#include <ctype.h>

#include "words.h"

static bool is_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool read_word(FILE *f, char *buf, size_t size)
{
    size_t len = 0;
    int c = getc(f);

    while (c != EOF && !is_letter(c))
        c = getc(f);
    for (; is_letter(c); c = getc(f)) {
        if (len < size - 1)
            buf[len++] = (char)tolower(c);
    }
    buf[len] = '\0';
    return len > 0;
}
