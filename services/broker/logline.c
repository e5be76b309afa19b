/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* "<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA [MSG]". Reads what the journal
 * needs and passes over the rest; structured data is skipped with its quotes and escapes. Header
 * words are cut to the room there is, and hold printable ASCII only. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "broker/logline.h"

struct cursor {
    const char *p, *end;
};

static int parse_priority(struct cursor *c, int *ret)
{
    int n = 0, digits = 0;

    if (c->p == c->end || *c->p++ != '<')
        return -EPROTO;
    for (; c->p < c->end && isdigit((unsigned char)*c->p) && digits < 3; c->p++, digits++)
        n = n * 10 + (*c->p - '0');
    if (digits == 0 || n > 191 || c->p == c->end || *c->p++ != '>')
        return -EPROTO;
    *ret = n & 7;
    return 0;
}

/* A word and the space behind it; buf may be NULL. */
static int parse_word(struct cursor *c, char *buf, size_t size)
{
    const char *start = c->p;
    size_t n = 0;

    for (; c->p < c->end && *c->p != ' '; c->p++) {
        if (*c->p < '!' || *c->p > '~')
            return -EPROTO;
        if (buf && n + 1 < size)
            buf[n++] = *c->p;
    }
    if (c->p == start || c->p == c->end)
        return -EPROTO;
    c->p++;
    if (buf) {
        buf[n] = '\0';
        if (strcmp(buf, "-") == 0)
            buf[0] = '\0';
    }
    return 0;
}

static int skip_element(struct cursor *c)
{
    int quoted = 0;

    for (c->p++; c->p < c->end; c->p++) {
        if (quoted && *c->p == '\\' && c->p + 1 < c->end)
            c->p++;
        else if (*c->p == '"')
            quoted = !quoted;
        else if (*c->p == ']' && !quoted) {
            c->p++;
            return 0;
        }
    }
    return -EPROTO;
}

static int skip_structured_data(struct cursor *c)
{
    int rc = 0;

    if (c->p < c->end && *c->p == '-') {
        c->p++;
    } else {
        if (c->p == c->end || *c->p != '[')
            return -EPROTO;
        while (rc == 0 && c->p < c->end && *c->p == '[')
            rc = skip_element(c);
    }
    if (rc == 0 && c->p < c->end && *c->p++ != ' ')
        rc = -EPROTO;
    return rc;
}

int logline_parse(const char *line, size_t size, struct logline *ret)
{
    struct cursor c = { line, line + size };
    char version[4];

    if (parse_priority(&c, &ret->severity) < 0 || parse_word(&c, version, sizeof(version)) < 0 ||
        strcmp(version, "1") != 0 || parse_word(&c, NULL, 0) < 0 ||
        parse_word(&c, ret->hostname, sizeof(ret->hostname)) < 0 ||
        parse_word(&c, ret->appname, sizeof(ret->appname)) < 0 ||
        parse_word(&c, ret->procid, sizeof(ret->procid)) < 0 || parse_word(&c, NULL, 0) < 0 ||
        skip_structured_data(&c) < 0)
        return -EPROTO;
    if (c.end - c.p >= 3 && memcmp(c.p, "\xef\xbb\xbf", 3) == 0) /* a mark that UTF-8 follows */
        c.p += 3;
    while (c.end > c.p && (c.end[-1] == '\0' || c.end[-1] == '\n'))
        c.end--;
    ret->text = c.p;
    ret->text_size = (size_t)(c.end - c.p);
    return 0;
}
