/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Decoding and encoding of PMI-1 lines. Nothing is allocated: what a peer sends is bounded by the
 * sizes of the structures. Refuses what is in the header. */
#include "pmi/wire.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"

#define BLANKS " \t"

static bool is_text(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (s[i] != '\t' && (s[i] < ' ' || s[i] > '~'))
            return false;
    }
    return true;
}

/* The field at s, which is ended in place. Where the next one begins, or NULL. */
static char *parse_field(struct pmi_msg *m, char *s)
{
    const size_t name_len = strcspn(s, "=" BLANKS);
    char *value = s + name_len + 1;
    size_t len;

    if (name_len == 0 || s[name_len] != '=' || m->count == PMI_FIELDS_MAX)
        return NULL;
    s[name_len] = '\0';
    if (pmi_msg_get(m, s))
        return NULL;
    m->fields[m->count++] = (struct pmi_field){ s, value };
    if (strcmp(s, "value") == 0)
        return value + strlen(value);
    len = strcspn(value, BLANKS);
    if (value[len] == '\0')
        return value + len;
    value[len] = '\0';
    return value + len + 1;
}

int pmi_msg_parse(const char *line, size_t len, struct pmi_msg *ret)
{
    char *s = ret->text;

    ret->count = 0;
    if (len >= sizeof(ret->text))
        return -EMSGSIZE;
    if (!is_text(line, len))
        return -EPROTO;
    memcpy(ret->text, line, len);
    ret->text[len] = '\0';
    for (s += strspn(s, BLANKS); *s; s += strspn(s, BLANKS)) {
        s = parse_field(ret, s);
        if (!s)
            return -EPROTO;
    }
    return 0;
}

const char *pmi_msg_get(const struct pmi_msg *m, const char *key)
{
    for (size_t i = 0; i < m->count; i++) {
        if (strcmp(m->fields[i].key, key) == 0)
            return m->fields[i].value;
    }
    return NULL;
}

int pmi_msg_get_int(const struct pmi_msg *m, const char *key, int *ret)
{
    const char *value = pmi_msg_get(m, key);

    if (!value)
        return -ENOENT;
    return number_parse_int(value, INT_MIN, INT_MAX, ret) < 0 ? -EPROTO : 0;
}

int pmi_format(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(buf, size, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n + 1 >= size)
        return -EMSGSIZE;
    buf[n] = '\n';
    buf[n + 1] = '\0';
    return n + 1;
}

bool pmi_word_valid(const char *s, size_t size)
{
    return *s && !strchr(s, '=') && pmi_value_valid(s, size);
}

bool pmi_value_valid(const char *s, size_t size)
{
    const size_t len = strlen(s);

    return len < size && is_text(s, len) && !strpbrk(s, BLANKS);
}

ssize_t pmi_reader_fill(struct pmi_reader *r, int fd)
{
    ssize_t n;

    if (r->len == sizeof(r->buf))
        return -EMSGSIZE;
    n = read(fd, r->buf + r->len, sizeof(r->buf) - r->len);
    if (n < 0)
        return -errno;
    r->len += (size_t)n;
    return n;
}

int pmi_reader_line(struct pmi_reader *r, char line[PMI_LINE_MAX], size_t *ret_len)
{
    const char *lf = memchr(r->buf, '\n', r->len);
    size_t len;

    if (!lf)
        return r->len == sizeof(r->buf) ? -EMSGSIZE : 0;
    len = (size_t)(lf - r->buf);
    if (memchr(r->buf, '\0', len))
        return -EPROTO;
    memcpy(line, r->buf, len);
    line[len] = '\0';
    *ret_len = len;
    r->len -= len + 1;
    memmove(r->buf, lf + 1, r->len);
    return 1;
}
