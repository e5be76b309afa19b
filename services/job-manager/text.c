/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Growing text: events and messages are formatted into it without building JSON trees.
 * Refuses nothing; lack of memory is sticky and seen by the caller in `failed`. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

void text_deinit(struct text *t)
{
    free(t->s);
    *t = (struct text){ 0 };
}

static bool text_reserve(struct text *t, size_t more)
{
    size_t need = t->len + more + 1;
    size_t cap = t->cap ? t->cap : 64;
    char *s;

    if (t->failed)
        return false;
    if (need <= t->cap)
        return true;
    /* Doubling while small; a quarter when large, because many jobs keep their logs. */
    while (cap < need)
        cap += cap < 256 ? cap : cap / 4;
    s = realloc(t->s, cap);
    if (!s) {
        t->failed = true;
        return false;
    }
    t->s = s;
    t->cap = cap;
    return true;
}

void text_add(struct text *t, const void *data, size_t len)
{
    if (!text_reserve(t, len))
        return;
    if (len > 0)
        memcpy(t->s + t->len, data, len);
    t->len += len;
    t->s[t->len] = '\0';
}

void text_adds(struct text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

void text_addf(struct text *t, const char *fmt, ...)
{
    char buf[256];
    va_list ap, again;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(buf, sizeof(buf), fmt, ap);
    if (n < 0)
        t->failed = true;
    else if ((size_t)n < sizeof(buf))
        text_add(t, buf, (size_t)n);
    else if (text_reserve(t, (size_t)n)) {
        (void)vsnprintf(t->s + t->len, t->cap - t->len, fmt, again);
        t->len += (size_t)n;
    }
    va_end(again);
    va_end(ap);
}

void text_add_json_string(struct text *t, const char *s)
{
    text_adds(t, "\"");
    while (*s) {
        size_t plain = 0;

        while ((unsigned char)s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\')
            plain++;
        text_add(t, s, plain);
        s += plain;
        if (!*s)
            break;
        if (*s == '"' || *s == '\\')
            text_addf(t, "\\%c", *s);
        else
            text_addf(t, "\\u%04x", (unsigned char)*s);
        s++;
    }
    text_adds(t, "\"");
}

char *text_steal(struct text *t)
{
    char *s;

    text_add(t, "", 0);
    if (t->failed) {
        text_deinit(t);
        return NULL;
    }
    s = t->s;
    *t = (struct text){ 0 };
    return s;
}
