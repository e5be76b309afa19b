/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Finding directives and splitting them into words.
 *
 * The first directive fixes the sentinel: all must have the same. Lines between that begin with the
 * same prefix are comments; the first other line ends the directives, and a directive after it is
 * an error, since its writer believes that it counts. A directive is split as sh(1) does, with "#"
 * as a comment, and with text in triple quotes, which may go on over several directives. */
#include "directives.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errorx.h"
#include "supervise/unitfile.h"

#define TAG_LEN 5 /* of "flux:" */

struct reader {
    const char *p, *end; /* what is left of the text */
    int line;            /* number of the line read last */
    const char *prefix;  /* of the first directive; NULL: there was none yet */
    size_t prefix_len, sentinel_len;
    bool over; /* a line that is none has come */
    char **words;
    flux_error_t *error;
};

/* A line without its end. false: there is none. */
static bool next_line(struct reader *r, const char **ret, size_t *ret_len)
{
    const char *lf;

    if (r->p == r->end)
        return false;
    lf = memchr(r->p, '\n', (size_t)(r->end - r->p));
    *ret = r->p;
    *ret_len = (size_t)((lf ? lf : r->end) - r->p);
    r->p = lf ? lf + 1 : r->end;
    r->line++;
    return true;
}

static bool is_word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* How long "# flux:" at the beginning is; 0: the line is no directive. */
static size_t sentinel(const char *s, size_t len, size_t *ret_prefix)
{
    size_t i = 0;

    while (i < len && !is_word_char(s[i]))
        i++;
    *ret_prefix = i;
    if (len - i < TAG_LEN ||
        (strncmp(s + i, "flux:", TAG_LEN) != 0 && strncmp(s + i, "FLUX:", TAG_LEN) != 0))
        return 0;
    return i + TAG_LEN;
}

static bool is_blank(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isspace((unsigned char)s[i]))
            return false;
    return true;
}

/* 1: a directive, whose text is what is left in s; 0: none. */
static int classify(struct reader *r, const char **s, size_t *len)
{
    size_t prefix, n = sentinel(*s, *len, &prefix);

    if (n > 0 && !r->prefix) {
        r->prefix = *s;
        r->prefix_len = prefix;
        r->sentinel_len = n;
    }
    if (n > 0 && (n != r->sentinel_len || strncmp(*s, r->prefix, n) != 0))
        return errorx_fail(r->error, EINVAL, "line %d: all directives must begin with '%.*s'",
                           r->line, (int)r->sentinel_len, r->prefix);
    if (n > 0 && r->over)
        return errorx_fail(r->error, EINVAL,
                           "line %d: a directive after lines that are none is not read; move it up",
                           r->line);
    if (n == 0 && r->prefix && !is_blank(*s, *len) &&
        (*len < r->prefix_len || strncmp(*s, r->prefix, r->prefix_len) != 0))
        r->over = true;
    *s += n;
    *len -= n;
    return n > 0;
}

/* --- words */

static bool is_triple(const char *s, const char *end)
{
    return end - s >= 3 && (s[0] == '"' || s[0] == '\'') && s[1] == s[0] && s[2] == s[0];
}

static size_t indentation(const char *s, size_t len)
{
    size_t n = 0;

    while (n < len && (s[n] == ' ' || s[n] == '\t'))
        n++;
    return n;
}

/* Lines of text, up to one that ends with the quotes: its words go on at *ret. What all lines are
 * indented by is taken off. */
