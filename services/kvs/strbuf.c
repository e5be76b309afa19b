/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Growing text and the few encodings that tree objects need. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kvs/strbuf.h"

void strbuf_deinit(struct strbuf *sb)
{
    free(sb->data);
    memset(sb, 0, sizeof(*sb));
}

/* One byte more than asked for is always there: for a NUL. */
void *strbuf_extend(struct strbuf *sb, size_t size)
{
    char *p;

    if (sb->failed)
        return NULL;
    if (sb->cap - sb->len < size + 1 || sb->cap == 0) {
        size_t cap = sb->cap ? sb->cap : 256;

        while (cap - sb->len < size + 1)
            cap *= 2;
        if (!(p = realloc(sb->data, cap))) {
            sb->failed = true;
            return NULL;
        }
        sb->data = p;
        sb->cap = cap;
    }
    p = sb->data + sb->len;
    sb->len += size;
    return p;
}

void strbuf_add(struct strbuf *sb, const void *data, size_t size)
{
    void *p = strbuf_extend(sb, size);

    if (p && size > 0)
        memcpy(p, data, size);
}

void strbuf_puts(struct strbuf *sb, const char *s)
{
    strbuf_add(sb, s, strlen(s));
}

void strbuf_number(struct strbuf *sb, uint64_t n)
{
    char text[24];
    char *p = &text[sizeof(text)];

    do {
        *--p = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    strbuf_add(sb, p, (size_t)(&text[sizeof(text)] - p));
}

void strbuf_hex(struct strbuf *sb, const uint8_t *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    char *p = strbuf_extend(sb, 2 * size);

    for (size_t i = 0; p && i < size; i++) {
        *p++ = digits[data[i] >> 4];
        *p++ = digits[data[i] & 15];
    }
}

void strbuf_base64(struct strbuf *sb, const void *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *p = strbuf_extend(sb, (size + 2) / 3 * 4);
    const uint8_t *s = data;

    if (!p)
        return;
    for (; size >= 3; size -= 3, s += 3) {
        *p++ = digits[s[0] >> 2];
        *p++ = digits[(s[0] & 3) << 4 | s[1] >> 4];
        *p++ = digits[(s[1] & 15) << 2 | s[2] >> 6];
        *p++ = digits[s[2] & 63];
    }
    if (size > 0) {
        *p++ = digits[s[0] >> 2];
        *p++ = digits[(s[0] & 3) << 4 | (size == 2 ? s[1] >> 4 : 0)];
        *p++ = size == 2 ? digits[(s[1] & 15) << 2] : '=';
        *p++ = '=';
    }
}

void strbuf_json_string(struct strbuf *sb, const char *s)
{
    strbuf_puts(sb, "\"");
    while (*s) {
        size_t n = 0;

        while ((unsigned char)s[n] >= 0x20 && s[n] != '"' && s[n] != '\\')
            n++;
        strbuf_add(sb, s, n);
        s += n;
        if (*s) {
            char text[8];

            strbuf_add(sb, text,
                       (size_t)snprintf(text, sizeof(text), "\\u%04x", (unsigned char)*s));
            s++;
        }
    }
    strbuf_puts(sb, "\"");
}

const char *strbuf_text(struct strbuf *sb)
{
    char *p = strbuf_extend(sb, 0);

    if (!p)
        return NULL;
    *p = '\0';
    return sb->data;
}

int strbuf_error(const struct strbuf *sb)
{
    return sb->failed ? -ENOMEM : 0;
}
