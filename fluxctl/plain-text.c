/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* See plain-text.h. Bytes that are no UTF-8 pass: no terminal takes them for control characters
 * while it reads UTF-8. */
#include "plain-text.h"

#include <string.h>

/* Bytes of the control character at s, 0: it is another character. */
static size_t control_size(const char *s, size_t left)
{
    const unsigned char c = (unsigned char)s[0];

    if (c < 0x20 || c == 0x7f)
        return 1;
    return c == 0xc2 && left > 1 && ((unsigned char)s[1] & 0xe0) == 0x80 ? 2 : 0;
}

void plain_write(FILE *f, const char *s, size_t size)
{
    const char *plain = s; /* to here it is written */
    size_t n;

    for (const char *end = s + size; s < end; s += n ? n : 1) {
        if ((n = control_size(s, (size_t)(end - s))) == 0)
            continue;
        (void)fwrite(plain, 1, (size_t)(s - plain), f);
        (void)fputc('.', f);
        plain = s + n;
    }
    (void)fwrite(plain, 1, (size_t)(s - plain), f);
}

void plain_puts(FILE *f, const char *s)
{
    plain_write(f, s, strlen(s));
}

char *plain_text(char *s, const char *keep)
{
    size_t left = strlen(s);
    char *to = s;

    for (const char *from = s; left > 0;) {
        const size_t n = strchr(keep, *from) ? 0 : control_size(from, left);

        *to++ = n > 0 ? '.' : *from;
        from += n > 0 ? n : 1;
        left -= n > 0 ? n : 1;
    }
    *to = '\0';
    return s;
}