static int read_block(struct reader *r, char quote, FILE *word, const char **ret,
                      const char **ret_end)
{
    const char quotes[] = { quote, quote, quote, '\0' };
    char *lines[256];
    size_t n = 0, indent = SIZE_MAX, len;
    const char *s, *found = NULL;
    int rc = 0;

    while (rc == 0 && !found && next_line(r, &s, &len)) {
        rc = classify(r, &s, &len);
        if (rc != 1) {
            rc = rc < 0
                     ? rc
                     : errorx_fail(r->error, EINVAL, "line %d: %s is not closed", r->line, quotes);
            break;
        }
        rc = 0;
        found = memmem(s, len, quotes, 3);
        if (found) {
            *ret = found + 3;
            *ret_end = s + len;
            if (!is_blank(s, (size_t)(found - s)))
                rc = errorx_fail(r->error, EINVAL, "line %d: %s must stand alone", r->line, quotes);
        } else if (n == ARRAY_SIZE(lines) || !(lines[n] = strndup(s, len))) {
            rc = errorx_fail(r->error, EINVAL, "line %d: more than %zu lines", r->line,
                             ARRAY_SIZE(lines));
        } else {
            n++;
            if (!is_blank(s, len) && indentation(s, len) < indent)
                indent = indentation(s, len);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (rc == 0)
            fprintf(word, "%s\n", strlen(lines[i]) >= indent ? lines[i] + indent : "");
        free(lines[i]);
    }
    return rc < 0 || found
               ? rc
               : errorx_fail(r->error, EINVAL, "line %d: %s is not closed", r->line, quotes);
}

/* Text in triple quotes that begins at *p. */
static int read_triple(struct reader *r, FILE *word, const char **p, const char **end)
{
    const char quotes[] = { **p, **p, **p, '\0' };
    const char *s = *p + 3;
    const char *close = memmem(s, (size_t)(*end - s), quotes, 3);

    if (close) {
        (void)fwrite(s, 1, (size_t)(close - s), word);
        *p = close + 3;
        return 0;
    }
    if (!is_blank(s, (size_t)(*end - s)))
        return errorx_fail(r->error, EINVAL, "line %d: %s is not closed", r->line, quotes);
    return read_block(r, quotes[0], word, p, end);
}

/* Text in single or double quotes. */
static int read_quoted(struct reader *r, FILE *word, const char **p, const char *end)
{
    const char quote = *(*p)++;

    for (; *p < end && **p != quote; (*p)++) {
        if (quote == '"' && **p == '\\' && *p + 1 < end && strchr("\"\\$`", (*p)[1]))
            (*p)++;
        (void)fputc(**p, word);
    }
    if (*p == end)
        return errorx_fail(r->error, EINVAL, "line %d: %c is not closed", r->line, quote);
    (*p)++;
    return 0;
}

static int read_word(struct reader *r, FILE *word, const char **p, const char **end)
{
    int rc = 0;

    while (rc == 0 && *p < *end && !isspace((unsigned char)**p)) {
        if (is_triple(*p, *end)) {
            rc = read_triple(r, word, p, end);
        } else if (**p == '"' || **p == '\'') {
            rc = read_quoted(r, word, p, *end);
        } else {
            if (**p == '\\' && *p + 1 < *end)
                (*p)++;
            (void)fputc(*(*p)++, word);
        }
    }
    return rc;
}

static int add_word(struct reader *r, const char **p, const char **end)
{
    char *text = NULL;
    size_t size;
    FILE *word = open_memstream(&text, &size);
    int rc = word ? read_word(r, word, p, end) : -ENOMEM;

    if (word && fclose(word) != 0 && rc == 0)
        rc = -ENOMEM;
    if (rc < 0) {
        free(text);
        return rc;
    }
    return strv_take(&r->words, text);
}

static int read_directive(struct reader *r, const char *p, size_t len)
{
    const char *end = p + len;
    bool first = true;
    int rc = 0;

    while (rc == 0 && p < end) {
        if (isspace((unsigned char)*p)) {
            p++;
            continue;
        }
        if (*p == '#')
            break;
        if (first && *p != '-')
            return errorx_fail(r->error, EINVAL, "line %d: '%.*s' is not an option", r->line,
                               (int)(end - p < 40 ? end - p : 40), p);
        first = false;
        rc = add_word(r, &p, &end);
    }
    return rc;
}

int directives_parse(const char *text, size_t size, char ***ret_words, size_t *ret_n,
                     flux_error_t *error)
{
    struct reader r = { .p = text, .end = text + size, .error = error };
    const char *s;
    size_t len;
    int rc = 0;

    while (rc >= 0 && next_line(&r, &s, &len)) {
        rc = classify(&r, &s, &len);
        if (rc == 1)
            rc = read_directive(&r, s, len);
    }
    if (rc < 0) {
        directives_free(r.words);
        return rc == -ENOMEM ? errorx_fail(error, ENOMEM, "out of memory") : rc;
    }
    *ret_words = r.words;
    *ret_n = strv_count(r.words);
    return 0;
}

void directives_free(char **words)
{
    (void)strv_free(words);
}
